"""The pass ``quantize``: a bundle whose matrices and embeddings are int8."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import onnx
from pydantic import Field

from xmpress.compression.passes import Context, Kind, Pass, PassParams
from xmpress.compression.quantization.dynamic import Activations, Rewritten, quantize_graph
from xmpress.compression.quantization.embeddings import EmbeddingMode
from xmpress.errors import ModelError
from xmpress.evaluation import Predictor
from xmpress.export import export_bundle
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import TOKENIZER, Bundle, write_manifest

GRAPH = "onnx/model.onnx"


class QuantizeParams(PassParams):
    """Parameters of ``quantize``."""

    mode: Literal["int8-dynamic"] = "int8-dynamic"
    """int8 weights; activations quantized while the graph runs, without calibration data."""
    activations: Activations = "token"
    """One scale per ``token``: a text's result does not depend on what it is batched with. Or one
    range per ``tensor`` (the whole batch): a little faster."""
    weight_bits: Literal[7, 8] = 7
    """7 gives right sums on every processor; 8 is finer, but saturates on x86 without VNNI."""
    embedding: EmbeddingMode = "int8"
    """The embedding tables, most of a small multilingual model's bytes: ``int8`` with a scale per
    row, ``int4`` (half of that again), or ``fp32``."""
    embedding_group: Annotated[int, Field(ge=1)] | None = 32
    """With ``int4``: at most so many weights of a row share a scale; null for the whole row."""
    checked_rows: Annotated[int, Field(ge=1)] = 2000
    """Texts on which the labels are compared with those in fp32."""


class Quantize(Pass[QuantizeParams]):
    """Model directory or fp32 bundle in, int8 bundle out.

    The heads stay in fp32: they are small, and a rounding there is a rounding of the result.
    """

    Params: ClassVar[type[PassParams]] = QuantizeParams
    takes: ClassVar[tuple[Kind, ...]] = ("model", "bundle")
    gives: ClassVar[Kind] = "bundle"

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Quantize, then compare the labels with those of the fp32 bundle on real texts."""
        params = self.params
        fp32 = self._fp32(context)
        manifest = Bundle.open(fp32).manifest
        if manifest.quantization is not None:
            raise ModelError(f"{fp32} is quantized already; start from its fp32 bundle or model")
        machine = this_machine()
        if params.weight_bits == 8 and not machine.int8_dot_product:
            context.say(
                f"weight_bits: 8 saturates on this processor ({machine.cpu}, no VNNI): what is "
                "measured here is worse than on one that has it; 7 is right everywhere"
            )
        graph = onnx.load(fp32 / GRAPH)
        done = quantize_graph(
            graph,
            activations=params.activations,
            weight_bits=params.weight_bits,
            embedding=params.embedding,
            embedding_group=params.embedding_group,
        )
        (target / GRAPH).parent.mkdir(parents=True)
        onnx.save(graph, target / GRAPH)
        shutil.copyfile(fp32 / TOKENIZER, target / TOKENIZER)
        manifest = manifest.model_copy(
            update={"quantization": self._description(done), "scorecard": None}
        )
        write_manifest(target, manifest)
        texts, contexts = context.texts(params.checked_rows)
        agreement, largest = agree(Analyzer(fp32), Analyzer(target), texts, contexts)
        checked = {
            "rows": len(texts),
            "agreement": agreement,
            "largest_difference": largest,
        }
        manifest = manifest.model_copy(update={"checked_on": {**machine.to_dict(), **checked}})
        write_manifest(target, manifest)
        low = {task: share for task, share in agreement.items() if share < 0.99}
        if low:
            shares = ", ".join(f"{task} {100 * share:.2f} %" for task, share in low.items())
            context.say(f"int8 and fp32 agree on less than 99 % of the labels of: {shares}")
        return {
            "matmuls_int8": done.matmuls,
            "embeddings_int8": done.embeddings,
            "kept_fp32": done.kept,
            "checked": checked,
        }

    def _fp32(self, context: Context) -> Path:
        if context.artefact.kind == "bundle":
            return context.artefact.path
        fp32 = context.workspace / "fp32"
        shutil.rmtree(fp32, ignore_errors=True)
        return export_bundle(context.artefact.path, fp32, name=context.name)

    def _description(self, done: Rewritten) -> dict[str, Any]:
        params = self.params
        return {
            "mode": params.mode,
            "weights": f"int8, {params.weight_bits} bits, per output channel",
            "activations": f"uint8, per {params.activations}",
            "embedding": self._embedding() if done.embeddings else "fp32",
            # What a processor must have for the sums to be right.
            "needs": "int8 dot product (VNNI, dotprod)" if params.weight_bits == 8 else None,
        }

    def _embedding(self) -> str:
        group = self.params.embedding_group
        if self.params.embedding == "int4" and group is not None:
            return f"int4, per {group} weights of a row"
        return f"{self.params.embedding}, per row"


def agree(
    reference: Predictor,
    candidate: Predictor,
    texts: list[str],
    contexts: list[str | None],
) -> tuple[dict[str, float], float]:
    """How often two forms of one model give the same label.

    Returns:
        Per task the share of equal labels (multi-label: of equal decisions, over all labels), and
        the largest difference of a logit.
    """
    before, after = reference.logits(texts, contexts), candidate.logits(texts, contexts)
    shares = {}
    for task in reference.tasks:
        labels = [
            task.decide(task.probabilities(logits[task.name], calibration), calibration)
            for logits, calibration in (
                (before, reference.calibration[task.name]),
                (after, candidate.calibration[task.name]),
            )
        ]
        same = labels[0] == labels[1]
        shares[task.name] = float(same.mean() if task.multi else same.all(axis=1).mean())
    largest = max(float(np.abs(before[name] - after[name]).max()) for name in before)
    return shares, largest
