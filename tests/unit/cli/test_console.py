import io
import json

import pytest
from rich.console import Console

from xmpress.cli import console
from xmpress.cli.palette import label_text, listed


def test_json_has_no_nan(capsys):
    console.emit_json({"a": float("nan"), 1: (1.5, float("inf"), None, True), "ü": {"x": "é"}})
    written = capsys.readouterr().out
    assert json.loads(written) == {"a": None, "1": [1.5, None, None, True], "ü": {"x": "é"}}
    assert "é" in written


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e12, "2500.0 GB")]
)
def test_size_text(count, text):
    assert console.size_text(count) == text


def test_progress_only_on_a_terminal(monkeypatch):
    for is_terminal in (True, False):
        screen = Console(file=io.StringIO(), force_terminal=is_terminal)
        monkeypatch.setattr(console, "err", screen)
        with console.progress("analyze", total=10) as advance:
            advance(10)
        assert ("analyze" in screen.file.getvalue()) is is_terminal


def test_a_list_does_not_lend_its_faintness():
    text = listed([label_text("very_positive"), label_text("neutral")])
    assert text.plain == "very positive · neutral"
    first = text.get_style_at_offset(Console(), 0)
    assert first.bold
    assert not first.dim


def test_labels_for_people():
    assert label_text(None).plain == "-"
    assert label_text([]).plain == "none"
    assert label_text("very_negative").plain == "very negative"
    assert label_text(["anger", "joy", "trust"], most=2).plain == "anger, joy +1"
    assert "red" in str(label_text("very_negative").spans or label_text("very_negative").style)
    assert label_text("own_label").plain == "own label"
