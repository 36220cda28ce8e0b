import json
import xml.etree.ElementTree as ElementTree

import pytest

from xmpress.benchmark.plots import draw
from xmpress.benchmark.render import grids, to_markdown

CANDIDATE = {
    "name", "kind", "path", "group", "serves", "options", "notes", "precision", "engine", "device",
    "tokens_per_text", "flops_per_token", "seconds", "texts_per_second", "cold_start_seconds",
    "peak_memory_bytes", "bytes_on_disk", "single_latency_ms", "loads", "share_of_peak", "speedup",
}  # fmt: skip


def test_the_json_has_the_fields_it_had(report):
    content = json.loads(json.dumps(report.to_dict()))
    assert content["schema"] == 1
    assert set(content) == {
        "schema", "machine", "threads", "workload", "texts", "rounds", "peaks", "candidates",
        "failures", "cost",
    }  # fmt: skip
    assert all(set(candidate) == CANDIDATE for candidate in content["candidates"])
    student = content["candidates"][1]
    assert set(student["speedup"]["teacher"]) == {"median", "low", "high"}
    assert set(student["texts_per_second"]) == {"all at once", "one by one"}
    assert set(student["single_latency_ms"]) == {"count", "p50", "p95", "p99", "worst"}
    assert set(student["loads"][0]) == {"share", "rate", "latency_ms"}
    assert set(content["cost"]) == {"demand", "currency", "prices", "bills", "savings", "notes"}
    assert set(content["cost"]["bills"][0]) == {
        "candidate", "machine", "capacity", "machines", "per_million", "per_month",
    }  # fmt: skip


def test_speedups_and_the_share_of_the_peak(report):
    teacher, student = report.candidates
    assert report.references == [teacher]
    assert student.speedup(teacher).median == 100
    assert student.speedup(teacher).high == 120
    # 1,000 texts/s of 20 tokens at 1 MFLOP each, of 400 GFLOP/s.
    assert student.of_peak(report.peaks) == pytest.approx(0.05)
    assert teacher.of_peak([]) is None


def test_without_a_baseline_the_first_is_the_reference(report):
    report.candidates.pop(0)
    assert [one.name for one in report.references] == ["student"]


def test_markdown_tells_everything(report):
    text = to_markdown(report)
    for part in (
        "| student | int8 | 20.0 | 1,000 [909, 1,000] | 100x [100, 120] |",
        "int8 400 GFLOP/s (onnxruntime, cpu)",
        "| 5 % |",
        "infinity",
        "pip install",
        "44 %",
        "note: teacher: a note",
        report.machine["cpu"],
        "threads: 2 of",
        "comments.csv",
    ):
        assert part in text
    assert [grid.title.split(",")[0] for grid in grids(report)] == [
        "Throughput",
        "Throughput by how texts are handed over",
        "Roofline",
        "Latency",
        "Footprint",
        "Cost of 100 texts/s",
        "Savings",
        "Not measured",
    ]
    for grid in grids(report):
        assert all(len(row) == len(grid.header) for row in grid.rows)


def test_plots(report, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need the extra 'benchmark'")
    files = draw(report, tmp_path)
    assert [file.name for file in files] == ["throughput.svg", "latency.svg"]
    text = "".join(ElementTree.parse(files[0]).getroot().itertext())
    assert "student" in text
    assert "100x" in text
    first = files[0].read_bytes()
    assert draw(report, tmp_path)[0].read_bytes() == first
