import shutil
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from xmpress.compression import Artefact, Pass, PassParams, passes
from xmpress.compression.passes import pass_class, pass_names
from xmpress.errors import ModelError, RecipeError


class Binarize(Pass[PassParams]):
    Params = PassParams

    def run(self, context: Any, target: Path) -> dict[str, Any]:
        return {}


def install(monkeypatch: pytest.MonkeyPatch, attribute: str) -> None:
    point = EntryPoint("binarize", f"{__name__}:{attribute}", passes.ENTRY_POINTS)
    loaded = {"Binarize": Binarize, "PassParams": PassParams}[attribute]
    monkeypatch.setattr(EntryPoint, "load", lambda self: loaded)
    monkeypatch.setattr(
        passes,
        "entry_points",
        lambda group, name="binarize": [point] if name == "binarize" else [],
    )


def test_every_built_in_pass_can_be_made_from_its_defaults() -> None:
    for name in pass_names():
        found = pass_class(name)
        assert found(found.Params()).params == found.Params()


def test_the_nearest_pass_is_suggested() -> None:
    with pytest.raises(RecipeError, match="did you mean 'distill'"):
        pass_class("distil")
    with pytest.raises(RecipeError, match="the passes are cascade, distill, export, "):
        pass_class("xyz")


def test_installed_packages_may_bring_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "Binarize")
    assert "binarize" in pass_names()
    assert pass_class("binarize") is Binarize


def test_an_entry_point_that_is_no_pass_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "PassParams")
    with pytest.raises(RecipeError, match="is no Pass class"):
        pass_class("binarize")


def test_artefacts_know_their_kind(tiny_model_dir: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    assert Artefact(tiny_model_dir).kind == "model"
    assert Artefact(tiny_bundle).kind == "bundle"
    assert Artefact(tiny_bundle).parameters is None
    assert (Artefact(tiny_model_dir).parameters or 0) > 10_000
    with pytest.raises(ModelError, match="neither a model directory"):
        _ = Artefact(tmp_path).kind
    with pytest.raises(ModelError, match="there is no"):
        Artefact(tmp_path / "none")


def test_the_fingerprint_is_of_what_is_computed_not_of_notes(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model_dir, copy)
    assert Artefact(copy).fingerprint == Artefact(tiny_model_dir).fingerprint
    (copy / "README.md").write_text("another card")
    assert Artefact(copy).fingerprint == Artefact(tiny_model_dir).fingerprint
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert Artefact(copy).fingerprint != Artefact(tiny_model_dir).fingerprint
