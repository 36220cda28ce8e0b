"""``xmpress score`` as a process: killed, interrupted, resumed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Parts so small that a signal comes in time on a busy machine.
ROWS, ROWS_PER_PART = 3_000, 5
BROKEN = ROWS // 400


@pytest.fixture(scope="module")
def comments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short rows with repetitions, and some that are broken."""
    chosen = random.Random(0)
    words = ["waiting", "far", "too", "long", "nobody", "answered", "great", "trop", "d'attente"]
    path = tmp_path_factory.mktemp("comments") / "comments.jsonl"
    with path.open("w") as file:
        for i in range(ROWS):
            text = " ".join(chosen.choices(words, k=chosen.randint(1, 12)))
            file.write("broken\n" if i % 400 == 399 else json.dumps({"id": i, "text": text}) + "\n")
    return path


def start(comments: Path, bundle: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "xmpress", "score", comments, "-o", out, "-m", bundle),
            *("--rows-per-part", str(ROWS_PER_PART), "--threads", "1", *more),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores SIGINT, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def parts(out: Path) -> int:
    return len(list(out.glob("parts/part-*")))


def after_parts(process: subprocess.Popen[str], out: Path, count: int, number: int) -> None:
    """Send a signal when so many parts are there."""
    while parts(out) < count:
        assert process.poll() is None, finish(process)
        time.sleep(0.001)
    process.send_signal(number)


def content(out: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(out)): file.read_bytes()
        for file in sorted(out.rglob("*"))
        if file.is_file() and file.name != "manifest.json"
    }


@pytest.fixture(scope="module")
def whole(comments: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run without interruption."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, _, err = finish(start(comments, tiny_bundle, out))
    assert code == 0, err
    assert f"{BROKEN} rows could not be scored" in err
    assert f"wrote {ROWS - BROKEN:,} rows to {ROWS // ROWS_PER_PART} parts" in err
    return out


def test_killed_three_times_and_resumed(comments, tiny_bundle, whole, tmp_path):
    out = tmp_path / "out"
    moments = random.Random(1)
    total = ROWS // ROWS_PER_PART
    for part in (moments.randint(1, 15), moments.randint(18, 35), moments.randint(38, total - 10)):
        process = start(comments, tiny_bundle, out, "--resume")
        after_parts(process, out, part, signal.SIGKILL)
        assert finish(process)[0] == -signal.SIGKILL
        assert parts(out) < total
    code, said, err = finish(start(comments, tiny_bundle, out, "--resume", "--json"))
    assert code == 0, err
    totals = {"rows": ROWS, "scored": ROWS - BROKEN, "blank": 0, "rejected": BROKEN}
    assert json.loads(said)["totals"] == totals
    assert content(out) == content(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(comments, tiny_bundle, whole, tmp_path, number):
    out = tmp_path / "out"
    process = start(comments, tiny_bundle, out)
    after_parts(process, out, 5, number)
    code, said, err = finish(process)
    assert (code, said) == (130, "")
    assert err.splitlines()[-1].endswith("are whole; go on with --resume")
    assert "Traceback" not in err
    left = content(out)
    assert {name for name in left if "/" not in name} == {".lock", ".journal.jsonl"}
    for name, found in left.items():
        if "/" in name:
            assert found == content(whole)[name]


def test_errors_are_messages(comments, tiny_bundle, whole):
    code, said, err = finish(start(comments, tiny_bundle, whole))
    assert (code, said) == (2, "")
    assert err.startswith(f"error: folder {whole} holds a run already")
