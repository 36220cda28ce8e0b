"""Loading labelled feedback with the columns called as the options say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmpress.data import Dataset
    from xmpress.tasks import TaskSet


def load(
    source: str, tasks: str | TaskSet | None, *, encoding: str = "utf-8", **columns: str
) -> Dataset:
    """Load a data set.

    Args:
        source: what ``load_dataset`` takes.
        tasks: the tasks to read labels of; those that the data names itself if ``None``.
        encoding: of text files.
        **columns: role (text, lang, context) to the column's name.
    """
    from xmpress.data import Columns, choose_tasks, load_dataset
    from xmpress.errors import UsageError

    # Only what differs from the usual is named: a column named on purpose must be there.
    named = {role: name for role, name in columns.items() if name != role}
    if named and source.lower().endswith((".yaml", ".yml")):
        flags = ", ".join(f"--{role}" for role in named)
        raise UsageError(f"{source} is a data config and names its columns itself; drop {flags}")
    return load_dataset(
        source,
        choose_tasks(source, tasks),
        columns=Columns.model_validate(named) if named else None,
        encoding=encoding,
    )
