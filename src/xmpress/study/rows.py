"""The rows of a study: what is trained on, what is tested, what is parallel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from xmpress.data import Dataset, load_dataset
from xmpress.errors import ConfigError, DataError, Problem
from xmpress.evaluation import parallel_items
from xmpress.study.config import StudyConfig
from xmpress.study.results import DataSummary
from xmpress.tasks import Task, TaskKind, TaskSet
from xmpress.training.train import spread
from xmpress.validation import nearest

UNREAD = TaskSet(tasks=(Task(name="unread", kind=TaskKind.SINGLE_LABEL, labels=("no", "yes")),))
"""For data whose labels do not matter: a task that no column is named after."""


@dataclass(frozen=True)
class Parallel:
    """Texts that say the same in several languages.

    Attributes:
        rows: only these.
        items: by item and language the row.
    """

    rows: Dataset
    items: Mapping[str, Mapping[str, int]]


class Rows:
    """A study's data, loaded once.

    Attributes:
        whole: every row, with the labels of `tasks`.
        tasks: those that there are labels to train on for.
        unlabelled: names of the others.

    Raises:
        DataError: if there is nothing to train on or to test on.
        ConfigError: if the study names languages that the data does not have.
    """

    def __init__(self, study: StudyConfig) -> None:
        self._study = study
        asked = study.task_set()
        loaded = load_dataset(study.data, asked)
        in_training = [split in {None, "train"} for split in loaded.splits]
        labels = loaded.take(in_training).labels
        trained = [name for name in asked.names if labels[name].annotated.any()]
        if not trained:
            raise DataError(
                f"{study.data} has no training rows that are labelled for any of the tasks "
                f"{', '.join(asked.names)}; name its tasks in the study (tasks: ...)"
            )
        self.whole = loaded.select(trained)
        self.tasks: TaskSet = self.whole.tasks
        self.unlabelled = [name for name in asked.names if name not in trained]
        self._check_languages()

    @property
    def fingerprint(self) -> str:
        """Of all rows."""
        return self.whole.fingerprint

    @cached_property
    def trained_languages(self) -> list[str]:
        """Of the rows that are trained on."""
        rows = zip(self.whole.langs, self.whole.splits, strict=True)
        return sorted({lang for lang, split in rows if split in {None, "train"}})

    @cached_property
    def tested(self) -> Dataset:
        """The rows that models are scored on."""
        settings = self._study.evaluation
        rows = self.whole.where(split=settings.split, tasks=self.tasks.names)
        if not len(rows):
            held = ", ".join(sorted({split or "none" for split in self.whole.splits}))
            raise DataError(
                f"{self._study.data} has no labelled rows of the split '{settings.split}' to test "
                f"on (it has {held}); mark some in a column 'split'"
            )
        return rows if settings.max_rows is None else spread(rows, settings.max_rows, seed=0)

    @cached_property
    def tested_tasks(self) -> list[str]:
        """Tasks with labels among the tested rows."""
        return [name for name in self.tasks.names if self.tested.labels[name].annotated.any()]

    @cached_property
    def tested_languages(self) -> list[str]:
        """Of the tested rows."""
        return sorted(set(self.tested.langs))

    @cached_property
    def parallel(self) -> Parallel | None:
        """The parallel texts in languages of the study; ``None`` if there are none."""
        settings = self._study.evaluation
        if settings.parallel is None:
            return None
        same = settings.parallel == self._study.data
        found = self.whole if same else load_dataset(settings.parallel, UNREAD)
        found = found.where(split=settings.split, langs=self.trained_languages)
        rows = sorted(
            row for by in parallel_items(found.ids, found.langs).values() for row in by.values()
        )
        if not rows:
            return None
        kept = found.take(rows)
        return Parallel(kept, parallel_items(kept.ids, kept.langs))

    def summary(self) -> DataSummary:
        """For the results."""
        counts: dict[str, Counter[str]] = {}
        for split, lang in zip(self.whole.splits, self.whole.langs, strict=True):
            counts.setdefault(split or "none", Counter())[lang] += 1
        return DataSummary(
            config=self._study.data,
            fingerprint=self.fingerprint,
            rows={split: dict(sorted(by.items())) for split, by in sorted(counts.items())},
            tested_split=self._study.evaluation.split,
            tested_rows=len(self.tested),
        )

    def _check_languages(self) -> None:
        zero_shot = self._study.zero_shot
        if zero_shot is None:
            return
        named = {"only": zero_shot.only}
        if zero_shot.leave_out != "each":
            named["leave_out"] = list(zero_shot.leave_out)
        known = self.trained_languages
        problems = [
            Problem(f"zero_shot.{key}[{number}]", _no_such(lang, known))
            for key, langs in named.items()
            for number, lang in enumerate(langs)
            if lang not in known
        ]
        if problems:
            raise ConfigError(f"study '{self._study.name}' does not fit its data", problems)


def _no_such(lang: str, known: list[str]) -> str:
    close = nearest(lang, known)
    hint = f"did you mean '{close}'?" if close else f"there are {', '.join(known)}"
    return f"there are no training rows of the language '{lang}'; {hint}"
