"""What holds for any table and any set of rows."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmpress.data import Dataset, assign_splits, find_leakage, load_dataset, read_table
from xmpress.data.arrow import column, to_table
from xmpress.data.text import fold
from xmpress.data.writers import TableWriter
from xmpress.tasks import Task, TaskSet

TASKS = TaskSet(
    tasks=(
        Task(name="mood", kind="ordinal", labels=("bad", "ok", "good")),
        Task(name="topic", kind="multi_label", labels=("price", "staff", "none of these")),
    )
)
# A carriage return alone ends a CSV line for some readers; the csv module quotes it. Surrogates
# cannot be written in any encoding.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
CELLS = st.lists(st.none() | TEXT, min_size=1, max_size=8)


def round_trip(columns: dict[str, list[Any]], suffix: str) -> dict[str, list[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        with TableWriter(path) as writer:
            writer.write(to_table(columns))
        table = read_table(path)
        return {name: column(table, name) for name in table.column_names}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@settings(max_examples=60, deadline=None)
@given(cells=CELLS)
def test_any_text_survives_any_format(suffix: str, cells: list[str | None]) -> None:
    columns = {"text": cells, "row": [str(i) for i in range(len(cells))]}
    assert round_trip(columns, suffix) == columns


MOODS = st.none() | st.sampled_from(["bad", "ok", "good", "bad|ok", "ok|good"])
TOPICS = st.none() | st.lists(st.sampled_from(TASKS["topic"].labels), unique=True)
VISIBLE = TEXT.filter(lambda text: bool(text.strip()))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(VISIBLE, MOODS, TOPICS), min_size=1, max_size=8))
def test_labels_survive_any_format(
    suffix: str, rows: list[tuple[str, str | None, list[str] | None]]
) -> None:
    texts, moods, topics = map(list, zip(*rows, strict=True))
    if suffix == ".csv":  # an empty list has no other form in text
        topics = ["[]" if topic == [] else topic and ";".join(topic) for topic in topics]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        with TableWriter(path) as writer:
            writer.write(to_table({"text": texts, "mood": moods, "topic": topics}))
        dataset = load_dataset(path, TASKS)
    assert dataset.texts == texts
    for task, values in zip(TASKS, ([r[1] for r in rows], [r[2] for r in rows]), strict=True):
        expected = task.encode(values)
        assert (dataset.labels[task.name].targets == expected.targets).all()
        assert (dataset.labels[task.name].choice == expected.choice).all()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "A!", "b", "c", "d", "👍", "e e", "ee"]),
            st.sampled_from(["en", "fr"]),
            MOODS,
        ),
        max_size=30,
    ),
    share=st.floats(0, 1),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_splits_never_leak_and_do_not_depend_on_the_order(
    rows: list[tuple[str, str, str | None]], share: float, seed: int, data: st.DataObject
) -> None:
    dataset = Dataset(
        tasks=TASKS,
        texts=[text for text, _, _ in rows],
        contexts=[None] * len(rows),
        langs=[lang for _, lang, _ in rows],
        ids=[""] * len(rows),
        sources=[""] * len(rows),
        splits=[None] * len(rows),
        labels={
            "mood": TASKS["mood"].encode([mood for _, _, mood in rows]),
            "topic": TASKS["topic"].encode([None] * len(rows)),
        },
    )
    shares = {"train": 1 - share, "test": share}
    divided = assign_splits(dataset, shares, seed=seed)
    assert None not in divided.splits
    assert not find_leakage(divided)
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = assign_splits(dataset.take(list(order)), shares, seed=seed)
    assert shuffled.splits == [divided.splits[i] for i in order]


@settings(max_examples=300)
@given(text=st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
