import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from xmpress.compression import Artefact, Context
from xmpress.compression.factorisation import FactoriseEmbedding, FactoriseParams, factorise
from xmpress.compression.quantization import Quantize, QuantizeParams
from xmpress.data import load_dataset
from xmpress.errors import ModelError, RecipeError
from xmpress.export import export_bundle
from xmpress.modeling import load_model, open_encoder
from xmpress.runtime.analyzer import Analyzer

TEXTS = ["the staff was great", "", "最高の接客でした", "trop d'attente " * 30]


def run(context: Context, target: Path, **params: Any) -> dict[str, Any]:
    target.mkdir()
    params.setdefault("weights", "uniform")
    return FactoriseEmbedding(FactoriseParams(**params)).run(context, target)


def matrix() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 24)).astype(np.float32) * np.linspace(0.1, 3, 24, dtype=np.float32)


def test_the_product_is_that_of_the_singular_value_decomposition() -> None:
    whole = matrix()
    found = factorise(whole, 7)
    u, s, v = np.linalg.svd(whole.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(
        found.table @ found.projection, (u[:, :7] * s[:7]) @ v[:7], atol=1e-5
    )
    assert found.energy == pytest.approx((s[:7] ** 2).sum() / (s**2).sum())
    errors = np.abs(found.table @ found.projection - whole)
    assert found.mean_error == pytest.approx(errors.mean(), rel=1e-4)
    assert found.largest_error == pytest.approx(errors.max(), rel=1e-4)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = factorise(matrix(), 5)
    monkeypatch.setattr("xmpress.compression.factorisation.CHUNK", 13)
    parts = factorise(matrix(), 5)
    np.testing.assert_allclose(
        parts.table @ parts.projection, whole.table @ whole.projection, atol=1e-5
    )


def test_weighted_rows_are_those_of_the_weighted_decomposition() -> None:
    whole, weights = matrix(), np.random.default_rng(1).exponential(size=300) ** 4
    found = factorise(whole, 7, weights=weights)
    roots = np.sqrt(weights)[:, None]
    u, s, v = np.linalg.svd(whole * roots, full_matrices=False)
    np.testing.assert_allclose(
        roots * (found.table @ found.projection), (u[:, :7] * s[:7]) @ v[:7], atol=2e-4
    )
    often = np.argsort(-weights)[:15]

    def error(factors: Any) -> float:
        return float(np.square(factors.table @ factors.projection - whole)[often].mean())

    assert error(found) < error(factorise(whole, 7))


def test_it_is_smaller_on_disk_and_loads_in_a_clean_process(
    context: Context, tmp_path: Path
) -> None:
    details = run(context, tmp_path / "out", rank=8)
    before, after = context.artefact, Artefact(tmp_path / "out")
    saved = details["embedding_parameters"]["before"] - details["embedding_parameters"]["after"]
    assert before.parameters is not None
    assert after.parameters == before.parameters - saved
    assert before.bytes - after.bytes > 3.9 * saved
    assert 0 < details["kept_energy"] < 1
    code = (
        "import sys, xmpress, torch\n"
        "from transformers import AutoModel\n"
        "model = AutoModel.from_pretrained(sys.argv[1])\n"
        "ids = torch.arange(12)[None]\n"
        "print(repr(model(ids, torch.ones_like(ids)).logits['effort'].tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True
    )
    import torch

    ids = torch.arange(12)[None]
    here = load_model(tmp_path / "out").model(ids, torch.ones_like(ids)).logits["effort"]
    assert done.stdout.strip() == repr(here.tolist()), done.stderr


def test_the_scores_come_near_those_before_as_the_rank_grows(
    context: Context, tmp_path: Path
) -> None:
    before = load_model(context.artefact.path).logits(TEXTS)["sentiment"]
    distances = []
    for rank in (4, 16, 31):
        run(context, tmp_path / str(rank), rank=rank)
        after = load_model(tmp_path / str(rank)).logits(TEXTS)["sentiment"]
        distances.append(np.abs(after - before).mean())
    assert distances[0] > distances[1] > distances[2] > 0


def test_frequencies_come_from_the_training_rows(
    context: Context, labelled_data: Path, tmp_path: Path
) -> None:
    tasks = load_model(context.artefact.path).tasks
    given = replace(context, dataset=lambda: load_dataset(labelled_data, tasks))
    assert not FactoriseEmbedding(FactoriseParams(weights="uniform")).needs_data
    assert FactoriseEmbedding(FactoriseParams()).needs_data
    run(given, tmp_path / "uniform", rank=8)
    run(given, tmp_path / "weighted", rank=8, weights="frequency")
    texts = load_dataset(labelled_data, tasks).texts[:50]
    before = load_model(context.artefact.path).logits(texts)["sentiment"]
    uniform, weighted = (
        np.abs(load_model(tmp_path / name).logits(texts)["sentiment"] - before).mean()
        for name in ("uniform", "weighted")
    )
    assert weighted < uniform


def test_the_graph_looks_up_a_small_table(context: Context, tmp_path: Path) -> None:
    run(context, tmp_path / "out", rank=8)
    bundle = export_bundle(tmp_path / "out", tmp_path / "bundle")
    graph = onnx.load(bundle / "onnx/model.onnx").graph
    vocabulary = load_model(tmp_path / "out").tokenizer.vocab_size
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    (lookup,) = [n for n in graph.node if n.op_type == "Gather" and n.input[1] == "input_ids"]
    assert shapes[lookup.input[0]] == (vocabulary, 8)
    (product,) = [n for n in graph.node if lookup.output[0] in n.input]
    assert product.op_type == "MatMul"
    assert shapes[product.input[1]] == (8, 32)
    expected = load_model(tmp_path / "out").logits(TEXTS)["effort"]
    np.testing.assert_allclose(Analyzer(bundle).logits(TEXTS)["effort"], expected, atol=1e-4)
    for embedding in ("int8", "int4"):
        (tmp_path / embedding).mkdir()
        given = replace(context, artefact=Artefact(bundle))
        params = QuantizeParams(embedding=embedding)
        done = Quantize(params).run(given, tmp_path / embedding)
        assert done["embeddings"] == 1


def test_an_encoder_may_be_made_with_such_an_embedding(
    tiny_tokenizer_file: Path, tmp_path: Path
) -> None:
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    source = open_encoder(
        {"model_type": "bert", "hidden_size": 16, "embedding_rank": 4, **sizes},
        workspace=tmp_path,
        tokenizer=tiny_tokenizer_file.parent,
    )
    names = dict(source.encoder.named_parameters())
    assert names["embeddings.word_embeddings.projection.weight"].shape == (16, 4)


def test_what_cannot_be_is_refused(context: Context, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must be smaller than the embedding's width, 32"):
        run(context, tmp_path / "wide", rank=32)
    run(context, tmp_path / "once", rank=8)
    again = replace(context, artefact=Artefact(tmp_path / "once"))
    with pytest.raises(ModelError, match="factorised already, to rank 8"):
        run(again, tmp_path / "twice", rank=4)
