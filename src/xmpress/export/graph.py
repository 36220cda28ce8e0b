"""The model as an ONNX graph."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from xmpress.data.files import atomic_path
from xmpress.errors import ExportError, MissingExtraError
from xmpress.modeling.artefact import LoadedModel, load_model
from xmpress.modeling.model import MultiTaskModel
from xmpress.runtime.batching import INPUTS

OPSET = 20
"""The ONNX operator set: the first with Gelu, which would otherwise be five operators."""
LARGEST_FILE = 2**31 - 2**20
"""A protobuf file ends at 2 GiB; the weights of a larger model need a file of their own."""


def export_onnx(
    model: LoadedModel | str | Path, path: str | Path, *, opset: int = OPSET
) -> list[str]:
    """Write a model's graph; batch and sequence length stay free.

    Args:
        model: a model directory, or one that is loaded (which is put on the CPU, in fp32).
        path: the file to write; a model beyond 2 GiB puts its weights into ``<path>.data``.
        opset: ONNX operator set.

    Returns:
        The graph's inputs, int64 [batch, sequence] each: ``input_ids``, ``attention_mask``, and
        ``token_type_ids`` if the encoder tells segments apart. Its outputs are named as the tasks,
        float32 [batch, labels] each.

    Raises:
        ModelError: if the model directory cannot be used.
        ExportError: if torch cannot export the architecture.
    """
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    network: nn.Module = loaded.model
    network.to(device="cpu", dtype=torch.float32)
    inputs = list(INPUTS if loaded.model.uses_token_types else INPUTS[:2])
    # Sizes other than 1, which torch would take for constants; a tensor of its own per input, for
    # the exporter takes one tensor given twice for one input.
    example = torch.ones(2, 8, dtype=torch.int64)
    example[1, 6:] = 0
    axes = {0: "batch", 1: "sequence"}
    try:
        with _quiet():
            program = torch.onnx.export(
                _ByPosition(loaded.model, inputs).eval(),
                tuple(example.clone() for _ in inputs),
                dynamo=True,
                input_names=inputs,
                output_names=list(loaded.tasks.names),
                dynamic_shapes=(tuple(axes for _ in inputs),),
                opset_version=opset,
                verbose=False,
            )
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "exporting to ONNX") from error
    except Exception as error:  # torch raises many kinds, and wraps them differently by version
        reason = str(error).strip().splitlines()
        raise ExportError(
            f"torch could not export {loaded.path} "
            f"({loaded.model.config.encoder_config.model_type}) to ONNX: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error
    if program is None:
        raise ExportError(f"torch returned no ONNX program for {loaded.path}")
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    if size < LARGEST_FILE:
        graph = program.model_proto
        _tidy(graph, loaded.model)
        with atomic_path(path) as temporary:
            onnx.save(graph, temporary)
    else:
        # The graph names its data file, so it cannot be written under another name.
        program.save(path, external_data=True)
    return inputs


def _tidy(graph: onnx.ModelProto, model: MultiTaskModel) -> None:
    """Name weights as the model does, and drop what the exporter notes about the source code.

    The exporter transposes the weights of linear layers and gives them numbers. Its notes hold
    paths of this machine, and are as large as a small model.
    """
    names = {
        _digest(parameter.detach().T.contiguous().numpy().tobytes()): f"{name}.T"
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2
    }
    renamed = {}
    for tensor in graph.graph.initializer:
        if len(tensor.dims) == 2 and tensor.name.startswith("val_"):
            data = numpy_helper.to_array(tensor).tobytes()
            renamed[tensor.name] = names.pop(_digest(data), tensor.name)
            tensor.name = renamed[tensor.name]
    for node in graph.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        del node.metadata_props[:]
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del value.metadata_props[:]
    for tensor in graph.graph.initializer:
        del tensor.metadata_props[:]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class _ByPosition(nn.Module):
    """The model with positional inputs and, in the order of the tasks, positional outputs."""

    def __init__(self, model: MultiTaskModel, inputs: list[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        output = self.model(**dict(zip(self.inputs, values, strict=True)))
        return tuple(output.logits[task.name] for task in self.model.config.task_set)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter says about itself: deprecations within torch, torchvision missing."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
