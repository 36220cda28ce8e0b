"""Weights and activations in fewer bits: the pass ``quantize`` and what it is made of."""

from xmpress.compression.quantization.agreement import Agreement, Share, agree, agreement
from xmpress.compression.quantization.dynamic import Rewritten, quantize_graph
from xmpress.compression.quantization.params import QuantizeParams
from xmpress.compression.quantization.quantize import Quantize

__all__ = [
    "Agreement",
    "Quantize",
    "QuantizeParams",
    "Rewritten",
    "Share",
    "agree",
    "agreement",
    "quantize_graph",
]
