from pathlib import Path

import pytest

from xmpress.compression import Recipe, load_recipe, packaged_recipes
from xmpress.compression.recipe import StudentSpec
from xmpress.errors import RecipeError

MINIMAL = "name: tiny\npasses: [quantize]\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", packaged_recipes())
def test_recipes_that_ship_are_valid_and_named_as_their_files(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


def test_a_pass_may_be_written_as_its_name_alone() -> None:
    written = [
        Recipe.from_yaml(f"name: a\npasses: [{p}]")
        for p in ("quantize", "quantize: ", "quantize: {}")
    ]
    assert written[0] == written[1] == written[2]
    assert written[0].hash == written[1].hash


def test_extends_merges_mappings_and_replaces_lists(tmp_path: Path) -> None:
    write(
        tmp_path,
        "base.yaml",
        "name: base\nstudent: {layers: 2, init: random}\nguard: {average: 1}\n"
        "passes: [distill, quantize]\n",
    )
    child = write(
        tmp_path,
        "child.yaml",
        "extends: base.yaml\nname: child\nstudent: {layers: 4}\npasses: [quantize]\n",
    )
    recipe = load_recipe(child)
    assert recipe.name == "child"
    assert recipe.student is not None
    assert (recipe.student.layers, recipe.student.init) == (4, "random")
    assert recipe.guard is not None
    assert recipe.guard.average == 1
    assert [spec.name for spec in recipe.passes] == ["quantize"]


def test_extends_a_recipe_that_ships(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.yaml", "extends: int8-only\nname: mine\nseed: 3\n")
    recipe = load_recipe(path)
    assert (recipe.name, recipe.seed) == ("mine", 3)
    assert recipe.passes == load_recipe("int8-only").passes


def test_a_circle_of_extends_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "extends: b.yaml\nname: a\n")
    write(tmp_path, "b.yaml", "extends: a.yaml\nname: b\n")
    with pytest.raises(RecipeError, match=r"circle: a\.yaml -> b\.yaml -> a\.yaml"):
        load_recipe(tmp_path / "a.yaml")


def test_everything_wrong_is_told_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "wrong.yaml",
        "name: Wrong Name\n"
        "student: {layers: 0, hidden: 30, heads: 4}\n"
        "gaurd: {average: 1}\n"
        "guard: {worst_tsak: 1}\n"
        "passes:\n"
        "  - distill: {temprature: 2, steps: 1, epochs: 1}\n"
        "  - qantize\n"
        "  - {quantize: {weight_bits: 9}, distill: {}}\n",
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    found = {problem.where: problem.what for problem in caught.value.problems}
    assert "name" in found
    assert "student.layers" in found
    assert "did you mean 'guard'" in found["gaurd"]
    assert "did you mean 'worst_task'" in found["guard.worst_tsak"]
    assert "did you mean 'temperature'" in found["passes[0].distill.temprature"]
    assert "did you mean 'quantize'" in found["passes[1]"]
    assert "name: {parameters}" in found["passes[2]"]


@pytest.mark.parametrize(
    ("override", "number", "key", "value"),
    [
        ("passes.distill.steps=7", 0, "steps", 7),
        ("passes.0.temperature=4.5", 0, "temperature", 4.5),
        ("passes.quantize.embedding=fp32", 1, "embedding", "fp32"),
        ("passes.1={quantize: {weight_bits: 8}}", 1, "weight_bits", 8),
    ],
)
def test_overrides_reach_into_passes(
    tmp_path: Path, override: str, number: int, key: str, value: object
) -> None:
    path = write(tmp_path, "r.yaml", "name: r\npasses: [distill, quantize: ]\n")
    assert load_recipe(path, [override]).passes[number].params[key] == value


def test_overrides_of_mappings_and_new_keys(tmp_path: Path) -> None:
    path = write(tmp_path, "r.yaml", MINIMAL)
    recipe = load_recipe(path, ["guard.average=2", "student.layers=3", "seed=5", "data=null"])
    assert recipe.guard is not None
    assert recipe.student is not None
    assert (recipe.guard.average, recipe.student.layers, recipe.seed) == (2, 3, 5)


@pytest.mark.parametrize("override", ["passes.distill.steps=7", "passes.5.steps=1", "passes.5=x"])
def test_overrides_that_reach_nothing_are_refused(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, "r.yaml", MINIMAL)
    with pytest.raises(RecipeError, match="reaches nothing"):
        load_recipe(path, [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a list\n", "not a mapping"),
        ("name: [\n", "not valid YAML"),
        ("name: a\nname: b\npasses: [quantize]\n", "twice"),
        ("name: a\npasses: []\n", "at least 1 item"),
    ],
)
def test_files_that_are_no_recipes(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, "r.yaml", content))


