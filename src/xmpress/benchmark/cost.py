"""What answers cost: machines for a load at a latency limit, and money per million texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xmpress.benchmark.load import ServiceTimes
from xmpress.errors import ConfigError, UsageError
from xmpress.settings import read_yaml
from xmpress.validation import problems_of

PAPER = (
    "The paper (Campos et al., 2022, arXiv 2211.15927) estimates savings of 44 % over its original "
    "full-size model."
)
NOT_COMPARABLE = (
    "It and the figures here are not comparable: other models, tasks, texts, engines and machines; "
    "its abstract tells neither the load nor the latency limit nor the prices behind it. Here it "
    "is machine hours alone, at the load and the limit above."
)


class RentedMachine(BaseModel):
    """A machine of the price table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What the provider calls it."""
    provider: str
    """Who rents it."""
    threads: Annotated[int, Field(ge=1)]
    """Processors that a program sees."""
    per_hour: Annotated[float, Field(gt=0)]
    """Price of an hour, in the table's currency."""
    speed: Annotated[float, Field(gt=0)] = 1.0
    """Of one of its threads, in threads of the machine that was measured."""
    source: str
    """Where the price comes from."""
    date: str
    """Of when it is."""


class PriceTable(BaseModel):
    """Machines with prices; ``prices.yaml`` beside this module is an example."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str
    """Of all prices."""
    machines: Annotated[tuple[RentedMachine, ...], Field(min_length=1)]
    """Each is computed by itself; the first is what savings are told for."""

    @classmethod
    def load(cls, path: str | Path | None = None) -> Self:
        """Read a table; without a path the example that comes with the package.

        Raises:
            ConfigError: naming everything that is wrong with it.
        """
        where = resources.files("xmpress.benchmark") / "prices.yaml" if path is None else path
        content = read_yaml(str(where), what="price table")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ConfigError(f"price table {where} is invalid", problems_of(error, cls)) from error


@dataclass(frozen=True)
class Demand:
    """The load to serve.

    Attributes:
        rate: texts per second.
        p99: milliseconds within which 99 % are to be answered.
        tasks: that every text is asked for.
        languages: the texts are in.
    """

    rate: float
    p99: float
    tasks: int
    languages: int

    def __post_init__(self) -> None:
        if min(self.rate, self.p99) <= 0 or min(self.tasks, self.languages) < 1:
            raise UsageError("a cost needs a rate and a p99 above 0, and at least one task")


@dataclass(frozen=True)
class Bill:
    """What one candidate costs on one machine type.

    Attributes:
        candidate: its name.
        machine: the machine's name.
        capacity: texts per second that one machine answers within the limit; 0 if it cannot.
        machines: whole machines for the demand; ``None`` if no number of them can.
        per_million: price of a million texts on machines that are used to their capacity.
        per_month: price of the whole machines for 730 hours.
    """

    candidate: str
    machine: str
    capacity: float
    machines: int | None
    per_million: float | None
    per_month: float | None


@dataclass(frozen=True)
class Saving:
    """One way to deploy against another, for the demand, on whole machines.

    Attributes:
        what: in words.
        machines: of the cheaper way and of the other.
        percent: saved, of the other's price.
        percent_at_capacity: the same where no machine is idle (very large loads).
    """

    what: str
    machines: tuple[int, int]
    percent: float
    percent_at_capacity: float


@dataclass(frozen=True)
class CostReport:
    """Bills and savings.

    Attributes:
        demand: the load.
        currency: of all prices.
        table: the machines.
        bills: by candidate and machine.
        savings: on the first machine of the table.
        notes: what to know about the figures.
    """

    demand: Demand
    currency: str
    table: tuple[RentedMachine, ...]
    bills: list[Bill]
    savings: list[Saving]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "demand": asdict(self.demand),
            "currency": self.currency,
            "prices": [machine.model_dump() for machine in self.table],
            "bills": [asdict(bill) for bill in self.bills],
            "savings": [asdict(saving) for saving in self.savings],
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Served:
    """A candidate with its measured service times.

    Attributes:
        name: of the candidate.
        service: seconds by batch size, on ``threads`` threads.
        group: model, baseline or peer.
    """

    name: str
    service: ServiceTimes
    group: str


def cost(served: Sequence[Served], demand: Demand, prices: PriceTable, threads: int) -> CostReport:
    """Bills of all candidates, and what is saved by one model for all tasks and by the student.

    Every machine runs as many copies of a model as it has times the threads of the measurement. A
    copy's capacity is found by simulating the load with the measured service times
    (`ServiceTimes.capacity`).

    Args:
        served: the student first; baselines among them are the teachers to compare it with.
        demand: the load.
        prices: the machines.
        threads: of the measurement.
    """
    copies = {one.name: one.service.capacity(demand.p99 / 1000) for one in served}
    bills = [
        bill(one.name, copies[one.name], machine, demand, threads)
        for machine in prices.machines
        for one in served
    ]
    first = prices.machines[0]
    student = next((one for one in served if one.group == "model"), served[0])
    others = [one.name for one in served if one.group == "baseline"]
    whole = {name: per_machine(rate, first, threads) for name, rate in copies.items()}
    small = [machine.name for machine in prices.machines if machine.threads < threads]
    return CostReport(
        demand=demand,
        currency=prices.currency,
        table=prices.machines,
        bills=bills,
        savings=savings_of(student.name, others, whole, demand),
        notes=[
            "Prices are those of the table; the one that comes with the package holds examples.",
            f"A thread of a rented machine counts as one of the {threads} threads measured here, "
            "times its speed in the table.",
            *(
                [
                    f"A text takes longer than here on what has fewer than {threads} threads "
                    f"({', '.join(small)}), so the limit may not be kept there: measure with as "
                    "many threads as the machine has."
                ]
                if small
                else []
            ),
            f"Savings are on {first.provider} {first.name}: on whole machines, and, the second "
            "figure, on machines without idle time.",
            PAPER,
            NOT_COMPARABLE,
        ],
    )


def savings_of(
    student: str, others: Sequence[str], whole: Mapping[str, float], demand: Demand
) -> list[Saving]:
    """What a model saves by doing all tasks and languages, and over other models.

    Args:
        student: its name.
        others: names of models to compare it with.
        whole: by name the texts per second of a machine; nothing is told of those that bear none.
        demand: the load.
    """
    capacity = whole[student]
    if not capacity:
        return []
    return _consolidation(student, capacity, demand) + [
        _saving(
            f"{student} over {name}",
            (needed(demand.rate, capacity), needed(demand.rate, whole[name])),
            (1 / capacity, 1 / whole[name]),
        )
        for name in others
        if whole[name]
    ]


def per_machine(capacity: float, machine: RentedMachine, threads: int) -> float:
    """Texts per second of a machine, of which a copy on ``threads`` threads bears ``capacity``."""
    return capacity * machine.speed * machine.threads / threads


def needed(rate: float, capacity: float) -> int:
    """Whole machines for a rate.

    Example:
        >>> needed(rate=250, capacity=100)
        3
    """
    return max(1, math.ceil(rate / capacity - 1e-9))


def bill(name: str, capacity: float, machine: RentedMachine, demand: Demand, threads: int) -> Bill:
    """What one candidate costs on one machine type, see `Bill`."""
    whole = per_machine(capacity, machine, threads)
    if not whole:
        return Bill(name, machine.name, 0.0, None, None, None)
    machines = needed(demand.rate, whole)
    return Bill(
        candidate=name,
        machine=machine.name,
        capacity=whole,
        machines=machines,
        per_million=machine.per_hour / (3600 * whole) * 1e6,
        per_month=machines * machine.per_hour * 730,
    )


def _consolidation(name: str, capacity: float, demand: Demand) -> list[Saving]:
    """One deployment for all tasks and languages against one per task, and per task and language.

    The single-task models are taken to be as large and as fast as this one: its heads are nothing
    beside its encoder.
    """
    one = needed(demand.rate, capacity)
    tasks, languages = demand.tasks, demand.languages
    savings = []
    if tasks > 1:
        savings.append(
            _saving(
                f"{name} for {tasks} tasks, over one such model per task",
                (one, tasks * one),
                (1, tasks),
            )
        )
    if languages > 1:
        share = needed(demand.rate / languages, capacity)
        savings.append(
            _saving(
                f"{name} for {tasks} tasks and {languages} languages, over one such model per "
                "task and language (rate spread evenly)",
                (one, tasks * languages * share),
                (1, tasks),
            )
        )
    return savings


def _saving(what: str, machines: tuple[int, int], work: tuple[float, float]) -> Saving:
    return Saving(
        what, machines, 100 * (1 - machines[0] / machines[1]), 100 * (1 - work[0] / work[1])
    )
