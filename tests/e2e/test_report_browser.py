"""A study's report in a browser: it asks for nothing, explains itself, and fits."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from xmpress.study import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="no Chromium",
    ),
]

TIP = "document.getElementById('tip').textContent"
VISIBLE = (
    "[...document.querySelectorAll('svg.chart')].filter(s => s.getBoundingClientRect().width && "
    "!s.closest('details:not([open])'))"
)
POINT = """(() => {
  const mark = %s;
  mark.scrollIntoView({ block: 'center', behavior: 'instant' });
  const box = mark.getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  mark.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true }));
})()"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = Path(__file__).parents[1] / "unit" / "study" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("study_synthetic", place)
    assert spec is not None and spec.loader is not None
    synthetic = importlib.util.module_from_spec(spec)
    sys.modules["study_synthetic"] = synthetic
    spec.loader.exec_module(synthetic)
    directory = tmp_path_factory.mktemp("study")
    synthetic.results().write(directory)
    return write_report(directory).as_uri()


@pytest.mark.parametrize("width", [375, 900, 1600])
def test_it_fits_and_asks_for_nothing(browser, url: str, width: int) -> None:
    browser.open(url, width=width, dark=width == 900)
    assert browser.complaints == []
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("performance.getEntriesByType('resource').length") == 0
    shown = browser.run(f"{VISIBLE}.length")
    assert shown == 7
    narrow = browser.run(f"{VISIBLE}.filter(s => s.closest('.narrow')).length")
    assert narrow == (7 if width == 375 else 0)
    # No text of a plot is smaller than a reader can read.
    scale = "s.getBoundingClientRect().width / s.viewBox.baseVal.width"
    smallest = browser.run(f"Math.min(...{VISIBLE}.map(s => {scale}))")
    assert smallest > 0.85


def test_a_mark_says_what_it_shows_and_where_it_comes_from(browser, url: str) -> None:
    browser.open(url)
    browser.run(POINT % "document.querySelector('#compression .wide .hit')")
    said = browser.run(TIP)
    assert "average degradation" in said and "seeds 1, 2; data 0123456789ab" in said
    browser.run(POINT % "document.querySelector('#multi_task tbody td')")
    said = browser.run(TIP)
    assert said.startswith("xlmr · sentiment, multi-task: ") and "xmpress train" in said
    browser.press("Escape")
    browser.wait("document.getElementById('tip').hidden")


def test_plots_by_keyboard(browser, url: str) -> None:
    browser.open(url)
    chart = "document.querySelector('#languages .wide svg.chart')"
    browser.run(f"{chart}.focus()")
    press = f"{chart}.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'ArrowRight' }}))"
    browser.run(press)
    assert browser.run(TIP).startswith("de, sentiment: ")
    browser.run(press)
    assert browser.run(TIP).startswith("de, emotion: ")


def test_a_series_can_be_brought_forward(browser, url: str) -> None:
    browser.open(url)
    browser.run("document.querySelectorAll('#multi_task .key button')[1].click()")
    lit = "document.querySelectorAll('#multi_task .wide .hit.lit')"
    assert browser.run("document.querySelector('#multi_task .plot').classList.contains('faded')")
    assert browser.run(f"[...{lit}].every(mark => mark.dataset.series === '1')")
    assert browser.run(f"{lit}.length") > 10
    browser.run("document.querySelectorAll('#multi_task .key button')[1].click()")
    assert browser.run("document.querySelectorAll('.faded').length") == 0


def test_tables_sort_with_their_means_last(browser, url: str) -> None:
    browser.open(url)
    table = "document.querySelector('#zero_shot table')"
    names = f"[...{table}.tBodies[0].rows].map(row => row.cells[0].textContent).join()"
    before = browser.run(names)
    browser.run(f"{table}.tHead.rows[0].cells[1].click()")
    after = browser.run(names)
    assert after != before and after.endswith(",mean") and sorted(after) == sorted(before)
    top = f"parseFloat({table}.tBodies[0].rows[%d].cells[1].textContent)"
    assert browser.run(top % 0) >= browser.run(top % 1)


def test_only_what_is_shown_to_differ_is_bold(browser, url: str) -> None:
    browser.open(url)
    cells = "[...document.querySelectorAll('#multi_task tr.mean td')]"
    weights = browser.run(f"{cells}.map(td => [td.className, getComputedStyle(td).fontWeight])")
    assert {kind for kind, weight in weights if weight == "700"} <= {"lost", "won"}
    assert ["", "400"] in weights


def test_links_open_the_appendix_and_paper_shows_all(browser, url: str) -> None:
    browser.open(f"{url}#model-3")
    assert browser.run("document.getElementById('model-3').open")
    assert not browser.run("document.getElementById('model-4').open")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.querySelectorAll('details[open]').length") == 1
