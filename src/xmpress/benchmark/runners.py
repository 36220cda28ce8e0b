"""Candidates that need no torch: a bundle as it is used, and bare loops around its graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from xmpress.benchmark.candidates import BATCH
from xmpress.benchmark.shapes import work_of_graph
from xmpress.data.arrow import to_table
from xmpress.errors import EngineError
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, Manifest
from xmpress.runtime.engines.variants import choose_graph

GRAPH = Path("onnx")
"""The folder of a bundle whose graph tells its shapes."""


def precision_of(manifest: Manifest) -> str:
    """What a bundle's matrices compute in."""
    mode = str((manifest.quantization or {}).get("mode", "fp32"))
    return "int8" if mode.startswith("int8") else mode


class BundleRunner:
    """A bundle as `analyze_table` runs it: our batches, our decoding, labels and confidences."""

    device = "cpu"

    def __init__(
        self, path: Path, threads: int, *, engine: str = "auto", variant: str | None = None
    ) -> None:
        self._analyzer = Analyzer(path, engine=engine, threads=threads, variant=variant)
        self.precision = precision_of(self._analyzer.bundle.manifest)
        self.engine = self._analyzer._engine.name
        self._tokenizer = self._analyzer.bundle.tokenizer()

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts."""
        if len(texts) == 1:
            self._analyzer.analyze(texts)
        else:
            self._analyzer.analyze_table(to_table({"text": texts}))

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text."""
        return self._tokenizer.encode(texts).lengths

    def work(self) -> float | None:
        """Read from the ONNX graph, if the bundle has one."""
        return work_of_graph(self._analyzer.bundle.path / GRAPH)


class _BareRunner:
    """Tokenise 32 texts, pad them to the longest, run the graph: a loop as people write it."""

    device = "cpu"

    def __init__(self, path: Path, *, bucketed: bool) -> None:
        manifest = Bundle.open(path).manifest
        self._path, self._bucketed = path, bucketed
        self._inputs, self._pad_id = manifest.inputs, manifest.pad_id
        self.precision = precision_of(manifest)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        self._tokenizer.enable_truncation(manifest.max_length)
        self._tokenizer.no_padding()

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text."""
        return np.array([len(e.ids) for e in self._tokenizer.encode_batch(list(texts))], np.int64)

    def work(self) -> float | None:
        """Read from the ONNX graph, if the bundle has one."""
        return work_of_graph(self._path / GRAPH)

    def _batches(self, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
        # Sorting needs the lengths of all texts first.
        size = len(texts) if self._bucketed else BATCH
        for start in range(0, len(texts), size):
            encodings = self._tokenizer.encode_batch(list(texts[start : start + size]))
            if self._bucketed:
                encodings.sort(key=len)
            for first in range(0, len(encodings), BATCH):
                yield self._padded(encodings[first : first + BATCH])

    def _padded(self, encodings: list[tokenizers.Encoding]) -> dict[str, Any]:
        longest = max(map(len, encodings))
        for encoding in encodings:
            encoding.pad(longest, pad_id=self._pad_id)
        batch = {
            "input_ids": np.array([e.ids for e in encodings], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encodings], np.int64),
            "token_type_ids": np.array([e.type_ids for e in encodings], np.int64),
        }
        return {name: batch[name] for name in self._inputs}


class OnnxRuntimeRunner(_BareRunner):
    """ONNX Runtime with its default options."""

    def __init__(self, path: Path, threads: int, *, bucketed: bool = False) -> None:
        import onnxruntime

        super().__init__(path, bucketed=bucketed)
        self.engine = f"onnxruntime {version('onnxruntime')}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            choose_graph(path / "onnx", ".onnx"), options, providers=["CPUExecutionProvider"]
        )

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts."""
        for batch in self._batches(texts):
            self._session.run(None, batch)


class OpenVinoRunner(_BareRunner):
    """OpenVINO with its default options, on the bundle's OpenVINO graph, or else its ONNX graph."""

    def __init__(self, path: Path, threads: int, *, bucketed: bool = False) -> None:
        import openvino

        super().__init__(path, bucketed=bucketed)
        self.engine = f"openvino {version('openvino')}"
        folder = path / "openvino"
        graph = (
            choose_graph(folder, ".xml")
            if folder.is_dir()
            else choose_graph(path / "onnx", ".onnx")
        )
        try:
            model = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": threads})
        except Exception as error:  # the library's errors share no base class
            raise EngineError(f"OpenVINO cannot run {graph}: {error}") from error
        self._request = model.create_infer_request()

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts."""
        for batch in self._batches(texts):
            self._request.infer(batch)
