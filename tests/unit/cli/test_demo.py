import pytest

import xmpress.demo
from xmpress import zoo
from xmpress.benchmark import Throughput
from xmpress.compression import CompressionResult
from xmpress.data import load_dataset
from xmpress.demo import DemoResult
from xmpress.evaluation import Scorecard
from xmpress.evaluation.comparison import compare
from xmpress.study import StudyResults, StudyRun
from xmpress.study.results import DataSummary, ModelResult
from xmpress.training import TrainResult


@pytest.fixture
def result(tiny_model_dir, tiny_bundle, feedback, write_csv, tmp_path):
    """What a demo gives, of models that were not trained."""
    labels = ["negative", "neutral", "positive"]
    rows = [[f"text {i}", "en", "test", labels[i % 3]] for i in range(60)]
    data = write_csv("labelled.csv", "text,lang,split,sentiment", *rows)
    analyzer = zoo.load(tiny_bundle)
    dataset = load_dataset(data, analyzer.tasks)
    scored = (analyzer.logits(dataset.texts), analyzer.calibration)
    comparison = compare(scored, scored, dataset, resamples=10, names=("teacher", "student"))
    return DemoResult(
        teacher=TrainResult(tiny_model_dir, comparison.reference, 3, 3),
        student=CompressionResult(tiny_bundle, None, {"passes": []}, comparison, None),
        comparison=comparison,
        speed=[Throughput("teacher", 100, 1, 1, 1), Throughput("student", 1234, 12.3, 11, 13)],
        feedback=feedback,
        scored=tmp_path / "scored.csv",
        study=StudyRun(
            tmp_path / "study", study_results(comparison.reference), tmp_path / "r.html"
        ),
    )


def study_results(card: Scorecard) -> StudyResults:
    """Of a study with one model."""
    model = ModelResult(
        id="tiny/multi-task/seed1",
        name="tiny multi-task",
        role="multi_task",
        encoder="tiny",
        seed=1,
        tasks=["sentiment"],
        trained_languages=["en"],
        scorecard=card.to_dict(),
    )
    return StudyResults(
        name="quick",
        title="The quick study",
        description="",
        command="xmpress study quick",
        created="2026-01-01T00:00:00+00:00",
        version="0",
        seeds=[1],
        machine={},
        data=DataSummary(config="sample", fingerprint="0", rows={}),
        tasks=[],
        languages=["en"],
        models=[model],
    )


def test_demo_shows_cost_gain_and_what_next(run, result, monkeypatch, tmp_path):
    asked = {}

    def fake(out, *, say, quiet):
        asked.update(out=out, quiet=quiet)
        say("1/4  training")
        return result

    monkeypatch.setattr(xmpress.demo, "run", fake)
    outcome = run("demo", "-o", tmp_path / "demo", "--quiet")
    assert outcome.code == 0, outcome.err
    assert asked == {"out": tmp_path / "demo", "quiet": True}
    assert outcome.err == "1/4  training\n"
    for part in (
        "teacher: macro-F1",
        "student: macro-F1",
        "Degradation of student",
        "12.3x",
        "r.html",
    ):
        assert part in outcome.out
    assert "tiny/multi-task/seed1" in outcome.out
    for text in ("客服", "駐車", "배송", "พนัก"):  # one comment of each language
        assert (text in outcome.out) is (text != "駐車")
    assert f"xmpress analyze YOUR.csv -m {result.student.bundle}\n" in outcome.out
