from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from xmpress.compression import Artefact, Context, Recipe, compress
from xmpress.compression.pruning import Prune, PruneParams
from xmpress.compression.pruning.movement import Movement
from xmpress.compression.pruning.prune import sizes
from xmpress.compression.quantization import Quantize, QuantizeParams
from xmpress.compression.recipe import StudentSpec
from xmpress.compression.students import make_student
from xmpress.data import Dataset, load_dataset
from xmpress.export import export_bundle
from xmpress.modeling import load_model
from xmpress.modeling.shapes import layer_parts
from xmpress.runtime.analyzer import Analyzer
from xmpress.training.feed import Feed
from xmpress.training.losses import MultiTaskLoss

TEXTS = ["the staff was great", "", "最高の接客でした", "trop d'attente " * 30]


@pytest.fixture
def given(context: Context, make: Any, labelled_data: Path) -> Context:
    loaded = make("bert")
    artefact = Artefact(loaded.path)

    def dataset() -> Dataset:
        return load_dataset(labelled_data, loaded.tasks).take(slice(0, 160))

    return replace(context, artefact=artefact, teacher=artefact, dataset=dataset, data_name="easy")


def run(context: Context, target: Path, **params: Any) -> dict[str, Any]:
    target.mkdir()
    return Prune(PruneParams(**params)).run(context, target)


def test_magnitude_needs_no_data(given: Context, tmp_path: Path) -> None:
    params = PruneParams(what=("heads", "layers"), keep=0.5, importance="magnitude")
    assert not Prune(params).needs_data
    details = run(
        replace(given, dataset=lambda: pytest.fail("asked for data")),
        tmp_path / "out",
        what=["heads", "layers"],
        keep={"heads": 0.5, "layers": 0.67},
        importance="magnitude",
    )
    after = details["after"]
    # Half of the heads of the two layers that stay.
    assert after["layers"] == 2
    assert sum(after["heads"]) == 4
    assert sizes(load_model(tmp_path / "out").model) == after
    assert Artefact(tmp_path / "out").parameters == after["parameters"]


def test_rounds_reach_what_is_asked_for_and_recover(given: Context, tmp_path: Path) -> None:
    said: list[str] = []
    details = run(
        replace(given, say=said.append),
        tmp_path / "out",
        what=["heads", "ffn", "hidden"],
        keep={"heads": 0.5, "ffn": 0.5, "hidden": 0.75},
        schedule={"steps": 2},
        recover={"steps": 8, "learning_rate": 1e-3},
    )
    assert sum(details["after"]["heads"]) == 6
    assert sum(details["after"]["ffn"]) == pytest.approx(72, abs=12)
    assert details["after"]["hidden"] == 24
    assert len(details["validated"]) == 2
    assert sum("round" in line for line in said) == 2
    # The teacher's scores were asked for, once.
    assert len(list(given.cache.iterdir())) == 1
    assert load_model(tmp_path / "out").model.config.calibration


def test_an_interrupted_run_goes_on_to_the_same_result(
    given: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"schedule": {"steps": 2}, "recover": {"steps": 6}, "keep": 0.5}
    run(replace(given, workspace=tmp_path / "straight"), tmp_path / "once", **params)
    original = Prune._score

    def once_only(self: Prune, *args: Any) -> Any:
        if (given.workspace / "round-1").is_dir():
            raise KeyboardInterrupt
        return original(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Prune, "_score", once_only)
        with pytest.raises(KeyboardInterrupt):
            run(given, tmp_path / "broken", **params)
    run(given, tmp_path / "resumed", **params)
    once, resumed = (load_model(tmp_path / name).logits(TEXTS) for name in ("once", "resumed"))
    for name in once:
        np.testing.assert_array_equal(once[name], resumed[name])


def test_movement_masks_become_sizes(given: Context, tmp_path: Path) -> None:
    details = run(
        given,
        tmp_path / "out",
        importance="movement",
        keep={"heads": 0.5, "ffn": 0.5},
        recover={"steps": 10, "learning_rate": 1e-3, "distill": False},
    )
    assert sum(details["after"]["heads"]) == 6
    assert sum(details["after"]["ffn"]) == pytest.approx(72, abs=12)
    assert details["validated"][0] is not None
    assert sizes(load_model(tmp_path / "out").model) == details["after"]


