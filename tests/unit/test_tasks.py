import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmpress.errors import TaskError
from xmpress.tasks import Calibration, Labels, Task, TaskSet

MOOD = Task(name="mood", kind="ordinal", labels=("bad", "poor", "fair", "good"))
TAGS = Task(name="tags", kind="multi_label", labels=("anger", "joy", "trust"))


def test_the_packaged_tasks_are_those_of_the_label_guide():
    tasks = TaskSet.load("experience")
    assert tasks.names == ("sentiment", "emotion", "intensity", "effort", "actionability")
    assert [len(task) for task in tasks] == [5, 11, 3, 5, 4]
    assert tasks["sentiment"].labels[0] == "very_negative"
    assert [task.name for task in tasks if task.multi] == ["emotion"]


def test_a_full_label_offers_every_label_as_a_choice_of_its_own():
    labels = MOOD.encode(["poor", None])
    assert labels.targets.tolist() == [[False, True, False, False], [False] * 4]
    assert labels.choice.tolist() == [[1, 2, 3, 4], [0, 0, 0, 0]]
    assert labels.annotated.tolist() == [True, False]


@pytest.mark.parametrize("value", ["bad|poor", ["bad", "poor"], ["poor", "bad"]])
def test_a_coarse_label_is_one_choice(value):
    labels = MOOD.encode([value])
    assert labels.targets[0].tolist() == [True, True, False, False]
    assert labels.choice[0, 0] == labels.choice[0, 1]
    assert len(set(labels.choice[0].tolist())) == 3


def test_a_scope_says_what_was_on_offer():
    labels = MOOD.encode(["bad|poor"], [["bad|poor", "good"]])
    assert labels.choice.tolist() == [[1, 1, 0, 2]]
    scoped = TAGS.encode([["joy"], []], [["anger", "joy"], None])
    assert scoped.choice.tolist() == [[1, 2, 0], [1, 2, 3]]


@pytest.mark.parametrize(
    ("task", "value", "scope", "message"),
    [
        (MOOD, "great", None, "'great' is not a label; expected one of"),
        (MOOD, "fair", ["bad|poor", "good"], "outside the scope"),
        (MOOD, "bad", ["bad|poor", "good"], "not one of the choices"),
        (MOOD, [], None, "is empty"),
        (MOOD, 3, None, "is not text"),
        (MOOD, "bad", ["bad|poor", "poor"], "overlap"),
        (TAGS, ["joy"], ["anger|joy"], "list of single labels"),
    ],
)
def test_a_wrong_label_names_row_and_remedy(task, value, scope, message):
    good = task.labels[0] if not task.multi else [task.labels[0]]
    with pytest.raises(TaskError, match="row 1") as caught:
        task.encode([good, value], [None, scope])
    assert message in str(caught.value)


def test_every_wrong_row_is_reported():
    with pytest.raises(TaskError) as caught:
        MOOD.encode(["x", "good", "y"])
    assert [problem.where for problem in caught.value.problems] == ["row 0", "row 2"]


def test_labels_are_taken_and_joined():
    labels = MOOD.encode(["bad", "poor", "fair"])
    assert labels.take([2, 0]).targets.argmax(axis=1).tolist() == [2, 0]
    joined = Labels.concat([labels.take(slice(0, 1)), labels.take(slice(1, 3))])
    np.testing.assert_array_equal(joined.targets, labels.targets)


def test_probabilities_are_a_softmax_or_sigmoids_at_the_temperature():
    logits = np.array([[2.0, 0.0, -2.0]], dtype=np.float32)
    cold = Calibration(temperature=2.0)
    np.testing.assert_allclose(
        TAGS.probabilities(logits, cold), 1 / (1 + np.exp(-logits / 2)), rtol=1e-5
    )
    topic = Task(name="topic", kind="single_label", labels=("a", "b", "c"))
    exp = np.exp(logits / 2)
    np.testing.assert_allclose(topic.probabilities(logits, cold), exp / exp.sum(), rtol=1e-5)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3))
def test_probabilities_are_finite_for_any_score(scores):
    logits = np.array([scores], dtype=np.float32)
    for kind in ("single_label", "multi_label"):
        task = Task(name="t", kind=kind, labels=("a", "b", "c"))
        found = task.probabilities(logits, Calibration())
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_multi_label_decisions_use_each_labels_threshold():
    probabilities = np.array([[0.4, 0.6, 0.9]], dtype=np.float32)
    assert TAGS.names(TAGS.decide(probabilities, Calibration())) == [["joy", "trust"]]
    tuned = Calibration(thresholds=(0.3, 0.7, 0.95))
    assert TAGS.names(TAGS.decide(probabilities, tuned)) == [["anger"]]


def test_single_label_decisions_are_exactly_one_label():
    probabilities = np.array([[0.1, 0.1, 0.1, 0.7], [0.25, 0.25, 0.25, 0.25]], dtype=np.float32)
    assert MOOD.names(MOOD.decide(probabilities, Calibration())) == [["good"], ["bad"]]


def test_a_wrong_task_file_lists_everything_wrong(tmp_path):
    path = tmp_path / "tasks.yaml"
    path.write_text(
        "tasks:\n"
        "  - {name: Mood, kind: ordnal, lables: [a, b]}\n"
        "  - {name: ok, kind: ordinal, labels: [a, a]}\n"
    )
    with pytest.raises(TaskError) as caught:
        TaskSet.load(path)
    message = str(caught.value)
    assert "tasks[0].name" in message
    assert "tasks[0].kind: Input should be 'single_label', 'ordinal' or 'multi_label'" in message
    assert "tasks[0].lables: unknown key; did you mean 'labels'?" in message
    assert "labels ['a'] appear more than once" in message
    assert "at least 1 item" not in message


@pytest.mark.parametrize("label", ["", " padded", "a;b", "a|b"])
def test_labels_that_could_not_be_written_down_are_refused(label):
    with pytest.raises(ValueError, match="must not be blank"):
        Task(name="t", kind="single_label", labels=("fine", label))


def test_an_unknown_task_set_or_task_names_what_there_is(tmp_path):
    with pytest.raises(TaskError, match="experience"):
        TaskSet.load("experiences")
    with pytest.raises(TaskError, match="cannot be read"):
        TaskSet.load(tmp_path / "none.yaml")
    with pytest.raises(TaskError, match="there is no task 'mood'"):
        TaskSet.load("experience").select(["mood"])


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
label_texts = st.text(
    st.characters(blacklist_characters=";|", blacklist_categories=("C", "Z")), min_size=1
)
some_tasks = st.builds(
    Task,
    name=names,
    kind=st.sampled_from(["single_label", "ordinal", "multi_label"]),
    labels=st.lists(label_texts, min_size=2, max_size=5, unique=True).map(tuple),
    description=st.text(st.characters(blacklist_categories=("C", "Z")), max_size=20),
)


@given(st.lists(some_tasks, min_size=1, max_size=4, unique_by=lambda task: task.name))
def test_task_files_round_trip(tasks):
    task_set = TaskSet(tasks=tuple(tasks))
    assert TaskSet.from_yaml(task_set.to_yaml()) == task_set
