"""Writes a model directory that a pass made of another one without training it."""

from __future__ import annotations

from pathlib import Path

from xmpress.modeling import LoadedModel, save_model
from xmpress.modeling.model import count_parameters

CARD = "README.md"
HEADING = "## Compression"
_BEFORE = "What is said above, its size and quality among it, is of the model before this:"


def save_changed(
    target: Path, changed: LoadedModel, what: str, *, tokenizer_files: Path | None = None
) -> None:
    """Write a changed model, and on its model card what was done to it.

    Args:
        target: the directory to fill.
        changed: a model read from its directory and changed in memory.
        what: one sentence for the model card.
        tokenizer_files: where its tokenizer now is, if that changed too.
    """
    card = changed.path / CARD
    texts = {}
    if card.is_file():
        content = card.read_text(encoding="utf-8").rstrip()
        if HEADING not in content:
            content += f"\n\n{HEADING}\n\n{_BEFORE}\n"
        texts[CARD] = f"{content}\n- {what} {count_parameters(changed.model):,} parameters.\n"
    save_model(target, changed.model, tokenizer_files or changed.path, texts=texts, overwrite=True)
