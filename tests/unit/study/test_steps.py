"""What speed and cost make of a benchmark, without measuring anything."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from xmpress.benchmark import Workload
from xmpress.benchmark.candidates import Candidate
from xmpress.benchmark.load import ServiceTimes
from xmpress.benchmark.report import Failure, Measured, Report
from xmpress.benchmark.statistics import Latency
from xmpress.errors import UsageError
from xmpress.peers.collect import Collected, Subject
from xmpress.study import steps
from xmpress.study.config import Cost, Speed
from xmpress.study.results import Speed as Measurement
from xmpress.study.rows import Rows
from xmpress.study.steps import Place, Workshop
from xmpress.tasks import TaskSet

TASKS = TaskSet.load("experience")


@dataclass(frozen=True)
class Working:
    """A step in a folder; those before it lie beside it."""

    directory: Path

    def output(self, step: str) -> Path | None:
        found = self.directory.parent / step
        return found if found.is_dir() else None


@dataclass(frozen=True)
class TwelveLanguages:
    tested_languages: tuple[str, ...] = tuple("abcdefghijkl")


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(cast(Rows, TwelveLanguages()), tmp_path / "cache", lambda line: None, True)


@pytest.fixture
def work(tmp_path: Path) -> Working:
    for step in ("multi", "half", "speed"):
        (tmp_path / step / "bundle").mkdir(parents=True)
    return Working(tmp_path / "speed")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A benchmark in which each candidate takes so many seconds for 10 texts, and a failure."""

    def collect(wishes: Any, workspace: Path) -> Collected:
        models = [Candidate(Path(m).parent.name, "bundle", Path(m)) for m in wishes.models]
        baselines = [
            Candidate(
                f"{name}, torch fp32",
                "torch",
                Path(name),
                "baseline",
                notes=("random", f"the tokenizer of {wishes.models[0]} stands in"),
            )
            for name in wishes.baselines
        ]
        for name in wishes.baselines:
            if name == "too-large":
                raise OSError("no space left")
            (workspace / "baselines" / name).mkdir(parents=True)  # refuses what is there
        return Collected(Subject(Path(wishes.models[0]), TASKS), [*baselines, *models])

    def benchmark(
        candidates: list[Candidate], workload: Workload, settings: Any, *, say: Any
    ) -> Report:
        seconds = {"multi": 2.0, "half": 1.0}
        measured = []
        for candidate in candidates:
            own = seconds.get(candidate.path.parent.name, 8.0)
            measured.append(
                Measured(
                    candidate,
                    precision="fp32",
                    engine="onnx",
                    device="cpu",
                    tokens_per_text=9.0,
                    flops_per_token=None,
                    seconds={policy: [own, own] for policy in settings.policies},
                    texts=10,
                    cold_start=1.0,
                    peak_memory=1000,
                    bytes_on_disk=1,
                    single=Latency.of([own / 100]),
                    service=ServiceTimes({1: [own / 1000], 64: [own / 100]}),
                )
            )
        failed = [Failure("peer", "not installed")]
        return Report({"cpu": "x"}, 1, "texts", 10, 2, [], measured, failed)

    monkeypatch.setattr(steps, "collect", collect)
    monkeypatch.setattr(steps, "benchmark", benchmark)
    return lambda: None


def measure(shop: Workshop, work: Working, **settings: Any) -> Measurement:
    models = {"e/multi": Place("multi", "bundle"), "e/half": Place("half", "bundle")}
    references = {"e/multi": "e/multi", "e/half": "e/multi"}
    shop.speed(Speed(threads=1, **settings), "cpu", models, references, work)
    content = (work.directory / steps.SPEED).read_text(encoding="utf-8")
    return Measurement.model_validate(json.loads(content))


def test_speedups_are_over_the_models_reference(shop: Workshop, work: Working, fake: Any) -> None:
    found = measure(shop, work, baselines=["xlm-roberta-base"], policies=["all at once"])
    rows = {row.model: row for row in found.rows}
    assert list(rows) == ["xlm-roberta-base, torch fp32", "e/multi", "e/half"]
    assert rows["e/half"].speedup == 2.0
    assert rows["e/half"].reference == "e/multi"
    assert rows["e/half"].over == {"xlm-roberta-base, torch fp32": 8.0}
    assert rows["e/multi"].speedup == 1.0
    assert rows["xlm-roberta-base, torch fp32"].speedup == 0.25
    assert rows["e/half"].texts_per_second == 10.0
    assert rows["e/half"].p50_ms == 10.0
    assert rows["e/half"].calls == 1
    assert rows["e/half"].engine == "onnx"
    assert rows["e/half"].tokens_per_text == 9.0
    assert found.rounds == 2
    # Not where it lay when it was measured, which tells a reader nothing.
    assert found.notes == [
        "random", "the tokenizer of e/multi stands in", "peer was not measured: not installed"
    ]  # fmt: skip


