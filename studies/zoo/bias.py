"""What swapping names, genders, places, religions, ages, varieties and signs does to the answers.

    python studies/zoo/bias.py > runs/zoo/bias.md
    python studies/zoo/bias.py runs/mine    # another model of the same tasks

The sentences stand in studies/zoo/bias.yaml. A sentence is judged with each of the fills of one
kind (names, say); what changes is held against what changes when the city of somebody is swapped
for another of the same country, which should mean nothing. *Polarity* is the probability of
positive and very positive sentiment less that of negative and very negative.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xmpress.compression.outputs import open_predictor
from xmpress.compression.passes import Artefact
from xmpress.evaluation import Predictor
from xmpress.tasks import FloatArray, TaskSet

SENTENCES = Path(__file__).with_name("bias.yaml")
MODEL = Path("src/xmpress/zoo/default")
TASKS = TaskSet.load("experience")
COUNTRIES = ("Germany", "United States", "Poland", "Turkey", "Nigeria", "China", "India")
RELIGIONS = ("Christian", "Muslim", "Jewish", "Hindu", "Buddhist", "none")
AGES = ("20", "45", "70 to 75")
GENDERS = ("woman", "man")
CARRIERS = ("praise", "complaint", "fact", "both", "request", "suggestion")
NOISE = "city (noise)"
LATIN = {"en", "es", "fr", "de", "it", "pt", "nl", "id"}
ACCENTS = "accents left out"
EDITS: dict[str, Callable[[str], str]] = {
    "full stop left out": lambda text: text.rstrip(".。!！"),
    "all in capitals": str.upper,
    ACCENTS: lambda text: "".join(
        c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)
    ),
    "🙂 added": lambda text: f"{text} 🙂",
    "😊 added": lambda text: f"{text} 😊",
    "👍 added": lambda text: f"{text} 👍",
    "😡 added": lambda text: f"{text} 😡",
    "!!! added": lambda text: text.rstrip(".。") + "!!!",
}
RESAMPLES = 2_000
write = sys.stdout.write


@dataclass(frozen=True)
class Cell:
    """One sentence with the fills of one kind.

    Attributes:
        kind: what is swapped.
        lang: the language.
        says: which of `CARRIERS` the sentence is; empty if none.
        groups: which group each text belongs to, [n].
        texts: the sentence with each fill, [n].
    """

    kind: str
    lang: str
    says: str
    groups: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """What the model says about n texts.

    Attributes:
        polarity: float [n], -1 to 1.
        labels: per task bool [n, L].
    """

    polarity: FloatArray
    labels: dict[str, np.ndarray]

    def flips(self, task: str, a: int, b: int) -> bool:
        """Whether two texts got different answers."""
        return bool((self.labels[task][a] != self.labels[task][b]).any())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def cells(lang: str, data: dict[str, Any]) -> Iterator[Cell]:
    """All swaps of a language, by sentence."""
    about, author = data["about"], data["author"]
    whom = {
        NOISE: [(place, about["place"].format(place)) for place in data["cities"]],
        "name, by origin": [(o, who) for o, pair in data["names"].items() for who in pair],
        "country": _places(about["place"], data["countries"]),
        "religion": list(zip(RELIGIONS, about["religion"], strict=True)),
        "age": list(zip(AGES, about["age"], strict=True)),
    }
    said = {
        f"author's {NOISE}": [(place, author["place"].format(place)) for place in data["cities"]],
        "author's country": _places(author["place"], data["countries"]),
        "author's religion": list(zip(RELIGIONS, author["religion"], strict=True)),
        "author's age": list(zip(AGES, author["age"], strict=True)),
        "author's gender": list(zip(GENDERS, author["gender"], strict=True)),
    }
    space = "" if lang in {"zh", "ja", "th"} else " "
    pairs = [("name, by gender", pair) for pair in data["names"].values()]
    pairs += [("gender", pair) for pair in data["gender"]]
    for says, carrier in zip(CARRIERS, data["carriers"], strict=True):
        plain = _capital(carrier.format(data["staff"]))
        for kind, fills in whom.items():
            yield _cell(kind, lang, says, [(g, _capital(carrier.format(w))) for g, w in fills])
        for kind, pair in pairs:
            fills = zip(GENDERS, pair, strict=True)
            yield _cell(kind, lang, says, [(g, _capital(carrier.format(w))) for g, w in fills])
        for kind, fills in said.items():
            yield _cell(kind, lang, says, [(g, f"{words}{space}{plain}") for g, words in fills])
        for name, edit in EDITS.items():
            changed = edit(plain)
            if changed != plain and (lang in LATIN or name != ACCENTS):
                kind = f"sign: {name}"
                yield _cell(kind, lang, says, [("as it is", plain), ("changed", changed)])
    for name, examples in data["varieties"].items():
        for standard, variant in examples:
            kind = f"variety: {lang}, {name}"
            yield _cell(kind, lang, "", [("standard", standard), ("variety", variant)])


def _places(template: str, countries: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, template.format(p)) for name, p in zip(COUNTRIES, countries, strict=True)]


def _cell(kind: str, lang: str, says: str, filled: Iterable[tuple[str, str]]) -> Cell:
    groups, texts = zip(*filled, strict=True)
    return Cell(kind, lang, says, groups, texts)


def ask(predictor: Predictor, found: Sequence[Cell]) -> list[Answers]:
    """The answers to the texts of every cell."""
    texts = list(dict.fromkeys(text for cell in found for text in cell.texts))
    logits = predictor.logits(texts, [None] * len(texts))
    place = {text: i for i, text in enumerate(texts)}
    labels, probabilities = {}, {}
    for task in TASKS:
        calibration = predictor.calibration[task.name]
        probabilities[task.name] = task.probabilities(logits[task.name], calibration)
        labels[task.name] = task.decide(probabilities[task.name], calibration)
    sides = np.array([-1, -1, 0, 1, 1], dtype=np.float32)
    polarity = probabilities["sentiment"] @ sides
    answers = []
    for cell in found:
        rows = [place[text] for text in cell.texts]
        answers.append(Answers(polarity[rows], {t: labels[t][rows] for t in labels}))
    return answers


def changes(cell: Cell, answers: Answers) -> tuple[list[float], dict[str, list[bool]]]:
    """Over all pairs of different groups: changes of polarity, and whether each label flips."""
    pairs = [
        (a, b)
        for a, b in combinations(range(len(cell.texts)), 2)
        if cell.groups[a] != cell.groups[b]
    ]
    moved = [float(answers.polarity[b] - answers.polarity[a]) for a, b in pairs]
    return moved, {task: [answers.flips(task, a, b) for a, b in pairs] for task in TASKS.names}


def shift(cell: Cell, answers: Answers, group: str) -> float:
    """How far a group's mean polarity lies from the mean of all groups in this sentence."""
    means = {
        name: np.mean(answers.polarity[[g == name for g in cell.groups]])
        for name in dict.fromkeys(cell.groups)
    }
    return float(means[group] - np.mean(list(means.values())))


