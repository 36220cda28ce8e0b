import json

import numpy as np
import pytest

from xmpress.errors import DataError, UsageError
from xmpress.evaluation import MIN_ROWS, Scorecard, calibrate, evaluate, metrics, score
from xmpress.tasks import Calibration


def says(task, labels):
    """Logits of a model that is sure of these labels."""
    return {task.name: 20 * task.encode(labels).targets.astype(np.float32) - 10}


def test_a_fully_labelled_cell(make_rows, sentiment):
    gold = ["negative", "negative", "neutral", "positive"]
    guess = ["negative", "neutral", "neutral", "very_positive"]
    card = score("m", says(sentiment, guess), make_rows(sentiment, gold), {})
    cell = card.cell("sentiment", "en")
    # negative 2/3, neutral 2/3, positive 0, very_positive 0; very_negative does not occur
    assert cell.macro_f1 == pytest.approx(1 / 3)
    assert cell.accuracy == cell.micro_f1 == 0.5
    assert cell.kappa == pytest.approx(1 - 2 / 8.5)
    assert cell.average_precision is None
    assert cell.schemes[0].f1 == pytest.approx((None, 2 / 3, 2 / 3, 0, 0))
    assert (cell.rows, cell.judged) == (4, False)


def test_coarse_rows_are_scored_by_their_choices(make_rows, sentiment, three):
    rows = make_rows(sentiment, [three[0], three[2]], [three, three])
    card = score("m", says(sentiment, ["negative", "very_positive"]), rows, {})
    assert card.average == 1
    assert card.cells[0].schemes[0].choices == tuple(three)


def test_a_cell_is_the_mean_of_its_schemes_by_rows(make_rows, sentiment, three):
    rows = make_rows(
        sentiment, ["negative", three[0], three[0], three[0]], [None, three, three, three]
    )
    card = score("m", says(sentiment, ["positive"] + ["negative"] * 3), rows, {})
    (cell,) = card.cells
    assert sorted((s.rows, s.macro_f1) for s in cell.schemes) == [(1, 0.0), (3, 1.0)]
    assert cell.macro_f1 == cell.accuracy == 0.75


def test_multi_label_counts_only_what_was_on_offer(make_rows, emotion):
    rows = make_rows(
        emotion, [["anger"], ["anger"], [], None], [None, ["anger", "joy"], ["joy"], None]
    )
    card = score(
        "m", says(emotion, [["anger"], ["anger", "trust"], ["joy", "anger"], ["trust"]]), rows, {}
    )
    (cell,) = card.cells
    # anger is right twice; joy is wrong once; trust was predicted where it was not on offer
    assert cell.schemes[0].f1 == (1.0, 0.0, None)
    assert (cell.rows, cell.macro_f1) == (3, 0.5)
    assert cell.accuracy == pytest.approx(2 / 3)
    assert cell.micro_f1 == pytest.approx(4 / 5)
    assert cell.average_precision == 1  # only anger has a positive
    assert cell.kappa is None


def test_metrics_of_mixed_rows_equal_those_of_each_scheme(mixed, logits_for):
    logits = logits_for(mixed)
    card = score("m", logits, mixed, {})
    full = np.flatnonzero(
        (np.array(mixed.langs) == "en") & (mixed.labels["sentiment"].choice.max(axis=1) == 5)
    )
    predicted = np.eye(5, dtype=bool)[logits["sentiment"][full].argmax(axis=1)]
    expected = metrics.macro_f1(mixed.labels["sentiment"].targets[full], predicted)
    schemes = {len(s.choices): s for s in card.cell("sentiment", "en").schemes}
    assert set(schemes) == {2, 3, 5}
    assert schemes[5].rows == len(full)
    assert schemes[5].macro_f1 == pytest.approx(expected)


def test_means_judge_only_languages_with_enough_rows(make_rows, topic):
    gold = ["price"] * (MIN_ROWS + MIN_ROWS - 1) + ["staff"] * MIN_ROWS
    langs = ["en"] * MIN_ROWS + ["th"] * (MIN_ROWS - 1) + ["de"] * MIN_ROWS
    guess = ["price"] * MIN_ROWS + ["other"] * (MIN_ROWS - 1 + MIN_ROWS)
    card = score("m", says(topic, guess), make_rows(topic, gold, langs=langs), {})
    assert card.languages == ("de", "en", "th")
    assert not card.cell("topic", "th").judged
    assert card.task("topic") == card.average == 0.5  # en 1 and de 0, without th
    assert card.language("th") == 0  # there is nothing else to show
    assert card.summary == {"topic": 0.5, "average": 0.5}


def test_the_average_is_over_tasks_not_cells(mixed, logits_for):
    card = score("m", logits_for(mixed), mixed, {})
    assert card.tasks == ("sentiment", "emotion", "topic")
    assert card.average == pytest.approx(np.mean([card.task(name) for name in card.tasks]))
    assert np.isnan(card.task("topic", "average_precision"))
    assert 0 < card.task("emotion", "ece") < 1


def test_only_shared_tasks_are_scored(mixed, logits_for):
    logits = logits_for(mixed)
    alone = score("m", {"topic": logits["topic"], "unknown": logits["topic"]}, mixed, {})
    assert alone.tasks == ("topic",)
    assert alone.task("topic") == score("m", logits, mixed, {}).task("topic")


def test_temperature_changes_the_calibration_error_alone(mixed, logits_for):
    logits = logits_for(mixed, skill=6)
    sharp = score("m", logits, mixed, {})
    calibration = {task.name: Calibration(temperature=3.0) for task in mixed.tasks}
    flat = score("m", logits, mixed, calibration)
    assert flat.task("topic") == sharp.task("topic")
    assert flat.task("topic", "ece") > sharp.task("topic", "ece")


def test_nothing_to_score(make_rows, sentiment):
    rows = make_rows(sentiment, [None, None])
    with pytest.raises(DataError, match="no row is labelled for a task that 'm' predicts"):
        score("m", {"sentiment": np.zeros((2, 5), np.float32)}, rows, {})


def test_unknown_names(mixed, logits_for):
    card = score("m", logits_for(mixed), mixed, {})
    with pytest.raises(UsageError, match="no task 'mood'; it has sentiment, emotion, topic"):
        card.task("mood")
    with pytest.raises(UsageError, match="no language 'xx'"):
        card.language("xx")
    with pytest.raises(UsageError, match="no metric 'f2'"):
        card.task("topic", "f2")
    assert card.cell("topic", "xx") is None


def test_round_trip_through_json(mixed, logits_for):
    card = score("m", logits_for(mixed), mixed, {})
    content = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    assert Scorecard.from_dict(content) == card
    assert content["average"] == card.average


@pytest.mark.parametrize("content", [{}, {"cells": [{}]}, {"cells": 3}, []])
def test_content_that_is_no_scorecard(content):
    with pytest.raises(DataError, match="not a scorecard"):
        Scorecard.from_dict(content)


def test_evaluate_runs_the_model(mixed, logits_for):
    logits = logits_for(mixed)
    mixed.texts = [f"text {i}" for i in range(len(mixed))]
    mixed.contexts = [None] * len(mixed)

    tuned = calibrate(mixed.tasks, logits, mixed)

    class Model:
        name, tasks, calibration = "m", mixed.tasks, tuned

        def logits(self, texts, contexts=None):
            assert (texts, contexts) == (mixed.texts, mixed.contexts)
            return logits

    assert evaluate(Model(), mixed) == score("m", logits, mixed, tuned)
