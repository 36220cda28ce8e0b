"""Steps that depend on each other, and a hash of all that each one's output depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from xmpress.provenance import digest

FORMAT = 1
"""Rises when the same inputs come to give other outputs, so that older ones are made anew."""

Kind = Literal["train", "compress", "export", "evaluate", "compare", "speed", "cost"]
"""What a step does; steps of one kind take about as long as each other."""


class Work(Protocol):
    """What a running step is given."""

    @property
    def directory(self) -> Path:
        """To fill; survives an interruption, and gets its final name when complete."""
        ...

    def output(self, step: str) -> Path | None:
        """The directory of a step before; ``None`` if it failed (only of steps in ``uses``)."""
        ...


Run = Callable[[Work], Mapping[str, Any]]
"""Fills the directory; gives what is to be told about it, in JSON types."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: unique; the beginning of its directory's name.
        kind: what it does.
        inputs: all that its output depends on besides the steps before: settings, fingerprints.
        run: does it.
        needs: names of steps whose outputs it cannot do without.
        uses: names of steps whose outputs it takes where there are any.
    """

    name: str
    kind: Kind
    inputs: Mapping[str, Any]
    run: Run = field(compare=False)
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


class Graph:
    """Steps, each after those that it depends on.

    Example:
        >>> graph = Graph()
        >>> for name, needs in {"teacher": (), "student": ("teacher",)}.items():
        ...     _ = graph.add(Step(name, "train", {"seed": 1}, lambda work: {}, needs))
        >>> hashes = graph.hashes()
        >>> hashes["teacher"] == hashes["student"]
        False
    """

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def add(self, step: Step) -> str:
        """Append a step; gives its name.

        Raises:
            ValueError: if the name is taken, or a step that it depends on is not there.
        """
        absent = [name for name in (*step.needs, *step.uses) if name not in self._steps]
        if step.name in self._steps or absent:
            raise ValueError(f"step {step.name}: it is there already, or these are not: {absent}")
        self._steps[step.name] = step
        return step.name

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps.values())

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, name: str) -> bool:
        return name in self._steps

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def hash(self, step: Step, before: Mapping[str, str], *, without: Sequence[str] = ()) -> str:
        """The hash of a step.

        Args:
            step: the step.
            before: hashes of the steps that it depends on, by name.
            without: those of ``uses`` that failed: what is made without them is something else.
        """
        used = [name for name in step.uses if name not in without]
        content = {
            "format": FORMAT,
            "kind": step.kind,
            "inputs": dict(step.inputs),
            "needs": [before[name] for name in step.needs],
            # By name, since the output speaks of them by name.
            "uses": {name: before[name] for name in used},
        }
        return digest(content)

    def hashes(self) -> dict[str, str]:
        """The hashes of all steps, if none fails."""
        found: dict[str, str] = {}
        for step in self:
            found[step.name] = self.hash(step, found)
        return found

    def dependants(self, name: str) -> set[str]:
        """The steps that depend on one, directly or by way of others."""
        found: set[str] = set()
        for step in self:
            if {name, *found} & {*step.needs, *step.uses}:
                found.add(step.name)
        return found
