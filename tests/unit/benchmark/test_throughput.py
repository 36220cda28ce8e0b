import time

import pytest

from xmpress.benchmark import compare_throughput
from xmpress.errors import UsageError


class Fake:
    def __init__(self, name, seconds, calls):
        self.name, self.seconds, self.calls = name, seconds, calls

    def logits(self, texts, contexts=None):
        self.calls.append(self.name)
        time.sleep(self.seconds)
        return {}


def test_models_take_turns_and_the_ratio_is_right():
    calls = []
    slow, fast = Fake("slow", 0.04, calls), Fake("fast", 0.01, calls)
    first, second = compare_throughput([slow, fast], ["a"] * 10, rounds=3)
    assert calls == ["slow", "fast"] * 4
    assert first.speedup == 1.0
    assert second.low <= second.speedup <= second.high
    assert 2.5 < second.speedup < 4.5
    assert second.texts_per_second == pytest.approx(10 / 0.01, rel=0.3)


def test_nothing_to_measure_is_an_error():
    with pytest.raises(UsageError):
        compare_throughput([], ["a"])
