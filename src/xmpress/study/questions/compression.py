"""Which compressed model loses least at which speed?"""

from __future__ import annotations

from typing import Final

from xmpress.evaluation.render import Entry, Grid
from xmpress.study.charts import Front, Point, Series
from xmpress.study.figures import bracket, entry, number, size
from xmpress.study.questions.base import (
    Answer,
    Table,
    behind,
    unanswered,
    with_remarks,
)
from xmpress.study.recommend import (
    LIMIT,
    Candidate,
    Recommendation,
    by_speed,
    candidates,
    recommend,
)
from xmpress.study.results import SpeedRow
from xmpress.study.view import Group, View, shown

KEY: Final = "compression"
TITLE = "Which compressed model loses least at which speed?"
NOTHING = Entry("–")
READING = (
    "Degradation is the relative drop of macro-F1 against the uncompressed model that it was made "
    "from, mean over the tasks, with the interval of a paired bootstrap over the test rows and the "
    "spread of the seeds. Speedup is the ratio of throughput on the same texts, machine and "
    "threads, models taking turns. A model is on the front if no other is both as fast and loses "
    f"less. Recommended is the fastest that keeps its guard, or without a guard loses {LIMIT:g} % "
    "at most; it is chosen on the rows that it is judged on, which flatters it a little."
)


def answer(view: View) -> Answer:
    """The answer, with every model's quality, speed and size."""
    compressed = view.of_role("compressed")
    if not compressed:
        return unanswered(view, KEY, TITLE, "No compressed model was made.")
    best = recommend(view)
    found = candidates(view)
    if best is None:
        finding = "No compressed model could be compared with the one that it was made from."
    else:
        finding = best.reason
    unjudged = view.missing(KEY)
    if not by_speed(view):
        unjudged.append("Speed was not measured: models are ordered by their size instead.")
    else:
        unjudged += [
            f"{group.label}: its speed was not measured, so it is not in the plot."
            for group in compressed
            if group.average is not None and all(group is not one.group for one in found)
        ]
    measured = _measurements(view)
    return Answer(
        KEY,
        TITLE,
        finding,
        _chart(view, found, best) if found else None,
        (_table(view, compressed, best), *([measured] if measured else [])),
        tuple(dict.fromkeys(unjudged)),
        READING,
        _ours(view, best),
    )


def _ours(view: View, best: Recommendation | None) -> str:
    if best is None:
        return ""
    one = best.candidate
    gain = f"{bracket_of(one, 'x' if by_speed(view) else 'x smaller')}"
    gain += " speedup" if by_speed(view) else ""
    over = _over(view)
    return (
        f"{gain} at {bracket(one.loss, 1, ' %')} average degradation ({one.group.label}"
        f"{f', over {over}' if over and by_speed(view) else ''})"
    )


def _table(view: View, compressed: list[Group], best: Recommendation | None) -> Table:
    references = [group for one in compressed if (group := view.reference(one))]
    shown_groups = [*dict.fromkeys(references), *compressed]
    over = _over(view)
    rows = [_row(view, group, best) for group in shown_groups]
    anchors = [group.anchor for group in shown_groups]
    for row in view.baselines():
        blank = (NOTHING,) * 3
        rows.append((f"{shown(row.model)}, {row.device}", (*blank, *_speed(row), *blank[:2])))
        anchors.append("speed")
    notes = [*view.means]
    if any(g.seeds != r.seeds for g in compressed if (r := view.reference(g)) is not None):
        notes.append("Points and degradation are of the seeds that both models have.")
    if best is not None:
        notes.append(f"★ {'recommended' if best.kept else 'loses the least'}.")
    speed = view.results.speed
    if speed and speed.rows:
        notes.append(
            f"Speed: {speed.texts:,} texts, {speed.threads} threads, {view.policy}"
            + (f"; speedup over {over}, with the lowest and highest ratio of the rounds." if over
               else ".")
        )  # fmt: skip
        notes += [shown(note, 300) for note in speed.notes]
    grid = Grid(
        "Quality, speed and size",
        "model",
        ("macro-F1", "points", "degradation %", "speedup", "texts/s", "p50 ms", "size", "guard"),
        tuple(rows),
        tuple(notes),
    )
    return Table(with_remarks(grid), tuple(anchors))


