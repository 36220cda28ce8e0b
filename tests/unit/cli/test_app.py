import re
import subprocess
import sys

import pytest
import typer

import xmpress
from xmpress.cli import app as module
from xmpress.cli import doctor
from xmpress.errors import DataError, GuardError, Problem, UsageError

VERBS = [
    "analyze",
    "score",
    "serve",
    "train",
    "pretrain",
    "compress",
    "export",
    "demo",
    "evaluate",
    "benchmark",
    "study",
    "report",
    "compare",
    "info",
    "doctor",
    "data check",
    "data stats",
    "recipe list",
    "recipe show",
    "recipe validate",
]


def raising(error, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr(doctor, "examine", fail)


def test_help_names_every_verb(run):
    outcome = run("--help")
    assert outcome.code == 0
    for verb in VERBS:
        assert verb.split()[0] in outcome.out


def test_verbs_are_all_known():
    def names(group, prefix=""):
        for command in group.registered_commands:
            yield prefix + command.name
        for inner in group.registered_groups:
            yield from names(inner.typer_instance, inner.name + " ")

    assert sorted(names(module.app)) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_worked_example(run, verb):
    outcome = run(*verb.split(), "--help")
    assert outcome.code == 0
    assert f"$ xmpress {verb}" in outcome.out
    # A line that ends in the middle of a word would be a help text that does not fit.
    assert re.search(r"^ *Example", outcome.out, re.M)


def test_version(run):
    assert run("--version").out == f"xmpress {xmpress.__version__}\n"


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "xmpress", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"xmpress {xmpress.__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["analyze"], ["info", "--nonsense"]])
def test_wrong_usage(run, arguments):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("rows are bad", [Problem("a.csv, row 3", "is empty")]), 1),
        (UsageError("give a file"), 2),
        (GuardError("too much"), 3),
    ],
)
def test_an_error_is_a_message_and_a_code(fails, monkeypatch, error, code):
    raising(error, monkeypatch)
    assert fails("doctor", code=code).err == f"error: {error}\n"


def test_long_messages_are_not_broken(fails, monkeypatch):
    message = "word " * 100 + "[bold]/a/path/that[0].stays"
    raising(DataError(message), monkeypatch)
    assert fails("doctor").err == f"error: {message}\n"


@pytest.mark.parametrize("arguments", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_debug_shows_the_traceback(run, monkeypatch, arguments):
    raising(DataError("rows are bad"), monkeypatch)
    outcome = run(*arguments)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("error: rows are bad\n")


def test_what_the_system_refuses(fails, monkeypatch):
    raising(OSError(28, "No space left on device", "/data/x.csv"), monkeypatch)
    assert fails("doctor").err == "error: No space left on device: /data/x.csv\n"


def test_interruption(run, monkeypatch):
    raising(KeyboardInterrupt(), monkeypatch)
    assert run("doctor").code == 130


def test_a_bug_is_not_hidden(monkeypatch):
    raising(ZeroDivisionError(), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        module.main(["doctor"])


def test_help_text_reflows_prose_and_keeps_examples():
    from xmpress.cli.help import help_text

    def verb():
        """Do it.

        Prose that
        goes on.

        Examples:
          one --two
          three
        """

    assert help_text(verb) == "Do it.\n\nProse that goes on.\n\nExamples:\n$ one --two\n$ three"
    assert isinstance(module.app, typer.Typer)
