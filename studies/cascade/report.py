"""Builds a cascade for a bundle at several limits and writes the page.

    python studies/cascade/report.py [BUNDLE] -o RUN > results/cascade.md

BUNDLE is ``default`` if left out; it is not changed. RUN keeps the bundles that are made, and what
the main model says to the texts, so that a second call is quick. The first takes ten to twenty
minutes on one core, nearly all of it for the main model's answers to 47,000 texts and to the timed
ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from xmpress.compression import Artefact, Context, load_recipe
from xmpress.compression.judging import RecipeData
from xmpress.data.files import atomic_dir
from xmpress.machine import this_machine
from xmpress.runtime.cascade import STAGE
from xmpress.zoo import resolve

LEVELS = {
    "strict": {"average": 0.5, "worst_task": 1.0, "worst_language": 2.0},
    "recipe": {"average": 1.0, "worst_task": 2.0, "worst_language": 4.0},
    "lax": {"average": 2.0, "worst_task": 4.0, "worst_language": 8.0},
}
"""By name what early answers may cost on validation rows, %."""


def build(bundle: Path, data: str, out: Path, changes: list[str]) -> dict[str, dict[str, Any]]:
    """The pass of the recipe that ships, at each of the limits; its reports by level.

    Without the pipeline around it, which would score each result once more: what the report says is
    what the bundle does, as a test shows.
    """
    main = Artefact(bundle)
    cache, work = out / "cache", out / "work"
    for folder in (cache, work):
        folder.mkdir(parents=True, exist_ok=True)
    rows = RecipeData(load_recipe("cascade", [f"data={data}", *changes]), main)
    details = {}
    for name, limits in LEVELS.items():
        overrides = [f"passes.cascade.limits.{key}={value}" for key, value in limits.items()]
        (step,) = load_recipe("cascade", [*changes, *overrides]).build_passes()
        context = Context(
            name=name,
            artefact=main,
            teacher=main,
            student=None,
            data_name=data,
            dataset=lambda: rows.all,
            sample=rows.sample,
            seed=0,
            cache=cache,
            workspace=work,
            say=lambda line: print(line, file=sys.stderr),
            quiet=True,
        )
        with atomic_dir(out / name, overwrite=True) as target:
            details[name] = step.run(context, target)
        (out / f"{name}.json").write_text(json.dumps(details[name], indent=1))
    return details


def cost(found: dict[str, Any]) -> str:
    """A degradation with its interval."""
    return f"{found['percent']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def worst(found: dict[str, dict[str, Any]]) -> str:
    """The largest of several degradations that are judged, with its name."""
    judged = {k: v for k, v in found.items() if v["judged"] and v["percent"] is not None}
    name = max(judged, key=lambda name: judged[name]["percent"])
    return f"{name} {cost(judged[name])}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(details: dict[str, dict[str, Any]]) -> str:
    """The tables, from the reports of the pass by level."""
    made = {name: found for name, found in details.items() if found["first_stage"]}
    overview, checks = [], []
    for name, limits in LEVELS.items():
        wanted = " / ".join(f"{value:g}" for value in limits.values())
        if name not in made:
            overview.append([name, wanted, "none", "", "", "", "", "", ""])
            continue
        found, held = made[name], made[name]["held_out"]
        speed, lost = found["speedup"], held["degradation"]
        overview.append([
            name, wanted, f"{100 * found['validation']['share']:.1f}", f"{100 * held['share']:.1f}",
            f"{100 * held['tokens']:.1f}", cost(lost["average"]), worst(lost["tasks"]),
            worst(lost["languages"]),
            f"{speed['median']:.2f}x [{speed['low']:.2f}, {speed['high']:.2f}]",
        ])  # fmt: skip
        checks.append(f"- {name}: the limits on held-out rows are {held['guard']['verdict']}.")
    parts = [
        table(
            ["limits", "average / task / language, %", "early, validation, %", "early, held out, %",
             "of all tokens, %", "cost, average, %", "cost, worst task, %",
             "cost, worst language, %", "speedup"],
            overview,
        ),
        "\n".join(checks),
    ]  # fmt: skip
    for title, key in (
        ("Share answered early by language, held out, %", "languages"),
        ("Share answered early where one task alone is asked for, held out, %", "tasks"),
        ("Labels equal to the main model's, of those answered early, held out, %", "equal_labels"),
    ):
        names = list(next(iter(made.values()))["held_out"][key]) if made else []
        rows = [
            [level, *(_percent(found["held_out"][key][name]) for name in names)]
            for level, found in made.items()
        ]
        parts.append(f"## {title}\n\n{table(['limits', *names], rows)}")
    return "\n\n".join(parts)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", nargs="?", default="default")
    parser.add_argument("-o", "--out", required=True, type=Path)
    parser.add_argument("--data", default="studies/data/zoo.yaml")
    parser.add_argument("--set", nargs="*", default=[], help="such as rows=20000 timed_rows=200")
    options = parser.parse_args()
    bundle = resolve(options.bundle)
    changes = [f"passes.cascade.{change}" for change in options.set]
    details = build(bundle, options.data, options.out, changes)
    any_found = next(iter(details.values()))
    machine, size = this_machine(), next(
        (options.out / name / STAGE for name, d in details.items() if d["first_stage"]),
        None,
    )  # fmt: skip
    command = " ".join(["python", "studies/cascade/report.py", *sys.argv[1:]])
    held = next((d["held_out"]["rows"] for d in details.values() if d["first_stage"]), 0)
    print(
        f"# A cascade in front of the bundle `{options.bundle}`\n\n"
        f"Made by `{command} > results/cascade.md`, seed 0, data `{options.data}`: "
        f"{any_found['trained_on']:,} training texts (the main model's answers, no labels), "
        f"thresholds chosen on {any_found['chosen_on']:,} validation rows, checked on {held:,} "
        f"test rows. {machine.cpu}, {', '.join(machine.instruction_sets)}, "
        f"{machine.threads} thread(s)."
        + (f" The first stage takes {size.stat().st_size / 1e6:.1f} MB." if size else "")
        + f"\n\n{page(details)}"
    )


if __name__ == "__main__":
    main()
