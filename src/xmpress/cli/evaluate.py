"""``xmpress evaluate``: how good models are by task and language, and what compression cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xmpress.cli.console import emit, emit_json, out, say
from xmpress.cli.extras import need
from xmpress.cli.options import Encoding, Json, Tasks, Threads, split_names
from xmpress.errors import DataError, UsageError

if TYPE_CHECKING:
    from xmpress.data import Dataset
    from xmpress.evaluation import Scorecard
    from xmpress.evaluation.comparison import Comparison


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Model directories, bundles or names of the zoo.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Labelled feedback: a file, a folder, a data config (.yaml), or 'sample'.",
            show_default=False,
        ),
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="MODEL",
            help="Compare each MODEL with this one: degradation with 95 % intervals.",
            show_default=False,
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Beside the models, a floor fitted on the train split: majority or tfidf "
            "(TF-IDF of character n-grams + logistic regression). Needs data with splits. May be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Rows of this split, if the data has splits; 'all' for all rows.")
    ] = "test",
    tasks: Tasks = None,
    text: Annotated[str, typer.Option(metavar="COL", help="Column of the text.")] = "text",
    lang: Annotated[str, typer.Option(metavar="COL", help="Column of the language.")] = "lang",
    context: Annotated[
        str, typer.Option(metavar="COL", help="Column of the question answered.")
    ] = "context",
    resamples: Annotated[
        int, typer.Option(min=1, help="Of the paired bootstrap behind the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    encoding: Encoding = "utf-8",
    threads: Threads = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown tables.")] = False,
    json: Json = False,
) -> None:
    """Score models on labelled feedback, by task and language.

    Temperatures and thresholds are the model's own, tuned on validation data. Languages with fewer
    than 50 labelled rows of a task are shown in brackets and not averaged.

    Examples:
      xmpress evaluate runs/teacher --data reviews.csv
      xmpress evaluate runs/teacher --data reviews.csv --baseline tfidf
      xmpress evaluate runs/student runs/student-int8 --data gold.parquet --reference runs/teacher
    """
    from xmpress.cli.datasets import load
    from xmpress.cli.models import joint_tasks, open_model, score_texts
    from xmpress.evaluation import score
    from xmpress.evaluation.comparison import compare
    from xmpress.evaluation.render import to_markdown, to_table

    names = [*([reference] if reference else []), *models]
    predictors = [open_model(name, threads=threads) for name in names]
    known = joint_tasks(predictors)
    wanted = known.select(split_names(tasks) or known.names)
    whole = load(data, wanted, encoding=encoding, text=text, lang=lang, context=context)
    dataset = _of_split(whole, split, data)
    if baselines:
        _require_unseen(whole, split, data)
        need("train", "a baseline")
        from xmpress.training.baselines import fit_baseline

        for kind in baselines:
            say(f"fitting the baseline {kind}")
            predictors.append(fit_baseline(kind, whole))
            names.append(kind)
    say(f"{len(dataset):,} rows of {data}")
    scored = [(score_texts(predictor, dataset), predictor.calibration) for predictor in predictors]
    labels = [predictor.name for predictor in predictors]
    if len(set(labels)) < len(labels):  # such as runs/a/bundle and runs/b/bundle
        labels = names
    cards = [
        score(label, logits, dataset, calibration)
        for label, (logits, calibration) in zip(labels, scored, strict=True)
    ]
    comparisons = [
        compare(scored[0], other, dataset, resamples=resamples, seed=seed, names=(labels[0], label))
        for label, other in zip(labels[1:], scored[1:], strict=True)
        if reference
    ]
    if json:
        emit_json(
            {
                "scorecards": [card.to_dict() for card in cards],
                "comparisons": [comparison.to_dict() for comparison in comparisons],
            }
        )
        return
    results: list[Scorecard | Comparison] = [*cards, *comparisons]
    for result in results:
        if markdown:
            emit(to_markdown(result) + "\n")
        else:
            out.print(to_table(result))
            out.print()


def _require_unseen(dataset: Dataset, split: str, data: str) -> None:
    """Refuse rows that a floor is fitted on: scored there it would be no floor, but a ceiling."""
    if set(dataset.splits) == {None}:
        raise DataError(
            f"{data} has no splits, so that a baseline would be scored on the rows it is fitted "
            "on; mark the rows to score as 'test' in a column 'split', or drop --baseline"
        )
    if split in {"all", "train"}:
        raise UsageError(
            f"a baseline is fitted on the train rows, which --split {split} scores; give another "
            "split, or drop --baseline"
        )


def _of_split(dataset: Dataset, split: str, data: str) -> Dataset:
    """The rows to score: of the split, or all if the data knows no splits."""
    if split == "all" or set(dataset.splits) == {None}:
        return dataset
    part = dataset.where(split=split)
    if not len(part):
        held = ", ".join(sorted({found or "none" for found in dataset.splits}))
        raise DataError(f"{data} holds no rows of split '{split}'; it has {held} (--split)")
    return part
