"""What a load came to, and whether every answer was the right one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from load import LOST, OTHER, REFUSED, Sent
from numpy.typing import NDArray

from xmpress.runtime.analyzer import Analyzer

TOLERANCE = 0.01
"""Of probabilities: what else is in a batch may change the last digits."""

Expected = dict[str, NDArray[np.float64]]
"""Per text the probabilities of all labels of all tasks."""


def expected_of(analyzer: Analyzer, texts: list[str]) -> Expected:
    """What the bundle says of texts without a server."""
    said = analyzer.analyze(texts)
    return {
        text: _row(a[name].probabilities for name in a) for text, a in zip(texts, said, strict=True)
    }


def _row(by_task: Any) -> NDArray[np.float64]:
    return np.array([p for probabilities in by_task for p in probabilities.values()])


@dataclass
class Outcome:
    """A load that is over.

    Attributes:
        requests: in the order in which they were begun.
        seconds: from the first request to the last answer.
        processor: seconds of processor time that the generator took.
        wrong: requests whose answer is not that of their texts.
        furthest: how far a probability is at most from that of the bundle without a server.
        versions: answers by the version of the model that gave them.
        repeated: requests that the server says it answered more than once, or never.
    """

    requests: list[Sent]
    seconds: float
    processor: float
    wrong: int = 0
    furthest: float = 0.0
    versions: Counter[str] = field(default_factory=Counter)
    repeated: int = 0

    @classmethod
    def read(cls, folder: Path, texts: list[list[str]], expected: Expected) -> Outcome:
        """Read what the generator wrote down, and check every answer against its texts."""
        with (folder / "requests.jsonl").open() as file:
            requests = [Sent(*json.loads(line)) for line in file]
        found = cls(requests, **json.loads((folder / "summary.json").read_text()))
        lines = {sent.number: sent.line for sent in requests}
        with (folder / "answers.jsonl").open("rb") as file:
            for record in file:
                number, _, body = record.partition(b" ")
                found.check(json.loads(body), texts[lines[int(number)]], expected)
        return found

    def check(self, said: dict[str, Any], texts: list[str], expected: Expected) -> None:
        """Compare an answer with what its texts should get."""
        self.versions[said["version"]] += 1
        analyses = said["analyses"]
        if len(analyses) != len(texts):
            self.wrong += 1
            return
        distance = max(
            float(
                np.abs(_row(t["probabilities"] for t in analysis.values()) - expected[text]).max()
            )
            for text, analysis in zip(texts, analyses, strict=True)
        )
        self.wrong += distance > TOLERANCE
        self.furthest = max(self.furthest, distance)

    def check_log(self, log: list[dict[str, Any]], prefix: str) -> None:
        """See that the server answered each request once, and as the client says."""
        said: dict[str, list[int]] = {}
        for line in log:
            if line.get("route") == "/v1/analyze" and str(line["id"]).startswith(prefix):
                said.setdefault(line["id"], []).append(line["status"])
        for sent in self.requests:
            if sent.status > 0:
                self.repeated += said.get(f"{prefix}{sent.number}") != [sent.status]

    @cached_property
    def statuses(self) -> Counter[int]:
        return Counter(sent.status for sent in self.requests)

    @property
    def good(self) -> int:
        """Requests answered with 200, and right."""
        return self.statuses[200] - self.wrong

    @property
    def lost(self) -> int:
        """Requests that reached the server and got no answer, or not theirs, or an error of it."""
        errors = sum(n for status, n in self.statuses.items() if status >= 500)
        return self.statuses[LOST] + self.statuses[OTHER] + self.wrong + self.repeated + errors

    @property
    def refused(self) -> int:
        """Connections that were refused."""
        return self.statuses[REFUSED]

    def milliseconds(self, quantile: float, status: int = 200) -> float:
        """From when a request was due to its answer."""
        took = sorted(s.answered - s.due for s in self.requests if s.status == status)
        return 1000 * took[min(len(took) - 1, int(quantile * len(took)))] if took else 0.0

    def lag(self, quantile: float) -> float:
        """Milliseconds by which the generator itself was late."""
        late = sorted(sent.sent - sent.due for sent in self.requests)
        return 1000 * late[min(len(late) - 1, int(quantile * len(late)))] if late else 0.0

    def told(self) -> str:
        """Statuses in words."""
        names = {REFUSED: "not connected", LOST: "no answer", OTHER: "another's answer"}
        return ", ".join(f"{names.get(s, s)}: {n:,}" for s, n in sorted(self.statuses.items()))
