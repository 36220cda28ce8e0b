"""Which compressed model loses least at which speed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Final

from xmpress.evaluation.render import Entry, Grid
from xmpress.study.charts import Front, Point, Series
from xmpress.study.figures import bracket, entry, number, size, threads_text, times
from xmpress.study.questions.base import (
    Answer,
    Table,
    behind,
    listed,
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
    "spread of the seeds. Speedup is the ratio of throughput, tokenisation included, on the same "
    "texts, machine and threads, models taking turns. A model is on the front if no other is both "
    "as fast and loses less. Recommended is the fastest that keeps its guard or, where there is "
    f"none or it is undecided, loses {LIMIT:g} % at most; it is chosen on the rows that it is "
    "judged on, which flatters it a little."
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
    return (
        f"{gain} at {bracket(one.loss, 1, ' %')} average degradation ({one.group.label}"
        f"{f', over {one.over}' if by_speed(view) else ''})"
    )


def _table(view: View, compressed: list[Group], best: Recommendation | None) -> Table:
    references = [group for one in compressed if (group := view.reference(one))]
    shown_groups = [*dict.fromkeys(references), *compressed]
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
            f"Speed: {speed.texts:,} texts, {threads_text(speed.threads)}, texts handed over "
            f"{shown(view.policy or '?')}. p50: of single texts."
        )
        measured = [one for group in shown_groups if (one := view.speed(group)) is not None]
        notes += [*_speedups(view, [*measured, *view.baselines()]), *view.speed_notes]
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
        name = view.named(row.model)
        more = [shown(values[n]) for values in differ if values[n]]
        title = [name, *(text for text in more if not name.endswith(f" {text}"))]
        over = [row.over.get(name) for name in baselines]
        entries = (
            *_speed(row)[:2],
            *(NOTHING if ratio is None else Entry(f"{times(ratio)}x") for ratio in over),
            *(NOTHING if ms is None else Entry(number(ms)) for ms in (row.p50_ms, row.p99_ms)),
            NOTHING if row.memory_bytes is None else Entry(size(row.memory_bytes)),
            NOTHING if row.tokens_per_text is None else Entry(number(row.tokens_per_text)),
            Entry(shown(row.engine or "–", 40)),
        )
        rows.append((", ".join(title), entries))
        anchors.append("speed" if group is None else group.anchor)
    grid = Grid(
        "Speed, all measurements",
        "model",
        ("speedup", "texts/s", *(f"over {shown(name, 40)}" for name in baselines), "p50 ms",
         "p99 ms", "memory", "tokens per text", "engine"),
        tuple(rows),
        (*_speedups(view, speed.rows), _calls(view),
         "Memory: the most that a process with the model held."),
    )  # fmt: skip
    return Table(with_remarks(grid), tuple(anchors), folded=True)


def _over(view: View) -> str:
    """What speedups of compressed models are over."""
    rows = [view.speed(group) for group in view.of_role("compressed")]
    names = {row.reference for row in rows if row is not None and row.reference}
    if len(names) > 1:
        return "the uncompressed model of the same encoder"
    return "".join(view.named(name) for name in names)


def _speedups(view: View, rows: Sequence[SpeedRow]) -> list[str]:
    """What the speedups of these rows are over, and what their brackets are."""
    speed = view.results.speed
    over = {row.model: row.reference for row in rows if row.reference}
    ours = {name for model, name in over.items() if view.group(model) is not None}
    others = {name for model, name in over.items() if view.group(model) is None}
    if not over or speed is None:
        return []
    told = listed(sorted(map(view.named, ours or others)))
    if len(ours) > 1:
        told = f"the uncompressed model of the same encoder ({told})"
    if ours and others and ours != others:
        told += f", of baselines over {listed(sorted(map(view.named, others)))}"
    rounds = f"{speed.rounds} rounds" if speed.rounds else "rounds"
    return [f"Speedup over {told}: median, lowest and highest of the ratios within the {rounds}."]


def _calls(view: View) -> str:
    """What p50 and p99 are."""
    speed = view.results.speed
    counts = [row.calls for row in speed.rows if row.calls is not None] if speed else []
    calls = f", of {min(counts):,} calls or more" if counts else ""
    return f"p50 and p99: half, and 99 %, of single texts take at most so many milliseconds{calls}."


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
        itself = row.reference == row.model
        ratio = ends and (times(ends[0]), times(ends[1]))
        speedup = Entry("1x") if itself else Entry(f"{times(row.speedup)}x", ratio)
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
        tip = f"{group.label}: uncompressed, {times(gain)}x"
        points.append(
            Point(group.label, gain, 0.0, tip, kinds.index("uncompressed"), bytes=group.bytes,
                  run=group.anchor)
        )  # fmt: skip
    points = [
        replace(point, name=name)
        for point, name in zip(points, told_apart([p.name for p in points]), strict=True)
    ]
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


def told_apart(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin with: there is little room in a plot."""
    words = [name.split() for name in names]
    beginnings = zip(*(parts[:-1] for parts in words), strict=False)
    same = len(list(takewhile(lambda column: len(set(column)) == 1, beginnings)))
    return [" ".join(parts[same:]) for parts in words] if len(names) > 1 else list(names)


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
        return f"{times(one.gain)}{unit}"
    return f"{times(one.gain)}{unit} [{times(one.range[0])}, {times(one.range[1])}]"
