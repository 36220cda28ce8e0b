"""Do texts that say the same in several languages get the same answer?

Texts are parallel if their ids are a language and the name of an item, joined by a hyphen:
``en-p001``, ``de-p001``. The bundled sample's are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xmpress.evaluation.protocols import Calibrations, Logits
from xmpress.tasks import Calibration, TaskSet

PIVOT = "en"
"""The language whose answers the others are compared with, where there are texts in it."""


@dataclass(frozen=True)
class Consistency:
    """How far one task's answers agree over languages.

    Attributes:
        same: share of the items with one answer in all languages.
        agreement: per language the share of the items with the answer of the pivot's text.
        items: how many there are, each a text in every language.
        pivot: the language that agreement is with.
    """

    same: float
    agreement: dict[str, float]
    items: int
    pivot: str


def parallel_items(ids: Sequence[str], langs: Sequence[str]) -> dict[str, dict[str, int]]:
    """By item and language the position of its text.

    Only items that are told in every language in which any shared item is told.

    Example:
        >>> parallel_items(["en-a", "de-a", "en-b"], ["en", "de", "en"])
        {'a': {'en': 0, 'de': 1}}
    """
    found: dict[str, dict[str, int]] = {}
    for row, (identity, lang) in enumerate(zip(ids, langs, strict=True)):
        if str(identity).startswith(f"{lang}-"):
            found.setdefault(str(identity).removeprefix(f"{lang}-"), {}).setdefault(lang, row)
    shared = {item: rows for item, rows in found.items() if len(rows) > 1}
    everywhere = {lang for rows in shared.values() for lang in rows}
    return {item: rows for item, rows in shared.items() if rows.keys() == everywhere}


def consistency_of(
    tasks: TaskSet,
    logits: Logits,
    calibration: Calibrations,
    items: Mapping[str, Mapping[str, int]],
) -> dict[str, Consistency]:
    """Compare the answers to the texts of each item, task by task.

    Args:
        tasks: what the model predicts.
        logits: per task float [n, L].
        calibration: temperature and thresholds per task.
        items: from `parallel_items`, positions within the n texts.

    Returns:
        By task; empty where there are no items.
    """
    if not items:
        return {}
    langs = sorted(next(iter(items.values())))
    pivot = PIVOT if PIVOT in langs else langs[0]
    rows = np.array([[by[lang] for lang in langs] for by in items.values()])
    found = {}
    for task in tasks:
        tuned = calibration.get(task.name, Calibration())
        scores = np.asarray(logits[task.name], dtype=np.float32)
        answers = task.decide(task.probabilities(scores, tuned), tuned)[rows]  # [items, langs, L]
        equal = (answers == answers[:, [langs.index(pivot)]]).all(axis=2)  # [items, langs]
        found[task.name] = Consistency(
            same=float(equal.all(axis=1).mean()),
            agreement={
                lang: float(equal[:, i].mean()) for i, lang in enumerate(langs) if lang != pivot
            },
            items=len(rows),
            pivot=pivot,
        )
    return found
