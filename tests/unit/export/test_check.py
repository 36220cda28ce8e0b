import numpy as np
import pytest

from xmpress.errors import ExportError
from xmpress.export import check_graph
from xmpress.export.check import _batches
from xmpress.modeling import load_model
from xmpress.runtime.engines import open_engine

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Altered:
    """The engine, with its outputs changed."""

    name = "altered"

    def __init__(self, engine, change):
        self.engine, self.change, self.outputs = engine, change, engine.outputs

    def run(self, inputs):
        return self.change(inputs, self.engine.run(inputs))


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model(tiny_model_dir)


@pytest.fixture(scope="module")
def engine(tiny_bundle):
    return open_engine(tiny_bundle, threads=1)


def test_the_graph_agrees(engine, model):
    found = check_graph(engine, model, INPUTS)
    assert set(found) == set(model.tasks.names)
    assert all(0 < value < 1e-4 for value in found.values())


def test_a_tighter_tolerance_names_the_tasks(engine, model):
    with pytest.raises(ExportError, match="sentiment by"):
        check_graph(engine, model, INPUTS, tolerance=0)


@pytest.mark.parametrize("wrong", [1e-3, np.nan, np.inf])
def test_one_wrong_score_of_one_task_is_found(engine, model, wrong):
    def change(inputs, scores):
        # Only in batches with contexts and padding, as a bad export would.
        if inputs["token_type_ids"].any() and not inputs["attention_mask"].all():
            scores["intensity"][-1, 1] += wrong
        return scores

    with pytest.raises(ExportError, match="intensity by") as caught:
        check_graph(Altered(engine, change), model, INPUTS)
    assert "effort" not in str(caught.value)


def test_batches_differ_in_size_length_padding_and_segments(model):
    seen = list(_batches(model))
    lengths = [encoded.lengths[rows] for encoded, rows in seen]
    assert {1, 2, 5, 10} <= set(map(len, lengths))
    assert 64 in {int(batch.max()) for batch in lengths}
    assert len({int(batch.max()) for batch in lengths}) > 5
    assert any(batch.min() < batch.max() for batch in lengths)
    assert any(encoded.type_ids is None for encoded, _ in seen)
    assert any(encoded.type_ids and encoded.type_ids[-1].any() for encoded, _ in seen)
