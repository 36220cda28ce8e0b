"""The documentation says what the code does: snippets run, the reference is current."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"<!-- (?P<mark>[a-z: ]+) -->\n```(?P<kind>\w+)\n(?P<body>.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\((?P<target>[^)#:\s]+)(?:#(?P<anchor>[^)]*))?\)")


@dataclass(frozen=True)
class Snippet:
    page: Path
    kind: str
    body: str


def snippets(mark: str) -> list[object]:
    """The snippets that follow a mark, as parameters of a test."""
    found: list[object] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["mark"] == mark:
                line = text[: match.start("body")].count("\n") + 1
                name = f"{page.relative_to(ROOT)}:{line}"
                found.append(pytest.param(Snippet(page, match["kind"], match["body"]), id=name))
    return found


@pytest.fixture
def desk(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the snippets speak of."""
    shutil.copy(ROOT / "examples" / "feedback.csv", tmp_path / "comments.csv")
    guide = (ROOT / "docs" / "guides" / "data.md").read_text(encoding="utf-8")
    (tmp_path / "labelled.csv").write_text(
        guide.split("```csv\n")[1].split("```")[0], encoding="utf-8"
    )
    (tmp_path / "runs").mkdir()
    shutil.copytree(tiny_bundle, tmp_path / "runs" / "bundle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("snippet", snippets("run"))
def test_snippet_runs(snippet: Snippet, desk: Path) -> None:
    if snippet.kind == "python":
        exec(compile(snippet.body, str(snippet.page), "exec"), {})
        return
    commands = [line[2:] for line in snippet.body.splitlines() if line.startswith("$ ")]
    assert commands, "a console snippet has lines that begin with '$ '"
    for command in commands:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=desk,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout or "-o" in command, f"{command} said nothing"


@pytest.mark.parametrize("snippet", snippets("check: data config"))
def test_data_config(snippet: Snippet, tmp_path: Path) -> None:
    from xmpress.data import DataConfig

    path = tmp_path / "data.yaml"
    path.write_text(snippet.body, encoding="utf-8")
    assert DataConfig.load(path).selected()


@pytest.mark.parametrize("snippet", snippets("check: tasks"))
def test_task_file(snippet: Snippet) -> None:
    from xmpress import TaskSet

    assert len(TaskSet.from_yaml(snippet.body)) == 3


@pytest.mark.parametrize("snippet", snippets("check: training config"))
def test_training_config(snippet: Snippet, tmp_path: Path) -> None:
    from xmpress.training.config import TrainConfig

    path = tmp_path / "train.yaml"
    path.write_text(snippet.body, encoding="utf-8")
    assert TrainConfig.load(path).fit.epochs == 3


@pytest.mark.parametrize("snippet", snippets("check: pretraining config"))
def test_pretraining_config(snippet: Snippet, tmp_path: Path) -> None:
    from xmpress.training.pretraining import PretrainConfig

    path = tmp_path / "pretrain.yaml"
    path.write_text(snippet.body, encoding="utf-8")
    assert PretrainConfig.load(path).fit.minutes == 60


@pytest.mark.parametrize("snippet", snippets("check: recipe"))
def test_recipe(snippet: Snippet, tmp_path: Path) -> None:
    from xmpress.compression.recipe import load_recipe

    path = tmp_path / "mine.yaml"
    path.write_text(snippet.body, encoding="utf-8")
    assert load_recipe(path).build_passes()


def test_every_mark_is_known() -> None:
    known = {
        "run",
        "check: data config",
        "check: tasks",
        "check: training config",
        "check: pretraining config",
        "check: recipe",
        "check: study",
    }
    marks = {
        match["mark"]
        for page in PAGES
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
    }
    assert marks == known


def test_command_line_reference_is_current() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    reference = runpy.run_path(str(ROOT / "docs" / "cli_reference.py"))["reference"]
    assert written == reference(), "run: make docs/reference/cli.md"


def test_study_reference() -> None:
    written = (ROOT / "docs" / "reference" / "study.md").read_text(encoding="utf-8")
    reference = runpy.run_path(str(ROOT / "docs" / "study_reference.py"))["reference"]
    assert written == reference(), "run: make docs/reference/study.md"


@pytest.mark.parametrize("snippet", snippets("check: study"))
def test_study(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xmpress.study import load_study

    task = "tasks: [{name: mood, kind: single_label, labels: [good, bad]}]"
    (tmp_path / "tasks.yaml").write_text(task, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(snippet.body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_study("study.yaml").recipes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        target = page.parent / match["target"]
        assert target.exists(), f"{page}: {match['target']}"
        if match["anchor"]:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert match["anchor"] in anchors, f"{page}: {match['anchor']}"


def test_every_page_is_in_the_navigation() -> None:
    # Unknown tags are for mkdocs alone.
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load(text)["nav"])))
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert listed == there


def test_every_error_is_documented() -> None:
    from xmpress import errors

    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    codes = {name: int(code) for name, code in re.findall(r"^\| `(\w+)` \| (\d)", page, re.M)}
    family = {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, errors.XmpressError)
        and value is not errors.XmpressError
        and not name.startswith("_")
    }
    assert codes == family


def test_labels_are_documented() -> None:
    from xmpress import TaskSet

    page = (ROOT / "docs" / "reference" / "labels.md").read_text(encoding="utf-8")
    for task in TaskSet.load("experience"):
        section = page.split(f"## {task.name}")[1].split("\n## ")[0]
        for label in task.labels:
            assert re.search(rf"\b{label}\b", section), f"{task.name}: {label}"
