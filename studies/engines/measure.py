"""What running a bundle on a CPU costs, and what its settings are worth.

    python studies/engines/measure.py BUNDLE TEXTS [--rows 200] [--rounds 5]

TEXTS is a Parquet file with a column ``text``. Candidates take turns; what is said of one thread is
processor time, which other work on the machine disturbs little; what is said of several is time on
the clock. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort

from xmpress.data.readers import column, read_table
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import WINDOW, Analyzer
from xmpress.runtime.batching import pad, token_budget_batches
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.decoding import Decoded
from xmpress.runtime.engines import TOKEN_BUDGET, engines_of, is_installed

FUSED = ["SkipLayerNormFusion"]
PRODUCTS = {"MatMul", "FusedMatMul", "MatMulIntegerToFloat", "MatMulInteger", "Gemm", "QGemm",
            "DynamicQuantizeMatMul", "QAttention", "Attention", "MultiHeadAttention"}  # fmt: skip


def take_turns(
    candidates: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, run in candidates.items():
            started = clock()
            run()
            taken[name].append(clock() - started)
    return {name: median(seconds[1:]) for name, seconds in taken.items()}


class Study:
    def __init__(self, bundle: str, texts: list[str], rounds: int) -> None:
        self.bundle = Bundle.open(bundle)
        self.texts = texts
        self.rounds = rounds
        self.tokenizer = self.bundle.tokenizer()
        self.encoded = self.tokenizer.encode(texts)
        self.inputs = self.bundle.manifest.inputs

    def session(self, disabled: list[str] = FUSED, **settings: object) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        for name, value in settings.items():
            setattr(options, name, value)
        graph = str(self.bundle.path / "onnx/model.onnx")
        return ort.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
        )

    def batches(self, budget: int = TOKEN_BUDGET, bucket: int = 1) -> list[dict[str, np.ndarray]]:
        found = []
        for rows in token_budget_batches(self.encoded.lengths, budget=budget):
            batch = pad(self.encoded, rows, self.tokenizer.pad_id, inputs=self.inputs)
            tokens = batch["input_ids"].shape[1]
            more = min(-(-tokens // bucket) * bucket, self.bundle.manifest.max_length) - tokens
            found.append({n: np.pad(v, ((0, 0), (0, more))) for n, v in batch.items()})
        return found

    def settings(self) -> None:
        """Settings of ONNX Runtime and ways to batch, one thread."""
        usual = self.session()
        level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        sessions = {
            "SkipLayerNormFusion left on": self.session(disabled=[]),
            "no memory pattern": self.session(enable_mem_pattern=False),
            "no memory arena": self.session(enable_cpu_mem_arena=False),
            "no layout optimisation": self.session(graph_optimization_level=level),
        }
        batches = self.batches()

        def each(session: ort.InferenceSession, some: list[dict[str, np.ndarray]]) -> None:
            for batch in some:
                session.run(None, batch)

        def bound() -> None:
            for batch in batches:
                binding = usual.io_binding()
                for name, value in batch.items():
                    binding.bind_cpu_input(name, value)
                for output in usual.get_outputs():
                    binding.bind_output(output.name)
                usual.run_with_iobinding(binding)
                binding.copy_outputs_to_cpu()

        candidates: dict[str, Callable[[], object]] = {"as it is": lambda: each(usual, batches)}
        for name, session in sessions.items():
            candidates[name] = lambda session=session: each(session, batches)
        candidates["IO binding"] = bound
        in_eights = self.batches(bucket=8)
        candidates["lengths rounded up to 8"] = lambda: each(usual, in_eights)
        for budget in (256, 512, 2048):
            some = self.batches(budget)
            candidates[f"{budget} tokens a batch"] = lambda some=some: each(usual, some)
        found = take_turns(candidates, self.rounds, time.process_time)
        self.table("setting", "ms/text", found, "as it is")

    def shapes(self) -> None:
        """Rows of 32 tokens, so that padding plays no part."""
        session = self.session()
        candidates = {}
        for rows in (4, 8, 16, 32, 64):
            batch = {name: np.ones((rows, 32), np.int64) for name in self.inputs}
            candidates[str(rows * 32)] = lambda batch=batch, rows=rows: [
                session.run(None, batch) for _ in range(64 // rows)
            ]
        found = take_turns(candidates, self.rounds, time.process_time)
        self.table("tokens a batch, without padding", "ms/64 texts", found, str(TOKEN_BUDGET), 1)

    def streams(self) -> None:
        """The same threads as one stream or several: on the clock, and in processor time.

        Threads that wait for each other inside a batch do so by spinning, which is processor time;
        on the clock it shows where something else runs on the machine.
        """
        threads = this_machine().threads
        candidates = {}
        for streams in sorted({1, threads}):
            analyzer = Analyzer(self.bundle, engine="onnx", threads=threads, streams=streams)
            name = f"streams: {streams}, threads each: {threads // streams}"
            candidates[name] = lambda analyzer=analyzer: analyzer.logits(self.texts)
        for what, clock in (("clock", time.perf_counter), ("processor", time.process_time)):
            found = take_turns(candidates, self.rounds, clock)
            self.table(f"{threads} threads, {what}", "ms/text", found, next(iter(candidates)))

    def engines(self) -> None:
        """Each engine on all threads: on the clock, and in processor time."""
        threads = this_machine().threads
        candidates = {}
        for name in filter(is_installed, engines_of(self.bundle.path)):
            analyzer = Analyzer(self.bundle, engine=name, threads=threads)
            candidates[name] = lambda analyzer=analyzer: analyzer.logits(self.texts)
        for what, clock in (("clock", time.perf_counter), ("processor", time.process_time)):
            found = take_turns(candidates, self.rounds, clock)
            self.table(f"engine, {what}", "ms/text", found, next(iter(candidates)))

    def parts(self) -> None:
        """Where a text's time goes, one thread."""
        analyzer = Analyzer(self.bundle, threads=1)
        batches = self.batches()
        logits = analyzer.logits(self.texts)
        present = np.ones(len(self.texts), dtype=bool)
        budget = token_budget_batches
        candidates: dict[str, Callable[[], object]] = {
            "all": lambda: analyzer.logits(self.texts),
            "engine": lambda: [analyzer._engine.run(batch) for batch in batches],
            "tokenise": lambda: self.tokenizer.encode(self.texts),
            "batch and pad": lambda: [
                pad(self.encoded, rows, 0, inputs=self.inputs)
                for rows in budget(self.encoded.lengths, budget=TOKEN_BUDGET)
            ],
            "decode": lambda: Decoded.of(present, logits, analyzer.tasks, analyzer.calibration),
        }
        found = take_turns(candidates, self.rounds, time.process_time)
        self.table("part", "ms/text", found, "all", share=True)

    def operators(self) -> None:
        """The engine's time by operator."""
        with TemporaryDirectory() as folder:
            session = self.session(
                enable_profiling=True, profile_file_prefix=str(Path(folder) / "profile")
            )
            for batch in self.batches():
                session.run(None, batch)
            events = json.loads(Path(session.end_profiling()).read_text())
        spent: Counter[str] = Counter()
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                spent[event["args"]["op_name"]] += event["dur"]
        total = sum(spent.values())
        products = sum(value for name, value in spent.items() if name in PRODUCTS)
        print(f"\nMatrix products are {products / total:.0%} of the engine's time; the rest:")
        rest = [(n, v) for n, v in spent.most_common() if n not in PRODUCTS][:8]
        print(", ".join(f"{name} {value / total:.1%}" for name, value in rest))

    def padding(self, many: list[str]) -> None:
        """What packing several texts into a row could save at most."""
        lengths = self.tokenizer.encode(many[:WINDOW]).lengths
        rows = token_budget_batches(lengths, budget=TOKEN_BUDGET)
        padded = sum(len(r) * int(lengths[r].max()) for r in rows)
        print(
            f"\nPadding in a window of {len(lengths):,} texts: {padded / lengths.sum() - 1:.1%}; "
            f"tokens per text: median {np.median(lengths):.0f}, mean {lengths.mean():.0f}"
        )

    def table(
        self, title: str, unit: str, found: dict[str, float], base: str, texts: int | None = None,
        *, share: bool = False,
    ) -> None:  # fmt: skip
        print(f"\n| {title} | {unit} | {'share' if share else 'speed'} |\n|---|---|---|")
        for name, seconds in found.items():
            ratio = seconds / found[base] if share else found[base] / seconds
            value = seconds / (texts or len(self.texts)) * 1000
            print(f"| {name} | {value:.3f} | {ratio:.1%} |" if share else
                  f"| {name} | {value:.3f} | x{ratio:.2f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("texts")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="parts,operators,padding,settings,shapes,streams,engines")
    given = parser.parse_args()
    texts = list(dict.fromkeys(t for t in column(read_table(given.texts), "text") if t))
    machine = this_machine()
    print(f"{machine.cpu}, {', '.join(machine.instruction_sets)}, {machine.threads} threads, "
          f"{given.rows} texts, median of {given.rounds} rounds in turns")  # fmt: skip
    study = Study(given.bundle, texts[: given.rows], given.rounds)
    for part in given.only.split(","):
        study.padding(texts) if part == "padding" else getattr(study, part)()


if __name__ == "__main__":
    main()
