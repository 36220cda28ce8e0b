from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xmpress.compression import Artefact, Context
from xmpress.compression.quantization import Quantize, QuantizeParams, agree
from xmpress.errors import ModelError
from xmpress.machine import Machine
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle

PLAIN = Machine("Plain", "x86_64", ("avx2",), 2, None, "Linux")


def test_a_bundle_says_how_it_was_quantized_and_checked(
    context: Context, tiny_bundle: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    details = Quantize(QuantizeParams()).run(
        replace(context, artefact=Artefact(tiny_bundle)), target
    )
    fp32, int8 = Bundle.open(tiny_bundle), Bundle.open(target)
    assert int8.manifest.quantization is not None
    assert int8.manifest.quantization["mode"] == "int8-dynamic"
    assert int8.manifest.quantization["needs"] is None
    assert "7 bits" in int8.manifest.quantization["weights"]
    assert int8.manifest.calibration == fp32.manifest.calibration
    assert int8.manifest.checked_on["rows"] == 5
    assert "instruction_sets" in int8.manifest.checked_on
    assert details["checked"]["agreement"].keys() == set(int8.manifest.task_set.names)
    sizes = [(bundle.path / "onnx/model.onnx").stat().st_size for bundle in (fp32, int8)]
    assert sizes[1] < sizes[0]


def test_a_quantized_bundle_is_not_quantized_again(
    context: Context, tiny_bundle: Path, tmp_path: Path
) -> None:
    targets = [tmp_path / name for name in ("once", "twice")]
    for target in targets:
        target.mkdir()
    Quantize(QuantizeParams()).run(replace(context, artefact=Artefact(tiny_bundle)), targets[0])
    with pytest.raises(ModelError, match="quantized already"):
        Quantize(QuantizeParams()).run(replace(context, artefact=Artefact(targets[0])), targets[1])


def test_eight_bits_on_a_processor_that_saturates_is_told(
    context: Context, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.setattr("xmpress.compression.quantization.quantize.this_machine", lambda: PLAIN)
    given = replace(context, artefact=Artefact(tiny_bundle), say=said.append)
    Quantize(QuantizeParams(weight_bits=8, embedding="fp32")).run(given, target)
    assert any("saturates" in line for line in said)
    quantization = Bundle.open(target).manifest.quantization or {}
    assert "VNNI" in quantization["needs"]
    assert quantization["embedding"] == "fp32"


def test_agreement_counts_equal_labels(tiny_bundle: Path) -> None:
    analyzer = Analyzer(tiny_bundle)
    texts = ["great", "awful queue", "最高の接客でした", "trop d'attente"]
    shares, largest = agree(analyzer, analyzer, texts, [None] * 4)
    assert set(shares.values()) == {1.0}
    assert largest == 0.0

    class Turned(Analyzer):
        """Gives the scores of the next text."""

        def logits(self, texts, contexts=None):  # type: ignore[no-untyped-def]
            return {k: np.roll(v, 1, axis=0) for k, v in super().logits(texts, contexts).items()}

    shares, largest = agree(analyzer, Turned(tiny_bundle), texts, [None] * 4)
    assert min(shares.values()) < 1.0
    assert largest > 0.0
