"""What does one deployment save?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from xmpress.benchmark.cost import Bill, Demand, Saving
from xmpress.errors import DataError
from xmpress.evaluation.render import Entry, Grid
from xmpress.study.charts import Bar, Bars, Series
from xmpress.study.figures import number, size
from xmpress.study.questions.base import Answer, Table, listed, unanswered
from xmpress.study.recommend import recommend
from xmpress.study.results import RESULTS
from xmpress.study.view import View, shown

KEY: Final = "cost"
TITLE = "What does one deployment save?"
READING = (
    "Machines for the load at the latency limit, found by simulating the queue with the measured "
    "service times. Single-task models are taken to be as large as the multi-task model. Savings "
    "are on whole machines of the first type in the price table; in brackets where no machine is "
    "idle. Machine hours alone: no people, no traffic, no training. Memory is the most that a "
    "process with the model held as its speed was measured, times the models."
)


@dataclass(frozen=True)
class _Cost:
    demand: Demand
    currency: str
    bills: list[Bill]
    savings: list[Saving]
    notes: list[str]

    @classmethod
    def of(cls, content: dict[str, Any]) -> _Cost:
        """From the JSON form of `xmpress.benchmark.cost.CostReport`."""
        try:
            return cls(
                Demand(**content["demand"]),
                content["currency"],
                [Bill(**bill) for bill in content["bills"]],
                [Saving(**saving) for saving in content["savings"]],
                list(content["notes"]),
            )
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{RESULTS}: cost is not what `xmpress benchmark --cost` computes "
                f"({type(error).__name__}: {error})"
            ) from error


def answer(view: View) -> Answer:
    """The answer, with bills and savings."""
    if view.results.cost is None:
        why = "Service times, which costs are computed from, were not measured."
        return unanswered(view, KEY, TITLE, why)
    cost = _Cost.of(view.results.cost)
    if not cost.bills:
        return unanswered(view, KEY, TITLE, "No candidate was billed.")
    demand = cost.demand
    load = f"{demand.rate:g} texts/s, 99 % within {demand.p99:g} ms"
    unjudged = view.missing(KEY)
    if demand.tasks == 1:
        unjudged.append("One deployment against one per task: there is one task.")
    if demand.languages == 1:
        unjudged.append("One deployment against one per language: there is one language.")
    found = [
        _savings(view, cost, load) if cost.savings else None,
        _memory(view, demand),
        _bills(view, cost, load),
    ]
    tables = [table for table in found if table is not None]
    return Answer(
        KEY,
        TITLE,
        _finding(view, cost, load),
        _chart(view, cost, load),
        tuple(tables),
        tuple(dict.fromkeys(unjudged)),
        READING,
        "; ".join(
            f"{_percent(s)}: {in_words(view, s.what)}" for s in first_savings(view, cost.savings)
        ),
    )


def in_words(view: View, text: str) -> str:
    """A sentence of the benchmark, with models' names for their ids."""
    # Longest first, for an id may begin with another.
    for model in sorted(view.results.models, key=lambda model: -len(model.id)):
        text = text.replace(model.id, view.named(model.id))
    return shown(text, 300)


def first_savings(view: View, savings: Sequence[Saving]) -> list[Saving]:
    """What the recommended model saves, or else the first one that anything is told of."""
    best = recommend(view)
    names = [model.id for model in best.group.models] if best is not None else []
    names += [model.id for model in view.results.models]
    for name in names:
        found = [saving for saving in savings if saving.what.startswith(f"{name} ")]
        if found:
            return found
    return list(savings)


def _finding(view: View, cost: _Cost, load: str) -> str:
    savings = first_savings(view, cost.savings)
    if not savings:
        return f"For {load}, no model answers within the limit on the first machine type."
    told = (
        f"{in_words(view, saving.what)}: {saving.machines[0]:,} instead of "
        f"{_machines(saving.machines[1])}, {_percent(saving)}."
        for saving in savings
    )
    return f"{' '.join(told)} All for {load}.{_memory_finding(view, cost.demand)}"


def _percent(saving: Saving) -> str:
    if saving.machines[0] == saving.machines[1]:
        return "nothing saved on whole machines"
    if saving.percent < 0:
        return f"{number(-saving.percent, 0)} % dearer"
    return f"{number(saving.percent, 0)} % saved"


