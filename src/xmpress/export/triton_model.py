"""Triton Python backend of a bundle: tokenises, has the graph run by Triton, decodes.

Copied into the model repository as ``model.py``; the server's Python needs ``pip install xmpress``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xmpress.runtime.batching import pad, token_budget_batches
from xmpress.runtime.bundle import MANIFEST, TOKENIZER, Manifest
from xmpress.runtime.decoding import Decoded, is_blank
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import FloatArray

Pair = tuple[str, str | None]


class TritonPythonModel:
    """Answers requests with texts; the name is Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the tokenizer and the tasks beside this file."""
        import triton_python_backend_utils

        self._triton: Any = triton_python_backend_utils
        folder = Path(args["model_repository"]) / args["model_version"]
        self._manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        self._tasks = self._manifest.task_set
        self._tokenizer = Tokenizer.from_file(
            folder / TOKENIZER, max_length=self._manifest.max_length
        )
        parameters = json.loads(args["model_config"])["parameters"]
        self._graph = parameters["graph"]["string_value"]
        self._budget = int(parameters["token_budget"]["string_value"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer requests, whose texts share batches; one that is wrong spoils no other."""
        read = [self._read(request) for request in requests]
        pairs = [pair for item in read if isinstance(item, list) for pair in item]
        present = np.array([not is_blank(text) for text, _ in pairs], dtype=bool)
        try:
            logits = self._score([pairs[row] for row in np.flatnonzero(present).tolist()])
        except Exception as error:  # whatever it is, it belongs to these requests
            return [self._refusal(str(error)) for _ in requests]
        decoded = Decoded.of(present, logits, self._tasks, self._manifest.calibrations())
        outputs = self._outputs(decoded)
        responses, row = [], 0
        for request, item in zip(requests, read, strict=True):
            if isinstance(item, str):
                responses.append(self._refusal(item))
                continue
            rows = slice(row, row + len(item))
            row += len(item)
            wanted = set(request.requested_output_names())
            responses.append(
                self._triton.InferenceResponse(
                    output_tensors=[
                        self._triton.Tensor(name, values[rows])
                        for name, values in outputs.items()
                        if name in wanted
                    ]
                )
            )
        return responses

    def _read(self, request: Any) -> list[Pair] | str:
        """The texts of a request with their contexts, or what is wrong with it."""
        columns: list[list[str]] = []
        for name in ("text", "context"):
            tensor = self._triton.get_input_tensor_by_name(request, name)
            if tensor is None:
                continue
            try:
                columns.append([value.decode() for value in tensor.as_numpy().ravel()])
            except UnicodeDecodeError as error:
                return f"input '{name}' is not UTF-8: {error}"
        contexts: list[str | None] = [None] * len(columns[0])
        if len(columns) == 2:
            contexts = [None if is_blank(context) else context for context in columns[1]]
        return list(zip(columns[0], contexts, strict=True))

    def _refusal(self, message: str) -> Any:
        return self._triton.InferenceResponse(
            output_tensors=[], error=self._triton.TritonError(message)
        )

    def _score(self, pairs: Sequence[Pair]) -> dict[str, FloatArray]:
        """Per task the logits of texts that are not blank, [m, L]; identical ones run once."""
        number: dict[Pair, int] = {}
        places = [number.setdefault(pair, len(number)) for pair in pairs]
        scores = {
            task.name: np.empty((len(number), len(task)), dtype=np.float32) for task in self._tasks
        }
        for rows, outputs in self._batches(list(number)):
            for name, values in outputs.items():
                scores[name][rows] = values
        return {name: values[places] for name, values in scores.items()}

    def _batches(self, pairs: Sequence[Pair]) -> Iterator[tuple[Any, dict[str, FloatArray]]]:
        encoded = self._tokenizer.encode([text for text, _ in pairs], [c for _, c in pairs])
        names = list(self._tasks.names)
        for rows in token_budget_batches(encoded.lengths, budget=self._budget):
            inputs = pad(encoded, rows, self._manifest.pad_id, inputs=self._manifest.inputs)
            request = self._triton.InferenceRequest(
                model_name=self._graph,
                requested_output_names=names,
                inputs=[self._triton.Tensor(name, values) for name, values in inputs.items()],
                # The decoding is done here, also where the graph runs on a GPU.
                preferred_memory=self._triton.PreferredMemory(
                    self._triton.TRITONSERVER_MEMORY_CPU, 0
                ),
            )
            response = request.exec()
            if response.has_error():
                raise self._triton.TritonModelException(response.error().message())
            yield (
                rows,
                {
                    name: self._triton.get_output_tensor_by_name(response, name).as_numpy()
                    for name in names
                },
            )

    def _outputs(self, decoded: Decoded) -> dict[str, Any]:
        """The tensors of all texts; a blank one has no label and probabilities of 0."""
        outputs: dict[str, Any] = {}
        for task in self._tasks:
            labels = np.full((len(decoded.present), 1), b"", dtype=object)
            names = task.names(decoded.decided[task.name])
            for row, found in zip(np.flatnonzero(decoded.present), names, strict=True):
                labels[row, 0] = ";".join(found).encode()
            probabilities = np.zeros((len(decoded.present), len(task)), dtype=np.float32)
            probabilities[decoded.present] = decoded.probabilities[task.name]
            outputs[f"{task.name}.label"] = labels
            outputs[f"{task.name}.probabilities"] = probabilities
        return outputs
