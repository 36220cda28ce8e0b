"""What a model that a pass trains should say: the labels of its tasks, and its teachers' scores."""

from __future__ import annotations

from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.compression.passes import Context
from xmpress.data import Dataset, load_dataset
from xmpress.tasks import FloatArray, TaskSet


def labelled_for(tasks: TaskSet, context: Context) -> Dataset:
    """The recipe's data, with the labels of tasks that only further teachers have."""
    dataset = context.dataset()
    if context.data_name is None or set(tasks.names) <= set(dataset.tasks.names):
        return dataset
    return load_dataset(context.data_name, tasks)


def soft_targets(tasks: TaskSet, rows: Dataset, context: Context) -> dict[str, FloatArray]:
    """The uncompressed model's scores of every task that it predicts.

    A student of several teachers predicts more; in those tasks it is to go on saying what it said
    before the pass.

    Args:
        tasks: of the model that is trained.
        rows: the texts.
        context: of the pass.

    Returns:
        Per task logits, float32 [n, L].
    """
    known = tasks_of(context.teacher)[0].names
    asked = [context.teacher]
    if not set(tasks.names) <= set(known):
        asked = [context.artefact, context.teacher]
    scores: dict[str, FloatArray] = {}
    for artefact in asked:
        scores |= cached_logits(artefact, rows.texts, rows.contexts, context.cache, say=context.say)
    return {name: scores[name] for name in tasks.names}
