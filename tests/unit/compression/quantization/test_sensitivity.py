from collections.abc import Collection

import numpy as np

from xmpress.compression.quantization.agreement import Share, agreement
from xmpress.compression.quantization.sensitivity import Sensitivity, keep_worst, measure
from xmpress.tasks import Calibration, TaskSet

TASKS = TaskSet.load("experience").select(["intensity"])
NOISE = {"a": 0.01, "planted": 3.0, "b": 0.1, "c": 0.5}
LOGITS = {"intensity": np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)}
LANGS = ["en", "fr"] * 200


def quantized(keep: Collection[str]) -> dict[str, np.ndarray]:
    """Each weight that is not kept adds noise of its own."""
    rng = np.random.default_rng(1)
    logits = LOGITS["intensity"].copy()
    for weight, size in NOISE.items():
        noise = rng.normal(size=logits.shape).astype(np.float32)
        if weight not in keep:
            logits += size * noise
    return {"intensity": logits}


def compare(logits):  # type: ignore[no-untyped-def]
    return agreement(TASKS, {"intensity": Calibration()}, LOGITS, logits, LANGS)


def test_the_planted_product_is_found_worst() -> None:
    ranked = measure(list(NOISE), LOGITS, quantized)
    assert [s.weight for s in ranked] == ["planted", "c", "b", "a"]
    assert abs(ranked[0].change - 3.0) < 0.3
    assert ranked[0].to_dict()["weight"] == "planted"


def test_the_fewest_stay_that_reach_the_target() -> None:
    ranked = measure(list(NOISE), LOGITS, quantized)
    keep, tried = keep_worst(ranked, compare, quantized, 0.9)
    assert keep == ["planted", "c"]
    assert tried[0]["kept"] == 0
    assert "intensity" in tried[0]["lowest"]
    assert keep_worst(ranked, compare, quantized, 0.01)[0] == []
    assert len(keep_worst(ranked, compare, quantized, 1.0)[0]) == len(NOISE) - 1


def test_one_product_alone_is_left_in_int8() -> None:
    assert keep_worst([Sensitivity("a", 1.0)], compare, quantized, 1.0) == ([], [])


def test_agreement_counts_equal_labels_by_task_and_language() -> None:
    turned = {"intensity": LOGITS["intensity"].copy()}
    turned["intensity"][:200:2] *= -1  # English, in half of the rows
    found = compare(turned)
    shares = {cell.lang: cell.share for cell in found.cells}
    assert shares["fr"] == 1.0
    assert 0.5 <= shares["en"] < 0.7
    assert found.tasks["intensity"].share == (shares["en"] + 1.0) / 2
    assert [cell.lang for cell in found.below(0.99)] == ["en"]
    assert not found.holds(0.99)
    assert compare(LOGITS).holds(1.0)
    assert compare(LOGITS).largest == 0.0


def test_few_rows_leave_doubt() -> None:
    few, many = (Share.of("t", "en", np.r_[0.0, np.ones(n - 1)]) for n in (10, 1000))
    assert few.low < few.share < few.high
    assert few.high > 0.95
    assert many.high - many.low < few.high - few.low
    assert "t/en" in str(few)
