"""The report: HTML that is whole and safe, Markdown, the model card, and the command."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from xmpress.cli.app import main
from xmpress.errors import DataError, MissingExtraError
from xmpress.study import write_report
from xmpress.study.report.content import Content, duration, machine_text
from xmpress.study.report.markdown import code
from xmpress.study.report.page import page
from xmpress.study.results import Failure, Missing

GOLDEN = Path(__file__).parent / "golden"
VOID = {"meta", "link", "br", "img", "hr", "input", "source"}
QUESTIONS = (
    "multi_task", "compression", "languages", "zero_shot", "consistency", "calibration", "cost",
)  # fmt: skip
NASTY = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)> `tick` ](http://evil.example) | pipe\n'
    "# head \u202e\x00\x07 " + "long " * 80
)


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open[-3:], self.getpos())

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for key, value in attributes.items()
                if key == name]  # fmt: skip


def check(html: str) -> Page:
    """A page that is whole and loads nothing."""
    found = Page(html)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    for target in found.values("href"):
        assert target.startswith("#") and target[1:] in ids, target
    for name in ("src", "srcset", "xlink:href", "action", "style", "background", "poster"):
        assert not found.values(name), name
    assert not re.search(r"url\(|@import", html)
    assert not [key for _, attributes in found.tags for key in attributes if key.startswith("on")]
    tags = [tag for tag, _ in found.tags]
    assert tags.count("script") == tags.count("style") == 1
    assert not {"img", "link", "iframe", "object", "base", "form"} & set(tags)
    for question in QUESTIONS:
        assert question in ids
    for runs in found.values("data-run"):
        assert set(runs.split()) <= {*ids, "speed"}
    return found


@pytest.fixture(scope="module")
def html(whole) -> str:
    return page(Content(whole, "name: paper\n"))


def test_the_page_is_whole_and_loads_nothing(html: str) -> None:
    found = check(html)
    assert not re.search(r"https?://", html)
    # Two drawings of each plot: for a desk and for a phone.
    assert sum(tag == "svg" and "chart" in (a.get("class") or "") for tag, a in found.tags) >= 14
    assert "name: paper" in "".join(found.text)
    assert len(html) < 1_500_000


def test_only_its_own_script_may_run(html: str) -> None:
    import base64
    import hashlib

    (policy,) = [v for v in Page(html).values("content") if "default-src" in v]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_number_says_where_it_comes_from(html: str, whole) -> None:
    found = Page(html)
    briefs = [
        attributes["data-brief"] for _, attributes in found.tags if "data-brief" in attributes
    ]
    (student,) = [brief for brief in briefs if brief.startswith("minilm-l6 int8:")]
    assert "seeds 1, 2" in student and "data 0123456789ab" in student
    assert "Example CPU 9000" in student and "xmpress train" in student
    marks = [a for _, a in found.tags if "data-tip" in a]
    assert len(marks) > 300 and all(a.get("data-run") for a in marks)
    text = " ".join(found.text)
    for model in whole.models:
        assert model.command in text


def test_sections_and_contents(html: str) -> None:
    text = " ".join(" ".join(Page(html).text).split())
    for said in (
        "In short", "minilm-l6 int8 is the fastest model that keeps its guard", "Beside the paper",
        "up to 15.61x speedup at 2.60 % average task degradation",
        "Not comparable: the abstract tells neither load nor latency limit",
        "Emotion has no parallel gold labels.",
        "Example CPU 9000", "no difference shown",
    ):  # fmt: skip
        assert said in text, said


def test_tasks_and_languages_that_no_row_has(synthetic) -> None:
    check(page(Content(synthetic.small(models=[], tasks=[], languages=[], seeds=[]))))


def test_hostile_names_stay_names(synthetic, tmp_path: Path) -> None:
    small = synthetic.small()
    models = [
        m.model_copy(update={"name": NASTY, "command": NASTY, "encoder": NASTY, "recipe": NASTY,
                             "variant": NASTY, "path": NASTY, "verdict": NASTY})
        for m in small.models
    ]  # fmt: skip
    data = small.data.model_copy(update={"config": NASTY, "rows": {NASTY: {"en": 5}}})
    results = small.model_copy(
        update={
            "models": models, "title": NASTY, "description": NASTY, "command": NASTY, "data": data,
            "name": NASTY, "machine": {"cpu": NASTY, "instruction_sets": [NASTY]},
            "failures": [Failure(step=NASTY, error=NASTY)],
            "missing": [Missing(question="cost", reason=NASTY)],
        }
    )  # fmt: skip
    results.write(tmp_path)
    (tmp_path / "study.yaml").write_text(f"name: '{NASTY[:30]}'", encoding="utf-8")
    found = check(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "<script>alert(1)</script>" in "".join(found.text)
    for name in ("report.md", "recommended/README.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        outside = re.sub(r"(`+).*?\1|^```.*?^```", "", text, flags=re.S | re.M)
        assert "<script" not in outside and "<img" not in outside
        assert "](http" not in outside
        # Pipes of others make no columns.
        for line in text.splitlines():
            if line.startswith("| "):
                assert len(re.findall(r"(?<!\\)\|", line)) <= 12
    for plot in (tmp_path / "plots").iterdir():
        ET.fromstring(plot.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "fields",
    [
        {"models": []},
        {"speed": None, "cost": None},
        {"complete": False, "failures": [Failure(step="compress: x", error="it broke\nbadly")]},
        {"paper": [], "missing": [], "description": ""},
        {"languages": []},
    ],
    ids=["no models", "no speed", "running", "bare", "no languages"],
)
def test_partial_results_give_a_report(whole, fields) -> None:
    found = check(page(Content(whole.model_copy(update=fields))))
    text = " ".join(found.text)
    assert ("The study is not finished" in text) == (fields.get("complete") is False)
    assert ("it broke" in text) == ("failures" in fields)


def test_a_study_half_done(whole) -> None:
    """The first models only, as the file is after some steps."""
    for count in (1, 3, 13, 40):
        half = whole.model_copy(
            update={"models": whole.models[:count], "complete": False, "speed": None, "cost": None}
        )
        assert "Could not be judged" in " ".join(check(page(Content(half))).text)


def test_one_compressed_model_alone(synthetic) -> None:
    """Its reference is not among the results."""
    results = synthetic.small()
    check(page(Content(results.model_copy(update={"models": results.models[1:]}))))


def test_the_markdown_is_the_golden_one(synthetic, tmp_path: Path) -> None:
    synthetic.small().write(tmp_path)
    write_report(tmp_path)
    for file, golden in (("report.md", "small.md"), ("recommended/README.md", "small-card.md")):
        written = (tmp_path / file).read_text(encoding="utf-8")
        expected = (GOLDEN / golden).read_text(encoding="utf-8")
        assert written == expected, f"if this is meant, make it the new {GOLDEN / golden}"


def test_the_markdown_of_the_whole_study(whole, tmp_path: Path) -> None:
    whole.write(tmp_path)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for plot in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (tmp_path / plot).is_file()
    assert len(list((tmp_path / "plots").iterdir())) == 7
    assert text.count("<details>") == text.count("</details>")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
    assert text.count("\n## ") == 10


def test_the_markdown_has_the_study_file(whole, tmp_path: Path) -> None:
    whole.write(tmp_path)
    (tmp_path / "study.yaml").write_text("name: paper\ndescription: '```'\n", encoding="utf-8")
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "````yaml\nname: paper\ndescription: '```'\n````" in text
    assert "encoder xlmr; recipe minilm-l6; variant int8;" in text


def test_the_model_card_of_the_recommended_model(whole, tmp_path: Path) -> None:
    whole.write(tmp_path)
    write_report(tmp_path)
    card = (tmp_path / "recommended" / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["language"][:2] == ["de", "en"]
    assert body.strip().startswith("# minilm-l6 int8")
    for said in ("recipe `minilm-l6`", "12.8 times as fast", "Limits", "xmpress analyze",
                 "-m ../steps/minilm-l6-int8/seed1", "0123456789abcdef"):  # fmt: skip
        assert said in card, said
    # A card of an older state goes when nothing can be recommended any more.
    whole.model_copy(update={"models": []}).write(tmp_path)
    write_report(tmp_path)
    assert not (tmp_path / "recommended" / "README.md").exists()


def test_the_same_results_give_the_same_files(synthetic, tmp_path: Path) -> None:
    synthetic.small().write(tmp_path)
    write_report(tmp_path)

    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}

    first = files()
    write_report(tmp_path)
    assert files() == first
    assert not [name for name in first if "/." in name.removeprefix(str(tmp_path))]


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results\.json cannot be read .* `xmpress study`"):
        write_report(tmp_path)


def test_without_jinja2_the_extra_is_named(synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"xmpress\[report\]"):
        page(Content(synthetic.small()))


def test_small_forms() -> None:
    assert code("plain") == "`plain`"
    assert code("a``b") == "``` a``b ```"
    assert machine_text({}) == "not recorded"
    assert machine_text({"cpu": "C", "instruction_sets": ["avx2"], "threads": 2}) == (
        "C, avx2, 2 threads"
    )
    assert [duration(s) for s in (5, 600, 36_000)] == ["5 s", "10 min", "10.0 h"]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_the_command_writes_the_report_and_says_where(synthetic, tmp_path: Path, capsys) -> None:
    synthetic.small().write(tmp_path)
    assert run("report", tmp_path) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert run("report", tmp_path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recommended"]["models"] == ["tiny-int8/seed1"]
    assert said["findings"]["multi_task"]["answered"] is False
    assert set(said["findings"]) == set(QUESTIONS)


def test_the_command_explains_what_is_missing(tmp_path: Path, capsys) -> None:
    assert run("report", tmp_path) == 1
    assert "give a directory that `xmpress study` has written" in capsys.readouterr().err
