"""What does one deployment save?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from xmpress.benchmark.cost import Bill, Demand, RentedMachine, Saving
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
    "Machines for the load at the latency limit, found by simulating the queue with the service "
    "times measured here; a machine runs as many copies of a model as it has times the threads of "
    "the measurement. Of several models each has machines of its own; one for a task answers every "
    "text, one for a task and a language those of its language. They are taken to be as large and "
    "as fast as the multi-task model. Savings are on the first machine of the price table, on "
    "whole machines, and where the load is so large that none is idle. Machine hours alone: no "
    "people, no traffic, no training. Where a single text takes much of the limit, a machine bears "
    "far less than its throughput, and a little more time is many more machines. Memory is the "
    "most that a process with the model held while it was measured, times the models: each in a "
    "process of its own."
)


@dataclass(frozen=True)
class _Cost:
    demand: Demand
    currency: str
    bills: list[Bill]
    savings: list[Saving]
    notes: list[str]
    prices: list[RentedMachine]

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
                [RentedMachine.model_validate(machine) for machine in content["prices"]],
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise DataError(
                f"{RESULTS}: cost is not what `xmpress benchmark --cost` computes "
                f"({type(error).__name__}: {error})"
            ) from error

    @property
    def machine(self) -> str:
        """The one that savings are on."""
        return shown(self.bills[0].machine, 40)

    @property
    def first(self) -> dict[str, Bill]:
        """By candidate the bill on that machine."""
        return {b.candidate: b for b in self.bills if b.machine == self.bills[0].machine}

    @property
    def load(self) -> str:
        """What is asked for."""
        rate = self.demand.rate
        whole = f"{rate:,.0f}" if rate >= 100 else f"{rate:g}"
        return f"{whole} texts/s, 99 % within {self.demand.p99:g} ms"


def answer(view: View) -> Answer:
    """The answer, with bills and savings."""
    if view.results.cost is None:
        why = "Service times, which costs are computed from, were not measured."
        return unanswered(view, KEY, TITLE, why)
    cost = _Cost.of(view.results.cost)
    if not cost.bills:
        return unanswered(view, KEY, TITLE, "No candidate was billed.")
    demand = cost.demand
    unjudged = [*view.missing(KEY), *_too_slow(view, cost)]
    if demand.tasks == 1:
        unjudged.append("One deployment against one per task: there is one task.")
    if demand.languages == 1:
        unjudged.append("One deployment against one per language: there is one language.")
    told = first_savings(view, cost.savings)
    rest = [saving for saving in cost.savings if saving not in told]
    found = [
        _savings(view, f"Savings for {cost.load}", told, cost.notes),
        _memory(view, demand),
        _bills(view, cost, first=True, notes=() if told else cost.notes),
        _savings(view, "Savings with the other models", rest, folded=True),
        _bills(view, cost, first=False),
    ]
    tables = [table for table in found if table is not None]
    return Answer(
        KEY,
        TITLE,
        _finding(view, cost),
        _chart(view, cost),
        tuple(tables),
        tuple(dict.fromkeys(unjudged)),
        READING,
        _ours(view, cost),
    )


def _too_slow(view: View, cost: _Cost) -> list[str]:
    """Whose limit no number of machines keeps; nothing is said of savings over it."""
    slow = [view.named(name) for name, bill in cost.first.items() if bill.machines is None]
    if not slow:
        return []
    verb = "does" if len(slow) == 1 else "do"
    return [
        f"{listed(slow)} {verb} not answer 99 % of texts within {cost.demand.p99:g} ms, however "
        "many machines there are: no saving can be told."
    ]


def _ours(view: View, cost: _Cost) -> str:
    """Beside the paper's figure: over full-size models, not over many deployments."""
    found = first_savings(view, cost.savings)
    over = [saving for saving in found if saving.what == " over ".join(_sides(saving))]
    if not over:
        return ""
    told = "; ".join(f"over {view.in_words(_sides(s)[1])}, {_percent(s)}" for s in over)
    return f"{view.named(_sides(over[0])[0])}: {told}; for {cost.load}"