def test_a_baseline_that_cannot_be_made_is_named_and_the_rest_measured(
    shop: Workshop, work: Working, fake: Any
) -> None:
    found = measure(shop, work, baselines=["too-large", "xlm-roberta-base"])
    assert [row.model for row in found.rows[::3]] == [
        "xlm-roberta-base, torch fp32", "e/multi", "e/half"
    ]  # fmt: skip
    assert "too-large was not measured: no space left" in found.notes


def test_speed_is_measured_anew_after_an_interruption(
    shop: Workshop, work: Working, fake: Any
) -> None:
    left = work.directory / "baselines" / "xlm-roberta-base"
    left.mkdir(parents=True)
    assert len(measure(shop, work, baselines=["xlm-roberta-base"]).rows) > 0
    assert not left.exists()


def test_no_speedup_is_over_the_model_of_another_encoder(
    shop: Workshop, work: Working, fake: Any
) -> None:
    models = {"e/multi": Place("multi", "bundle"), "f/half": Place("half", "bundle")}
    references = {"e/multi": "e/multi", "f/half": "f/multi", "f/multi": "f/multi"}
    shop.speed(Speed(threads=1), "cpu", models, references, work)
    content = json.loads((work.directory / steps.SPEED).read_text(encoding="utf-8"))
    rows = {row.model: row for row in Measurement.model_validate(content).rows}
    assert (rows["f/half"].speedup, rows["f/half"].reference) == (None, None)
    assert rows["e/multi"].reference == "e/multi"


def test_what_failed_to_be_made_is_left_out(shop: Workshop, work: Working, fake: Any) -> None:
    (work.directory.parent / "half" / "bundle").rmdir()
    (work.directory.parent / "half").rmdir()
    assert {row.model for row in measure(shop, work).rows} == {"e/multi"}
    (work.directory.parent / "multi" / "bundle").rmdir()
    (work.directory.parent / "multi").rmdir()
    with pytest.raises(UsageError, match="no model was made"):
        measure(shop, work)


def test_costs_of_each_compressed_model_over_its_reference(
    shop: Workshop, work: Working, fake: Any, tmp_path: Path
) -> None:
    measure(shop, work)
    told = Working(tmp_path / "cost")
    told.directory.mkdir()
    compressed = {"e/half": "e/multi", "e/lost": "e/multi"}
    shop.cost(Cost(rate=20_000, p99=1000), TASKS, "speed", compressed, told)
    found = json.loads((told.directory / steps.COST).read_text(encoding="utf-8"))
    assert {bill["candidate"] for bill in found["bills"]} == {"e/multi", "e/half"}
    assert (found["demand"]["tasks"], found["demand"]["languages"]) == (5, 12)
    savings = {saving["what"]: saving for saving in found["savings"]}
    assert "e/half over e/multi" in savings
    # Half the seconds, half the machines where none is idle.
    assert savings["e/half over e/multi"]["percent_at_capacity"] == pytest.approx(50, abs=2)
    assert any("per task and language" in what for what in savings)


def test_savings_are_over_the_own_reference_and_each_baseline(
    shop: Workshop, work: Working, fake: Any, tmp_path: Path
) -> None:
    measure(shop, work, baselines=["xlm-roberta-base"])
    told = Working(tmp_path / "cost")
    told.directory.mkdir()
    shop.cost(Cost(rate=20_000, p99=1000), TASKS, "speed", {"e/half": "e/multi"}, told)
    found = json.loads((told.directory / steps.COST).read_text(encoding="utf-8"))
    whole = {bill["candidate"]: bill["machines"] for bill in found["bills"][:3]}
    machines = {one["what"].partition(" over ")[2]: one["machines"] for one in found["savings"]}
    assert list(machines) == [
        "one such model per task",
        "one such model per task and language (rate spread evenly)",
        "e/multi",
        "xlm-roberta-base, torch fp32",
    ]
    for other in ("e/multi", "xlm-roberta-base, torch fp32"):
        assert machines[other] == [whole["e/half"], whole[other]]


def test_there_is_no_gpu_here_unless_there_is(
    shop: Workshop, work: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="speed on cuda was asked for"):
        shop.speed(Speed(), "cuda", {}, {}, work)
