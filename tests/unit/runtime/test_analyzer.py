import json
import shutil
import threading
from collections import Counter

import numpy as np
import pytest

from xmpress.errors import BundleError, DataError, EngineError, TaskError, UsageError
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import MANIFEST, Bundle
from xmpress.tasks import TaskSet

TEXTS = [
    "great staff",
    "trop d'attente au guichet",
    "最高の接客でした",
    "waiting far too long " * 3,
]


@pytest.fixture(scope="module")
def analyzer(tiny_bundle):
    return Analyzer(tiny_bundle, threads=1)


@pytest.fixture
def counted(tiny_bundle, monkeypatch):
    """An analyzer that counts the rows its engine is given."""
    analyzer = Analyzer(tiny_bundle, threads=1)
    return analyzer, count_rows(analyzer, monkeypatch)


def count_rows(analyzer, monkeypatch):
    rows = []
    run = analyzer._engine.run

    def counting(inputs):
        rows.append(len(inputs["input_ids"]))
        return run(inputs)

    monkeypatch.setattr(analyzer._engine, "run", counting)
    return rows


def labels(analyses):
    return [{task: p.to_dict() for task, p in a.items()} for a in analyses]


def close(a, b):
    """Whether two lists of analyses agree to rounding."""
    for x, y in zip(a, b, strict=True):
        assert x.text == y.text
        for task in x:
            assert x[task].labels == y[task].labels
            assert x[task].probabilities == pytest.approx(y[task].probabilities, abs=1e-4)