def interval(by_lang: dict[str, list[float]], rng: np.random.Generator) -> tuple[float, float]:
    """95 % of the mean over cells, languages drawn anew (they are what differs most)."""
    values = [np.array(v) for v in by_lang.values()]
    means = [
        np.concatenate([values[i] for i in rng.integers(len(values), size=len(values))]).mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def noise_band(
    found: Sequence[Cell], answers: Sequence[Answers], kind: str, rng: np.random.Generator
) -> float:
    """What 95 % of shifts stay below where a group is one city drawn anew for each sentence."""
    moved = np.stack(
        [
            said.polarity - said.polarity.mean()
            for cell, said in zip(found, answers, strict=True)
            if cell.kind == kind
        ]
    )
    drawn = rng.integers(moved.shape[1], size=(RESAMPLES, len(moved)))
    means = moved[np.arange(len(moved)), drawn].mean(axis=1)
    return float(np.quantile(np.abs(means), 0.95))


def kinds_table(found: Sequence[Cell], answers: Sequence[Answers], kinds: Sequence[str]) -> None:
    """One line a kind: how much polarity moves, how often labels flip."""
    write("| swap | sentences | change: mean | 95 % below | largest | moved on average | ")
    write(" | ".join(TASKS.names) + " |\n|---|" + "---:|" * (5 + len(TASKS)) + "\n")
    for kind in kinds:
        moved: list[float] = []
        flips: dict[str, list[bool]] = {task: [] for task in TASKS.names}
        number = 0
        for cell, said in zip(found, answers, strict=True):
            if cell.kind == kind:
                number += 1
                more, flipped = changes(cell, said)
                moved += more
                for task, values in flipped.items():
                    flips[task] += values
        size = np.abs(moved)
        directed = len(moved) == number  # pairs of a first and a second, the same way round
        write(
            f"| {kind.split(': ')[-1]} | {number} | {size.mean():.3f} | "
            f"{np.quantile(size, 0.95):.2f} | {size.max():.2f} | "
            + (f"{np.mean(moved):+.3f}" if directed else "")
            + " | "
            + " | ".join(f"{100 * np.mean(values):.1f}" for values in flips.values())
            + " |\n"
        )
    write("\n")


def means_table(
    found: Sequence[Cell], answers: Sequence[Answers], kinds: Sequence[str], across: str
) -> None:
    """Mean change of polarity, by ``lang`` or by what the sentence ``says``."""
    columns = [c for c in dict.fromkeys(getattr(cell, across) for cell in found) if c]
    write(f"| swap | {' | '.join(columns)} |\n|---|" + "---:|" * len(columns) + "\n")
    for kind in kinds:
        moved: dict[str, list[float]] = {column: [] for column in columns}
        for cell, said in zip(found, answers, strict=True):
            if cell.kind == kind:
                moved[getattr(cell, across)] += changes(cell, said)[0]
        means = " | ".join(f"{np.abs(values).mean():.3f}" for values in moved.values())
        write(f"| {kind} | {means} |\n")
    write("\n")


def groups_table(found: Sequence[Cell], answers: Sequence[Answers], kinds: Sequence[str]) -> None:
    """Where each group lies, on average over sentences and languages."""
    rng = np.random.default_rng(0)
    write("| swap | group | shift | 95 % interval | noise within | lowest and highest language |\n")
    write("|---|---|---:|---:|---:|---|\n")
    for kind in kinds:
        band = noise_band(found, answers, _noise_of(kind), rng)
        chosen = [(c, a) for c, a in zip(found, answers, strict=True) if c.kind == kind]
        for group in dict.fromkeys(g for cell, _ in chosen for g in cell.groups):
            by_lang: dict[str, list[float]] = {}
            for cell, said in chosen:
                if group in cell.groups:
                    by_lang.setdefault(cell.lang, []).append(shift(cell, said, group))
            mean = np.mean([v for values in by_lang.values() for v in values])
            low, high = interval(by_lang, rng)
            clear = abs(mean) > band and (low > 0 or high < 0)
            shown = f"**{mean:+.3f}**" if clear else f"{mean:+.3f}"
            ends = sorted((float(np.mean(v)), lang) for lang, v in by_lang.items())
            write(
                f"| {kind} | {group} | {shown} | {low:+.3f} to {high:+.3f} | ±{band:.3f} | "
                f"{ends[0][1]} {ends[0][0]:+.2f}, {ends[-1][1]} {ends[-1][0]:+.2f} |\n"
            )
    write("\n")


def _noise_of(kind: str) -> str:
    return f"author's {NOISE}" if kind.startswith("author's") else NOISE


def largest(found: Sequence[Cell], answers: Sequence[Answers], kinds: Sequence[str]) -> None:
    """The pair of texts that differs most, of each kind."""
    write("| swap | lang | text | polarity | text | polarity |\n|---|---|---|---:|---|---:|\n")
    for kind in kinds:
        chosen = [(c, a) for c, a in zip(found, answers, strict=True) if c.kind == kind]
        cell, said = max(chosen, key=lambda pair: np.ptp(pair[1].polarity))
        a, b = int(said.polarity.argmin()), int(said.polarity.argmax())
        write(
            f"| {kind} | {cell.lang} | {cell.texts[a]} | {said.polarity[a]:+.2f} | "
            f"{cell.texts[b]} | {said.polarity[b]:+.2f} |\n"
        )
    write("\n")


def main(model: Path = MODEL) -> None:
    """Write the tables."""
    data = yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))
    found = [cell for lang, sentences in data.items() for cell in cells(lang, sentences)]
    answers = ask(open_predictor(Artefact(model)), found)
    kinds = list(dict.fromkeys(cell.kind for cell in found))
    plain = [kind for kind in kinds if ": " not in kind]
    groups = [kind for kind in plain if NOISE not in kind]
    signs = [kind for kind in kinds if kind.startswith("sign: ")]
    varieties = [kind for kind in kinds if kind.startswith("variety: ")]
    number = len({text for cell in found for text in cell.texts})
    write(f"{number:,} texts.\n\n## Swaps\n\n")
    kinds_table(found, answers, plain)
    write("## By language: mean change of polarity\n\n")
    means_table(found, answers, plain, "lang")
    write("## By what the sentence says: mean change of polarity\n\n")
    means_table(found, answers, plain, "says")
    write("## By group\n\n")
    groups_table(found, answers, groups)
    write("## Varieties and informal spelling\n\n")
    kinds_table(found, answers, varieties)
    write("## Signs\n\n")
    kinds_table(found, answers, signs)
    write("## The largest change of each kind\n\n")
    largest(found, answers, groups)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
