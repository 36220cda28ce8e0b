"""The pass ``quantize``: a bundle whose weights take fewer bits."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import onnx

from xmpress.compression.passes import Context, Kind, Pass, PassParams
from xmpress.compression.quantization.agreement import agree, agreement
from xmpress.compression.quantization.calibration import calibration_batches
from xmpress.compression.quantization.dynamic import Rewritten, quantize_graph
from xmpress.compression.quantization.graph import Graph
from xmpress.compression.quantization.halves import halve_weights
from xmpress.compression.quantization.nncf import quantize_openvino
from xmpress.compression.quantization.params import QuantizeParams
from xmpress.compression.quantization.sensitivity import keep_worst, measure
from xmpress.compression.quantization.static import calibrate_graph, quantize_static
from xmpress.data import Dataset
from xmpress.errors import ModelError
from xmpress.export import export_bundle
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import TOKENIZER, Bundle, Manifest, write_manifest
from xmpress.runtime.engines.variants import Variant, graph_name, saturates
from xmpress.tasks import FloatArray

GRAPH = "onnx/model.onnx"
WARN_BELOW = 0.99
"""Share of equal labels under which a person is told."""
Bits = Literal[7, 8]
VARIANTS: dict[Bits, Variant] = {7: "safe", 8: "vnni"}
Method = Callable[..., tuple[onnx.ModelProto, Rewritten]]
"""Quantizes the fp32 graph with so many bits per weight, but for the weights named; with
``embedding`` the tables otherwise than asked for."""


class Quantize(Pass[QuantizeParams]):
    """Model directory or fp32 bundle in, quantized bundle out.

    The heads stay in fp32: they are small, and a rounding there is a rounding of the result.
    """

    Params: ClassVar[type[PassParams]] = QuantizeParams
    revision: ClassVar[int] = 3
    takes: ClassVar[tuple[Kind, ...]] = ("model", "bundle")
    gives: ClassVar[Kind] = "bundle"
    uses_data: ClassVar[bool] = True
    checks_held_out: ClassVar[bool] = True

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Quantize, then compare the labels with those of the fp32 bundle on real texts."""
        fp32 = Bundle.open(self._fp32(context))
        if fp32.manifest.quantization is not None:
            raise ModelError(f"{fp32.path} is quantized already; start from its fp32 bundle")
        if fp32.manifest.cascade is not None:
            raise ModelError(f"{fp32.path} has a first stage; put 'cascade' after 'quantize'")
        (target / self.params.engine).mkdir(parents=True)
        shutil.copyfile(fp32.path / TOKENIZER, target / TOKENIZER)
        if self.params.mode in {"fp16", "bf16"}:
            details = self._halve(fp32, target)
        elif self.params.engine == "openvino":
            details = self._openvino(context, fp32, target)
        else:
            details = self._int8(context, fp32, target)
        manifest = fp32.manifest.model_copy(
            update={"quantization": self._description(details), "scorecard": None}
        )
        return {**details, "checked": self._check(context, fp32, target, manifest)}

    # ---- the modes ----------------------------------------------------------------------------

    def _halve(self, fp32: Bundle, target: Path) -> dict[str, Any]:
        mode = self.params.mode
        model = onnx.load(fp32.path / GRAPH)
        matrices, tables = halve_weights(model, "fp16" if mode == "fp16" else "bf16")
        onnx.save(model, target / GRAPH)
        return {"matrices": matrices, "embeddings": tables}

    def _openvino(self, context: Context, fp32: Bundle, target: Path) -> dict[str, Any]:
        rows = self._calibration_rows(context)
        batches = calibration_batches(fp32, rows.texts, rows.contexts)
        for bits in self._bits:
            quantize_openvino(
                fp32.path / GRAPH,
                target / "openvino" / graph_name(VARIANTS[bits], ".xml"),
                batches,
                weight_bits=bits,
                smoothing=self.params.smoothing,
                bias_correction=self.params.bias_correction,
            )
        return {"calibration": _described(rows)}

    def _int8(self, context: Context, fp32: Bundle, target: Path) -> dict[str, Any]:
        rows = self._calibration_rows(context)
        details: dict[str, Any] = {}
        method = self._method(fp32, rows, details)
        keep: list[str] = []
        if self.params.agreement is not None or self.params.sensitivity:
            keep, details["sensitivity"] = self._sensitivity(fp32, rows, method)
            context.say(f"quantize: {len(keep)} of the products stay in fp32")
        for bits in self._bits:
            model, done = method(bits, keep)
            onnx.save(model, target / "onnx" / graph_name(VARIANTS[bits], ".onnx"))
        return {
            "matmuls_int8": done.matmuls,
            "embeddings": done.embeddings,
            "kept_fp32": done.kept,
            **details,
        }

    def _method(self, fp32: Bundle, rows: Dataset, details: dict[str, Any]) -> Method:
        params = self.params
        shared: dict[str, Any] = {
            "embedding": params.embedding,
            "embedding_group": params.embedding_group,
        }
        if params.mode == "int8-dynamic":
            return partial(_dynamic, fp32.path / GRAPH, activations=params.activations, **shared)
        calibrated = calibrate_graph(
            onnx.load(fp32.path / GRAPH),
            calibration_batches(fp32, rows.texts, rows.contexts),
            method=params.range,
            smoothing=params.smoothing,
        )
        details["calibration"] = _described(rows)
        details["smoothed_by_folding"] = calibrated.folded

        def static(
            bits: Bits, keep: Collection[str], **changes: Any
        ) -> tuple[onnx.ModelProto, Rewritten]:
            return quantize_static(
                calibrated,
                weight_bits=bits,
                keep=keep,
                bias_correction=params.bias_correction,
                **{**shared, **changes},
            )

        return static

    def _sensitivity(
        self, fp32: Bundle, rows: Dataset, method: Method
    ) -> tuple[list[str], dict[str, Any]]:
        """The weights to keep in fp32, and what was found on the way.

        On calibration rows: what is chosen on the rows held out would look better there than it is.
        """
        analyzer = Analyzer(fp32)
        before = analyzer.logits(rows.texts, rows.contexts)

        def quantized(keep: Collection[str], **changes: Any) -> dict[str, FloatArray]:
            # With 7 bits, whichever are asked for: right on every processor.
            return _logits(fp32, method(7, keep, **changes)[0], rows)

        weights = [product.input[1] for product in Graph(onnx.load(fp32.path / GRAPH)).products]
        # Each product alone: rounded tables would hide what the less sensitive ones change.
        alone = partial(quantized, embedding="fp32")
        ranked = measure(list(dict.fromkeys(weights)), before, alone)
        found: dict[str, Any] = {"rows": len(rows), "products": [s.to_dict() for s in ranked]}
        if self.params.agreement is None:
            return [], found
        keep, found["tried"] = keep_worst(
            ranked,
            lambda after: agreement(
                fp32.manifest.task_set, analyzer.calibration, before, after, rows.langs
            ),
            quantized,
            self.params.agreement,
        )
        return keep, {**found, "kept": keep}

    # ---- what they share ----------------------------------------------------------------------

    @property
    def _bits(self) -> tuple[Bits, ...]:
        bits = self.params.weight_bits
        return (7, 8) if bits == "both" else (bits,)

    def _fp32(self, context: Context) -> Path:
        if context.artefact.kind == "bundle":
            return context.artefact.path
        fp32 = context.workspace / "fp32"
        shutil.rmtree(fp32, ignore_errors=True)
        return export_bundle(context.artefact.path, fp32, name=context.name)

    def _calibration_rows(self, context: Context) -> Dataset:
        even = self.params.calibration == "stratified-by-language"
        return context.sample(self.params.calibration_rows, training=True, even=even)

    def _check(
        self, context: Context, fp32: Bundle, target: Path, manifest: Manifest
    ) -> dict[str, Any]:
        """Compare labels on real texts, variant by variant; write what was found and where."""
        machine, params = this_machine(), self.params
        write_manifest(target, manifest)
        rows = context.sample(params.checked_rows, training=False, even=True)
        reference, checked = Analyzer(fp32), {}
        variants = (
            ["safe"] if params.mode in {"fp16", "bf16"} else [VARIANTS[b] for b in self._bits]
        )
        for variant in variants:
            if variant == "vnni" and saturates(machine):
                context.say(
                    f"weight_bits: 8 saturates on this processor ({machine.cpu}, no VNNI): what is "
                    "measured here is worse than on one that has it, and the bundle will not open "
                    "here unless told to; 7 is right everywhere"
                )
            candidate = Analyzer(target, engine=params.engine, variant=variant)
            found = agree(reference, candidate, rows.texts, rows.contexts, rows.langs)
            checked[variant] = {"rows": len(rows), **found.to_dict()}
            low = [s for s in found.tasks.values() if s.share < WARN_BELOW]
            low += found.below(WARN_BELOW)
            if low:
                context.say(
                    f"{params.mode} and fp32 agree on less than 99 % of the labels of: "
                    + ", ".join(map(str, low))
                )
        first = checked[variants[0]]
        others = {name: found for name, found in checked.items() if found is not first}
        result = {**first, **({"variants": others} if others else {})}
        manifest = manifest.model_copy(update={"checked_on": {**machine.to_dict(), **result}})
        write_manifest(target, manifest)
        return result

    def _description(self, details: dict[str, Any]) -> dict[str, Any]:
        """What the manifest says about the weights and activations."""
        params = self.params
        if params.mode in {"fp16", "bf16"}:
            return {"mode": params.mode, "weights": params.mode, "activations": "fp32"}
        dynamic = params.mode == "int8-dynamic"
        bits = " and ".join(map(str, self._bits))
        return {
            "mode": params.mode,
            "weights": f"int8, {bits} bits, per output channel",
            "activations": f"uint8, per {params.activations if dynamic else 'tensor, fixed'}",
            "embedding": self._embedding(),
            # What a processor must have for the sums to be right.
            "needs": "int8 dot product (VNNI, dotprod)" if params.weight_bits == 8 else None,
        }

    def _embedding(self) -> str:
        params = self.params
        if params.engine == "openvino":
            return "int8"
        if params.embedding == "int4" and params.embedding_group is not None:
            return f"int4, per {params.embedding_group} weights of a row"
        return params.embedding if params.embedding == "fp32" else f"{params.embedding}, per row"


def _dynamic(
    path: Path, bits: Bits, keep: Collection[str], **options: Any
) -> tuple[onnx.ModelProto, Rewritten]:
    model = onnx.load(path)
    return model, quantize_graph(model, weight_bits=bits, keep=keep, **options)


def _logits(fp32: Bundle, model: onnx.ModelProto, rows: Dataset) -> dict[str, FloatArray]:
    """Run a graph in place of a bundle's."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        (copy / "onnx").mkdir()
        shutil.copyfile(fp32.path / TOKENIZER, copy / TOKENIZER)
        onnx.save(model, copy / GRAPH)
        write_manifest(copy, fp32.manifest)
        return Analyzer(copy).logits(rows.texts, rows.contexts)


def _described(rows: Dataset) -> dict[str, Any]:
    """The calibration data by language."""
    langs = [lang or "und" for lang in rows.langs]
    return {
        "rows": len(rows),
        "languages": {lang: langs.count(lang) for lang in sorted(set(langs))},
    }
