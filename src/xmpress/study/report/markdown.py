"""The report as Markdown, with its plots as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from xmpress.study.questions import Answer, Table
from xmpress.study.report.content import Content


def markdown(content: Content, plots: dict[str, str]) -> str:
    """The whole report.

    Args:
        content: what it says.
        plots: by question the plot's file, relative to the report.
    """
    return "\n\n".join(_parts(content, plots)) + "\n"


def plain(text: str) -> str:
    """Text of others, in which Markdown finds neither HTML nor links nor images."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def table(part: Table) -> str:
    """A table; names in it are others' text."""
    return plain(part.grid.to_markdown()).rstrip()


def code(text: str) -> str:
    """Text in a code span that it cannot end.

    Example:
        >>> code("a`b")
        '`` a`b ``'
    """
    ticks = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (ticks + 1)
    return f"{fence} {text} {fence}" if ticks else f"{fence}{text}{fence}"


def _parts(content: Content, plots: dict[str, str]) -> Iterator[str]:
    yield f"# {plain(content.title)}"
    if content.description:
        yield plain(content.description)
    for line in content.state:
        yield f"> {plain(line)}"
    yield "## In short"
    yield "\n".join(
        f"- **{answer.title}** {plain(answer.finding)}"
        + ("" if answer.answered else f" {plain(' '.join(answer.unjudged))}")
        for answer in content.answers
    )
    for answer in content.answers:
        yield from _answer(answer, plots.get(answer.key))
    if content.beside:
        yield "## Beside the paper"
        rows = [
            (b.title, f"{b.paper.value} ({b.paper.source})", b.ours or "could not be judged",
             b.paper.comparable)
            for b in content.beside
        ]  # fmt: skip
        lines = ["| question | the paper | this study | comparable? |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {' | '.join(plain(cell.replace('|', '/')) for cell in row)} |" for row in rows
        ]
        yield "\n".join(lines)
    yield from _appendix(content)


def _answer(answer: Answer, plot: str | None) -> Iterator[str]:
    yield f"## {answer.title}"
    if answer.answered:
        yield f"**{plain(answer.finding)}**"
    if answer.unjudged:
        yield "Could not be judged:"
        yield "\n".join(f"- {plain(reason)}" for reason in answer.unjudged)
    if plot and answer.chart:
        yield f"![{plain(answer.chart.title).replace(']', ')')}]({plot})"
    for part in answer.tables:
        if not part.folded:
            yield table(part)
    yield from _folded("Tables in detail", [part for part in answer.tables if part.folded])
    if answer.reading and answer.answered:
        yield f"*How to read this.* {plain(answer.reading)}"


def _folded(title: str, parts: Sequence[Table]) -> Iterator[str]:
    if parts:
        yield f"<details><summary>{title}</summary>"
        yield from map(table, parts)
        yield "</details>"


def _appendix(content: Content) -> Iterator[str]:
    yield "## Where the numbers come from"
    coded = {"command", "data fingerprint"}
    yield "\n".join(
        f"- {name}: {code(value) if name in coded else plain(value)}"
        for name, value in content.circumstances
    )
    if content.results.failures:
        yield "Steps that failed:"
        yield "\n".join(
            f"- {code(failure.step)}: {plain(' '.join(failure.error.split()))}"
            for failure in content.results.failures
        )
    for part in (content.rows, content.scores):
        if part is not None:
            yield table(part)
    yield from _folded("Macro-F1 by language", content.scores_by_language)
    if content.view.groups:
        yield "### Models"
        yield "\n".join(
            line for group in content.view.groups for line in (
                f"- {plain(group.label)}: "
                + plain("; ".join(f"{name} {value}" for name, value in content.facts(group)
                                  if value != group.label)),
                *(f"    - {plain(what)}: {code(command) if command else 'no command'}"
                  + (f", in {code(path)}" if path else "")
                  for what, command, path in content.made(group)),
            )
        )  # fmt: skip
    if content.settings:
        yield "<details><summary>The study file, as it was run</summary>"
        yield _block(content.settings)
        yield "</details>"


def _block(text: str) -> str:
    """Text of others in a block of code that it cannot end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}yaml\n{text.rstrip()}\n{fence}"
