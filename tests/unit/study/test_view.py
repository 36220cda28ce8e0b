"""Models by group, and what they are called."""

import pytest

from xmpress.study.view import View, shown


def test_seeds_are_one_group(whole) -> None:
    view = View(whole)
    assert sum(len(group.models) for group in view.groups) == len(whole.models)
    assert all(group.seeds == [1, 2] for group in view.groups)
    assert len({group.label for group in view.groups}) == len(view.groups)
    assert view.groups[0].anchor == "model-1"


def test_groups_know_their_reference_and_speed(whole) -> None:
    view = View(whole)
    (group,) = [group for group in view.groups if group.label == "minilm-l6 int8"]
    reference = view.reference(group)
    assert reference is not None and reference.label == "xlmr multi-task"
    row = view.speed(group)
    assert row is not None and row.speedup == pytest.approx(12.81)
    assert [row.model for row in view.baselines()] == ["xlm-roberta-base (random weights)"]
    assert view.named("minilm-l6-int8/seed2") == "minilm-l6 int8"
    assert view.named("unknown") == "unknown"


def test_names_that_stand_for_several_models_are_told_apart(synthetic) -> None:
    models = synthetic.small().models
    twins = [
        models[0].model_copy(update={"id": "a", "name": "same", "encoder": "xlmr"}),
        models[0].model_copy(update={"id": "b", "name": "same", "encoder": "mbert"}),
        models[1].model_copy(update={"id": "c", "name": "same", "encoder": "mbert"}),
        models[1].model_copy(
            update={"id": "d", "name": "same", "encoder": "mbert", "recipe": None, "variant": None}
        ),
    ]
    labels = [group.label for group in View(synthetic.small(models=twins)).groups]
    assert labels == [
        "same (xlmr)",
        "same (mbert) (multi-task)",
        "same (mbert) (int8)",
        "same (mbert) (compressed)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\t c", "a b c"),
        ("a\u202eb\x00c", "abc"),
        ("", "?"),
        ("\x07", "?"),
        ("日本語", "日本語"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_names_are_shown_on_one_line(text: str, expected: str) -> None:
    assert shown(text) == expected