def _measurements(view: View) -> Table | None:
    """Everything that was measured: each device, precision and way to hand texts over."""
    speed = view.results.speed
    if speed is None or not speed.rows:
        return None
    told = [
        [row.device for row in speed.rows],
        [row.precision or "" for row in speed.rows],
        [row.policy for row in speed.rows],
    ]
    differ = [values for values in told if len(set(values)) > 1]
    baselines = list(dict.fromkeys(name for row in speed.rows for name in row.over))
    rows, anchors = [], []
    for n, row in enumerate(speed.rows):
        group = view.group(row.model)
        title = [view.named(row.model), *(shown(values[n]) for values in differ if values[n])]
        over = [row.over.get(name) for name in baselines]
        entries = (
            *_speed(row)[:2],
            *(NOTHING if ratio is None else Entry(f"{number(ratio)}x") for ratio in over),
            *(NOTHING if ms is None else Entry(number(ms)) for ms in (row.p50_ms, row.p99_ms)),
            NOTHING if row.memory_bytes is None else Entry(size(row.memory_bytes)),
        )
        rows.append((", ".join(title), entries))
        anchors.append("speed" if group is None else group.anchor)
    grid = Grid(
        "Speed, all measurements",
        "model",
        ("speedup", "texts/s", *(f"over {shown(name, 40)}" for name in baselines), "p50 ms",
         "p99 ms", "memory"),
        tuple(rows),
        ("Memory: the most that a process with the model held.",),
    )  # fmt: skip
    return Table(with_remarks(grid), tuple(anchors), folded=True)


def _over(view: View) -> str:
    speed = view.results.speed
    names = {row.reference for row in speed.rows if row.reference} if speed else set()
    return ", ".join(sorted(view.named(name) for name in names))


def _row(view: View, group: Group, best: Recommendation | None) -> tuple[str, tuple[Entry, ...]]:
    star = " ★" if best is not None and best.group is group else ""
    verdicts = sorted({model.verdict for model in group.models if model.verdict})
    return (
        f"{group.label}{star}",
        (
            entry(group.quality(), interval=False, style=False),
            entry(group.points(), interval=False, style=False),
            entry(group.average) if group.first.role == "compressed" else NOTHING,
            *_speed(view.speed(group)),
            Entry("–" if group.bytes is None else size(group.bytes)),
            Entry(shown(", ".join(verdicts)) if verdicts else "–"),
        ),
    )


def _speed(row: SpeedRow | None) -> tuple[Entry, Entry, Entry]:
    if row is None:
        return NOTHING, NOTHING, NOTHING
    speedup = NOTHING
    if row.speedup is not None:
        ends = None if row.low is None or row.high is None else (row.low, row.high)
        speedup = Entry(f"{number(row.speedup)}x", ends and (number(ends[0]), number(ends[1])))
    rate = number(row.texts_per_second, 0 if row.texts_per_second >= 100 else 1)
    latency = "–" if row.p50_ms is None else number(row.p50_ms)
    return speedup, Entry(rate), Entry(latency)


def _chart(view: View, found: list[Candidate], best: Recommendation | None) -> Front:
    speed = by_speed(view)
    kinds = list(dict.fromkeys(_kind(one.group) for one in found))
    points = [
        Point(
            one.group.label,
            one.gain,
            one.loss.value,
            _tip(one, speed=speed, recommended=best is not None and best.group is one.group),
            kinds.index(_kind(one.group)),
            one.loss.interval,
            one.range,
            one.group.bytes,
            one.best,
            best is not None and best.kept and best.group is one.group,
            one.group.anchor,
        )
        for one in found
    ]
    references = dict.fromkeys(
        group for one in found if (group := view.reference(one.group)) is not None
    )
    for group in references:
        gain = 1.0
        row = view.speed(group)
        if speed:
            if row is None or row.speedup is None:
                continue
            gain = row.speedup
        kinds = list(dict.fromkeys([*kinds, "uncompressed"]))
        tip = f"{group.label}: uncompressed, {number(gain)}x"
        points.append(
            Point(group.label, gain, 0.0, tip, kinds.index("uncompressed"), bytes=group.bytes,
                  run=group.anchor)
        )  # fmt: skip
    over = _over(view)
    across = f"times as fast{f' as {over}' if over else ''} (log scale)"
    return Front(
        "Average degradation against speedup: filled marks are on the front, the ringed one is "
        "recommended, larger marks are larger models"
        if speed
        else "Average degradation against size: filled marks are on the front, the ringed one is "
        "recommended",
        across if speed else "times as small as the uncompressed model (log scale)",
        "average degradation, %",
        tuple(points),
        tuple(Series(kind, n) for n, kind in enumerate(kinds)),
    )


def _kind(group: Group) -> str:
    return shown(group.first.variant or "compressed", 20)


def _tip(one: Candidate, *, speed: bool, recommended: bool) -> str:
    parts = [
        f"{one.group.label}{' (recommended)' if recommended else ''}: "
        f"{bracket(one.loss, 1, ' %')} average degradation",
        f"{bracket_of(one)} times {'as fast' if speed else 'smaller'}",
    ]
    if one.group.bytes is not None:
        parts.append(size(one.group.bytes))
    if one.verdicts:
        parts.append(f"guard {shown(', '.join(sorted(one.verdicts)))}")
    return ", ".join([*parts, behind(one.loss)])


def bracket_of(one: Candidate, unit: str = "") -> str:
    """The gain, with the lowest and highest ratio."""
    if one.range is None:
        return f"{number(one.gain)}{unit}"
    return f"{number(one.gain)}{unit} [{number(one.range[0])}, {number(one.range[1])}]"