def test_missing_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="int8-only"):
        load_recipe("int8-onyl")


def test_a_pass_that_cannot_take_what_comes_before_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"passes\[1\].*gives a bundle; change the order"):
        Recipe.from_yaml("name: a\npasses: [quantize, distill]")


def test_the_schema_can_be_read_without_the_passes() -> None:
    text = "name: a\npasses: [distill: {temprature: 2}]"
    recipe = Recipe.from_yaml(text, check=False)
    with pytest.raises(RecipeError, match="temprature"):
        recipe.build_passes()


def test_an_encoder_has_its_own_sizes() -> None:
    with pytest.raises(RecipeError, match="leave out layers"):
        Recipe.from_yaml("name: a\npasses: [distill]\nstudent: {encoder: some/model, layers: 3}")


def test_a_fallback_takes_the_parameters_and_replaces_some() -> None:
    recipe = Recipe.from_yaml(
        "name: a\npasses:\n"
        "  - quantize: {mode: int8-static, range: entropy, fallback: {mode: int8-dynamic}}\n"
    )
    ((first, second),) = recipe.build_attempts()
    assert (first.params.mode, first.params.range) == ("int8-static", "entropy")
    assert (second.params.mode, second.params.range) == ("int8-dynamic", "entropy")
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert recipe.build_passes()[0].params == first.params


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        ("[{embeding: fp32}]", r"quantize\.fallback\[0\].*did you mean 'embedding'"),
        ("[{}, {weight_bits: 9}]", r"quantize\.fallback\[1\]"),
        ("gentler", "fallback takes parameters"),
        ("[gentler]", "fallback takes parameters"),
    ],
)
def test_a_wrong_fallback_is_told_by_its_place(fallback: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_yaml(f"name: a\npasses: [quantize: {{fallback: {fallback}}}]")


def test_a_wrong_pass_does_not_hide_wrong_fallbacks_of_others() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_yaml(
            "name: a\npasses:\n"
            "  - distil\n"
            "  - quantize: {fallback: [{embeding: fp32}, {weight_bits: 9}]}\n"
            "  - distill\n"
        )
    assert [problem.where for problem in caught.value.problems] == [
        "passes[0]",
        "passes[1].quantize.fallback[0].embeding",
        "passes[1].quantize.fallback[1].weight_bits",
        "passes[2]",
    ]


def test_a_student_depends_on_the_files_of_its_encoder(tmp_path: Path) -> None:
    folder, config = tmp_path / "encoder", tmp_path / "encoder.yaml"
    folder.mkdir()
    for encoder, file in ((folder, folder / "model.safetensors"), (config, config)):
        file.write_text("model_type: bert")
        student = StudentSpec(encoder=str(encoder))
        before = student.inputs()
        assert set(before) == {str(encoder)}
        file.write_text("model_type: xlm-roberta")
        assert student.inputs() != before
    for encoder in ("some/model", {"model_type": "bert"}, None):
        assert StudentSpec(encoder=encoder).inputs() == {}


def test_signs_that_yaml_takes_for_a_line_end_survive() -> None:
    recipe = Recipe.from_yaml('name: a\ndata: "x\\u0085y"\npasses: [quantize]')
    assert recipe.data == "x\x85y"
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
