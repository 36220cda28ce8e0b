"""Recipe files say what they said after being written and read."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from xmpress.compression import Guard, Recipe
from xmpress.compression.distillation import DistillParams
from xmpress.compression.quantization import QuantizeParams
from xmpress.compression.recipe import EvaluationSpec, PassSpec, StudentSpec, TeacherSpec

percents = st.none() | st.floats(0, 100)
words = st.text(min_size=1, max_size=30)
sizes = st.none() | st.integers(1, 64)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


students = st.builds(
    StudentSpec,
    layers=sizes,
    hidden=some(st.integers(1, 16).map(lambda n: 12 * n)),
    heads=some(st.sampled_from([1, 2, 3, 4, 6, 12])),
    ffn=some(st.integers(8, 4096)),
    init=st.sampled_from(["teacher-layers", "random"]),
    encoder=st.none(),
) | st.builds(
    StudentSpec,
    encoder=words | st.dictionaries(words, words | st.integers(), max_size=3),
)
guards = st.builds(
    Guard,
    average=percents,
    worst_task=percents,
    worst_language=percents,
    worst_task_language=percents,
    on_violation=st.sampled_from(["stop", "report"]),
)
distills = st.builds(
    DistillParams,
    temperature=st.floats(0.1, 50),
    alpha=st.floats(0, 1),
    transfer=some(words),
    max_rows=some(st.integers(1, 10**9)),
    steps=some(st.integers(1, 10**6)),
    learning_rate=st.floats(1e-9, 1),
).map(lambda p: PassSpec(name="distill", params=p.model_dump(mode="json", exclude_defaults=True)))
quantizes = st.builds(QuantizeParams).map(
    lambda p: PassSpec(name="quantize", params=p.model_dump(mode="json"))
)
recipes = st.builds(
    Recipe,
    name=st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,20}\Z"),
    description=st.text(max_size=40),
    teacher=some(st.builds(TeacherSpec, model=words)),
    student=some(students),
    data=some(words),
    passes=st.lists(distills, max_size=3).flatmap(
        lambda first: st.lists(quantizes, min_size=0 if first else 1, max_size=1).map(
            lambda last: (*first, *last)
        )
    ),
    guard=some(guards),
    evaluation=st.builds(
        EvaluationSpec, split=st.sampled_from(["test", "validation"]), max_rows=sizes
    ),
    seed=st.integers(0, 2**31),
)


@settings(deadline=None)
@given(recipes)
def test_a_recipe_survives_yaml(recipe: Recipe) -> None:
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe
    assert again.hash == recipe.hash
    assert [p.params for p in again.build_passes()] == [p.params for p in recipe.build_passes()]


@settings(deadline=None)
@given(recipes, recipes)
def test_different_recipes_have_different_hashes(a: Recipe, b: Recipe) -> None:
    assert (a == b) == (a.hash == b.hash)
