"""The pass ``cascade``: what it makes, and how it chooses when the first stage may answer."""

import json

import numpy as np
import pytest

from xmpress.compression import Guard, compress
from xmpress.compression.cascade.choice import LEVELS, NEVER, Rivals, choose, shares
from xmpress.compression.cascade.training import piece_scores, starting_table, train_stage
from xmpress.data import load_dataset
from xmpress.errors import ModelError
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.cascade import STAGE, CascadeSpec, FirstStage
from xmpress.tasks import Calibration, TaskSet

LIMITS = Guard(average=1.0, worst_task=2.0)
TASKS = TaskSet.load("experience").select(["sentiment", "intensity"])
LABELS = {"sentiment": ["negative", "positive"], "intensity": ["low", "high"]}


def rivals(tmp_path, share):
    """A main model that is always right, and a stage that is so on the share it is certain of."""
    rng = np.random.default_rng(0)
    rows = 1200
    path = tmp_path / "rows.jsonl"
    picked = {name: rng.integers(0, 2, rows) for name in TASKS.names}
    with path.open("w") as file:
        for i in range(rows):
            row = {"text": f"text {i}", "lang": ("en", "fr")[i % 2]}
            row |= {name: LABELS[name][picked[name][i]] for name in TASKS.names}
            file.write(json.dumps(row) + "\n")
    dataset = load_dataset(str(path), TASKS)
    sure = np.arange(rows) < share * rows
    main, first = {}, {}
    for task in TASKS:
        numbers = np.array([task.labels.index(LABELS[task.name][i]) for i in picked[task.name]])
        main[task.name] = 9 * np.eye(len(task), dtype=np.float32)[numbers]
        said = np.where(sure, numbers, (numbers + 1) % len(task))
        height = np.where(sure, 6.0, 1.0) + rng.random(rows)
        first[task.name] = (height[:, None] * np.eye(len(task))[said]).astype(np.float32)
    calibration = dict.fromkeys(TASKS.names, Calibration())
    return Rivals(TASKS, calibration, main, first, dataset), sure


def test_the_most_that_the_limits_allow(tmp_path):
    rivalry, sure = rivals(tmp_path, share=0.4)
    said = []
    early = rivalry.early(choose(rivalry, LIMITS, said.append))
    assert any("too much" in line for line in said)
    assert early[sure].all()
    assert early[~sure].mean() < 0.02


def test_a_stage_that_is_always_wrong_never_answers(tmp_path):
    rivalry, _ = rivals(tmp_path, share=0.0)
    assert not rivalry.early(choose(rivalry, LIMITS)).any()


def test_a_stage_that_is_always_right_answers_all(tmp_path):
    rivalry, _ = rivals(tmp_path, share=1.0)
    assert rivalry.early(choose(rivalry, LIMITS)).all()
    assert rivalry.compare(np.ones(1200, dtype=bool)).average.percent == 0


def test_a_higher_level_asks_for_more_certainty(tmp_path):
    ladder = rivals(tmp_path, share=0.4)[0].thresholds("sentiment")
    assert ladder == sorted(ladder)
    assert len(ladder) == len(LEVELS) + 1
    assert ladder[-1] == NEVER


def test_shares_by_language():
    assert shares(["en", "fr", "en"], np.array([True, False, False])) == {"en": 0.5, "fr": 0.0}


