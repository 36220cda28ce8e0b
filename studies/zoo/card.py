"""Writes the cards of the models that ship, with their tables.

    python studies/zoo/card.py [default | small]

The text stands in studies/zoo/cards/; ``{{ name }}`` is where a value or a table goes. Logits are
those of report.py, computed where they are missing.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import errors
import numpy as np
import torch
from report import MODELS, TASKS, calibration, coarse, logits, parts
from tokenizers import Tokenizer

from xmpress.data import load_dataset
from xmpress.data.config import DataConfig
from xmpress.data.files import atomic_path, sha256
from xmpress.evaluation import Scorecard, consistency_of, parallel_items, score
from xmpress.evaluation.render import to_markdown
from xmpress.modeling.encoders import open_encoder
from xmpress.runtime.bundle import Bundle
from xmpress.zoo import ZOO

CARDS = Path(__file__).with_name("cards")
DATA = "studies/zoo/data.yaml"
FEWSHOT = Path("runs/zoo/fewshot.md")
NAME = "default bundle"
TRAINED = "student, fp32"
CARD = "README.md"
MINUTES = 215
"""Alignment to student 100, what follows 115; see docs/concepts/zoo.md."""
WATTS = 10
KINDS = {
    "border": "a step of strength, or a soft border of the guide",
    "not-feedback": "news, adverts, chat, dialogue",
    "implied": "facts that mean something, without a word that judges",
    "request": "a request, a suggestion, or neither",
    "cue": "a word taken for what it usually comes with",
    "mixed": "good and bad in one text, the louder side taken",
    "aside": "what decides is said in passing or at the end",
    "plain": "said plainly and missed",
    "short": "a few words with little to hold on to",
    "tone": "irony, or calm words for strong feelings",
    "idiom": "slang, dialect, a rare word",
    "odd": "broken or machine-translated text",
    "negation": "the negated word counts as if it were not",
}


def fill(text: str, values: dict[str, str]) -> str:
    """Put every value in its place.

    Raises:
        KeyError: a place has no value.
        ValueError: a value has no place.
    """
    unused = set(values) - set(re.findall(r"\{\{ (\w+) \}\}", text))
    if unused:
        raise ValueError(f"nothing in the card shows {', '.join(sorted(unused))}")
    return re.sub(r"\{\{ (\w+) \}\}", lambda place: values[place[1]].strip(), text)


def table(head: list[str], rows: list[list[str]], numbers: int) -> str:
    """A Markdown table whose last columns hold numbers."""
    line = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, line, *rows])


def data_table(trained: str) -> str:
    """Sources with their licences and rows, of the card that training wrote: data may have grown
    since."""
    licences = DataConfig.load(DATA).sources
    told = re.search(r"train split by source: (.*)\.$", trained, re.MULTILINE)
    if told is None:
        raise SystemExit(f"{MODELS[TRAINED] / CARD} does not say what it was trained on")
    pairs = re.findall(r"(\w+) ([\d,]+)(?:, |$)", told[1])
    rows = [[name, licences[name].license or "", count] for name, count in pairs]
    return table(["source", "licence as stated", "rows to train on"], rows, 1)


def card_of(part: str, *, three_levels: bool) -> Scorecard:
    """The default bundle's scores on a part of the test rows."""
    rows = coarse(parts()[part]) if three_levels else parts()[part]
    return score(NAME, logits(NAME, part), rows, calibration(NAME))


def by_task(card: Scorecard) -> str:
    """One line of macro-F1."""
    cells = [f"{100 * card.task(task):.1f}" for task in card.tasks]
    return table([*card.tasks, "average"], [[*cells, f"{100 * card.average:.1f}"]], 6)


def calibration_table(card: Scorecard) -> str:
    """ECE by task and language."""
    rows = []
    for task in card.tasks:
        cells = [card.cell(task, lang) for lang in card.languages]
        rows.append([task, *(f"{100 * c.ece:.0f}" if c else "" for c in cells)])
        rows[-1].append(f"{100 * card.task(task, 'ece'):.1f}")
    return table(["task", *card.languages, "mean"], rows, len(card.languages) + 1)


def consistency() -> tuple[int, str]:
    """Items, and how far answers to parallel texts agree."""
    rows = parts()["sample"]
    items = parallel_items(rows.ids, rows.langs)
    found = consistency_of(TASKS, logits(NAME, "sample"), calibration(NAME), items)
    lines = []
    for task, part in found.items():
        lowest = min(part.agreement, key=lambda lang: part.agreement[lang])
        mean = np.mean(list(part.agreement.values()))
        least = f"{lowest} {100 * part.agreement[lowest]:.0f}"
        lines.append([task, f"{100 * part.same:.0f}", f"{100 * mean:.0f}", least])
    head = ["task", "the same in all", "as in English, mean", "as in English, lowest"]
    return len(items), table(head, lines, 3)


