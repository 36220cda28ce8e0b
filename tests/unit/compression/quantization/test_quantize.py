from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from xmpress.compression import Artefact, Context
from xmpress.compression.quantization import Quantize, QuantizeParams
from xmpress.errors import EngineError, ModelError
from xmpress.machine import Machine
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle

PLAIN = Machine("Plain", "x86_64", ("avx2",), 2, None, "Linux")
VNNI = Machine("Newer", "x86_64", ("avx2", "avx512_vnni"), 2, None, "Linux")


@pytest.fixture
def given(context: Context, tiny_bundle: Path) -> Context:
    return replace(context, artefact=Artefact(tiny_bundle))


def quantize(context: Context, target: Path, **params: Any) -> dict[str, Any]:
    target.mkdir()
    return Quantize(QuantizeParams(**params)).run(context, target)


def size(bundle: Path, name: str = "model.onnx") -> int:
    return (bundle / "onnx" / name).stat().st_size


def test_a_bundle_says_how_it_was_quantized_and_checked(
    given: Context, tiny_bundle: Path, tmp_path: Path
) -> None:
    details = quantize(given, tmp_path / "out")
    fp32, int8 = Bundle.open(tiny_bundle), Bundle.open(tmp_path / "out")
    assert int8.manifest.quantization is not None
    assert int8.manifest.quantization["mode"] == "int8-dynamic"
    assert int8.manifest.quantization["needs"] is None
    assert "7 bits" in int8.manifest.quantization["weights"]
    assert int8.manifest.calibration == fp32.manifest.calibration
    checked = int8.manifest.checked_on
    assert checked["rows"] == 5
    assert "instruction_sets" in checked
    assert checked["agreement"].keys() == set(int8.manifest.task_set.names)
    cells = {(cell["task"], cell["lang"]) for cell in details["checked"]["agreement_cells"]}
    assert cells == {(t, lang) for t in int8.manifest.task_set.names for lang in ("en", "fr", "ja")}
    assert size(int8.path) < size(fp32.path)


def test_a_quantized_bundle_is_not_quantized_again(given: Context, tmp_path: Path) -> None:
    quantize(given, tmp_path / "once")
    twice = replace(given, artefact=Artefact(tmp_path / "once"))
    with pytest.raises(ModelError, match="quantized already"):
        quantize(twice, tmp_path / "twice")


def test_int4_halves_the_embedding_again(given: Context, tmp_path: Path) -> None:
    tables = {}
    for mode in ("fp32", "int8", "int4"):
        quantize(given, tmp_path / mode, embedding=mode)
        weights = onnx.load(tmp_path / mode / "onnx/model.onnx").graph.initializer
        tables[mode] = max(len(t.raw_data) for t in weights if "word_embeddings" in t.name)
    assert tables["fp32"] == 4 * tables["int8"] == 8 * tables["int4"]
    said = (Bundle.open(tmp_path / "int4").manifest.quantization or {})["embedding"]
    assert said == "int4, per 32 weights of a row"


@pytest.mark.parametrize("mode", ["fp16", "bf16"])
def test_sixteen_bits_change_next_to_nothing(given: Context, tmp_path: Path, mode: str) -> None:
    details = quantize(given, tmp_path / mode, mode=mode)
    assert (details["matrices"], details["embeddings"]) == (12, 1)
    assert 0 < details["checked"]["largest_difference"] < (0.02 if mode == "fp16" else 0.2)
    assert size(tmp_path / mode) < 0.7 * size(given.artefact.path)


def test_fixed_ranges_are_near_those_that_are_found_while_running(
    given: Context, tmp_path: Path
) -> None:
    worst = {}
    for mode in ("int8-dynamic", "int8-static"):
        details = quantize(given, tmp_path / mode, mode=mode)
        assert details["matmuls_int8"] == 12
        worst[mode] = details["checked"]["largest_difference"]
    assert details["calibration"] == {"rows": 5, "languages": {"en": 3, "fr": 1, "ja": 1}}
    assert 0 < worst["int8-static"] < 5 * worst["int8-dynamic"]


def test_sensitive_products_stay_in_fp32_until_labels_agree(given: Context, tmp_path: Path) -> None:
    details = quantize(given, tmp_path / "out", agreement=1.0, embedding="fp32")
    found = details["sensitivity"]
    changes = [product["change"] for product in found["products"]]
    assert len(changes) == 12
    assert changes == sorted(changes, reverse=True)
    worst = [product["weight"] for product in found["products"]]
    assert found["kept"] == worst[: len(found["kept"])]
    assert set(found["kept"]) <= set(details["kept_fp32"])
    assert details["matmuls_int8"] == 12 - len(found["kept"])
    assert any("query.weight" in weight for weight in worst)


def test_what_one_product_changes_does_not_hang_on_the_embedding(
    given: Context, tmp_path: Path
) -> None:
    found = [
        quantize(given, tmp_path / embedding, embedding=embedding, sensitivity=True)
        for embedding in ("fp32", "int4")
    ]
    assert found[0]["sensitivity"]["products"] == found[1]["sensitivity"]["products"]


def test_eight_bits_open_only_where_they_are_right(
    given: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("xmpress.compression.quantization.quantize.this_machine", lambda: PLAIN)
    monkeypatch.setattr("xmpress.runtime.engines.variants.this_machine", lambda: PLAIN)
    out = tmp_path / "out"
    quantize(replace(given, say=said.append), out, weight_bits=8, embedding="fp32")
    assert any("saturates" in line for line in said)
    quantization = Bundle.open(out).manifest.quantization or {}
    assert "VNNI" in quantization["needs"]
    assert quantization["embedding"] == "fp32"
    with pytest.raises(EngineError, match=r"overflow.*weight_bits: 7.*XMPRESS_VARIANT=vnni"):
        Analyzer(out)
    monkeypatch.setattr("xmpress.runtime.engines.variants.this_machine", lambda: VNNI)
    assert Analyzer(out).analyze("fine")


def test_a_bundle_may_hold_both_forms(given: Context, tmp_path: Path) -> None:
    details = quantize(given, tmp_path / "out", weight_bits="both")
    assert {path.name for path in (tmp_path / "out/onnx").iterdir()} == {
        "model.onnx",
        "model.vnni.onnx",
    }
    assert set(details["checked"]["variants"]) == {"vnni"}
    assert (Bundle.open(tmp_path / "out").manifest.quantization or {})["needs"] is None


def test_what_an_engine_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="int8-static"):
        QuantizeParams(engine="openvino")
    with pytest.raises(ValueError, match="for engine: onnx"):
        QuantizeParams(engine="openvino", mode="int8-static", agreement=0.99)
    with pytest.raises(ValueError, match=r"makes embeddings int8, not int4.*engine: onnx"):
        QuantizeParams(engine="openvino", mode="int8-static", embedding="int4")


def test_openvino_gives_nearly_the_same(given: Context, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    details = quantize(given, tmp_path / "out", engine="openvino", mode="int8-static")
    assert {path.name for path in (tmp_path / "out/openvino").iterdir()} == {
        "model.xml",
        "model.bin",
    }
    assert details["checked"]["largest_difference"] > 0
    assert min(details["checked"]["agreement"].values()) >= 0.6
    assert (
        Analyzer(tmp_path / "out", threads=1).analyze("the staff was great")[0]["sentiment"].label
    )
