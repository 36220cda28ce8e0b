import numpy as np
import pytest

from xmpress.errors import DataError
from xmpress.runtime.decoding import Decoded, check_texts, is_blank
from xmpress.tasks import Calibration, Task, TaskSet


@pytest.mark.parametrize("text", [None, "", "  \n\t", "\u200b\ufeff", "\u00a0\u3000", "\x00\x07"])
def test_blank(text):
    assert is_blank(text)


@pytest.mark.parametrize("text", [".", "👍", "รอ", " a ", "\u200bé", "0", "مرحبا", "\ufffd"])
def test_not_blank(text):
    assert not is_blank(text)


def test_decodes_with_temperature_and_thresholds():
    tasks = TaskSet(
        tasks=(
            Task(name="mood", kind="ordinal", labels=["bad", "good"]),
            Task(name="tags", kind="multi_label", labels=["price", "staff"]),
        )
    )
    logits = {
        "mood": np.array([[0.0, 2.0]], np.float32),
        "tags": np.array([[1.0, 1.0]], np.float32),
    }
    calibration = {"mood": Calibration(temperature=2), "tags": Calibration(thresholds=(0.7, 0.8))}
    decoded = Decoded.of(np.array([True]), logits, tasks, calibration)
    assert decoded.probabilities["mood"][0, 1] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    # Sigmoids, not a softmax: the two labels do not compete.
    assert decoded.probabilities["tags"][0] == pytest.approx([0.7310586] * 2, abs=1e-6)
    assert tasks["mood"].names(decoded.decided["mood"]) == [["good"]]
    assert tasks["tags"].names(decoded.decided["tags"]) == [["price"]]
    assert decoded.confidence(tasks["tags"]) == pytest.approx([0.7310586], abs=1e-6)


def test_what_is_not_text_is_named_with_its_place():
    with pytest.raises(DataError) as caught:
        check_texts(["a", 3, None, b"x"], "texts[{}]".format)
    assert [str(p) for p in caught.value.problems] == [
        "texts[1]: expected text, found int 3",
        "texts[3]: expected text, found bytes b'x'",
    ]
