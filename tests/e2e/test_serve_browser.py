"""The pages in a browser."""

import csv
import io
import json
import shutil

import pytest

from xmpress.runtime.analyzer import Analyzer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="no Chromium",
    ),
]

READY = "document.getElementById('model').options.length == 2"
DONE = "!document.getElementById('run').disabled && document.querySelectorAll('article').length"
KEEP_DOWNLOADS = """
window.saved = [];
URL.createObjectURL = blob => { window.saved.push(blob.text()); return "#"; };
"""


def test_pasted_texts_two_models_side_by_side_and_the_download(server, browser, tiny_bundle):
    browser.open(server.url)
    browser.wait(READY)
    browser.run("document.getElementById('texts').value = 'good, \"really\"\\n\\nmauvais'")
    browser.run("document.getElementById('other').value = '1'")
    browser.press("Enter", control=True)
    browser.wait(f"{DONE} == 2")
    (first, _) = expected = Analyzer(tiny_bundle, threads=1).analyze(['good, "really"', "mauvais"])
    shown = browser.run("document.querySelector('article .task b').textContent")
    assert shown == first["sentiment"].label.replace("_", " ")
    assert browser.run("document.querySelectorAll('article .models.two').length") == 2
    assert browser.run("document.querySelectorAll('.sum').length") == 2
    assert "sentiment 100 %" in browser.run("document.getElementById('sums').textContent")
    widths = browser.run("[...document.querySelectorAll('article .fill')].map(f => f.style.width)")
    assert all(width.endswith("%") for width in widths)

    browser.run(KEEP_DOWNLOADS)
    browser.run("document.getElementById('download').click()")
    text = browser.run("window.saved[0]")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["text"] for row in rows] == ['good, "really"', "mauvais"]
    assert [row["tiny.sentiment"] for row in rows] == [a["sentiment"].label for a in expected]
    assert rows[0]["other.emotion"] == ";".join(first["emotion"].labels)
    assert float(rows[0]["tiny.effort_confidence"]) == pytest.approx(
        first["effort"].confidence, abs=1e-4
    )
    assert browser.complaints == []


def test_a_csv_file(server, browser):
    content = 'id;sentiment;Comment;lang\r\n1;x;"good; very\ngood";en\r\n2;y;;fr\r\n'
    browser.open(server.url)
    browser.wait(READY)
    browser.run(
        "{ const given = new DataTransfer();"
        f" given.items.add(new File([{json.dumps(content)}], 'comments.csv'));"
        " document.getElementById('form').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: given, cancelable: true, bubbles: true})); }"
    )
    browser.wait("!document.getElementById('columns').hidden")
    chosen = "document.getElementById('{}').selectedOptions[0].textContent"
    assert browser.run(chosen.format("column")) == "Comment"
    assert browser.run(chosen.format("langcolumn")) == "lang"
    browser.run("document.getElementById('run').click()")
    browser.wait(f"{DONE} == 2")
    browser.run(KEEP_DOWNLOADS)
    browser.run("document.getElementById('download').click()")
    rows = list(csv.DictReader(io.StringIO(browser.run("window.saved[0]"), newline="")))
    assert [row["Comment"] for row in rows] == ["good; very\ngood", ""]
    assert rows[0]["sentiment"] == "x"
    assert rows[0]["sentiment_predicted"]
    assert rows[1]["sentiment_predicted"] == ""
    assert browser.complaints == []


def test_a_key_is_asked_for(start_server, browser, tiny_bundle):
    server = start_server(tiny_bundle, XMPRESS_THREADS="1", XMPRESS_API_KEY="open")
    browser.open(server.url)
    browser.wait("!document.getElementById('keybox').hidden")
    browser.run("document.getElementById('key').value = 'open'")
    browser.run("document.getElementById('run').click()")
    browser.wait(DONE)


def test_a_phone_in_the_dark_and_the_keyboard(server, browser):
    browser.open(server.url, width=390, dark=True)
    browser.wait(READY)
    assert browser.run("document.documentElement.scrollWidth") == 390
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(18, 20, 26)"
    assert browser.run("document.activeElement.id") == "texts"
    reached = []
    for _ in range(4):
        browser.press("Tab")
        reached.append(browser.run("document.activeElement.id"))
    assert reached == ["model", "other", "file", "run"]


def test_the_documentation_of_the_addresses(server, browser):
    browser.open(f"{server.url}/docs")
    paths = json.loads(server.get("/openapi.json"))["paths"]
    browser.wait(f"document.querySelectorAll('section').length == {len(paths)}")
    assert "/v1/analyze" in browser.run("document.querySelector('pre').textContent")
    assert browser.complaints == []
