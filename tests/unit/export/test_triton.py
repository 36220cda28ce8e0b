import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xmpress import zoo
from xmpress.errors import ExportError, UsageError
from xmpress.export.triton import export_triton
from xmpress.runtime.engines.onnxruntime import OnnxRuntimeEngine

TEXTS = ["waiting far too long", "", "great", "最高の接客でした", "great", "waiting " * 90]


def messages() -> Any:
    """Triton's own message types; its client raises RuntimeError where gRPC is missing."""
    try:
        from tritonclient.grpc import model_config_pb2
    except (ImportError, RuntimeError):
        pytest.skip("needs tritonclient[grpc]")
    return model_config_pb2


@pytest.fixture(scope="module")
def repository(tiny_bundle, tmp_path_factory):
    return export_triton(tiny_bundle, tmp_path_factory.mktemp("triton") / "models")


class Tensor(SimpleNamespace):
    def __init__(self, name, values):
        super().__init__(name=name, values=values)

    def as_numpy(self):
        return self.values


@pytest.fixture
def triton(repository, monkeypatch):
    """Stands for Triton: runs the graph of the repository for whoever asks."""
    engine = OnnxRuntimeEngine(repository / "tiny_graph" / "7" / "model.onnx")
    fake = ModuleType("triton_python_backend_utils")
    fake.asked = []

    class InferenceRequest(SimpleNamespace):
        def exec(self):
            assert self.model_name == "tiny_graph"
            inputs = {tensor.name: tensor.values for tensor in self.inputs}
            fake.asked.append(inputs["input_ids"].shape)
            outputs = engine.run(inputs)
            wanted = [Tensor(name, outputs[name]) for name in self.requested_output_names]
            return SimpleNamespace(outputs=wanted, has_error=lambda: False)

    def named(tensors, name):
        return next((tensor for tensor in tensors if tensor.name == name), None)

    fake.Tensor = Tensor
    fake.InferenceRequest = InferenceRequest
    fake.InferenceResponse = lambda output_tensors, error=None: SimpleNamespace(
        outputs={tensor.name: tensor.values for tensor in output_tensors}, error=error
    )
    fake.TritonError = fake.TritonModelException = RuntimeError
    fake.PreferredMemory = lambda kind, device: (kind, device)
    fake.TRITONSERVER_MEMORY_CPU = 0
    fake.get_input_tensor_by_name = lambda request, name: named(request.inputs, name)
    fake.get_output_tensor_by_name = lambda response, name: named(response.outputs, name)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake)
    return fake


