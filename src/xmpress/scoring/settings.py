"""What can be set about a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Format = Literal["parquet", "jsonl", "csv"]


class ScoreSettings(BaseModel):
    """All that decides, beside the inputs and the bundle, what the parts hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = "text"
    """Column of the text."""
    lang: str | None = None
    """Column of the language, for the counts; ``None`` takes ``lang`` where there is one."""
    context: str | None = None
    """Column of what the text answers; ``None`` takes ``context`` where there is one."""
    tasks: tuple[str, ...] | None = None
    """Only these tasks."""
    probabilities: bool = False
    """Whether to write the probability of every label."""
    format: Format = "parquet"
    """Of the parts."""
    rows_per_part: Annotated[int, Field(ge=1)] = 16_384
    """Rows of an input that make a part. Identical texts within 8,192 rows are computed once."""
    engine: str = "auto"
    """What runs the graph; ``auto`` takes the fastest here, and a run keeps to it."""
    encoding: str = "utf-8"
    """Of CSV, TSV and JSONL inputs."""
