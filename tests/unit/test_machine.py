import os
from pathlib import Path

import pytest

from xmpress import machine
from xmpress.machine import Machine, this_machine


def a_machine(*instruction_sets):
    return Machine("cpu", "x86_64", instruction_sets, 2, 1, "Linux 1")


def test_this_machine():
    found = this_machine()
    assert found.cpu
    assert 1 <= found.threads <= (os.cpu_count() or 1)
    assert found.memory is None or found.memory > 100_000_000
    assert set(found.to_dict()) == set(Machine.__dataclass_fields__)
    assert this_machine() is found


@pytest.mark.parametrize(
    ("sets", "exact"),
    [
        ((), False),
        (("avx2", "avx512f"), False),
        (("avx2", "avx_vnni"), True),
        (("avx512f", "avx512_vnni"), True),
        (("neon",), False),
        (("neon", "dotprod"), True),
    ],
)
def test_int8_dot_product(sets, exact):
    assert a_machine(*sets).int8_dot_product is exact


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        ("model name\t: Fast 9000\nflags\t\t: sse avx2 avx512_vnni\n", "Fast 9000", "avx512_vnni"),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", None, "asimddp"),
    ],
    ids=["x86", "arm"],
)
def test_linux(monkeypatch, tmp_path, text, name, flags):
    info = tmp_path / "cpuinfo"
    info.write_text(text)
    monkeypatch.setattr(machine, "Path", lambda path: info)
    found, there = machine._cpu()
    assert found == name or name is None
    assert flags in there


def test_mac(monkeypatch):
    answers = {"machdep.cpu.brand_string": "Apple M9", "hw.optional.arm.FEAT_DotProd": "1"}
    monkeypatch.setattr(machine, "Path", lambda path: Path("/nonexistent"))
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(machine, "_sysctl", lambda key: answers.get(key, ""))
    assert machine._cpu() == ("Apple M9", frozenset({"asimddp"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000\n", None), ("200000 100000\n", 2), ("150000 100000\n", 2), ("", None)],
)
def test_a_container_may_use_less(tmp_path, monkeypatch, content, expected):
    (tmp_path / "cpu.max").write_text(content)
    assert machine._quota(tmp_path / "cpu.max") == expected
    assert machine._quota(tmp_path / "missing") is None
    monkeypatch.setattr(machine, "_quota", lambda: 1)
    assert machine._threads() == 1
