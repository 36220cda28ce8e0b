import pytest


@pytest.mark.parametrize("source", ["tiny_bundle", "tiny_model_dir"])
def test_export_to_triton(run, tmp_path, request, source):
    out = tmp_path / "models"
    outcome = run("export", request.getfixturevalue(source), "--to", "triton", "-o", out)
    assert outcome.code == 0, outcome.err
    assert sorted(folder.name for folder in out.iterdir()) == ["tiny", "tiny_graph"]
    assert "the models tiny, tiny_graph" in outcome.err
    assert len(list(out.glob("tiny_graph/*/model.onnx"))) == 1


def test_a_bundle_keeps_its_name(fails, tiny_bundle, tmp_path):
    out = tmp_path / "models"
    arguments = ("export", tiny_bundle, "--to", "triton", "-o", out, "--name", "other")
    assert "keeps its name" in fails(*arguments, code=2).err
