"""Tries the server under load and under attack, and writes the page of it.

    python studies/serving/report.py BUNDLE --texts FILE -o runs/serving

The load generator (load.py) is a process of its own on the same machine; its share of the processor
is told. Every answer is compared with what the bundle says of its texts without a server.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from attacks import ATTACKS, Bench, table
from outcome import TOLERANCE, expected_of
from stand import Stand
from throughput import highest, highest_table, layouts, open_loops, open_table

from xmpress.benchmark.workload import texts_of
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import Analyzer


def head(options: argparse.Namespace, texts: list[str], analyzer: Analyzer) -> list[str]:
    """What was run, where, on what."""
    machine = this_machine()
    characters = sorted(map(len, texts))
    memory = f", {machine.memory / 2**30:.0f} GB" if machine.memory else ""
    return [
        "# Serving under load and under attack", "",
        f"    {shlex.join(['python', *sys.argv])}", "",
        f"{time.strftime('%Y-%m-%d', time.gmtime())}; {machine.cpu} "
        f"({', '.join(machine.instruction_sets)}), {machine.threads} cores{memory}, "
        f"{machine.system}. Bundle {options.bundle}, engine {analyzer._engine.name}, "
        f"{options.threads} threads. {len(texts):,} distinct texts of {options.texts}, median "
        f"{characters[len(characters) // 2]} characters; seed {options.seed}. Server, clients and "
        "load generator share the machine.", "",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--texts", default="sample", help="a file of feedback, or 'sample'")
    parser.add_argument("--column", default="text")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--per-request", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--threads", type=int, default=this_machine().threads)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15, help="of a round, and of a load")
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--only", nargs="+", help=f"throughput, or attacks: {', '.join(ATTACKS)}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wanted = options.only or ["throughput", *ATTACKS]
    if unknown := set(wanted) - {"throughput", *ATTACKS}:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")

    analyzer = Analyzer(options.bundle, threads=options.threads)
    texts = texts_of(
        options.texts, rows=options.rows, text=options.column, seed=options.seed
    ).texts  # fmt: skip
    expected = expected_of(analyzer, texts)
    stands = [
        Stand(options.bundle, options.out, texts, size, expected) for size in options.per_request
    ]
    lines = head(options, texts, analyzer)
    page = options.out / "report.md"

    def write(*more: str) -> None:
        """What is measured is written at once: a later part may fail."""
        lines.extend(more)
        page.write_text("\n".join(lines) + "\n")

    if "throughput" in wanted:
        rates, loops = [], []
        for layout in layouts(options.threads):
            for stand in stands:
                rates.append(
                    highest(stand, layout, analyzer, texts, options.seconds, options.rounds)
                )
                loops += open_loops(
                    stand, rates[-1], options.seconds, options.overload_seconds, options.seed
                )
        furthest = max(run.outcome.furthest for run in loops)
        write(
            "## Throughput", "",
            "The analyzer alone and clients that never pause, in turns of "
            f"{options.seconds:.0f} s, {options.rounds} rounds; medians, and the median of the "
            "ratios.", "",
            *highest_table(rates), "",
            "## Open loop", "",
            f"Poisson arrivals at shares of the highest rate, {options.seconds:.0f} s, and "
            f"{options.overload_seconds:.0f} s of three times as much as can be done; the queue "
            "(--queue) holds one second's work. Latency is counted from when a request was due. "
            "Every request's id comes back once, stands once in the server's log with the same "
            f"status, and its answer is that of its texts: no probability is further than "
            f"{TOLERANCE} from the bundle's own, the furthest was {furthest:.6f} away.", "",
            *open_table(loops), "",
        )  # fmt: skip

    if chosen := [name for name in ATTACKS if name in wanted]:
        bench = Bench(stands[0], options.threads, options.seconds, options.out / "attacks")
        rows = []
        for name in chosen:
            rows.append(ATTACKS[name](bench))
            sys.stderr.write("\n".join(table(rows[-1:])[2:]) + "\n")
        write(
            "## Attacks", "",
            f"Each under a load of {bench.rate:.1f} requests/s of {stands[0].per_request} texts "
            "(half of the highest rate) by clients of good will, whose answers are checked: each "
            "that of its texts, each request in the server's log once. Passed: nothing of "
            "theirs was lost, and nobody got in or brought it down.", "",
            *table(rows), "",
        )  # fmt: skip
    sys.stdout.write(page.read_text())


if __name__ == "__main__":
    main()