def test_an_analysis(analyzer):
    (analysis,) = analyzer.analyze("great staff")
    assert analysis.text == "great staff"
    assert tuple(analysis) == TaskSet.load("experience").names
    assert len(analysis) == 5
    sentiment, emotion = analysis["sentiment"], analysis["emotion"]
    assert sentiment.label == max(sentiment.probabilities, key=sentiment.probabilities.__getitem__)
    assert sentiment.labels == (sentiment.label,)
    assert sentiment.confidence == max(sentiment.probabilities.values())
    assert sum(sentiment.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert emotion.label is None
    thresholds = analyzer.calibration["emotion"].thresholds
    assert emotion.labels == tuple(
        label
        for (label, p), threshold in zip(emotion.probabilities.items(), thresholds, strict=True)
        if p >= threshold
    )
    assert emotion.confidence == max(emotion.probabilities.values())


def test_the_tuned_temperature_is_used(analyzer):
    (analysis,) = analyzer.analyze("great staff")
    logits = analyzer.logits(["great staff"])["sentiment"][0] / 2.0
    expected = np.exp(logits) / np.exp(logits).sum()
    assert list(analysis["sentiment"].probabilities.values()) == pytest.approx(
        expected.tolist(), abs=1e-5
    )


def test_as_json(analyzer):
    found = [a.to_dict() for a in analyzer.analyze(["great staff", " "])]
    assert json.loads(json.dumps(found)) == found
    first, blank = found
    assert list(first) == ["text", *TaskSet.load("experience").names]
    assert list(first["sentiment"]) == ["label", "confidence", "probabilities"]
    assert list(first["emotion"]) == ["labels", "confidence", "probabilities"]
    assert blank["sentiment"] == {"label": None, "confidence": None, "probabilities": {}}
    assert blank["emotion"] == {"labels": None, "confidence": None, "probabilities": {}}


def test_repr_is_short(analyzer):
    (analysis,) = analyzer.analyze("great", tasks=["intensity"])
    assert repr(analysis) == f"Analysis('great', intensity={analysis['intensity'].label})"
    assert repr(analyzer).startswith("Analyzer('")


def test_order_is_kept(analyzer):
    together = analyzer.analyze(TEXTS)
    assert [a.text for a in together] == TEXTS
    close(together, [a for text in TEXTS for a in analyzer.analyze(text)])
    assert len({json.dumps(x) for x in labels(together)}) == len(TEXTS)


def test_nothing_in_nothing_out(analyzer):
    assert analyzer.analyze([]) == []


@pytest.mark.parametrize("text", [None, "", " \n\t", "\u200b", "\ud800"])
def test_blank_text_gets_no_label(counted, text):
    analyzer, rows = counted
    (analysis,) = analyzer.analyze([text])
    assert analysis.text == text
    for prediction in analysis.values():
        assert prediction.label is None
        assert prediction.labels == ()
        assert prediction.confidence is None
        assert prediction.probabilities == {}
    assert rows == []


def test_blank_texts_among_others(analyzer):
    first, _, last = analyzer.analyze(["great staff", "", "trop d'attente"])
    close([first, last], analyzer.analyze(["great staff", "trop d'attente"]))


def test_ten_thousand_empty_strings(counted):
    analyzer, rows = counted
    analyses = analyzer.analyze([""] * 10_000)
    assert len(analyses) == 10_000
    assert all(a["effort"].label is None for a in analyses)
    assert rows == []


def test_identical_texts_are_computed_once(counted):
    analyzer, rows = counted
    analyses = analyzer.analyze(["great", "bad", "great", "great", "bad"])
    assert sum(rows) == 2
    assert labels(analyses)[0] == labels(analyses)[2] == labels(analyses)[3]
    assert labels(analyses)[1] == labels(analyses)[4] != labels(analyses)[0]


def test_the_same_text_in_other_contexts_is_another(counted):
    analyzer, rows = counted
    a, b, c, d = labels(analyzer.analyze(["great"] * 4, ["why?", "how?", None, "  "]))
    assert sum(rows) == 3
    assert a != b != c
    assert c == d


def test_one_context_for_all(analyzer):
    close(analyzer.analyze(TEXTS, "why?"), analyzer.analyze(TEXTS, ["why?"] * len(TEXTS)))


def test_the_cache_remembers_between_calls(tiny_bundle, monkeypatch):
    analyzer = Analyzer(tiny_bundle, threads=1, cache=2)
    rows = count_rows(analyzer, monkeypatch)
    first = labels(analyzer.analyze(["great", "bad"]))
    again = labels(analyzer.analyze(["bad", "great", "new"]))
    assert sum(rows) == 3
    assert again[:2] == first[::-1]
    analyzer.analyze(["bad"])
    assert sum(rows) == 4


def test_only_the_tasks_asked_for(analyzer):
    (analysis,) = analyzer.analyze("great", tasks=["effort", "sentiment"])
    assert tuple(analysis) == ("sentiment", "effort")
    with pytest.raises(TaskError, match="there is no task 'mood'"):
        analyzer.analyze("great", tasks=["mood"])


@pytest.mark.parametrize("bad", [3, b"bytes", 1.5, ["nested"], float("nan")])
def test_what_is_not_text_is_named(analyzer, bad):
    with pytest.raises(DataError, match=r"texts\[1\]: expected text, found"):
        analyzer.analyze(["fine", bad])
    with pytest.raises(DataError, match=r"contexts\[0\]: expected text, found"):
        analyzer.analyze(["fine"], [bad])
    with pytest.raises(DataError, match=r"texts\[1\]: expected text, found"):
        analyzer.logits(["fine", bad])


def test_as_many_contexts_as_texts(analyzer):
    with pytest.raises(UsageError, match="2 texts but 1 contexts"):
        analyzer.analyze(["a", "b"], ["c"])


@pytest.mark.parametrize(
    "text",
    [
        "word " * 200_000,
        "x" * 1_000_000,
        "\ud83d broken \udc00",
        "שירות מצוין but the app 很慢 и очень дорого",
        "\u202eright to left\u202c",
        "e" + "\u0301" * 5000,
        "👩‍👩‍👧‍👦" * 300,
        "\x00\x01 control",
        "null\x00byte",
    ],
)
def test_strange_texts_are_analysed(analyzer, text):
    (analysis,) = analyzer.analyze(text)
    assert analysis.text == text
    assert analysis["sentiment"].label in TaskSet.load("experience")["sentiment"].labels


def test_logits_score_blank_texts_too(analyzer):
    logits = analyzer.logits(["great", "", "great"])
    assert {name: x.shape for name, x in logits.items()} == {
        task.name: (3, len(task)) for task in analyzer.tasks
    }
    assert all(np.isfinite(x).all() for x in logits.values())
    assert (logits["sentiment"][0] == logits["sentiment"][2]).all()
    assert {name: x.shape for name, x in analyzer.logits([]).items()} == {
        task.name: (0, len(task)) for task in analyzer.tasks
    }


def test_same_scores_as_the_model(analyzer, tiny_model_dir):
    from xmpress.modeling import load_model

    model = load_model(tiny_model_dir)
    contexts = ["why?", None, "", "what happened?"]
    expected, found = model.logits(TEXTS, contexts), analyzer.logits(TEXTS, contexts)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)


def test_several_threads(analyzer):
    expected = analyzer.analyze(TEXTS)
    results = {}

    def work(i):
        results[i] = analyzer.analyze(TEXTS)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(map(len, results.values())) == {4: 4}
    for found in results.values():
        close(found, expected)


def test_interrupt_passes_through(analyzer, monkeypatch):
    def interrupted(inputs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(analyzer._engine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            analyzer.analyze(TEXTS)
    assert len(analyzer.analyze(TEXTS)) == 4


def test_opens_an_opened_bundle(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    assert Analyzer(bundle, engine="onnx", threads=1).bundle is bundle
    with pytest.raises(EngineError, match="there is no engine"):
        Analyzer(bundle, engine="abacus")


def test_a_graph_without_one_of_the_tasks(tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    content = json.loads((copy / MANIFEST).read_text())
    content["tasks"].append({"name": "mood", "kind": "ordinal", "labels": ["bad", "good"]})
    (copy / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(BundleError, match="has no output for mood"):
        Analyzer(copy)