def first_savings(view: View, savings: Sequence[Saving]) -> list[Saving]:
    """What the recommended model saves, or else the first one that anything is told of."""
    best = recommend(view)
    names = [model.id for model in best.group.models] if best is not None else []
    names += [model.id for model in view.results.models]
    names += [_sides(saving)[0] for saving in savings]
    for name in names:
        found = [saving for saving in savings if _sides(saving)[0] == name]
        if found:
            return found
    return []


def _sides(saving: Saving) -> tuple[str, str]:
    """Who saves, and what it is compared with."""
    # "MODEL over MODEL", "MODEL for 5 tasks, over one such model per task".
    one, _, other = saving.what.partition(" over ")
    return one.partition(" for ")[0], other


def _finding(view: View, cost: _Cost) -> str:
    best = recommend(view)
    names = [model.id for model in best.group.models] if best is not None else []
    bills = {name: cost.first[name] for name in names if name in cost.first}
    said = []
    if best is not None and any(bill.machines is None for bill in bills.values()):
        said.append(f"{best.group.label} is too slow for {cost.load}.")
    savings = first_savings(view, cost.savings)
    if savings:
        name, count = _sides(savings[0])[0], savings[0].machines[0]
        said.append(
            f"{view.named(name)} takes {_machines(count)} for {cost.load}, on {cost.machine}."
        )
        said += [
            f"{_other(view, saving)} takes {saving.machines[1]:,}: {_percent(saving)}."
            for saving in savings
        ]
    else:
        said.append(_alone(view, cost, bills or cost.first))
    return f"{' '.join(said)}{_memory_finding(view, cost.demand)}"


def _alone(view: View, cost: _Cost, bills: Mapping[str, Bill]) -> str:
    """What is found where there is no other way to compare with."""
    for name, bill in bills.items():
        if bill.machines is not None and bill.per_month is not None:
            return (
                f"{view.named(name)} takes {_machines(bill.machines)} for {cost.load}, "
                f"{number(bill.per_month, 0)} {shown(cost.currency, 8)} a month on {cost.machine}; "
                "there is no other way to deploy that it could be compared with."
            )
    return f"For {cost.load}, no model answers within the limit on {cost.machine}."


def _other(view: View, saving: Saving) -> str:
    """What a saving is over, to begin a sentence with."""
    text = view.in_words(_sides(saving)[1])
    return f"One{text.removeprefix('one')}" if text.startswith("one such model") else text


def _percent(saving: Saving) -> str:
    """On whole machines, and where none is idle if that is another figure."""
    idle = _share(saving.percent_at_capacity)
    same = saving.machines[0] == saving.machines[1]
    whole = "nothing saved on whole machines" if same else _share(saving.percent)
    if whole == idle or (same and idle == "nothing saved"):
        return whole
    return f"{whole} ({idle} where no machine is idle)"


def _share(percent: float) -> str:
    if number(percent, 0) == "0":
        return "nothing saved"
    return f"{percent_of(abs(percent))} {'saved' if percent > 0 else 'dearer'}"


def percent_of(share: float) -> str:
    """Per cent, and never all of it where something is left.

    Example:
        >>> percent_of(80.0), percent_of(99.82), percent_of(99.996)
        ('80 %', '99.8 %', 'more than 99.9 %')
    """
    if 99.95 <= share < 100:
        return "more than 99.9 %"
    return f"{number(share, 1 if 99 < share < 100 else 0)} %"


