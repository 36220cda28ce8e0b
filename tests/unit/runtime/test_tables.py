import arro3.core
import numpy as np
import pytest
from arro3.core import Array, DataType, Table

from xmpress.errors import DataError, TaskError
from xmpress.runtime import analyzer as module
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.tables import prediction_columns
from xmpress.tasks import TaskSet

TEXTS = ["great staff", None, "trop d'attente", "", "great staff", "最高の接客でした"]
TASKS = TaskSet.load("experience")


@pytest.fixture(scope="module")
def analyzer(tiny_bundle):
    return Analyzer(tiny_bundle, threads=1)


def arrow(**columns):
    types = {str: DataType.utf8(), int: DataType.int64()}
    return Table.from_pydict(
        {
            name: Array(values, type=types[type(next(v for v in values if v is not None))])
            for name, values in columns.items()
        }
    )


def column(table, name):
    return list(table.column(name).to_pylist())


def test_columns_are_appended_in_order(analyzer):
    found = analyzer.analyze_table(arrow(n=[1, 2, 3, 4, 5, 6], text=TEXTS))
    assert isinstance(found, Table)
    expected = ["n", "text"]
    for name in TASKS.names:
        expected += [name, f"{name}_confidence"]
    assert found.column_names == expected
    assert column(found, "n") == [1, 2, 3, 4, 5, 6]
    assert column(found, "text") == TEXTS


def test_the_same_predictions_as_for_texts(analyzer):
    found = analyzer.analyze_table(arrow(text=TEXTS), probabilities=True)
    analyses = analyzer.analyze(TEXTS)
    for task in TASKS:
        predictions = [a[task.name] for a in analyses]
        confidence = [p.confidence for p in predictions]
        assert column(found, f"{task.name}_confidence") == pytest.approx(confidence, abs=1e-6)
        if task.multi:
            expected = [None if p.confidence is None else list(p.labels) for p in predictions]
        else:
            expected = [p.label for p in predictions]
        assert column(found, task.name) == expected
        for label in task.labels:
            assert column(found, f"{task.name}.{label}") == pytest.approx(
                [p.probabilities.get(label) for p in predictions], abs=1e-6
            )
    assert column(found, "emotion")[1] is None
    assert column(found, "sentiment")[3] is None


def test_no_label_applies_is_not_null(analyzer, monkeypatch):
    never = analyzer.calibration["emotion"].model_copy(update={"thresholds": (1.0,) * 11})
    monkeypatch.setitem(analyzer.calibration, "emotion", never)
    found = analyzer.analyze_table(arrow(text=["great", None]), tasks=["emotion"])
    assert column(found, "emotion") == [[], None]


def test_contexts_from_a_column(analyzer):
    contexts = ["why?", None, "how?", "why?", "how?", None]
    found = analyzer.analyze_table(
        arrow(answer=TEXTS, question=contexts), text="answer", context="question"
    )
    expected = analyzer.analyze(TEXTS, contexts)
    assert column(found, "sentiment") == [a["sentiment"].label for a in expected]


def test_existing_columns_are_not_overwritten(analyzer):
    table = arrow(text=["great"], sentiment=["mine"], sentiment_predicted=["too"], effort=["x"])
    found = analyzer.analyze_table(table, tasks=["sentiment", "effort"])
    assert found.column_names == [
        "text",
        "sentiment",
        "sentiment_predicted",
        "effort",
        "sentiment_predicted_predicted",
        "sentiment_confidence",
        "effort_predicted",
        "effort_confidence",
    ]
    assert column(found, "sentiment") == ["mine"]


def test_names_of_columns():
    tasks = TASKS.select(["intensity"])
    assert prediction_columns(["intensity_confidence"], tasks, probabilities=True) == {
        "intensity": "intensity",
        "intensity_confidence": "intensity_confidence_predicted",
        "intensity.low": "intensity.low",
        "intensity.medium": "intensity.medium",
        "intensity.high": "intensity.high",
    }


def test_large_tables_in_parts(analyzer, monkeypatch):
    table = arrow(text=[f"text {i % 7}" if i % 5 else None for i in range(50)], n=list(range(50)))
    whole = analyzer.analyze_table(table)
    monkeypatch.setattr(module, "TABLE_ROWS", 8)
    parts = analyzer.analyze_table(table)
    assert len(parts.to_batches()) > 1
    for name in whole.column_names:
        values = column(whole, name)
        if name.endswith("_confidence"):
            assert column(parts, name) == pytest.approx(values, abs=1e-5)
        else:
            assert column(parts, name) == values


def test_empty_table(analyzer):
    table = Table.from_pydict({"text": Array([], type=DataType.utf8())})
    found = analyzer.analyze_table(table)
    assert found.num_rows == 0
    assert found.column_names[:3] == ["text", "sentiment", "sentiment_confidence"]


@pytest.mark.parametrize("library", ["polars", "pyarrow", "pandas", "arro3"])
@pytest.mark.parametrize("rows", [3, 0])
def test_the_same_kind_of_table_comes_back(analyzer, library, rows):
    texts = ["great", None, "bad"][:rows]
    if library == "arro3":
        table = Table.from_pydict({"text": Array(texts, type=DataType.utf8())})
        found = analyzer.analyze_table(table)
        names, count = found.column_names, found.num_rows
    elif library == "pyarrow":
        pa = pytest.importorskip("pyarrow")
        table = pa.table({"text": pa.array(texts, pa.string())})
        found = analyzer.analyze_table(table)
        names, count = found.column_names, found.num_rows
        assert pa.types.is_list(found.schema.field("emotion").type)
    elif library == "polars":
        pl = pytest.importorskip("polars")
        table = pl.DataFrame({"text": texts}, schema={"text": pl.String})
        found = analyzer.analyze_table(table)
        names, count = found.columns, found.height
        assert found.schema["emotion"] == pl.List(pl.String)
        assert found.schema["sentiment_confidence"] == pl.Float32
    else:
        pd = pytest.importorskip("pandas")
        table = pd.DataFrame({"text": pd.Series(texts, dtype="str")})
        found = analyzer.analyze_table(table)
        names, count = list(found.columns), len(found)
    assert type(found) is type(table)
    assert count == rows
    assert list(names)[:2] == ["text", "sentiment"]


