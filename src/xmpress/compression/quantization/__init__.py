"""Weights and activations in fewer bits: the pass ``quantize`` and what it is made of."""

from xmpress.compression.quantization.dynamic import Rewritten, quantize_graph
from xmpress.compression.quantization.quantize import Quantize, QuantizeParams, agree

__all__ = ["Quantize", "QuantizeParams", "Rewritten", "agree", "quantize_graph"]
