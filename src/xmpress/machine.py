"""What this runs on: the processor, the instruction sets that decide how int8 computes, memory."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

INSTRUCTION_SETS = {
    "avx2": "avx2",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "amx_int8": "amx_int8",
    "asimd": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}
"""Flag of ``/proc/cpuinfo`` to the name used here; those that matter to a classifier's matrices."""


@dataclass(frozen=True)
class Machine:
    """A machine, as recorded beside everything that was measured or checked on it.

    Attributes:
        cpu: the processor's name.
        architecture: such as ``x86_64`` or ``arm64``.
        instruction_sets: of `INSTRUCTION_SETS` those there are.
        threads: logical processors that this process may use.
        memory: bytes of main memory, ``None`` where the system does not tell.
        system: operating system and its release.
    """

    cpu: str
    architecture: str
    instruction_sets: tuple[str, ...]
    threads: int
    memory: int | None
    system: str

    @property
    def int8_dot_product(self) -> bool:
        """Whether int8 products are summed in 32 bits by one instruction.

        Without it, x86 sums pairs of products in 16 bits, which saturates for weights of full
        8-bit range.
        """
        exact = {"avx_vnni", "avx512_vnni", "amx_int8", "dotprod", "i8mm"}
        return bool(exact & set(self.instruction_sets))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@cache
def this_machine() -> Machine:
    """The machine that this process runs on.

    Example:
        >>> this_machine().threads >= 1
        True
    """
    name, flags = _cpu()
    return Machine(
        cpu=name,
        architecture=platform.machine(),
        instruction_sets=tuple(INSTRUCTION_SETS[f] for f in INSTRUCTION_SETS if f in flags),
        threads=_threads(),
        memory=_memory(),
        system=f"{platform.system()} {platform.release()}",
    )


def _cpu() -> tuple[str, frozenset[str]]:
    """The processor's name and flags; empty where the system does not tell."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        text = info.read_text(encoding="utf-8", errors="replace")
        name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
        return (
            name[1].strip() if name else platform.processor() or platform.machine(),
            frozenset(flags[1].split()) if flags else frozenset(),
        )
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string"), frozenset(_mac_flags())
    return platform.processor() or platform.machine(), frozenset()


def _mac_flags() -> list[str]:
    features = {
        "hw.optional.arm.FEAT_DotProd": "asimddp",
        "hw.optional.arm.FEAT_I8MM": "i8mm",
        "hw.optional.AdvSIMD": "asimd",
        "hw.optional.avx2_0": "avx2",
        "hw.optional.avx512f": "avx512f",
    }
    return [flag for feature, flag in features.items() if _sysctl(feature) == "1"]


def _sysctl(key: str) -> str:
    done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, _quota() or allowed))


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Processors' worth of time that a container may use; threads beyond it wait for each other."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such limit, or none set ("max")
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
