"""Which of a bundle's graphs suits the processor.

A bundle may hold two forms of one graph: ``model.onnx``, which is right on every processor, and
``model.vnni.onnx``, whose weights use all 8 bits. x86 processors without VNNI or the like add pairs
of int8 products in 16 bits, where the latter overflows: its scores would be wrong without a sign of
it. So it is opened only where it is right.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from xmpress.errors import EngineError
from xmpress.machine import Machine, this_machine

Variant = Literal["safe", "vnni"]
VARIANT_VARIABLE = "XMPRESS_VARIANT"
"""Environment variable that overrides the choice, to measure what it would be."""


def graph_name(variant: Variant, suffix: str) -> str:
    """The name of a graph's file: ``model.onnx``, ``model.vnni.onnx``."""
    return f"model{'' if variant == 'safe' else '.' + variant}{suffix}"


def saturates(machine: Machine) -> bool:
    """Whether int8 products with weights of full range overflow on a machine."""
    x86 = machine.architecture.lower() in {"x86_64", "amd64", "x86", "i386", "i686"}
    return x86 and not machine.int8_dot_product


def choose_graph(folder: Path, suffix: str, variant: str | None = None) -> Path:
    """The graph to open on this machine.

    Args:
        folder: an engine's folder of a bundle.
        suffix: of the engine's graphs.
        variant: a `Variant` to open whatever the machine; ``None`` leaves the choice to
            `VARIANT_VARIABLE`, and without it to the processor.

    Raises:
        EngineError: if there is only a graph that would be wrong here, or not the one asked for.
    """
    graphs = {known: folder / graph_name(known, suffix) for known in get_args(Variant)}
    wanted = variant or os.environ.get(VARIANT_VARIABLE) or None
    if wanted is not None:
        if wanted not in graphs:
            raise EngineError(
                f"there is no variant '{wanted}' (from {VARIANT_VARIABLE} or the call); "
                f"the variants are {', '.join(graphs)}"
            )
        if not graphs[wanted].is_file():
            raise EngineError(f"{folder} has no variant '{wanted}' ({graphs[wanted].name})")
        return graphs[wanted]
    machine = this_machine()
    if graphs["vnni"].is_file():
        if not saturates(machine):
            return graphs["vnni"]
        if not graphs["safe"].is_file():
            raise EngineError(
                f"{graphs['vnni']} has 8-bit weights, which overflow on this processor "
                f"({machine.cpu}: x86 without VNNI): its answers would be wrong. Quantize the "
                "model with weight_bits: 7 (right everywhere) or both, or run it on a processor "
                f"with VNNI; to measure it nevertheless set {VARIANT_VARIABLE}=vnni"
            )
    return graphs["safe"]
