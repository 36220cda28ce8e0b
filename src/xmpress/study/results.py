"""What a study found, in one file: all that its report is made from.

``results.json`` is rewritten after every step, so that a report of a study that is still running
can be made too. Scorecards and comparisons are in the JSON form of `xmpress.evaluation`; the
methods of `ModelResult` give them back as objects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from xmpress.data.files import atomic_path
from xmpress.errors import DataError
from xmpress.evaluation import Comparison, Scorecard
from xmpress.tasks import Task
from xmpress.validation import problems_of

RESULTS = "results.json"
SCHEMA_VERSION = 1
"""Rises when a field changes its meaning or goes."""

Question = Literal[
    "multi_task",
    "compression",
    "languages",
    "zero_shot",
    "consistency",
    "calibration",
    "cost",
]
"""What a study answers, in the order of its report."""
Role = Literal["multi_task", "single_task", "compressed", "zero_shot", "baseline"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSummary(_Frozen):
    """What the study was trained and tested on."""

    config: str
    """The data, as the study file names it."""
    fingerprint: str
    """SHA-256 of its rows."""
    rows: dict[str, dict[str, int]]
    """Rows by split, then language."""
    tested_split: str = "test"
    """The split that scorecards are of."""
    tested_rows: int | None = None
    """How many of its rows they are of."""


class Consistency(_Frozen):
    """Whether texts that say the same in several languages get the same answer."""

    same: float
    """Share of the items with one answer in all languages."""
    agreement: dict[str, float]
    """By language the share of the items with the answer of the English text."""
    items: int
    """Items, each a text in every language."""
    pivot: str = "en"
    """The language that agreement is with; another where there is no English."""


class ModelResult(_Frozen):
    """One model of the study, with one seed."""

    id: str
    """Unique, such as ``xlmr/minilm-l6/int8/seed1``."""
    name: str
    """For display; the same for all seeds."""
    role: Role
    """What it is there for."""
    encoder: str
    """Its name in the study file."""
    recipe: str | None = None
    """Its name in the study file; of compressed models."""
    variant: str | None = None
    """``fp32`` or ``int8``; of compressed models."""
    seed: int
    """Of its training."""
    tasks: list[str]
    """That it predicts."""
    trained_languages: list[str]
    """Of the rows it learned its tasks from."""
    reference: str | None = None
    """The id of the model that it is compared with."""
    parameters: int | None = None
    """Weights, of model directories."""
    bytes: int | None = None
    """Of its directory."""
    seconds: float | None = None
    """Of its training or compression."""
    command: str | None = None
    """That makes it by itself, in the directory where the study was run."""
    path: str | None = None
    """Of its directory, relative to the study's."""
    scorecard: dict[str, Any] | None = None
    """Quality by task and language; `Scorecard`."""
    comparison: dict[str, Any] | None = None
    """Against ``reference``, with intervals; `Comparison`, of which this model is the candidate.
    For a single-task or zero-shot model, too: what it loses against the multi-task model."""
    consistency: dict[str, Consistency] | None = None
    """By task; where the data holds parallel texts."""
    calibration: dict[str, float] | None = None
    """By task the expected calibration error."""
    verdict: str | None = None
    """Of the recipe's guard: kept, broken or undecided."""

    def card(self) -> Scorecard | None:
        """The scorecard, as an object."""
        return None if self.scorecard is None else Scorecard.from_dict(self.scorecard)

    def compared(self) -> Comparison | None:
        """The comparison, as an object: the reference is ``reference``, the candidate this one."""
        return None if self.comparison is None else Comparison.from_dict(self.comparison)