def error_table() -> tuple[str, str]:
    """Whose fault, in words, and the kinds."""
    found = errors.read()
    fault = Counter(error["fault"] for error in found)
    kinds = Counter(error["kind"] for error in found)
    rows = [[kind, KINDS[kind], str(count)] for kind, count in kinds.most_common()]
    words = (
        f"{fault['model']} are plainly the model's, in {fault['either']} its answer can be "
        f"defended as well as the label, in {fault['label']} the label is wrong"
    )
    return words, table(["kind", "what it is", "errors"], rows, 1)


def whose(graph: str) -> str:
    """Which model was read, in words."""
    if graph.startswith(errors.READ_OF):
        return "of this model"
    return f"of this model before its last training (graph `{errors.READ_OF}…`)"


def default() -> dict[str, str]:
    """What the card of the default model says."""
    folder = ZOO / "default"
    manifest = Bundle.open(folder).manifest
    items, consistent = consistency()
    fault, kinds = error_table()
    everything = card_of("gold + sample", three_levels=False)
    return {
        "max_length": str(manifest.max_length),
        "megabytes": megabytes(folder),
        "graph": manifest.files["onnx/model.onnx"],
        "data": data_table((MODELS[TRAINED] / CARD).read_text(encoding="utf-8")),
        "rows": f"{len(parts()['gold + sample']):,}",
        "scorecard": to_markdown(card_of("gold + sample", three_levels=True)),
        "all_labels": by_task(everything),
        "public_rows": f"{len(parts()['public']):,}",
        "public": to_markdown(card_of("public", three_levels=True)),
        "calibration": calibration_table(everything),
        "items": str(items),
        "consistency": consistent,
        "read": whose(manifest.files["onnx/model.onnx"]),
        "faults": fault,
        "errors": kinds,
        "minutes": str(MINUTES),
        "hours": f"{MINUTES / 60:.1f}",
        "energy": f"{2 * MINUTES / 60 * WATTS / 1000:.2f}",
    }


def megabytes(folder: Path) -> str:
    """Of a model's files, the card aside."""
    files = [f for f in folder.rglob("*") if f.is_file() and f.name != CARD]
    return f"{sum(f.stat().st_size for f in files) / 1e6:.1f}"


@torch.no_grad()
def vectors(texts: list[str]) -> np.ndarray:
    """Mean token states of zoo:small, of length 1."""
    tokenizer = Tokenizer.from_file(str(ZOO / "small" / "tokenizer.json"))
    tokenizer.enable_truncation(192)
    with tempfile.TemporaryDirectory() as workspace:
        encoder = open_encoder("zoo:small", workspace=Path(workspace)).encoder.eval()
    states = []
    for text in texts:  # one by one: no padding, and there are few
        ids = torch.tensor([tokenizer.encode(text).ids])
        states.append(encoder(input_ids=ids).last_hidden_state.mean(1)[0].numpy())
    found = np.stack(states)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def retrieval() -> dict[str, str]:
    """How often a text of the sample lies nearest to its own English form."""
    rows = load_dataset("sample", TASKS)
    items = parallel_items(rows.ids, rows.langs)
    english = [i for i, lang in enumerate(rows.langs) if lang == "en"]
    targets = vectors([rows.texts[i] for i in english])
    langs = sorted(set(rows.langs) - {"en"})
    shares = []
    for lang in langs:
        own = [english.index(item["en"]) for item in items.values()]
        found = vectors([rows.texts[item[lang]] for item in items.values()])
        shares.append(100 * np.mean((found @ targets.T).argmax(axis=1) == own))
    cells = [f"{share:.0f}" for share in [*shares, np.mean(shares)]]
    return {
        "items": str(len(items)),
        "english": f"{len(english):,}",
        "retrieval": table([*langs, "mean"], [cells], len(langs) + 1),
    }


def fewshot(told: str) -> str:
    """The table of fewshot.py, once it is whole: with fewer seeds its deviations mislead."""
    return told if "| 1000 |" in told else "Not measured to the end when this was written."


def small() -> dict[str, str]:
    """What the card of zoo:small says."""
    folder = ZOO / "small"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as workspace:
        encoder = open_encoder("zoo:small", workspace=Path(workspace)).encoder
    return {
        "layers": str(config["num_hidden_layers"]),
        "hidden": str(config["hidden_size"]),
        "heads": str(config["num_attention_heads"]),
        "vocabulary": f"{config['vocab_size']:,}",
        "rank": str(config["embedding_rank"]),
        "positions": str(config["max_position_embeddings"]),
        "parameters": f"{sum(p.numel() for p in encoder.parameters()):,}",
        "megabytes": megabytes(folder),
        "weights": sha256(folder / "model.safetensors"),
        "fewshot": fewshot(FEWSHOT.read_text(encoding="utf-8") if FEWSHOT.is_file() else ""),
        **retrieval(),
    }


VALUES = {"default": default, "small": small}


def main(*names: str) -> None:
    """Write the cards of these models, or of all."""
    for name in names or VALUES:
        text = fill((CARDS / f"{name}.md").read_text(encoding="utf-8"), VALUES[name]())
        with atomic_path(ZOO / name / CARD) as target:
            target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