def test_the_stage_learns_what_pieces_say(tiny_bundle, labelled_data):
    """From scores that are means over pieces; after rounding, and the same from the same seed."""
    main = Analyzer(tiny_bundle, threads=1)
    tasks, tokenizer = main.tasks, main.bundle.tokenizer()
    encoded = tokenizer.encode(load_dataset(str(labelled_data), tasks).texts)
    pieces = np.random.default_rng(0).standard_normal((tokenizer.vocab_size, 28))
    means = np.stack([8 * pieces[row].mean(axis=0) for row in encoded.ids]).astype(np.float32)
    ends = np.cumsum([len(task) for task in tasks])[:-1]
    soft = dict(zip(tasks.names, np.split(means, ends, axis=1), strict=True))
    start = starting_table(piece_scores(main, tokenizer.vocab_size), 32, 0)
    assert start.shape == (tokenizer.vocab_size, 32)

    def trained():
        return train_stage(
            tasks, start, encoded, soft, hidden=32, epochs=200, learning_rate=1e-2, seed=1
        )

    weights = trained()
    weights.check(pieces=tokenizer.vocab_size, labels=28)
    spec = CascadeSpec(
        certainty=dict.fromkeys(tasks.names, 0.0),
        temperature={name: c.temperature for name, c in main.calibration.items()},
    )
    scores = FirstStage(weights, spec, tasks, main.calibration).scores(encoded)
    for name, columns in zip(tasks.names, np.split(scores, ends, axis=1), strict=True):
        assert (soft[name].argmax(axis=1) == columns.argmax(axis=1)).mean() > 0.85
    np.testing.assert_array_equal(trained().table, weights.table)


QUICK = (
    "passes.cascade={dimensions: 16, hidden: 16, rows: 200, epochs: 200, timed_rows: 20}",
    "guard.on_violation=report",
)


@pytest.fixture(scope="module")
def made(tiny_bundle, labelled_data, tmp_path_factory):
    """The recipe that ships, with limits that everything keeps."""
    limits = "passes.cascade.limits={average: 100}"
    out = tmp_path_factory.mktemp("made")
    overrides = [*QUICK, limits, f"data={labelled_data}"]
    return compress("cascade", model=tiny_bundle, out=out, overrides=overrides, quiet=True)


def test_a_bundle_with_a_first_stage(made, tiny_bundle):
    entry = made.report["passes"][0]
    details = entry["details"]
    assert (made.bundle / STAGE).stat().st_size == details["first_stage"]["bytes"]
    assert details["held_out"]["share"] > 0.5
    assert 0 < details["held_out"]["tokens"] <= 1
    assert set(details["held_out"]["languages"]) == {"en", "fr"}
    assert set(details["held_out"]["tasks"]) == set(made.comparison.tasks) | {
        "effort",
        "actionability",
    }
    assert details["held_out"]["guard"]["verdict"] == "kept"
    assert details["speedup"]["low"] <= details["speedup"]["median"]
    measured = Bundle.open(made.bundle).manifest.cascade.measured
    assert measured["share"] == details["held_out"]["share"]
    assert Analyzer(made.bundle, threads=1).early(["great perfect app"]).shape == (1,)
    # What it gives with the stage off is what the bundle gave.
    off, before = Analyzer(made.bundle, threads=1, cascade=False), Analyzer(tiny_bundle, threads=1)
    np.testing.assert_array_equal(
        off.logits(["great app"])["effort"], before.logits(["great app"])["effort"]
    )


def test_what_the_report_promises_is_what_the_bundle_does(made, labelled_data):
    analyzer = Analyzer(made.bundle, threads=1)
    rows = load_dataset(str(labelled_data), analyzer.tasks).where(split="test")
    early = analyzer.early(rows.texts, rows.contexts)
    assert early.mean() == pytest.approx(made.report["passes"][0]["details"]["held_out"]["share"])


def test_no_first_stage_where_nothing_holds(made, labelled_data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "xmpress.compression.cascade.build.choose",
        lambda rivals, limits, say: dict.fromkeys(rivals.tasks.names, NEVER),
    )
    overrides = [*QUICK, f"data={labelled_data}"]
    # One that was there is left out again.
    found = compress("cascade", model=made.bundle, out=tmp_path, overrides=overrides, quiet=True)
    assert found.report["passes"][0]["details"]["first_stage"] is None
    assert Bundle.open(found.bundle).manifest.cascade is None
    assert not (found.bundle / STAGE).exists()


def test_it_comes_after_quantization(made, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: late\npasses: [quantize: {checked_rows: 5}]\n")
    with pytest.raises(ModelError, match="put 'cascade' after 'quantize'"):
        compress(recipe, model=made.bundle, out=tmp_path / "out", quiet=True)
