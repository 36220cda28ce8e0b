"""Every recipe that ships, from end to end, on a tiny model and in a few steps."""

import json
from pathlib import Path

import pytest

from xmpress.compression import compress, load_recipe, packaged_recipes
from xmpress.runtime.analyzer import Analyzer

STUDENT = "student={layers: 1, hidden: 16, heads: 4, ffn: 32, init: teacher-embedding}"
QUICK = {
    "cascade": ("dimensions=8", "hidden=8", "rows=60", "epochs=1", "timed_rows=5"),
    "distill": ("steps=2", "epochs=null", "batch_tokens=512", "max_rows=60"),
    "prune": ("rows=32", "recover={steps: 2, batch_tokens: 512, max_rows: 60}"),
    "quantize": ("checked_rows=20", "calibration_rows=20"),
    "quantization_aware": ("steps=2", "epochs=null", "batch_tokens=512", "max_rows=60"),
    "factorise_embedding": ("rank=8",),
    "trim_vocabulary": ("languages=[en, fr]",),
}


def quick(name: str) -> list[str]:
    """Overrides that make a recipe tiny."""
    recipe = load_recipe(name, check=False)
    overrides = [
        f"passes.{spec}.{change}"
        for spec in dict.fromkeys(spec.name for spec in recipe.passes)
        for change in QUICK[spec]
    ]
    if recipe.student is not None:
        kept = recipe.student.init == "teacher-layers"
        overrides.append("student.layers=1" if kept else STUDENT)
    if name == "xtremedistil":
        overrides.append("passes.2.freeze=[embedding]")
    return [*overrides, "guard.on_violation=report", "evaluation.max_rows=60"]


@pytest.mark.slow
@pytest.mark.parametrize("name", packaged_recipes())
def test_a_recipe_that_ships_runs(
    name: str, tiny_model_dir: Path, labelled_data: Path, tmp_path: Path
) -> None:
    overrides = [*quick(name), f"data={labelled_data}"]
    result = compress(name, model=tiny_model_dir, out=tmp_path, overrides=overrides, quiet=True)
    report = json.loads((tmp_path / "report.json").read_text())
    passes = [entry["pass"] for entry in report["passes"]]
    asked = [spec.name for spec in load_recipe(name).passes]
    assert passes[: len(asked)] == asked
    before = sum(f.stat().st_size for f in tiny_model_dir.rglob("*") if f.is_file())
    if name != "cascade":  # which adds something
        assert report["passes"][-1]["bytes"]["after"] < before
    assert Analyzer(result.bundle, threads=1).analyze("the queue was great")[0]["sentiment"].label


def test_the_override_for_an_encoder_made_here_fits_each_recipe() -> None:
    for name, path in packaged_recipes().items():
        for line in path.read_text().splitlines():
            found = line.removeprefix("#").strip()
            if found.startswith("--set student"):
                override = found.removeprefix("--set ").replace("'", "")
                recipe = load_recipe(name, [override])
                assert recipe.student is not None
                assert recipe.student.layers in {3, 6}


def test_a_recipe_says_what_it_is_and_how_to_run_it() -> None:
    for name, path in packaged_recipes().items():
        text = path.read_text()
        assert text.startswith("# "), name
        assert f"xmpress compress {name} " in text
        assert text.count("#") >= 5
