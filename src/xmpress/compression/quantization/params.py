"""The parameters of ``quantize``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xmpress.compression.passes import PassParams
from xmpress.compression.quantization.calibration import RangeMethod
from xmpress.compression.quantization.dynamic import Activations
from xmpress.compression.quantization.embeddings import EmbeddingMode


class QuantizeParams(PassParams):
    """Parameters of ``quantize``."""

    mode: Literal["fp16", "bf16", "int8-dynamic", "int8-static"] = "int8-dynamic"
    """``fp16``, ``bf16``: weights in 16 bits, computed in fp32 on a CPU. ``int8-dynamic``: int8
    products, activations quantized while the graph runs. ``int8-static``: with fixed ranges of the
    activations, from calibration data; faster, and less exact."""
    engine: Literal["onnx", "openvino"] = "onnx"
    """What will run the bundle. ``openvino`` (extra openvino; for ``int8-static``) quantizes with
    NNCF."""
    activations: Activations = "token"
    """``int8-dynamic``: one scale per ``token``: a text's result does not depend on what it is
    batched with. Or one range per ``tensor`` (the whole batch): a little faster."""
    weight_bits: Literal[7, 8, "both"] = 7
    """7 gives right sums on every processor; 8 is finer, but overflows on x86 without VNNI, where
    the bundle then does not open. ``both``: two graphs, of which the processor decides."""
    embedding: EmbeddingMode = "int8"
    """``int8-...``: the embedding tables, most of a small multilingual model's bytes: ``int8`` with
    a scale per row, ``int4`` (half of that again), or ``fp32``."""
    embedding_group: Annotated[int, Field(ge=1)] | None = 32
    """With ``int4``: at most so many weights of a row share a scale; null for the whole row."""
    calibration: Literal["stratified-by-language", "random"] = "stratified-by-language"
    """``int8-static``: how calibration rows are drawn from the training rows (of the bundled sample
    where the recipe has no data): evenly over the languages, or as they come."""
    calibration_rows: Annotated[int, Field(ge=1)] = 600
    """Rows that ranges, sensitivity and the agreement target are determined on."""
    range: RangeMethod = "percentile"
    """``int8-static``: ``percentile`` clips 1 of 10,000 values, ``entropy`` clips where the
    distribution suffers least, ``minmax`` clips nothing."""
    smoothing: Annotated[float, Field(ge=0, le=1)] | None = 0.5
    """``int8-static``: strength of SmoothQuant, which moves differences between channels from
    activations to weights; null for none."""
    bias_correction: bool = True
    """``int8-static``: add to biases what rounding the weights takes away on average."""
    agreement: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of labels that must stay as in fp32, per task and language: so many of the most
    sensitive products stay in fp32 until it holds on the calibration rows. 0.99, say."""
    sensitivity: bool = False
    """Only measure the sensitivity of each product, for the report."""
    checked_rows: Annotated[int, Field(ge=1)] = 2000
    """Held-out texts on which the labels are compared with those in fp32."""

    @model_validator(mode="after")
    def _engine_can(self) -> QuantizeParams:
        if self.engine == "openvino":
            if self.mode != "int8-static":
                raise ValueError(f"engine: openvino is for mode: int8-static, not {self.mode}")
            if self.agreement is not None or self.sensitivity:
                raise ValueError("agreement and sensitivity are for engine: onnx")
            if self.embedding != "int8":
                raise ValueError(
                    f"engine: openvino makes embeddings int8, not {self.embedding}; leave "
                    "embedding out, or choose engine: onnx"
                )
        return self
