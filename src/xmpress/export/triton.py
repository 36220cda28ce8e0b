"""A bundle as a model repository of the Triton Inference Server.

Two models: NAME takes texts (Python backend: tokenisation, dynamic batching, decoding), and
NAME_graph runs the ONNX graph (ONNX Runtime backend), on a CPU or a GPU. Inputs and outputs are
those of ``xmpress serve``: ``text`` and ``context``; per task ``{task}.label`` and
``{task}.probabilities``.
"""

from __future__ import annotations

import re
import shutil
from importlib.resources import files
from pathlib import Path

from xmpress.data.files import atomic_dir
from xmpress.errors import ExportError
from xmpress.runtime.bundle import MANIFEST, TOKENIZER, Bundle, Manifest
from xmpress.runtime.engines import TOKEN_BUDGET
from xmpress.runtime.engines.variants import graph_name

MAX_TEXTS = 1024
"""Texts that one request may hold, and that are tokenised together."""
MAX_REQUESTS = 2_000
"""Requests that wait; beyond, Triton refuses."""
TOKENISERS = 2
"""Processes of the Python backend, so that one tokenises while the graph runs for another."""


def export_triton(bundle: str | Path | Bundle, out: str | Path, *, overwrite: bool = False) -> Path:
    """Write a bundle as a Triton model repository.

    Args:
        bundle: a bundle with an ONNX graph that is right on every processor.
        out: the repository's directory; complete or not there at all.
        overwrite: replace an existing directory.

    Returns:
        The repository's directory.

    Raises:
        BundleError: if the bundle cannot be used.
        ExportError: if it has no such graph.
        UsageError: if ``out`` exists and ``overwrite`` is false.
    """
    source = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    manifest = source.manifest
    graph = source.path / "onnx" / graph_name("safe", ".onnx")
    if not graph.is_file():
        raise ExportError(
            f"bundle {source.path} has no {graph.relative_to(source.path)}, which Triton runs; "
            "export the model with --to onnx, or quantize it with weight_bits 7 or both"
        )
    # Names of models stand in addresses, and versions are numbers there.
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", manifest.name)
    version = manifest.version if manifest.version.isdecimal() else "1"
    with atomic_dir(out, overwrite=overwrite) as target:
        texts, tensors = target / name, target / f"{name}_graph"
        for folder in (texts / version, tensors / version):
            folder.mkdir(parents=True)
        for file in (MANIFEST, TOKENIZER):
            shutil.copyfile(source.path / file, texts / version / file)
        code = files("xmpress.export") / "triton_model.py"
        (texts / version / "model.py").write_text(code.read_text("utf-8"), encoding="utf-8")
        for task in manifest.task_set:
            labels = "".join(f"{label}\n" for label in task.labels)
            (texts / f"{task.name}.labels").write_text(labels, encoding="utf-8")
        for file_ in graph.parent.glob(f"{graph.name}*"):  # weights may lie beside it
            shutil.copyfile(file_, tensors / version / file_.name)
        (texts / "config.pbtxt").write_text(_texts_config(name, manifest), encoding="utf-8")
        (tensors / "config.pbtxt").write_text(_graph_config(name, manifest), encoding="utf-8")
    return Path(out)


def _texts_config(name: str, manifest: Manifest) -> str:
    outputs = []
    for task in manifest.task_set:
        outputs += [
            f'{{ name: "{task.name}.label" data_type: TYPE_STRING dims: [ 1 ] }}',
            f'{{ name: "{task.name}.probabilities" data_type: TYPE_FP32 dims: [ {len(task)} ] '
            f'label_filename: "{task.name}.labels" }}',
        ]
    return f"""\
# Texts in, labels and probabilities out. Tokenises, asks {name}_graph, decodes.
name: "{name}"
backend: "python"
max_batch_size: {MAX_TEXTS}
input [
  {{ name: "text" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "context" data_type: TYPE_STRING dims: [ 1 ] optional: true }}
]
output [
  {_lines(outputs)}
]
# What waits is answered together, and nothing waits while an instance is idle.
dynamic_batching {{
  max_queue_delay_microseconds: 0
  default_queue_policy {{ max_queue_size: {MAX_REQUESTS} timeout_action: REJECT }}
}}
instance_group [ {{ count: {TOKENISERS} kind: KIND_CPU }} ]
parameters [
  {{ key: "graph" value: {{ string_value: "{name}_graph" }} }},
  # Padded tokens that the graph gets at a time; 16384 suits a GPU.
  {{ key: "token_budget" value: {{ string_value: "{TOKEN_BUDGET}" }} }}
]
"""


def _graph_config(name: str, manifest: Manifest) -> str:
    inputs = [f'{{ name: "{i}" data_type: TYPE_INT64 dims: [ -1, -1 ] }}' for i in manifest.inputs]
    outputs = [
        f'{{ name: "{task.name}" data_type: TYPE_FP32 dims: [ -1, {len(task)} ] }}'
        for task in manifest.task_set
    ]
    return f"""\
# The graph: token ids in, a score per label out. Batches come ready from {name}.
name: "{name}_graph"
backend: "onnxruntime"
max_batch_size: 0
input [
  {_lines(inputs)}
]
output [
  {_lines(outputs)}
]
# KIND_GPU runs it on every GPU. On a CPU more instances with fewer threads each give more
# throughput, one with all threads the shortest answers.
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
"""


def _lines(messages: list[str]) -> str:
    return ",\n  ".join(messages)
