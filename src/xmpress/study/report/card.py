"""The model card of the recommended model, written from the study's results."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import yaml

from xmpress.evaluation.render import Grid
from xmpress.study.figures import bracket, entry, number, size, threads_text, times
from xmpress.study.questions.base import cells_table, listed, runs, with_remarks
from xmpress.study.recommend import Recommendation
from xmpress.study.report.content import Content
from xmpress.study.report.markdown import code, plain
from xmpress.study.view import Group, shown


def model_card(content: Content, best: Recommendation) -> str:
    """The card, in Markdown with the hub's front matter."""
    return "\n\n".join(_parts(content, best)) + "\n"


def _parts(content: Content, best: Recommendation) -> Iterator[str]:
    group, results, view = best.group, content.results, content.view
    first = group.first
    front = {
        "library_name": "xmpress",
        "pipeline_tag": "text-classification",
        "language": sorted(first.trained_languages),
    }
    yield f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---"
    yield f"# {plain(group.label)}"
    reference = view.reference(group)
    made = f" from {plain(reference.label)}" if reference else ""
    how = f" by the recipe {code(first.recipe)}" if first.recipe else ""
    variant = f", {plain(first.variant)}" if first.variant else ""
    yield f"A multi-task text classifier, compressed{made}{how}{variant}. {plain(best.reason)}"
    if not best.kept:
        yield "> It is the least bad model of its study, not one that keeps what was allowed."
    yield "## What it predicts"
    tasks = [task for task in results.tasks if task.name in first.tasks]
    yield "\n".join(
        ["| task | kind | labels |", "| --- | --- | --- |"]
        + [
            f"| {plain(t.name)} | {t.kind} | {plain(', '.join(t.labels)).replace('|', '/')} |"
            for t in tasks
        ]
    )
    if first.path:
        yield "## Use"
        place = shlex.quote(f"../{shown(first.path, 400)}")
        yield f"```console\n$ xmpress analyze comments.csv -m {place} -o scored.csv\n```"
    yield "## Quality"
    yield (
        f"On the split {code(results.data.tested_split)} of {code(results.data.config)}, which "
        "nothing was trained or tuned on. Degradation is the relative drop of macro-F1 against the "
        "uncompressed model, with its 95 % interval."
    )
    yield _table(_by_task(content, group))
    languages = cells_table(
        "Degradation by language and task, %",
        view.languages,
        [task.name for task in tasks],
        {(t.name, lang): group.cell(t.name, lang) for t in tasks for lang in view.languages},
        ({lang: group.language(lang) for lang in view.languages if len(tasks) > 1}, {}, None),
        runs([group]),
    )
    yield _table(languages.grid)
    yield "## Speed and size"
    yield _speed(content, group)
    yield "## Limits"
    yield "\n".join(f"- {plain(line)}" for line in _limits(content, group))
    yield "## Where it comes from"
    yield "\n".join(_origin(content, group))


def _table(grid: Grid) -> str:
    return plain(grid.to_markdown()).rstrip()


def _by_task(content: Content, group: Group) -> Grid:
    rows = []
    for task in content.view.tasks:
        if task in group.first.tasks:
            before, _ = group.paired(task)
            rows.append(
                (
                    task,
                    (
                        entry(before, interval=False, style=False),
                        entry(group.quality(task), interval=False, style=False),
                        entry(group.task(task)),
                        entry(group.calibration(task), interval=False, style=False),
                    ),
                )
            )
    columns = ("macro-F1 before", "macro-F1", "degradation %", "calibration error, points")
    title = "By task, mean over the languages"
    return with_remarks(Grid(title, "task", columns, tuple(rows), content.view.means))


def _speed(content: Content, group: Group) -> str:
    row, speed = content.view.speed(group), content.results.speed
    parts = []
    if group.bytes is not None:
        parts.append(f"{size(group.bytes)} on disk.")
    if row is None or speed is None:
        return " ".join([*parts, "Its speed was not measured."])
    facts = [f"{number(row.texts_per_second, 0)} texts/s ({row.policy})"]
    if row.speedup is not None and row.reference:
        facts.append(f"{times(row.speedup)} times as fast as {content.view.named(row.reference)}")
    if row.p50_ms is not None:
        facts.append(f"{number(row.p50_ms)} ms for a single text (median)")
    if row.memory_bytes is not None:
        facts.append(f"{size(row.memory_bytes)} of memory at most")
    machine = dict(content.circumstances)["speed measured on"]
    said = f"{', '.join(facts)}; {threads_text(speed.threads)}, {machine}."
    return plain(" ".join([*parts, said]))


def _limits(content: Content, group: Group) -> list[str]:
    languages = content.view.languages
    found = {lang: figure for lang in languages if (figure := group.language(lang))}
    lose = [lang for lang, figure in found.items() if figure.sure and figure.value > 0]
    limits = []
    if lose:
        worst = max(lose, key=lambda lang: found[lang].value)
        limits.append(
            f"Compression is shown to cost quality in {listed(lose, 20)}; most in {worst}, "
            f"{bracket(found[worst], 1, ' %')}."
        )
    unjudged = [lang for lang, figure in found.items() if not figure.judged]
    if unjudged:
        limits.append(f"Too few labelled rows to judge {listed(unjudged, 20)}.")
    unseen = sorted(set(languages) - set(group.first.trained_languages))
    if unseen:
        limits.append(f"Not trained on {listed(unseen, 20)}.")
    limits.append(
        "Judged on the data named here alone: texts of another kind, length or time may be "
        "answered worse. Languages that are not named were not tested."
    )
    limits += [f"Not judged: {reason}" for answer in content.answers for reason in answer.unjudged
               if answer.key in {"languages", "consistency", "calibration"}]  # fmt: skip
    return list(dict.fromkeys(limits))


def _origin(content: Content, group: Group) -> Iterator[str]:
    for what, command, path in content.made(group):
        yield f"- {plain(what)}: {code(command) if command else 'no command recorded'}" + (
            f", in {code(path)}" if path else ""
        )
    for name, value in content.circumstances:
        if name in {"command", "data", "data fingerprint", "machine", "written"}:
            yield f"- {name}: {code(value) if name != 'written' else plain(value)}"