def test_movement_finds_the_units_that_the_loss_needs(make: Any, labelled_data: Path) -> None:
    """A head without influence moves nowhere and is masked first; masks change the output."""
    loaded = make("bert")
    model = loaded.model.eval()
    with torch.no_grad():
        layer_parts(model.encoder)[0].out.weight[:, :8] = 0.0
    data = load_dataset(labelled_data, loaded.tasks).take(slice(0, 64))
    feed = Feed(data, loaded.tokenizer, token_types=True, budget=1024, temperature=1.0, seed=0)
    movement = Movement(model, MultiTaskLoss(loaded.tasks), {"heads": 0.75}, steps=10)
    optimizer = torch.optim.AdamW(movement.parameters(), lr=0.01)
    with movement.applied(model):
        for _ in range(10):
            batch = feed.batch(feed.epoch(0)[0])
            loss, _ = movement(model(**batch.inputs), batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert int(movement.seen) == 10
    assert movement.scores["heads-0"][0] == 0
    assert all((s != 0).sum() >= 3 for s in movement.scores.values())
    assert sum(map(len, movement.kept("heads"))) == 9
    kept = [numbers.tolist() for numbers in movement.kept("heads", 11 / 12)]
    lowest = torch.cat([s.detach() for s in movement.scores.values()]).argmin()
    expected = [[0, 1, 2, 3] for _ in range(3)]
    expected[int(lowest) // 4].remove(int(lowest) % 4)
    assert kept == expected


def test_the_share_falls_with_the_cube_of_the_time_left(make: Any) -> None:
    movement = Movement(make("bert").model, torch.nn.Identity(), {"ffn": 0.2}, steps=100)
    shares = []
    for step in (0, 10, 45, 80, 100):
        movement.seen.fill_(step)
        shares.append(movement.share("ffn"))
    assert shares == pytest.approx([1.0, 1.0, 0.2 + 0.8 * 0.5**3, 0.2, 0.2])


def test_uneven_layers_are_exported_and_quantized(given: Context, tmp_path: Path) -> None:
    details = run(
        given,
        tmp_path / "out",
        what=["heads", "ffn", "hidden"],
        keep=0.6,
        importance="magnitude",
    )
    assert len(set(details["after"]["heads"])) > 1
    bundle = export_bundle(tmp_path / "out", tmp_path / "bundle")
    expected = load_model(tmp_path / "out").logits(TEXTS)
    found = Analyzer(bundle).logits(TEXTS)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    (tmp_path / "int8").mkdir()
    done = Quantize(QuantizeParams()).run(
        replace(given, artefact=Artefact(bundle)), tmp_path / "int8"
    )
    assert done["matmuls_int8"] == 18


def test_passes_of_a_chain_go_together(given: Context, labelled_data: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "chain",
            "data": str(labelled_data),
            "passes": [
                {"trim_vocabulary": {"languages": ["en", "fr"]}},
                {"factorise_embedding": {"rank": 8}},
                {"prune": {"what": ["ffn", "layers"], "keep": 0.67, "recover": {"steps": 2}}},
                {"quantize": {"checked_rows": 20}},
            ],
        }
    )
    said: list[str] = []
    result = compress(
        recipe, model=given.artefact.path, out=tmp_path / "out", say=said.append, quiet=True
    )
    assert result.model is not None
    config = load_model(result.model).model.config.encoder_config
    assert (config.embedding_rank, config.num_hidden_layers) == (8, 2)
    parameters = [entry["parameters"] for entry in result.report["passes"][:3]]
    assert parameters == sorted(parameters, reverse=True)
    again = compress(recipe, model=given.artefact.path, out=tmp_path / "out", quiet=True)
    assert all(entry["skipped"] for entry in again.report["passes"])


def test_a_student_of_a_pruned_teacher_may_have_sizes_of_its_own(
    given: Context, tmp_path: Path
) -> None:
    run(given, tmp_path / "out", keep=0.6, importance="magnitude")
    student = make_student(StudentSpec(layers=2, ffn=48), tmp_path / "out", tmp_path)
    found = sizes(student.model)
    assert (found["heads"], found["ffn"]) == ([4, 4], [48, 48])
    assert 0 < student.copied < 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"what": ["heads", "heads"]}, "names a kind twice"),
        ({"what": ["heads"], "keep": {"ffn": 0.5}}, "a share for each of heads"),
        ({"what": ["hidden"], "importance": "movement", "recover": {}}, "use taylor"),
        ({"importance": "movement"}, "give recover"),
        (
            {"importance": "movement", "recover": {}, "schedule": {"steps": 2}},
            "leave schedule out",
        ),
        ({"recover": {"steps": 3, "epochs": 1}}, "not both"),
        ({"keep": 0}, "greater than 0"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PruneParams(**params)
