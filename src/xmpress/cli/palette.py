"""How labels look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from xmpress.tasks import Task

WIDE = 110
"""Columns of a terminal from which on everything about the built-in tasks fits side by side."""

_STYLES = {
    # sentiment and effort, worst to best
    "very_negative": "bold red",
    "negative": "red",
    "neutral": "dim",
    "positive": "green",
    "very_positive": "bold green",
    "very_hard": "bold red",
    "hard": "red",
    "easy": "green",
    "very_easy": "bold green",
    # emotion
    **dict.fromkeys(
        (
            "anger",
            "frustration",
            "disappointment",
            "confusion",
            "worry",
            "sadness",
            "disgust",
        ),
        "magenta",
    ),
    "surprise": "cyan",
    **dict.fromkeys(("joy", "gratitude", "trust"), "green"),
    # intensity
    "low": "dim",
    "high": "bold",
    # actionability
    "response_needed": "bold yellow",
    "suggestion": "cyan",
    "not_meaningful": "dim",
    "other": "",
}


def style_of(label: str) -> str:
    """The style of a label of the built-in tasks; none for others."""
    return _STYLES.get(label, "")


def label_text(labels: str | Sequence[str] | None, *, most: int | None = None) -> Text:
    """One label or several (at most so many), coloured, with spaces for underscores."""
    if labels is None:
        return Text("-", style="dim")
    names = [labels] if isinstance(labels, str) else labels
    if not names:
        return Text("none", style="dim")
    shown = [Text(name.replace("_", " "), style=style_of(name)) for name in names[:most]]
    text = Text(", ").join(shown)
    return text.append(f" +{len(names) - len(shown)}", "dim") if len(names) > len(shown) else text


def listed(parts: Sequence[Text]) -> Text:
    """Short texts side by side, with a faint dot between them."""
    text = Text()
    for number, part in enumerate(parts):
        if number:
            text.append(" · ", "dim")
        text.append_text(part)
    return text


def title_of(task: Task) -> str:
    """A task's name for people."""
    return task.name.replace("_", " ")
