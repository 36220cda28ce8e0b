"""The same on a Ray cluster of this machine."""

import sys
from types import SimpleNamespace

import pytest

from xmpress.errors import MissingExtraError, UsageError
from xmpress.runtime.bundle import Bundle
from xmpress.scoring import ScoreSettings, score
from xmpress.scoring.cluster import _score


def test_without_ray(run, lines, tmp_path, tiny_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"xmpress\[ray\]"):
        score([lines("a.jsonl", {"text": "a"})], tmp_path / "o", model=tiny_bundle, ray="local")


def test_too_few_cpus(tiny_bundle):
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    with pytest.raises(UsageError, match="has 2 CPUs, too few for actors of 4"):
        next(_score(ray, iter(()), Bundle.open(tiny_bundle), None, 4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of many kinds
def test_equal_to_the_bit(lines, left, run, tmp_path, tiny_bundle):
    ray = pytest.importorskip("ray")
    many = [{"text": f"waiting {'far ' * (i % 11)}{i % 7}", "lang": "en"} for i in range(90)]
    many[40] = b"broken"
    inputs = [lines("a.jsonl", *many), lines("b.jsonl", {"text": "ok", "context": "why?"})]
    (tmp_path / "c.csv").write_text("text,n\ngood,1\nshort\n", encoding="utf-8")
    inputs.append(tmp_path / "c.csv")
    run(*inputs, rows_per_part=20, probabilities=True)
    settings = ScoreSettings(rows_per_part=20, probabilities=True)
    try:
        report = score(
            inputs, tmp_path / "ray", model=tiny_bundle, settings=settings, ray="local", threads=1
        )
        assert report.totals.rejected == 2
        assert left("ray") == left()
        assert not ray.is_initialized()
    finally:
        ray.shutdown()