@pytest.fixture
def model(repository, triton):
    from google.protobuf import json_format, text_format

    model_config_pb2 = messages()

    folder = repository / "tiny"
    config = text_format.Parse(
        (folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    namespace = {"__name__": "model"}
    exec((folder / "7" / "model.py").read_text(), namespace)
    model = namespace["TritonPythonModel"]()
    model.initialize(
        {
            "model_repository": str(folder),
            "model_version": "7",
            "model_config": json.dumps(
                json_format.MessageToDict(config, preserving_proto_field_name=True)
            ),
        }
    )
    return model


def request(texts, contexts=None, outputs=None):
    inputs = [Tensor("text", np.array([[t.encode()] for t in texts], dtype=object))]
    if contexts:
        inputs.append(Tensor("context", np.array([[c.encode()] for c in contexts], dtype=object)))
    tasks = ("sentiment", "emotion", "intensity", "effort", "actionability")
    names = outputs or [f"{task}.{what}" for task in tasks for what in ("label", "probabilities")]
    return SimpleNamespace(inputs=inputs, requested_output_names=lambda: names)


def check(response, analyses, tasks):
    assert response.error is None
    for task in tasks:
        labels = response.outputs[f"{task.name}.label"]
        probabilities = response.outputs[f"{task.name}.probabilities"]
        assert labels.shape == (len(analyses), 1)
        assert probabilities.dtype == np.float32
        for row, analysis in enumerate(analyses):
            said = analysis[task.name]
            assert labels[row, 0].decode() == ";".join(said.labels)
            expected = list(said.probabilities.values()) or [0] * len(task)
            assert probabilities[row] == pytest.approx(expected, abs=1e-4)


def test_answers_are_those_of_the_analyzer(model, tiny_bundle):
    analyzer = zoo.load(tiny_bundle)
    contexts = ["", "what annoyed you?", "what annoyed you?", "", "", " "]
    plain, asked = model.execute([request(TEXTS), request(TEXTS, contexts)])
    check(plain, analyzer.analyze(TEXTS), analyzer.tasks)
    check(asked, analyzer.analyze(TEXTS, contexts), analyzer.tasks)


def test_requests_share_batches_and_identical_texts(model, triton):
    model.execute([request(["great", "bad"]), request(["great"]), request(["bad"])])
    (shape,) = triton.asked
    assert shape[0] == 2


def test_only_what_is_asked_for(model):
    (response,) = model.execute([request(["great"], outputs=["effort.label"])])
    assert list(response.outputs) == ["effort.label"]


def test_blank_texts_alone(model, triton):
    (response,) = model.execute([request(["", " "])])
    assert response.outputs["sentiment.label"].tolist() == [[b""], [b""]]
    assert not triton.asked


def test_one_wrong_request_spoils_no_other(model, tiny_bundle):
    wrong = SimpleNamespace(
        inputs=[Tensor("text", np.array([[b"caf\xe9"]], dtype=object))],
        requested_output_names=lambda: [],
    )
    first, second, third = model.execute([request(["bad"]), wrong, request(["great"])])
    assert "input 'text' is not UTF-8" in str(second.error)
    analyzer = zoo.load(tiny_bundle)
    check(first, analyzer.analyze(["bad"]), analyzer.tasks)
    check(third, analyzer.analyze(["great"]), analyzer.tasks)


def test_errors_of_the_graph(model, triton, monkeypatch):
    failed = SimpleNamespace(
        has_error=lambda: True, error=lambda: SimpleNamespace(message=lambda: "out of memory")
    )
    monkeypatch.setattr(triton.InferenceRequest, "exec", lambda self: failed)
    first, second = model.execute([request(["bad"]), request(["great"])])
    assert str(first.error) == str(second.error) == "out of memory"


def test_configuration(repository, tiny_bundle):
    from google.protobuf import text_format

    model_config_pb2 = messages()

    tasks = zoo.load(tiny_bundle).tasks
    texts, graph = (
        text_format.Parse(
            (repository / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
        )
        for name in ("tiny", "tiny_graph")
    )
    assert (texts.name, texts.backend, texts.max_batch_size) == ("tiny", "python", 1024)
    assert [(i.name, i.optional) for i in texts.input] == [("text", False), ("context", True)]
    assert texts.HasField("dynamic_batching")
    for task, label, probabilities in zip(
        tasks, texts.output[::2], texts.output[1::2], strict=True
    ):
        assert label.name == f"{task.name}.label"
        assert list(probabilities.dims) == [len(task)]
        lines = (repository / "tiny" / probabilities.label_filename).read_text().splitlines()
        assert lines == list(task.labels)
    assert (graph.backend, graph.max_batch_size) == ("onnxruntime", 0)
    assert [i.name for i in graph.input] == list(zoo.load(tiny_bundle).bundle.manifest.inputs)
    assert [o.name for o in graph.output] == list(tasks.names)


def test_nothing_is_overwritten_unasked(repository, tiny_bundle):
    with pytest.raises(UsageError, match="not empty"):
        export_triton(tiny_bundle, repository)


def test_a_bundle_without_the_graph(tiny_bundle, tmp_path):
    from shutil import copytree

    from xmpress.runtime.bundle import Bundle, write_manifest

    bundle = copytree(tiny_bundle, tmp_path / "bundle")
    (bundle / "onnx" / "model.onnx").rename(bundle / "onnx" / "model.vnni.onnx")
    write_manifest(bundle, Bundle.open(tiny_bundle).manifest)
    with pytest.raises(ExportError, match=r"has no onnx/model\.onnx"):
        export_triton(bundle, tmp_path / "models")
