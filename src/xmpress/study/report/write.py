"""Writes a study's report into its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmpress.data.files import atomic_dir, atomic_path
from xmpress.study.charts.base import standalone
from xmpress.study.report.card import model_card
from xmpress.study.report.content import Content
from xmpress.study.report.markdown import markdown
from xmpress.study.report.page import page
from xmpress.study.results import StudyResults

PAGE, TEXT, PLOTS = "report.html", "report.md", "plots"
CARD = Path("recommended", "README.md")
SETTINGS = "study.yaml"


def read_content(directory: str | Path) -> Content:
    """What the report of a study directory says.

    Raises:
        DataError: if it holds no results, or they are damaged.
    """
    settings = Path(directory) / SETTINGS
    text = settings.read_text(encoding="utf-8", errors="replace") if settings.is_file() else None
    return Content(StudyResults.read(directory), text)


def write_report(directory: str | Path) -> Path:
    """Write the report of a study, which may still be running.

    Writes ``report.html``, ``report.md`` with ``plots/``, and the card of the recommended model,
    ``recommended/README.md``, out of ``results.json`` alone.

    Args:
        directory: that `xmpress study` has written.

    Returns:
        The path of ``report.html``.

    Raises:
        DataError: if there are no results, or they are damaged.
        MissingExtraError: if jinja2 is not installed.
    """
    directory = Path(directory)
    content = read_content(directory)
    html = page(content)
    charts = {answer.key: answer.chart for answer in content.answers if answer.chart}
    with atomic_dir(directory / PLOTS, overwrite=True) as plots:
        for name, chart in charts.items():
            (plots / f"{name}.svg").write_text(standalone(chart), encoding="utf-8")
    _write(directory / TEXT, markdown(content, {name: f"{PLOTS}/{name}.svg" for name in charts}))
    card = directory / CARD
    if content.recommended is None:
        card.unlink(missing_ok=True)
    else:
        card.parent.mkdir(exist_ok=True)
        _write(card, model_card(content, content.recommended))
    _write(directory / PAGE, html)
    return directory / PAGE


def summary(directory: str | Path) -> dict[str, Any]:
    """What a report says, as plain values for JSON.

    Raises:
        DataError: if there are no results, or they are damaged.
    """
    content = read_content(directory)
    best = content.recommended
    return {
        "complete": content.results.complete,
        "recommended": best
        and {
            "models": [model.id for model in best.group.models],
            "reason": best.reason,
            "kept": best.kept,
        },
        "findings": {
            answer.key: {
                "question": answer.title,
                "answered": answer.answered,
                "finding": answer.finding,
                "unjudged": list(answer.unjudged),
            }
            for answer in content.answers
        },
    }


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
