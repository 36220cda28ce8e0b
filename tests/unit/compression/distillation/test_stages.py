"""XtremeDistil's schedule as a recipe: states first, then heads, then everything."""

import json
from pathlib import Path

import pytest

from xmpress.compression import Recipe, compress
from xmpress.errors import GuardError
from xmpress.modeling import load_model

STAGES = """
name: staged
student: {layers: 1, hidden: 16, heads: 2, init: teacher-embedding}
passes:
  - distill: {objective: hidden, layer_map: [-1], steps: 3, batch_tokens: 512}
  - distill: {objective: logits, freeze: [encoder], steps: 3, batch_tokens: 512}
  - distill: {objective: logits, freeze: [embedding], steps: 3, batch_tokens: 512}
  - distill: {objective: logits, steps: 3, batch_tokens: 512}
"""


def test_stages_go_on_from_each_other_and_the_guard_waits_for_the_last(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: object, name: str, judgement: object) -> None:
        raise GuardError(f"after {name}")

    monkeypatch.setattr("xmpress.compression.pipeline._Run._enforce", broken)
    recipe = Recipe.from_yaml(f"{STAGES}\ndata: {labelled_data}\nguard: {{average: 1.0}}")
    with pytest.raises(GuardError, match="after distill"):
        compress(recipe, model=tiny_model_dir, out=tmp_path / "o", quiet=True)
    passes = json.loads((tmp_path / "o" / "report.json").read_text())["passes"]
    assert len(passes) == 4 and all("verdict" in entry["guard"] for entry in passes)
    trained = [entry["details"]["parameters_trained"] for entry in passes]
    assert trained[1] < trained[2] < trained[3] == trained[0]
    made = [
        load_model(tmp_path / "o" / "passes" / f"{n:02d}-distill").model.state_dict()
        for n in range(1, 5)
    ]

    def changed(stage: int) -> set[str]:
        return {
            name.split(".")[1] if name.startswith("encoder.") else "heads"
            for name, value in made[stage].items()
            if not value.equal(made[stage - 1][name])
        }

    assert changed(1) == {"heads"}
    assert changed(2) == {"heads", "encoder"}
    assert changed(3) == {"heads", "encoder", "embeddings"}
