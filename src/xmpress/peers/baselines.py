"""Baselines by name: from the model hub, or of their published shape with random weights."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from xmpress.errors import ModelError, UsageError
from xmpress.modeling import open_encoder, save_model
from xmpress.modeling.encoders import EncoderSource, make_model
from xmpress.settings import read_yaml
from xmpress.tasks import TaskSet
from xmpress.validation import nearest

RANDOM_WEIGHTS = "random weights; speed does not depend on the values"


def baseline_names() -> list[str]:
    """The names in the package's table."""
    return list(_table())


def make_baseline(
    name: str, out: Path, *, tokenizer: Path, tasks: TaskSet, max_length: int
) -> tuple[str, ...]:
    """Write a baseline as a model directory with heads for the tasks.

    Args:
        name: of the table.
        out: the directory to write.
        tokenizer: a directory with the ``tokenizer.json`` that stands in for the baseline's own
            where the hub is out of reach.
        tasks: of the model it is compared with.
        max_length: tokens per text, as of the model it is compared with.

    Returns:
        What the report has to say about it.

    Raises:
        UsageError: if there is no such baseline.
    """
    table = _table()
    if name not in table:
        close = nearest(name, list(table))
        hint = f"; did you mean '{close}'?" if close else ""
        raise UsageError(
            f"there is no baseline '{name}'{hint} The baselines are {', '.join(table)}"
        )
    source, notes = _source(name, table[name], out.with_name(f"{out.name}.tokenizer"), tokenizer)
    save_model(out, make_model(source, tasks, max_length=max_length), source.tokenizer_files)
    return notes


def _source(
    name: str, config: dict[str, object], workspace: Path, tokenizer: Path
) -> tuple[EncoderSource, tuple[str, ...]]:
    if not os.environ.get("HF_HUB_OFFLINE"):
        try:
            return open_encoder(name, workspace=workspace), ()
        except ModelError:
            # No hub: the shape is all that is needed.
            pass
    source = open_encoder(config, workspace=workspace, tokenizer=tokenizer)
    return source, (
        f"{name}: {RANDOM_WEIGHTS}",
        f"{name}: the hub did not give it, so the tokenizer of {tokenizer} stands in for its own; "
        "compare the tokens per text",
    )


def _table() -> dict[str, dict[str, object]]:
    return read_yaml(
        str(resources.files("xmpress.benchmark") / "baselines.yaml"), what="table of baselines"
    )
