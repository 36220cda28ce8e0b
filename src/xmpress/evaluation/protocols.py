"""What evaluation needs from the rest of the package: a model, and labelled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from xmpress.tasks import Calibration, FloatArray, Labels, TaskSet

Logits = Mapping[str, FloatArray]
"""Raw scores per task, float [n, L], rows in the order of the texts."""

Calibrations = Mapping[str, Calibration]
"""Temperature and thresholds per task; a task that is missing has the defaults."""


class Predictor(Protocol):
    """A model in any form: a model directory, a bundle, a baseline."""

    @property
    def name(self) -> str:
        """What to call it in a scorecard."""

    @property
    def tasks(self) -> TaskSet:
        """What it predicts."""

    @property
    def calibration(self) -> Calibrations:
        """How its logits become probabilities and labels."""

    def logits(self, texts: Sequence[str], contexts: Sequence[str | None] | None = None) -> Logits:
        """Raw scores of each task for each text, in the order given."""


class LabelledRows(Protocol):
    """The part of a dataset that scoring reads (`xmpress.data.Dataset` is one)."""

    @property
    def tasks(self) -> TaskSet:
        """The tasks the rows may be labelled for."""

    @property
    def langs(self) -> Sequence[str]:
        """The language of each row."""

    @property
    def labels(self) -> Mapping[str, Labels]:
        """Per task the labels of all rows."""

    @property
    def fingerprint(self) -> str:
        """Identifies the contents."""

    def __len__(self) -> int:
        """The number of rows."""


class LabelledTexts(LabelledRows, Protocol):
    """Labelled rows with the texts to predict them from."""

    @property
    def texts(self) -> Sequence[str]:
        """The text of each row."""

    @property
    def contexts(self) -> Sequence[str | None]:
        """What each text answers, where known."""