def _savings(view: View, cost: _Cost, load: str) -> Table:
    rows = tuple(
        (
            in_words(view, saving.what),
            (
                Entry(f"{saving.machines[0]:,}"),
                Entry(f"{saving.machines[1]:,}"),
                Entry(f"{number(saving.percent, 0)} %"),
                Entry(f"{number(saving.percent_at_capacity, 0)} %"),
            ),
        )
        for saving in cost.savings
    )
    grid = Grid(
        f"Savings for {load}",
        "what",
        ("machines", "instead of", "saved", "saved where none is idle"),
        rows,
        tuple(shown(note, 600) for note in cost.notes),
    )
    return Table(grid, ("speed",) * len(rows))


def _deployments(demand: Demand) -> dict[str, int]:
    """Ways to deploy, and how many models that takes."""
    found = {"one deployment": 1}
    if demand.tasks > 1:
        found[f"one per task ({demand.tasks})"] = demand.tasks
    if demand.languages > 1:
        number_ = demand.tasks * demand.languages
        found[f"one per task and language ({number_})"] = number_
    return found


def _memory(view: View, demand: Demand) -> Table | None:
    """What the models of a deployment hold, if it was measured."""
    ways = _deployments(demand)
    rows, anchors = [], []
    groups = [(group.label, view.speed(group), group.anchor) for group in view.groups]
    others = [(shown(row.model), row, "speed") for row in view.baselines() if row.device == "cpu"]
    for name, row, anchor in [*groups, *others]:
        if row is not None and row.memory_bytes is not None and row.device == "cpu":
            cells = tuple(Entry(size(count * row.memory_bytes)) for count in ways.values())
            rows.append((name, cells))
            anchors.append(anchor)
    if not rows:
        return None
    grid = Grid("Memory of all models together", "model", tuple(ways), tuple(rows))
    return Table(grid, tuple(anchors))


def _memory_finding(view: View, demand: Demand) -> str:
    """The memory of the recommended model in a sentence, if it was measured."""
    best = recommend(view)
    row = None if best is None else view.speed(best.group)
    ways = list(_deployments(demand).items())
    if row is None or row.memory_bytes is None or len(ways) < 2:
        return ""
    one, *several = (size(count * row.memory_bytes) for _, count in ways)
    instead = [f"{held} with {way}" for held, (way, _) in zip(several, ways[1:], strict=True)]
    return f" Memory: {one} instead of {listed(instead)}."


def _bills(view: View, cost: _Cost, load: str) -> Table:
    rows, anchors = [], []
    for bill in cost.bills:
        group = view.group(bill.candidate)
        rows.append((f"{view.named(bill.candidate)}, {shown(bill.machine)}", _bill(bill)))
        anchors.append("speed" if group is None else group.anchor)
    currency = shown(cost.currency, 8)
    grid = Grid(
        f"What {load} costs",
        "model and machine",
        ("texts/s per machine", "machines", f"{currency} per million texts",
         f"{currency} per month"),
        tuple(rows),
    )  # fmt: skip
    return Table(grid, tuple(anchors), folded=len(rows) > 16)


def _bill(bill: Bill) -> tuple[Entry, ...]:
    if bill.machines is None or bill.per_million is None or bill.per_month is None:
        return (Entry("cannot meet the limit"), Entry("–"), Entry("–"), Entry("–"))
    return (
        Entry(number(bill.capacity, 0)),
        Entry(f"{bill.machines:,}"),
        Entry(f"{bill.per_million:.3g}"),
        Entry(number(bill.per_month, 0)),
    )


def _chart(view: View, cost: _Cost, load: str) -> Bars | None:
    bars = []
    for saving in first_savings(view, cost.savings):
        what = in_words(view, saving.what)
        one, other = saving.machines
        bars += [
            Bar(what, one, _machines(one), f"{what}: {_machines(one)}", 0, "speed"),
            Bar("", other, f"{_machines(other)}", f"instead of {_machines(other)}: "
                f"{_percent(saving)}", 1, "speed"),
        ]  # fmt: skip
    if not bars:
        return None
    return Bars(
        f"Machines for {load}",
        tuple(bars),
        (Series("this deployment", 0), Series("what it is compared with", 1)),
    )


def _machines(count: int) -> str:
    return f"{count:,} machine{'s' if count != 1 else ''}"
