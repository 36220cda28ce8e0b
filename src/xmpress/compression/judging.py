"""The rows of a recipe's data and what they say about an artefact."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.compression.passes import Artefact
from xmpress.compression.recipe import Recipe
from xmpress.data import Dataset, choose_tasks, load_dataset
from xmpress.errors import DataError, RecipeError
from xmpress.evaluation import Comparison, compare
from xmpress.tasks import TaskSet
from xmpress.training.train import spread, training_splits


class RecipeData:
    """The data a recipe names, loaded when first needed."""

    def __init__(self, recipe: Recipe, teacher: Artefact) -> None:
        self._recipe = recipe
        self._teacher = teacher

    @cached_property
    def all(self) -> Dataset:
        """Every row, of every split.

        Raises:
            RecipeError: if the recipe names no data.
            ConfigError: if the model's tasks contradict those of the data config.
        """
        if self._recipe.data is None:
            raise RecipeError(
                f"recipe '{self._recipe.name}' needs data: name it in the recipe (data: ...), "
                "or with --set data=..."
            )
        return load_dataset(
            self._recipe.data, choose_tasks(self._recipe.data, tasks_of(self._teacher)[0])
        )

    @cached_property
    def held_out(self) -> Dataset:
        """The rows that artefacts are judged on.

        Raises:
            DataError: if there are none.
        """
        settings = self._recipe.evaluation
        rows = self.all.where(split=settings.split, tasks=self.all.tasks.names)
        if not len(rows):
            raise DataError(
                f"{self._recipe.data} has no labelled rows of the split '{settings.split}' to "
                "judge a compressed model on; mark some in a column 'split', or choose another "
                "split with evaluation.split"
            )
        if settings.max_rows is not None:
            rows = spread(rows, settings.max_rows, seed=self._recipe.seed)
        return rows

    def sample(self, rows: int, *, training: bool, even: bool) -> Dataset:
        """At most so many real rows; see `xmpress.compression.passes.Context`."""
        if self._recipe.data is None:
            dataset = load_dataset("sample", TaskSet.load("experience"))
            dataset = dataset.where(split="train" if training else "test")
        elif training:
            # The teacher's own division of rows without a split, whatever the seed here.
            dataset = training_splits(self.all, self._recipe.validation, seed=0)[0]
        else:
            dataset = self.held_out
        if even or len(dataset) <= rows:
            return spread(dataset, rows, seed=0)
        drawn = np.random.default_rng(self._recipe.seed).choice(len(dataset), rows, replace=False)
        return dataset.take(np.sort(drawn))


class Judge:
    """Compares artefacts with the uncompressed model on the rows held out."""

    def __init__(
        self, data: RecipeData, teacher: Artefact, cache: Path, say: Callable[[str], None]
    ) -> None:
        self._data = data
        self._teacher = teacher
        self._cache = cache
        self._say = say

    def compare(self, artefact: Artefact) -> Comparison:
        """Score an artefact and its degradation against the teacher."""
        rows = self._data.held_out
        sides = []
        for side in (self._teacher, artefact):
            logits = cached_logits(side, rows.texts, rows.contexts, self._cache, say=self._say)
            sides.append((logits, tasks_of(side)[1]))
        names = (self._teacher.path.resolve().name, artefact.path.name)
        return compare(sides[0], sides[1], rows, names=names)
