"""What is kept of a pass that was run: beside its artefact, to run it again only when it must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xmpress.compression.guard import Judgement, Verdict
from xmpress.compression.passes import Artefact
from xmpress.data.files import atomic_path
from xmpress.evaluation import Comparison


def write_entry(record: Path, key: str, made: Artefact, entry: dict[str, Any]) -> None:
    """Keep the report entry of an artefact with the hash of what it was made from."""
    with atomic_path(record) as temporary:
        content = {"key": key, "fingerprint": made.fingerprint, "entry": entry}
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def read_entry(record: Path, key: str, target: Path) -> dict[str, Any] | None:
    """The report entry of an earlier run with the same inputs whose artefact is still there."""
    if not record.is_file() or not target.is_dir():
        return None
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return None  # cut short by a full disk, say: the pass is run again
    if content["key"] != key or content["fingerprint"] != Artefact(target).fingerprint:
        return None
    entry: dict[str, Any] = content["entry"]
    return entry


def attempt(
    entry: dict[str, Any], comparison: Comparison | None, judgement: Judgement | None
) -> dict[str, Any]:
    """What the report says about one of several settings that were tried."""
    found = {key: entry[key] for key in ("params", "seconds", "bytes", "skipped")}
    if comparison is not None:
        found["degradation"] = comparison.average.percent
    if judgement is not None:
        found["verdict"] = judgement.verdict
        found["broken"] = [str(finding) for finding in judgement.of(Verdict.BROKEN)]
    return found