def _savings(
    view: View,
    title: str,
    savings: Sequence[Saving],
    notes: Sequence[str] = (),
    *,
    folded: bool = False,
) -> Table | None:
    rows = tuple(
        (
            view.in_words(saving.what),
            (
                Entry(f"{saving.machines[0]:,}"),
                Entry(f"{saving.machines[1]:,}"),
                Entry(percent_of(saving.percent)),
                Entry(percent_of(saving.percent_at_capacity)),
            ),
        )
        for saving in savings
    )
    if not rows:
        return None
    grid = Grid(
        title,
        "what",
        ("machines", "instead of", "saved on whole machines", "saved where none is idle"),
        rows,
        tuple(shown(note, 600) for note in notes),
    )
    return Table(grid, ("speed",) * len(rows), folded)


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
    grid = Grid(
        "Memory of all models together, each in a process of its own",
        "model",
        tuple(ways),
        tuple(rows),
    )
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


def _bills(view: View, cost: _Cost, *, first: bool, notes: Sequence[str] = ()) -> Table | None:
    """What each model costs on the first machine, or on the others."""
    rows, anchors = [], []
    for bill in cost.bills:
        if (bill.machine == cost.bills[0].machine) == first:
            name = view.named(bill.candidate)
            rows.append((name if first else f"{name}, {shown(bill.machine, 40)}", _bill(bill)))
            group = view.group(bill.candidate)
            anchors.append("speed" if group is None else group.anchor)
    if not rows:
        return None
    currency = shown(cost.currency, 8)
    columns = ("texts/s per machine", "machines", f"{currency} per million texts",
               f"{currency} per month")  # fmt: skip
    where = cost.machine if first else "other machines"
    about = [
        "A million texts: on machines that are used to their capacity. A month: 730 hours of whole "
        "machines.",
        *_machine_notes(cost, first=first),
        *(_baselines(view, cost) if first else ()),
        *(shown(note, 600) for note in notes),
    ]
    grid = Grid(
        f"What {cost.load} costs on {where}",
        "model" if first else "model and machine",
        columns,
        tuple(rows),
        tuple(about),
    )
    return Table(grid, tuple(anchors), folded=not first)


def _baselines(view: View, cost: _Cost) -> list[str]:
    """What is to be known of those that no quality was measured of."""
    names = [view.named(name) for name in cost.first if view.group(name) is None]
    if not names:
        return []
    verb = "was" if len(names) == 1 else "were"
    return [
        f"{listed(names)} {verb} timed only: how well a trained model of that size would answer, "
        "which a saving may give up, is not known.",
        *view.speed_notes,
    ]


def _machine_notes(cost: _Cost, *, first: bool) -> list[str]:
    """Where prices come from, as far as the price table tells."""
    return [
        shown(
            f"{machine.provider} {machine.name}: {machine.threads} threads, {machine.per_hour:g} "
            f"{cost.currency} per hour ({machine.source}; {machine.date}).",
            300,
        )
        for machine in cost.prices
        if (machine.name == cost.bills[0].machine) == first
    ]


def _bill(bill: Bill) -> tuple[Entry, ...]:
    if bill.machines is None or bill.per_million is None or bill.per_month is None:
        return (Entry("cannot meet the limit"), Entry("–"), Entry("–"), Entry("–"))
    few = bill.per_million < 10
    return (
        Entry(number(bill.capacity, 0 if bill.capacity >= 100 else 1)),
        Entry(f"{bill.machines:,}"),
        Entry(f"{bill.per_million:.3g}" if few else number(bill.per_million)),
        Entry(number(bill.per_month, 0)),
    )


def _chart(view: View, cost: _Cost) -> Bars | None:
    savings = first_savings(view, cost.savings)
    if not savings:
        return None
    name, one = view.named(_sides(savings[0])[0]), savings[0].machines[0]
    bars = [Bar(name, one, _machines(one), f"{name}: {_machines(one)}", 0, "speed")]
    for saving in savings:
        other, count = _other(view, saving), saving.machines[1]
        tip = f"{other}: {_machines(count)}; {_percent(saving)}"
        bars.append(Bar(other, count, _machines(count), tip, 1, "speed"))
    return Bars(
        f"Machines for {cost.load}",
        tuple(bars),
        (Series("this deployment", 0), Series("what it is compared with", 1)),
    )


def _machines(count: int) -> str:
    return f"{count:,} machine{'s' if count != 1 else ''}"
