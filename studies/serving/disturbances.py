"""What happens to a server in the course of its life: it loses workers, gets models, is ended."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from bench import Bench, Row
from processes import Watch
from stand import Server

from xmpress.runtime.bundle import Bundle, write_manifest
from xmpress.zoo import resolve

KILLS = 3
RELOADS = 3
PATIENCE = 120.0


def wait_until(count: Callable[[], int], wanted: int) -> float:
    """Seconds until something has happened so often."""
    started = time.monotonic()
    while count() < wanted:
        if time.monotonic() - started > PATIENCE:
            raise SystemExit("what should happen did not")
        time.sleep(0.02)
    return time.monotonic() - started


def restarts(server: Server) -> int:
    _, text = server.get("/metrics")
    found = re.search(rb"^xmpress_engine_restarts_total\S* (\S+)$", text, re.M)
    return int(float(found[1])) if found else 0


def kill_workers(bench: Bench) -> Row:
    """kill -9, one worker at a time, then all at once."""
    back = []
    with bench.stand.server(*bench.arguments) as server:
        with bench.stand.under_load(server, *bench.load) as load:
            killed = 0
            for turn in range(KILLS + 1):
                engines = server.engines()
                for pid in engines if turn == KILLS else engines[turn % len(engines) :][:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                back.append(wait_until(lambda: restarts(server), killed))
                time.sleep(max(0.5, bench.seconds / (KILLS + 1) - back[-1]))
        ready = server.get("/v2/health/ready")[0]
    return Row(
        "kill -9 of workers",
        f"SIGKILL to one of {len(engines)} workers, {KILLS} times, then to all at once",
        f"{killed} processes replaced, after {max(back):.1f} s at most; what they were at was "
        "computed again",
        load.outcome,
        ready == 200,
    )


def hot_reload(bench: Bench) -> Row:
    """The bundle's link is turned to one of another version, and back."""
    folders = [bench.folder / name for name in ("bundle-a", "bundle-b")]
    source = resolve(bench.stand.bundle)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
    other = Bundle.open(folders[1]).manifest
    write_manifest(folders[1], other.model_copy(update={"version": f"{other.version}-new"}))
    link = bench.folder / "current"
    turn_link(link, folders[0])
    took = []
    with (
        bench.stand.server(*bench.arguments, bundle=f"feedback={link}") as server,
        Watch(server.pid) as watch,
        bench.stand.under_load(server, *bench.load) as load,
    ):
        for turn in range(1, RELOADS + 1):
            turn_link(link, folders[turn % 2])
            server.process.send_signal(signal.SIGHUP)
            took.append(wait_until(lambda: replaced(server), turn))
            time.sleep(max(1.0, bench.seconds / RELOADS - took[-1]))
    versions = ", ".join(f"{v}: {n:,}" for v, n in sorted(load.outcome.versions.items()))
    return Row(
        "hot reload",
        f"the bundle replaced and SIGHUP, {RELOADS} times",
        f"taken over after {max(took):.1f} s at most; answers by version: {versions}; MB before, "
        f"peak, after: {watch.at(0):.0f}, {watch.peak:.0f}, {watch.at(1):.0f}",
        load.outcome,
        len(load.outcome.versions) == 2 and not load.outcome.statuses[429],
    )


def turn_link(link: Path, target: Path) -> None:
    """Put a symbolic link in place of another at once."""
    new = link.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.symlink_to(target.resolve())
    new.replace(link)


def replaced(server: Server) -> int:
    return sum(line["message"] == "model replaced" for line in server.log())


def terminate(bench: Bench) -> Row:
    """SIGTERM while clients never pause."""
    clients = 16
    with bench.stand.server(*bench.arguments) as server:
        engines = server.engines()
        with bench.stand.under_load(server, "--clients", str(clients)) as load:
            time.sleep(min(5.0, bench.seconds))
            started = time.monotonic()
            server.process.terminate()
            code = server.process.wait(PATIENCE)
            took = time.monotonic() - started
        left = [pid for pid in engines if Path(f"/proc/{pid}").exists()]
    return Row(
        "SIGTERM",
        f"SIGTERM while {clients} clients that never pause were being served",
        f"exit code {code} after {took:.1f} s; all it had accepted was answered; processes left: "
        f"{len(left)}",
        load.outcome,
        code == 0 and not left and load.outcome.refused == clients,
    )