def test_other_arrow_streams_give_an_arro3_table(analyzer):
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return arrow(text=["great"]).__arrow_c_stream__(requested_schema)

    assert isinstance(analyzer.analyze_table(Stream()), arro3.core.Table)


def test_categories_are_text(analyzer):
    pl = pytest.importorskip("polars")
    table = pl.DataFrame({"text": ["great", "bad", None]}, schema={"text": pl.Categorical})
    found = analyzer.analyze_table(table, tasks=["sentiment"])
    expected = [a["sentiment"].label for a in analyzer.analyze(["great", "bad", None])]
    assert found["sentiment"].to_list() == expected


def test_a_column_of_nulls(analyzer):
    pa = pytest.importorskip("pyarrow")
    found = analyzer.analyze_table(pa.table({"text": pa.nulls(3)}))
    assert found["sentiment"].to_pylist() == [None] * 3


def test_columns_that_are_not_text_pass_through(analyzer):
    pl = pytest.importorskip("polars")
    table = pl.DataFrame(
        {"text": ["a", "b"], "when": ["2024-01-01", "2024-01-02"], "tags": [["x"], []]}
    ).with_columns(pl.col("when").str.to_date())
    found = analyzer.analyze_table(table, tasks=["sentiment"])
    assert found.select("text", "when", "tags").equals(table)


@pytest.mark.parametrize("table", [3, "text.csv", ["a"], {"text": ["a"]}, np.array(["a"]), None])
def test_what_is_no_table(analyzer, table):
    with pytest.raises(DataError, match="is not an Arrow table"):
        analyzer.analyze_table(table)


def test_missing_columns(analyzer):
    with pytest.raises(DataError, match="no column 'text'; the columns are a, b"):
        analyzer.analyze_table(arrow(a=["x"], b=["y"]))
    with pytest.raises(DataError, match="no column 'question'"):
        analyzer.analyze_table(arrow(text=["x"]), context="question")


def test_columns_of_numbers(analyzer):
    with pytest.raises(DataError, match="row 1, column text: expected text, found int 3"):
        analyzer.analyze_table(arrow(text=[3, 4]))
    with pytest.raises(DataError, match="row 2, column n: expected text, found int 4"):
        analyzer.analyze_table(arrow(text=["a", "b"], n=[None, 4]), context="n")


def test_any_name_of_a_column(analyzer):
    table = Table.from_pydict({"{0} %s": Array([3], type=DataType.int64())})
    with pytest.raises(DataError, match=r"row 1, column \{0\} %s: expected text"):
        analyzer.analyze_table(table, text="{0} %s")


def test_unknown_task(analyzer):
    with pytest.raises(TaskError, match="there is no task 'mood'"):
        analyzer.analyze_table(arrow(text=["a"]), tasks=["mood"])


def test_tables_one_after_the_other(analyzer):
    tables = [arrow(text=["great", None]), arrow(text=["bad", "great", ""])]
    found = list(analyzer.analyze_tables(tables, probabilities=True))
    for part, table in zip(found, tables, strict=True):
        whole = analyzer.analyze_table(table, probabilities=True)
        assert part.schema == whole.schema
        assert column(part, "sentiment") == column(whole, "sentiment")
        assert column(part, "emotion") == column(whole, "emotion")


def test_tables_are_read_as_they_are_needed(analyzer):
    read = []

    def tables():
        for n in range(100):
            read.append(n)
            yield arrow(text=[f"text {n}"])

    parts = analyzer.analyze_tables(tables(), tasks=["sentiment"])
    assert column(next(parts), "text") == ["text 0"]
    assert len(read) < 5
    parts.close()
    assert len(read) < 5


def test_a_bad_row_far_down_is_named_by_its_number(analyzer):
    tables = [arrow(text=["fine"] * 3), arrow(text=[7, 8])]
    with pytest.raises(DataError, match="row 4, column text: expected text, found int 7"):
        list(analyzer.analyze_tables(tables))


def test_strange_texts_in_a_table_keep_their_places(analyzer):
    texts = [
        "",
        "x" * 1_000_000,
        "\u202eright\u202c",
        None,
        "שירות 很慢 и дорого",
        " ",
        "a\x00b",
    ] * 40
    found = analyzer.analyze_table(arrow(text=texts))
    assert column(found, "text") == texts
    labels = column(found, "sentiment")
    assert labels == labels[:7] * 40
    assert [label is None for label in labels[:7]] == [True, False, False, True, False, True, False]


def test_ten_thousand_blank_rows(analyzer, monkeypatch):
    monkeypatch.setattr(analyzer._engine, "run", None)  # nothing is left to run
    found = analyzer.analyze_table(arrow(text=[""] * 10_000 + [None] * 10_000))
    assert column(found, "effort") == [None] * 20_000
    assert column(found, "emotion_confidence") == [None] * 20_000
