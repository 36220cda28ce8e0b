"""``xmpress analyze``: a quick look at feedback, or a file with predictions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from xmpress.cli.console import emit_json, out, piped, progress, say, warn
from xmpress.cli.options import Encoding, Engine, Tasks, Threads, split_names
from xmpress.errors import DataError

if TYPE_CHECKING:
    from xmpress.data.readers import Chunk

CHUNK_ROWS = 4_096
"""Few enough that progress shows and little is in memory, enough that texts of like length and
equal texts find each other."""
REMEMBERED = 100_000
"""Texts whose scores are kept, in some 50 MB: answers repeat themselves, "none" and "good" most."""


def analyze(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders or globs (CSV, TSV, JSONL, Parquet, XLSX); "
            "- reads one text per line from standard input.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "-m", "--model", metavar="MODEL", help="A bundle's folder, or a name of the zoo."
        ),
    ] = "default",
    out_path: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write the input's columns and the predictions, in the format of the suffix "
            "(.csv, .tsv, .jsonl, .parquet, .xlsx); - writes JSONL to standard output.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[str, typer.Option(metavar="COL", help="Column of the text.")] = "text",
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the language, for the summary; 'lang' if there is one.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the question that the text answers; 'context' if there is one.",
            show_default=False,
        ),
    ] = None,
    tasks: Tasks = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="With -o: the probability of every label too.")
    ] = False,
    rows: Annotated[int, typer.Option(min=0, help="Rows to show; all are summarised.")] = 20,
    json: Annotated[
        bool, typer.Option("--json", help="Write the summary as JSON instead of tables.")
    ] = False,
    encoding: Encoding = "utf-8",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Predict sentiment, emotion and the other tasks of feedback in a file.

    Without -o it shows a table and a summary, with -o it writes a file with the input's columns
    unchanged and the predictions beside them.

    Examples:
      xmpress analyze comments.csv
      xmpress analyze comments.csv -o scored.csv
      xmpress analyze survey/*.xlsx --text Kommentar --lang Sprache -o scored.parquet
      echo "Trop d'attente au guichet." | xmpress analyze -
    """
    from xmpress.cli.preview import Preview
    from xmpress.cli.summary import Summary
    from xmpress.data.readers import column
    from xmpress.data.writers import TableWriter
    from xmpress.runtime.tables import prediction_columns
    from xmpress.zoo import load

    chunks = _chunks(inputs, encoding)
    first = next(chunks)
    analyzer = load(model, engine=engine, threads=threads, cache=REMEMBERED)
    chosen = analyzer.tasks.select(split_names(tasks) or analyzer.tasks.names)
    roles = {"text": text, "lang": lang, "context": context}
    columns = _columns(first, roles)
    names = prediction_columns(first.table.column_names, chosen, probabilities=probabilities)
    summary, preview = Summary(chosen), Preview(chosen, rows)
    with piped(), ExitStack() as stack:
        advance = stack.enter_context(progress("analyze"))
        writer = stack.enter_context(TableWriter(out_path)) if out_path else None
        # Closed before the writer, so that nothing runs any more when the file is put in place.
        parts = stack.enter_context(
            closing(
                analyzer.analyze_tables(
                    (chunk.table for chunk in itertools.chain([first], chunks)),
                    text=columns["text"] or text,
                    context=columns["context"],
                    tasks=chosen.names,
                    probabilities=probabilities,
                )
            )
        )
        for table in parts:
            if writer:
                writer.write(table)
            predictions = {task.name: column(table, names[task.name]) for task in chosen}
            langs = column(table, columns["lang"]) if columns["lang"] else None
            summary.add(predictions, langs)
            if not out_path:
                preview.add(column(table, columns["text"] or text), langs, predictions)
            advance(table.num_rows)
    renamed = {usual: name for usual, name in names.items() if name != usual}
    for usual, name in renamed.items():
        if not usual.endswith("_confidence"):
            warn(f"there is a column '{usual}' already; the prediction is named '{name}'")
    if summary.blank:
        say(f"rows without text, which have no prediction: {summary.blank:,}")
    if out_path == "-":
        return
    if json:
        emit_json(summary.to_dict())
        return
    total = summary.rows + summary.blank
    if not out_path and rows and total:
        out.print(preview.table(out.width))
        if total > rows:
            say(f"the first {rows} of {total:,} rows; all with -o FILE")
        out.print()
    if summary.rows:
        out.print(summary)
    if out_path:
        say(f"wrote {total:,} rows to {out_path}")
    elif not total:
        say("the input has no rows")


def _chunks(inputs: list[str], encoding: str) -> Iterator[Chunk]:
    """The rows of all inputs, which must have the same columns."""
    from xmpress.data.readers import find_files, read_chunks

    first: Chunk | None = None
    for path in find_files(inputs):
        for chunk in read_chunks(path, rows=CHUNK_ROWS, encoding=encoding):
            first = first or chunk
            if chunk.table.column_names != first.table.column_names:
                raise DataError(
                    f"{chunk.file} has the columns {', '.join(chunk.table.column_names)}, but "
                    f"{first.file} has {', '.join(first.table.column_names)}; "
                    "analyze files of different columns one by one"
                )
            yield chunk


def _columns(chunk: Chunk, roles: dict[str, str | None]) -> dict[str, str | None]:
    """The columns to use; one that was named must be there, the usual ones may be missing."""
    from xmpress.validation import nearest

    names = list(chunk.table.column_names)
    found: dict[str, str | None] = {}
    for role, name in roles.items():
        if name is None:
            found[role] = role if role in names else None
            continue
        if name not in names:
            close = nearest(name, names)
            hint = f" (did you mean '{close}'?)" if close else ""
            raise DataError(
                f"{chunk.file} has no column '{name}'{hint}; it has {', '.join(names)}. "
                f"Name the column of the {role}: --{role} COL"
            )
        found[role] = name
    return found