class SpeedRow(_Frozen):
    """How fast one model is, with one way to hand texts over."""

    model: str
    """The id of a model of the study, or the name of a baseline with random weights."""
    policy: str
    """How texts were handed over; see `xmpress.benchmark.POLICIES`."""
    texts_per_second: float
    """Median over the rounds."""
    speedup: float | None = None
    """Median of the ratios within the rounds, over the row of the same policy of ``reference``."""
    low: float | None = None
    """The lowest of these ratios."""
    high: float | None = None
    """The highest."""
    reference: str | None = None
    """Of ``speedup``: the id of the uncompressed model that this one is, or was made from; for a
    baseline that of the first encoder."""
    over: dict[str, float] = {}
    """By baseline the median of the ratios over it."""
    p50_ms: float | None = None
    """Milliseconds that a single text takes, in half of the calls at most."""
    p99_ms: float | None = None
    """In 99 % of the calls at most."""
    calls: int | None = None
    """Single texts that both are of."""
    memory_bytes: int | None = None
    """The most its process held."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    precision: str | None = None
    """Of its matrices."""
    engine: str | None = None
    """What ran it, with its version."""
    tokens_per_text: float | None = None
    """Mean over the texts, by its own tokenizer."""


class Speed(_Frozen):
    """All that was measured side by side."""

    threads: int
    """Of each model."""
    machine: dict[str, Any]
    """`xmpress.machine.Machine`."""
    texts: int
    """Distinct texts."""
    rounds: int | None = None
    """Of taking turns."""
    rows: list[SpeedRow]
    """By model and policy."""
    workload: str = ""
    """Where the texts come from."""
    notes: list[str] = []
    """What to know about the figures, such as which weights are random."""


class Missing(_Frozen):
    """Something that could not be judged."""

    question: Question
    """Which question lacks it."""
    reason: str
    """Why, in a sentence."""


class Failure(_Frozen):
    """A step that failed."""

    step: str
    """Its name."""
    error: str
    """What it said."""


class PaperFigure(_Frozen):
    """A figure of the paper, to stand beside ours."""

    question: Question
    """Which question it answers there."""
    value: str
    """In the paper's words."""
    source: str
    """Where it stands."""
    comparable: str
    """What is and what is not comparable with a figure of ours."""


class StudyResults(_Frozen):
    """Everything a report needs."""

    schema_version: int = SCHEMA_VERSION
    name: str
    """The study's identifier."""
    title: str
    description: str
    command: str
    """That makes it."""
    created: str
    """When this file was written, ISO 8601."""
    version: str
    """Of xmpress."""
    seeds: list[int]
    machine: dict[str, Any]
    """`xmpress.machine.Machine`."""
    data: DataSummary
    tasks: list[Task]
    """What is predicted."""
    languages: list[str]
    """Of the tested rows."""
    models: list[ModelResult] = []
    speed: Speed | None = None
    cost: dict[str, Any] | None = None
    """`xmpress.benchmark.cost.CostReport`; its candidates are models' ids and baselines' names."""
    missing: list[Missing] = []
    """What could not be judged, and why."""
    failures: list[Failure] = []
    """Steps that failed; nothing that needs them is there."""
    paper: list[PaperFigure] = []
    """The paper's figures for these questions."""
    complete: bool = True
    """Whether every step has been tried; otherwise the study is still running."""

    def model(self, identity: str) -> ModelResult | None:
        """The model of this id, if it is there."""
        return next((model for model in self.models if model.id == identity), None)

    @classmethod
    def read(cls, directory: str | Path) -> Self:
        """Read a study directory's results.

        Raises:
            DataError: if there are none, or they are of another version.
        """
        path = Path(directory) / RESULTS
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error.strerror}); give a directory that `xmpress study` "
                "has written"
            ) from error
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}") from error
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path} is of version {version}, expected {SCHEMA_VERSION}; run the study again "
                "with this version of xmpress (--resume keeps what is made)"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise DataError(f"{path} is damaged", problems_of(error, cls)) from error

    def write(self, directory: str | Path) -> Path:
        """Write them into a study directory; whole, or not at all."""
        path = Path(directory) / RESULTS
        text = json.dumps(
            self.model_dump(mode="json"), ensure_ascii=False, indent=1, allow_nan=False
        )
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        return path
