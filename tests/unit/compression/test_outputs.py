from pathlib import Path

import numpy as np
import pytest

from xmpress.compression import Artefact, outputs
from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.modeling import load_model

TEXTS = [f"text number {i}" for i in range(10)]
CONTEXTS: list[str | None] = [None] * 10


@pytest.fixture
def chunks_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "CHUNK", 4)


def refuse(artefact: Artefact) -> None:
    raise AssertionError("the model is not needed")


@pytest.mark.usefixtures("chunks_of_four")
def test_scores_are_the_models_and_computed_once(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = Artefact(tiny_model_dir)
    said: list[str] = []
    found = cached_logits(artefact, TEXTS, CONTEXTS, tmp_path, say=said.append)
    for name, logits in load_model(tiny_model_dir).logits(TEXTS).items():
        np.testing.assert_allclose(found[name], logits, atol=1e-5)
    assert len(list(tmp_path.iterdir())) == len(said) == 3
    monkeypatch.setattr(outputs, "open_predictor", refuse)
    again = cached_logits(artefact, TEXTS, CONTEXTS, tmp_path)
    for name in found:
        assert (again[name] == found[name]).all()


@pytest.mark.usefixtures("chunks_of_four")
def test_an_interrupted_computation_goes_on_where_it_stopped(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    artefact = Artefact(tiny_model_dir)

    def stop(line: str) -> None:
        if "8 of 10" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_logits(artefact, TEXTS, CONTEXTS, tmp_path, say=stop)
    said: list[str] = []
    cached_logits(artefact, TEXTS, CONTEXTS, tmp_path, say=said.append)
    assert said == ["tiny: scored 10 of 10 texts"]


def test_a_damaged_file_is_computed_again(tiny_model_dir: Path, tmp_path: Path) -> None:
    artefact = Artefact(tiny_model_dir)
    found = cached_logits(artefact, TEXTS, CONTEXTS, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    again = cached_logits(artefact, TEXTS, CONTEXTS, tmp_path)
    assert all((again[name] == found[name]).all() for name in found)


def test_another_context_model_or_order_is_another_computation(
    tiny_model_dir: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    for artefact, texts, contexts in (
        (Artefact(tiny_model_dir), ["a", "b"], [None, None]),
        (Artefact(tiny_model_dir), ["a", "b"], [None, ""]),
        (Artefact(tiny_model_dir), ["b", "a"], [None, None]),
        (Artefact(tiny_model_dir), ["ab", ""], [None, None]),
        (Artefact(tiny_bundle), ["a", "b"], [None, None]),
    ):
        cached_logits(artefact, texts, contexts, tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_no_texts_have_no_scores(tiny_bundle: Path, tmp_path: Path) -> None:
    found = cached_logits(Artefact(tiny_bundle), [], [], tmp_path)
    assert found["sentiment"].shape == (0, 5)


def test_both_kinds_of_artefact_tell_their_tasks(tiny_model_dir: Path, tiny_bundle: Path) -> None:
    assert tasks_of(Artefact(tiny_model_dir)) == tasks_of(Artefact(tiny_bundle))
