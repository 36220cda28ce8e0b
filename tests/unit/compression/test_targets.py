"""A student of several teachers predicts tasks that the recipe's own teacher does not know."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from xmpress.compression import Artefact, Context
from xmpress.compression.pruning import Prune, PruneParams
from xmpress.compression.quantization.aware import QuantizationAware, QuantizationAwareParams
from xmpress.data import load_dataset
from xmpress.modeling import load_model, save_model
from xmpress.modeling.encoders import EncoderSource, make_model


@pytest.fixture
def given(context: Context, tiny_model_dir: Path, labelled_data: Path, tmp_path: Path) -> Context:
    """The student predicts sentiment, emotion and more; the teacher sentiment alone."""
    loaded = load_model(tiny_model_dir)
    source = EncoderSource(loaded.model.encoder, tiny_model_dir, "single")
    teacher = tmp_path / "teacher"
    save_model(
        teacher,
        make_model(source, loaded.tasks.select(["sentiment"]), max_length=64),
        tiny_model_dir,
    )
    dataset = load_dataset(labelled_data, loaded.tasks.select(["sentiment"]))
    return replace(
        context,
        teacher=Artefact(teacher),
        dataset=lambda: dataset,
        data_name=str(labelled_data),
    )


@pytest.mark.parametrize(
    "step",
    [
        Prune(
            PruneParams.model_validate(
                {"keep": 0.5, "rows": 40, "recover": {"steps": 2, "max_rows": 60}}
            )
        ),
        QuantizationAware(QuantizationAwareParams(steps=2, max_rows=60)),
    ],
    ids=["prune", "quantization_aware"],
)
def test_its_further_tasks_are_trained_on_by_its_own_answers_and_the_labels(
    step: Any, given: Context, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    step.run(given, out)
    before, after = (load_model(path).model for path in (given.artefact.path, out))
    assert after.config.task_set == before.config.task_set
    assert set(after.config.calibration) == set(before.config.task_set.names)
    assert not torch.equal(after.heads["emotion"].weight, before.heads["emotion"].weight)
