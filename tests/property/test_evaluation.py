"""What holds for every scorecard, threshold and temperature."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmpress.evaluation import Scorecard, calibrate, compare, fit_temperature, score
from xmpress.evaluation.tuning import best_threshold
from xmpress.tasks import Calibration, Labels, Task, TaskSet

TASKS = TaskSet(
    tasks=[
        Task(name="mood", kind="ordinal", labels=["bad", "poor", "ok", "good"]),
        Task(name="emotion", kind="multi_label", labels=["anger", "joy", "trust"]),
    ]
)
MOOD_SCOPES = [None, ["bad|poor", "ok", "good"], ["good", "bad|poor"], ["ok|good", "bad|poor"]]
EMOTION_SCOPES = [None, ["anger", "joy"], ["trust"]]


@dataclass
class Rows:
    tasks: TaskSet
    langs: list[str]
    labels: dict[str, Labels]
    fingerprint: str = "f00d"

    def __len__(self):
        return len(self.langs)

    def take(self, rows):
        langs = [self.langs[i] for i in rows]
        return Rows(self.tasks, langs, {name: v.take(rows) for name, v in self.labels.items()})


@st.composite
def labelled(draw, max_rows=40):
    """Rows with at least one label, and logits for them."""
    n = draw(st.integers(1, max_rows))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = {"mood": [], "emotion": []}
    scopes = {"mood": [], "emotion": []}
    for row in range(n):
        scope = MOOD_SCOPES[rng.integers(4)]
        choices = scope or TASKS["mood"].labels
        scopes["mood"].append(scope)
        missing = row > 0 and rng.random() < 0.2
        values["mood"].append(None if missing else choices[rng.integers(len(choices))])
        scope = EMOTION_SCOPES[rng.integers(3)]
        offered = scope or TASKS["emotion"].labels
        scopes["emotion"].append(scope)
        missing = rng.random() < 0.2
        values["emotion"].append(None if missing else [x for x in offered if rng.random() < 0.4])
    labels = {task.name: task.encode(values[task.name], scopes[task.name]) for task in TASKS}
    rows = Rows(TASKS, rng.choice(["en", "th"], size=n).tolist(), labels)
    scale = draw(st.sampled_from([0.0, 0.1, 1.0, 30.0]))
    logits = {
        task.name: (scale * rng.normal(size=(n, len(task)))).astype(np.float32) for task in TASKS
    }
    return rows, logits


def assert_same(a, b):
    assert [(c.task, c.lang, c.rows) for c in a.cells] == [
        (c.task, c.lang, c.rows) for c in b.cells
    ]
    for x, y in zip(a.cells, b.cells, strict=True):
        assert (x.task, x.lang, x.rows) == (y.task, y.lang, y.rows)
        for metric in ("macro_f1", "accuracy", "micro_f1", "kappa", "average_precision", "ece"):
            assert getattr(x, metric) == pytest.approx(getattr(y, metric), abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(labelled())
def test_metrics_stay_in_their_ranges_and_survive_json(case):
    rows, logits = case
    card = score("m", logits, rows, calibrate(TASKS, logits, rows))
    for cell in card.cells:
        for value in (cell.macro_f1, cell.accuracy, cell.micro_f1, cell.ece):
            assert -1e-6 <= value <= 1 + 1e-6
        assert cell.kappa is None or -1 - 1e-6 <= cell.kappa <= 1 + 1e-6
        assert sum(scheme.rows for scheme in cell.schemes) == cell.rows
    assert Scorecard.from_dict(json.loads(json.dumps(card.to_dict(), allow_nan=False))) == card


@settings(deadline=None, max_examples=50)
@given(labelled(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case, random):
    rows, logits = case
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = {name: values[order] for name, values in logits.items()}
    assert_same(score("m", logits, rows, {}), score("m", shuffled, rows.take(order), {}))


@settings(deadline=None, max_examples=50)
@given(labelled())
def test_what_is_not_labelled_does_not_count(case):
    rows, logits = case
    noise = {
        name: np.where(rows.labels[name].annotated[:, None], values, -values + 3)
        for name, values in logits.items()
    }
    noise["emotion"] = np.where(rows.labels["emotion"].choice > 0, logits["emotion"], 7)
    before, after = score("m", logits, rows, {}), score("m", noise, rows, {})
    assert before == after
    assert calibrate(TASKS, logits, rows) == calibrate(TASKS, noise, rows)


@settings(deadline=None, max_examples=50)
@given(labelled())
def test_the_numbering_of_choices_does_not_matter(case):
    rows, logits = case
    labels = rows.labels["mood"]
    top = labels.choice.max(axis=1, keepdims=True)
    mirrored = np.where(labels.choice > 0, top + 1 - labels.choice, 0).astype(np.int8)
    other = Rows(TASKS, rows.langs, {**rows.labels, "mood": Labels(labels.targets, mirrored)})
    assert score("m", logits, rows, {}) == score("m", logits, other, {})


@settings(deadline=None, max_examples=50)
@given(labelled())
def test_a_model_that_knows_everything_has_full_marks(case):
    rows, _ = case
    logits = {name: 20 * v.targets.astype(np.float32) - 10 for name, v in rows.labels.items()}
    for cell in score("m", logits, rows, {}).cells:
        assert cell.macro_f1 == cell.accuracy == cell.micro_f1 == 1
        assert cell.kappa in (None, 1)
        assert cell.ece < 1e-3


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=30),
    st.floats(0, 1, width=32),
)
def test_no_threshold_beats_the_best(pairs, other):
    actual = np.array([a for a, _ in pairs])
    probabilities = np.array([p for _, p in pairs], dtype=np.float32)

    def f1(threshold):
        predicted = probabilities >= np.float32(threshold)
        return 2 * (actual & predicted).sum() / max(1, actual.sum() + predicted.sum())

    if actual.any():
        assert f1(best_threshold(actual, probabilities)) >= f1(other) - 1e-12


@settings(deadline=None, max_examples=50)
@given(labelled(), st.floats(0.1, 10))
def test_no_temperature_is_more_likely(case, other):
    rows, logits = case
    for task in TASKS:
        labels = rows.labels[task.name]

        def loss(temperature, task=task, labels=labels):
            calibration = Calibration(temperature=temperature)
            probabilities = task.probabilities(logits[task.name], calibration).astype(np.float64)
            offered = labels.choice > 0
            if task.multi:
                likely = np.where(labels.targets, probabilities, 1 - probabilities)[offered]
            else:
                at = labels.annotated
                likely = (probabilities * labels.targets)[at].sum(1) / np.maximum(
                    (probabilities * offered)[at].sum(1), 1e-30
                )
            return -np.log(np.maximum(likely, 1e-30)).sum()

        if np.abs(logits[task.name]).max() < 10:  # beyond it, float32 probabilities round to 0 or 1
            best = loss(fit_temperature(task, logits[task.name], labels))
            assert best <= loss(other) + 1e-3 * max(1, len(rows))


@settings(deadline=None, max_examples=20)
@given(labelled())
def test_degradation_and_improvement_mirror_each_other(case):
    rows, logits = case
    rng = np.random.default_rng(0)
    changed = {
        name: (v + rng.normal(size=v.shape)).astype(np.float32) for name, v in logits.items()
    }
    there = compare((logits, {}), (changed, {}), rows, resamples=10)
    back = compare((changed, {}), (logits, {}), rows, resamples=10)
    assert there.average.points == pytest.approx(-back.average.points)
    for key, value in there.cells.items():
        assert value.low is None or value.low <= value.high
        assert value.points == pytest.approx(-back.cells[key].points)
