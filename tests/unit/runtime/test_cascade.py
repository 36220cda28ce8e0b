"""The first stage: what it computes, when it answers, and that it is refused where it is broken."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from xmpress.errors import BundleError, UsageError
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest
from xmpress.runtime.cascade import (
    CASCADE_VARIABLE,
    STAGE,
    StageWeights,
    certainty,
    sum_pieces,
)
from xmpress.runtime.tokenization import Encoded
from xmpress.tasks import Calibration, Task

TEXTS = [
    "great staff",
    "trop d'attente au guichet",
    "最高の接客でした",
    "waiting far too long " * 3,
    "please add a dark mode",
    "배송은 빨랐는데",
]


def scores(analyzer, texts=TEXTS):
    return np.concatenate(list(analyzer.logits(texts).values()), axis=1)


@pytest.fixture(scope="module")
def main(tiny_bundle):
    return Analyzer(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def all_early(cascade_bundle):
    return Analyzer(cascade_bundle(0.0), threads=1)


@pytest.fixture(scope="module")
def some_early(cascade_bundle, all_early):
    """Sentiment decides, at a certainty that half of the texts have."""
    task = all_early.tasks["sentiment"]
    sure = certainty(task, all_early.logits(TEXTS)["sentiment"], all_early.calibration["sentiment"])
    return Analyzer(cascade_bundle(0.0, sentiment=float(np.sort(sure)[3])), threads=1)


# ---- certainty ----------------------------------------------------------------------------------


def test_the_certainty_of_one_label_is_its_probability():
    task = Task(name="mood", kind="ordinal", labels=["bad", "ok", "good"])
    logits = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    calibration = Calibration(temperature=2.0)
    found = certainty(task, logits, calibration)
    assert found == pytest.approx(task.probabilities(logits, calibration).max(axis=1))
    assert found[1] == pytest.approx(1 / 3)


def test_the_certainty_of_several_labels_is_that_of_the_least_sure():
    task = Task(name="moods", kind="multi_label", labels=["joy", "anger"])
    p = np.array([[0.9, 0.4], [0.99, 0.02], [0.5, 0.5]])
    logits = np.log(p / (1 - p)).astype(np.float32)
    assert certainty(task, logits, Calibration()) == pytest.approx([0.6, 0.98, 0.5], abs=1e-6)


def test_on_a_threshold_nothing_is_certain():
    task = Task(name="moods", kind="multi_label", labels=["joy", "anger"])
    p = np.array([[0.2, 0.001]])
    logits = np.log(p / (1 - p)).astype(np.float32)
    found = certainty(task, logits, Calibration(thresholds=(0.2, 0.2)))
    assert found == pytest.approx([0.5], abs=1e-6)


# ---- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[3, 1, 4, 1, 5, 2, 2], [7, 3], [0, 2, 0], [], [1]])
def test_sums_of_pieces(lengths):
    rng = np.random.default_rng(0)
    table = rng.integers(-127, 128, (11, 5)).astype(np.int8)
    ids = [rng.integers(0, 11, n).astype(np.int32) for n in lengths]
    expected = [table[row].astype(np.int64).sum(axis=0) for row in ids]
    found = sum_pieces(table, Encoded.of(ids))
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32).reshape(-1, 5))


def test_scores_are_those_of_the_perceptron(all_early):
    """In double precision, rounding included, and on the scale of the main model."""
    weights = StageWeights.load(all_early.bundle.path / STAGE)
    encoded = all_early.bundle.tokenizer().encode(TEXTS)
    means = np.array([weights.table[row].astype(float).mean(axis=0) for row in encoded.ids])
    vectors = np.clip(np.rint(means * weights.table_scale), -127, 127)
    hidden = vectors @ weights.hidden * weights.hidden_scale + weights.hidden_bias
    units = np.clip(np.rint(hidden), 0, 255)
    raw = units @ weights.output * weights.output_scale + weights.output_bias
    temperatures = [all_early.calibration[t.name].temperature for t in all_early.tasks]
    factor = np.repeat(temperatures, [len(t) for t in all_early.tasks]) / 0.5
    np.testing.assert_allclose(scores(all_early), raw * factor, rtol=2e-2, atol=2e-2)


def test_the_same_weights_are_the_same_bytes(all_early, tmp_path):
    weights = StageWeights.load(all_early.bundle.path / STAGE)
    weights.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (all_early.bundle.path / STAGE).read_bytes()


# ---- when it answers ----------------------------------------------------------------------------


def test_never_certain(cascade_bundle, main):
    never = Analyzer(cascade_bundle(1.01), threads=1)
    np.testing.assert_array_equal(scores(never), scores(main))
    assert not never.early(TEXTS).any()


def test_always_certain(all_early, main, monkeypatch):
    monkeypatch.setattr(all_early._engine, "run", None)  # the graph is not run
    assert all_early.early(TEXTS).all()
    found = scores(all_early)
    first = all_early._first.scores(all_early.bundle.tokenizer().encode(TEXTS))
    np.testing.assert_array_equal(found, first)
    assert np.abs(found - scores(main)).max() > 0.1


def test_each_text_is_answered_by_one_model(some_early, all_early, main):
    early = some_early.early(TEXTS)
    assert 0 < early.sum() < len(TEXTS)
    expected = np.where(early[:, None], scores(all_early), scores(main))
    np.testing.assert_allclose(scores(some_early), expected, atol=1e-4)


def test_only_tasks_asked_for_count(some_early):
    others = [name for name in some_early.tasks.names if name != "sentiment"]
    assert some_early.early(TEXTS, tasks=others).all()
    assert not some_early.early(TEXTS).all()


def test_what_is_remembered_is_of_the_tasks_asked_for(some_early, cascade_bundle):
    cached = Analyzer(some_early.bundle, threads=1, cache=100)
    for tasks in (["effort"], None, ["effort"], None):
        expected = some_early.analyze(TEXTS, tasks=tasks)
        found = cached.analyze(TEXTS, tasks=tasks)
        for a, b in zip(expected, found, strict=True):
            for name in a:
                assert a[name].labels == b[name].labels
                assert a[name].probabilities == pytest.approx(b[name].probabilities, abs=1e-4)


def test_a_table_is_answered_as_texts_are(some_early):
    texts = [*TEXTS, "", None, TEXTS[0]]
    table = some_early.analyze_table(pl.DataFrame({"text": texts}))
    for row, analysis in zip(table.iter_rows(named=True), some_early.analyze(texts), strict=True):
        for name, prediction in analysis.items():
            if prediction.multi:
                assert (row[name] or []) == list(prediction.labels)
            else:
                assert row[name] == prediction.label


def test_switched_off(all_early, main, monkeypatch):
    off = Analyzer(all_early.bundle, threads=1, cascade=False)
    np.testing.assert_array_equal(scores(off), scores(main))
    monkeypatch.setenv(CASCADE_VARIABLE, "off")
    off = Analyzer(all_early.bundle, threads=1)
    np.testing.assert_array_equal(scores(off), scores(main))
    assert Analyzer(all_early.bundle, threads=1, cascade=True).early(TEXTS).all()
    monkeypatch.setenv(CASCADE_VARIABLE, "perhaps")
    with pytest.raises(UsageError, match="XMPRESS_CASCADE is 'perhaps'; expected on or off"):
        Analyzer(all_early.bundle, threads=1)


def test_a_bundle_without_one(main):
    assert main.early(TEXTS).tolist() == [False] * len(TEXTS)


# ---- what is refused ----------------------------------------------------------------------------


def test_an_altered_stage(cascade_bundle):
    path = cascade_bundle(0.5)
    content = bytearray((path / STAGE).read_bytes())
    content[200] ^= 1
    (path / STAGE).write_bytes(content)
    with pytest.raises(BundleError, match=r"cascade/stage\.npz is damaged or was altered"):
        Analyzer(path)


def test_a_missing_stage(cascade_bundle):
    path = cascade_bundle(0.5)
    (path / STAGE).unlink()
    with pytest.raises(BundleError, match=r"cascade/stage\.npz is missing"):
        Analyzer(path)


def test_a_stage_that_the_manifest_does_not_list(cascade_bundle):
    path = cascade_bundle(0.5)
    manifest = Bundle.open(path).manifest
    (path / STAGE).unlink()
    write_manifest(path, manifest)
    with pytest.raises(BundleError, match=r"does not list cascade/stage\.npz"):
        Bundle.open(path)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 half an archive"])
def test_a_file_of_something_else(cascade_bundle, content):
    path = cascade_bundle(0.5)
    manifest = Bundle.open(path).manifest
    (path / STAGE).write_bytes(content)
    write_manifest(path, manifest)
    with pytest.raises(BundleError, match=r"first stage .* cannot be read"):
        Analyzer(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {"table": w.table[:10]}, "10 vectors for a tokenizer of"),
        (lambda w: {"output": w.output[:, :3]}, r"output is int8 \(16, 3\), expected \(16, 28\)"),
        (lambda w: {"hidden": w.hidden.astype(np.float32)}, "hidden is float32"),
        (lambda w: {"output_bias": w.output_bias * np.float32("nan")}, "output_bias is not finite"),
        (lambda w: {"table": w.table[0]}, "does not fit its bundle"),
        (
            lambda w: {
                "hidden": np.zeros((8, 600), np.int8),
                "hidden_scale": np.ones(600, np.float32),
                "hidden_bias": np.ones(600, np.float32),
                "output": np.zeros((600, 28), np.int8),
            },
            "no longer exact",
        ),
    ],
)
def test_weights_that_do_not_fit(cascade_bundle, change, message):
    path = cascade_bundle(0.5)
    manifest = Bundle.open(path).manifest
    weights = StageWeights.load(path / STAGE)
    dataclasses.replace(weights, **change(weights)).save(path / STAGE)
    write_manifest(path, manifest)
    with pytest.raises(BundleError, match=message):
        Analyzer(path)


def test_thresholds_of_other_tasks(cascade_bundle):
    path = cascade_bundle(0.5)
    manifest = Bundle.open(path).manifest
    spec = manifest.cascade.model_copy(update={"certainty": {"sentiment": 0.5}})
    write_manifest(path, manifest.model_copy(update={"cascade": spec}))
    with pytest.raises(BundleError, match=r"cascade\.certainty; expected one per task"):
        Bundle.open(path)
