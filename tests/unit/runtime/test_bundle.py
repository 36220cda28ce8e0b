import json
import shutil

import pytest

from xmpress.errors import BundleError
from xmpress.runtime.bundle import Bundle, Manifest, write_manifest
from xmpress.tasks import Calibration, TaskSet


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def edit(bundle, **changes):
    file = bundle / "xmpress.json"
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(content))


def minimal(**changes):
    tasks = TaskSet.load("experience").select(["intensity", "emotion"]).tasks
    fields = {"name": "m", "tasks": tasks, "max_length": 8, "inputs": ["input_ids"], "pad_id": 0}
    return Manifest.model_validate(fields | changes)


def test_open(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    manifest = bundle.manifest
    assert (manifest.schema_version, manifest.name, manifest.version) == (1, "tiny", "7")
    assert manifest.task_set == TaskSet.load("experience")
    assert manifest.languages == ("en", "fr", "ja")
    assert manifest.max_length == 64
    assert manifest.calibrations()["sentiment"].temperature == 2.0
    assert set(manifest.files) == {"onnx/model.onnx", "tokenizer.json"}
    assert bundle.size == sum(f.stat().st_size for f in tiny_bundle.rglob("*") if f.is_file())


def test_a_manifest_survives_writing_and_reading(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    written = write_manifest(
        tmp_path,
        minimal(
            calibration={"intensity": Calibration(temperature=1.5)},
            quantization={"mode": "int8"},
            scorecard={"average": 0.5},
        ),
    )
    assert Bundle.open(tmp_path).manifest == written
    assert set(written.files) == {"tokenizer.json"}


def test_no_directory(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle at"):
        Bundle.open(tmp_path / "none")


def test_a_model_directory_is_told_how_to_become_a_bundle(tiny_model_dir):
    with pytest.raises(BundleError, match=r"is a model directory, not a bundle.*xmpress export"):
        Bundle.open(tiny_model_dir)


def test_half_written_without_manifest(copy):
    (copy / "xmpress.json").unlink()
    with pytest.raises(BundleError, match=r"is not a bundle: it has no xmpress.json"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/model.onnx"])
def test_missing_file(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"is incomplete: {name} is missing"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/model.onnx"])
def test_altered_file(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} is damaged or was altered"):
        Bundle.open(copy)


def test_unreadable_file(tiny_bundle, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("xmpress.runtime.bundle.sha256", refused)
    with pytest.raises(BundleError, match="cannot be read: Permission denied"):
        Bundle.open(tiny_bundle)


def test_edited_checksum(copy):
    files = json.loads((copy / "xmpress.json").read_text())["files"]
    edit(copy, files=files | {"tokenizer.json": "0" * 64})
    with pytest.raises(BundleError, match=r"tokenizer.json is damaged or was altered"):
        Bundle.open(copy)


def test_unlisted_tokenizer(copy):
    edit(copy, files={})
    with pytest.raises(BundleError, match=r"does not list tokenizer.json"):
        Bundle.open(copy)


@pytest.mark.parametrize("version", [2, "1", None, 0])
def test_other_schema(copy, version):
    edit(copy, schema_version=version, something_new=1)
    with pytest.raises(BundleError, match=r"has schema version .*, this xmpress reads 1"):
        Bundle.open(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null"])
def test_manifest_that_is_no_manifest(copy, content):
    (copy / "xmpress.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"xmpress\.json"):
        Bundle.open(copy)


def test_every_problem_of_a_manifest_is_listed(copy):
    edit(copy, max_lenght=3, pad_id=-1)
    with pytest.raises(BundleError) as caught:
        Bundle.open(copy)
    assert "max_lenght: unknown key; did you mean 'max_length'?" in str(caught.value)
    assert "pad_id" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": {"mood": {}}}, "task 'mood', which is not among the tasks"),
        ({"calibration": {"emotion": {"thresholds": [0.5]}}}, "1 thresholds for the 11 labels"),
        ({"files": {"../secret": "0"}}, "outside the bundle"),
        ({"files": {"/etc/passwd": "0"}}, "outside the bundle"),
        ({"inputs": ["attention_mask"]}, "inputs"),
        ({"inputs": ["input_ids", "input_ids"]}, "inputs"),
        ({"inputs": ["pixels"]}, "inputs"),
        ({"tasks": []}, "tasks"),
    ],
)
def test_what_does_not_fit_together(changes, message):
    with pytest.raises(ValueError, match=message):
        minimal(**changes)


def test_a_tokenizer_that_pads_differently(copy):
    edit(copy, pad_id=1)
    with pytest.raises(BundleError, match=r"pads with 0, xmpress\.json says 1"):
        Bundle.open(copy).tokenizer()
