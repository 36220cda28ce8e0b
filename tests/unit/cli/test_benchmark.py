import json
from functools import partial

import pytest

from xmpress import benchmark
from xmpress.benchmark import run as measurement
from xmpress.benchmark.roofline import Peak


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(measurement, "_peaks", lambda threads, say: [Peak("fp32", 1e11, "none")])
    monkeypatch.setattr(measurement, "SIZES", (1, 4))
    brief = partial(benchmark.Settings, least=0.0, load_seconds=0.1)
    monkeypatch.setattr(benchmark, "Settings", brief)


def test_a_report_in_files(run, feedback, tiny_bundle, tmp_path):
    out = tmp_path / "speed"
    outcome = run(
        "benchmark", tiny_bundle, "--texts", feedback, "--rounds", 1, "--threads", 1, "--rows", 8,
        "--cost", "--rate", 20, "--p99", 5000, "--peer", "transformers", "-o", out, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    content = outcome.json
    assert content == json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert [c["name"] for c in content["candidates"]] == ["tiny"]
    assert content["texts"] == 8
    assert content["cost"]["demand"] == {"rate": 20, "p99": 5000, "tasks": 5, "languages": 3}
    assert content["failures"][0]["name"] == "transformers"
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "## Savings" in text
    assert (out / "throughput.svg").is_file()
    again = run("benchmark", tiny_bundle, "--texts", feedback, "-o", out, "--rounds", 1)
    assert again.code == 2


def test_on_a_terminal(run, tiny_bundle):
    outcome = run(
        "benchmark", tiny_bundle, "--lengths", "median=8,mean=9,max=20", "--rows", 5,
        "--rounds", 1, "--threads", 1,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "texts/s" in outcome.out
    assert "log-normal with median 8" in outcome.out
    assert "threads: 1 of" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ([], "name a model", 2),
        (["BUNDLE", "--peer", "infinty"], "did you mean 'infinity'", 2),
        (["BUNDLE", "--lengths", "19"], "median=19,mean=25,max=128", 2),
        (["BUNDLE", "--precision", "int3"], "none of fp32", 2),
        (["BUNDLE", "--cost", "--prices", "nowhere.yaml"], "price table nowhere.yaml", 1),
        (["nowhere"], "there is no model", 1),
    ],
)
def test_wrong_calls(fails, tiny_bundle, arguments, message, code):
    named = [tiny_bundle if argument == "BUNDLE" else argument for argument in arguments]
    assert message in fails("benchmark", *named, code=code).err
