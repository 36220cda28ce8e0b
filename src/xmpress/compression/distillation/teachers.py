"""The teachers: whose answers a student learns, and whose states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.utils import logging as transformers_logging

from xmpress.compression.distillation.states import Look, States, encoder_config, observe
from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.compression.passes import Artefact, Context
from xmpress.errors import ModelError, RecipeError
from xmpress.modeling import MultiTaskConfig, load_model
from xmpress.modeling.encoders import positions
from xmpress.tasks import FloatArray, Task, TaskSet
from xmpress.training.masking import IGNORED
from xmpress.zoo import resolve

Teachers = Sequence[str] | Mapping[str, str] | None
"""As a recipe names them: several, or one per task, or (``None``) the recipe's own."""


@dataclass(frozen=True)
class Panel:
    """The models whose answers are learned, task by task.

    Attributes:
        tasks: what the student predicts.
        voices: per task the models that answer it.
    """

    tasks: TaskSet
    voices: dict[str, list[Artefact]]

    @property
    def members(self) -> list[Artefact]:
        """Each model once."""
        return list({a.path: a for voices in self.voices.values() for a in voices}.values())

    def scores(
        self,
        texts: Sequence[str],
        contexts: Sequence[str | None],
        context: Context,
        *,
        temperature: float,
    ) -> dict[str, FloatArray]:
        """What the teachers say, from the cache where they were asked before.

        Args:
            texts: the texts.
            contexts: one per text.
            context: where the cache is.
            temperature: at which several teachers are averaged.

        Returns:
            Per task logits, float32 [n, L].
        """
        found: dict[Path, dict[str, FloatArray]] = {
            artefact.path: cached_logits(artefact, texts, contexts, context.cache, say=context.say)
            for artefact in self.members
        }
        return {
            task.name: average(
                task,
                [found[artefact.path][task.name] for artefact in self.voices[task.name]],
                temperature=temperature,
            )
            for task in self.tasks
        }


def panel(given: Artefact, teachers: Teachers, *, only: TaskSet | None = None) -> Panel:
    """Find out who answers what.

    Tasks that no teacher named in the recipe predicts are answered by the recipe's own.

    Args:
        given: the recipe's own teacher.
        teachers: as named in ``distill``.
        only: the tasks of a student that is there already; if left out, those of ``given``, then
            those that further teachers add, in their order.

    Raises:
        RecipeError: if a teacher does not predict its task, two disagree on a task's labels, or
            nobody predicts a task of ``only``.
    """
    own, _ = tasks_of(given)
    tasks = {task.name: task for task in (only or own)}
    voices: dict[str, list[Artefact]] = {}
    if isinstance(teachers, Mapping):
        for name, model in teachers.items():
            artefact = Artefact(resolve(model))
            predicts, _ = tasks_of(artefact)
            if name not in predicts.names:
                raise RecipeError(
                    f"distill: teachers.{name} is {model}, which predicts "
                    f"{', '.join(predicts.names)}, not {name}"
                )
            _join(tasks, predicts[name], model, only)
            voices[name] = [artefact]
    else:
        for model in teachers or ():
            artefact = Artefact(resolve(model))
            for task in tasks_of(artefact)[0]:
                if _join(tasks, task, model, only):
                    voices.setdefault(task.name, []).append(artefact)
    for name in tasks:
        if name not in voices:
            if name not in own.names:
                raise RecipeError(
                    f"distill: no teacher predicts the student's task {name}; name one in teachers"
                )
            voices[name] = [given]
    return Panel(TaskSet(tasks=tuple(tasks.values())), voices)


def _join(tasks: dict[str, Task], task: Task, model: str, only: TaskSet | None) -> bool:
    """Add a task, or see that it is the same; whether the student has it."""
    known = tasks.get(task.name)
    if known is None:
        if only is None:
            tasks[task.name] = task
        return only is None
    if (known.kind, known.labels) != (task.kind, task.labels):
        raise RecipeError(
            f"distill: teacher {model} has other labels for {task.name}: "
            f"{', '.join(task.labels)} ({task.kind}), where {', '.join(known.labels)} "
            f"({known.kind}) are expected"
        )
    return True


def average(task: Task, logits: Sequence[FloatArray], *, temperature: float) -> FloatArray:
    """One teacher's logits of several: their softened probabilities are averaged, not their logits.

    The mean of the probabilities is what the ensemble predicts. A mean of logits would depend on
    their scale, so that the most confident teacher would outvote the others.

    Args:
        task: decides the kind.
        logits: per teacher float [n, L].
        temperature: at which they will be compared with the student's.

    Returns:
        float32 [n, L], with the mean probabilities at that temperature.
    """
    if len(logits) == 1:
        return logits[0]
    scores = np.stack(logits).astype(np.float64) / temperature
    if task.multi:
        yes = _log_mean(-np.logaddexp(0, -scores))
        no = _log_mean(-np.logaddexp(0, scores))
        mean = yes - no
    else:
        mean = _log_mean(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
    result: FloatArray = (temperature * mean).astype(np.float32)
    return result


def _log_mean(values: Any) -> Any:
    return np.logaddexp.reduce(values, axis=0) - np.log(len(values))


class StateTeacher:
    """A teacher that runs beside the student, on the student's tokens.

    Args:
        model: a `MultiTaskModel`, a masked language model, or an encoder.
        vocabulary: per token of the student the teacher's id, int64 [V].
    """

    def __init__(self, model: Any, vocabulary: Tensor) -> None:
        self.model = model.eval().requires_grad_(False)
        self.vocabulary = vocabulary
        self.predicts_tokens = type(model).__name__.endswith("ForMaskedLM")

    @property
    def config(self) -> Any:
        """The encoder's configuration."""
        return encoder_config(self.model)

    @property
    def uses_token_types(self) -> bool:
        """Whether it tells segments apart."""
        return getattr(self.config, "type_vocab_size", 0) > 1

    def observe(
        self, inputs: Mapping[str, Tensor], looks: Set[Look], targets: Tensor | None = None
    ) -> States:
        """Run it on a batch of the student's.

        Args:
            inputs: the student's.
            looks: what to keep.
            targets: int64 [n, s]; a masked language model predicts the tokens asked about.
        """
        device = inputs["input_ids"].device
        if self.vocabulary.device != device:
            self.model.to(device)
            self.vocabulary = self.vocabulary.to(device)
        inputs = {**inputs, "input_ids": self.vocabulary[inputs["input_ids"]]}
        if not self.uses_token_types:
            inputs.pop("token_type_ids", None)
        if not self.predicts_tokens:
            return observe(self.model, inputs, looks, targets=targets)
        asked = torch.zeros_like(inputs["input_ids"]) if targets is None else targets != IGNORED
        with _only(self.model, asked.bool()):
            states = observe(self.model, inputs, looks, targets=targets)
        return replace(states, token_logits=states.output.logits)


@contextmanager
def _only(model: Any, asked: Tensor) -> Iterator[None]:
    """Let a masked language model score some positions only: vocabularies are large."""
    decoder = model.get_output_embeddings()
    hook = decoder.register_forward_pre_hook(lambda module, inputs: (inputs[0][asked],))
    try:
        yield
    finally:
        hook.remove()


def locate(model: str | Path) -> Path:
    """The directory of a model: a path, a zoo name, or a name of the model hub.

    Raises:
        ModelError: if it is none of them.
    """
    try:
        return resolve(model)
    except ModelError as error:
        try:
            files = ["*.json", "*.safetensors"]
            return Path(snapshot_download(str(model), allow_patterns=files))
        except (OSError, ValueError) as unknown:
            raise ModelError(
                f"teacher '{model}' is no directory, and the model hub did not give it "
                f"({str(unknown).splitlines()[0]})"
            ) from error


def open_state_teacher(
    model: str | Path, student_tokenizer: Path, *, names: str, max_length: int
) -> StateTeacher:
    """Load a teacher to run beside a student.

    Args:
        model: a model directory, or a pretrained encoder or masked language model: its directory
            or hub name.
        student_tokenizer: a ``tokenizer.json``.
        names: the objectives that need it, for errors.
        max_length: tokens per text of the student.

    Raises:
        ModelError: if it is a bundle, which shows no states, or cannot be loaded.
        RecipeError: if it does not know the student's tokens, or takes shorter texts.
    """
    path = locate(model)
    if (path / "xmpress.json").is_file():
        raise ModelError(
            f"{path} is a bundle, whose inner states cannot be seen; {names} needs the model "
            "directory it was made of (a bundle can teach logits only)"
        )
    vocabulary = align(student_tokenizer, path / "tokenizer.json", names=names)
    transformers_logging.disable_progress_bar()
    # Weights may be stored in half precision, in which a CPU is slow and states are coarse.
    options: dict[str, Any] = {"local_files_only": True, "dtype": torch.float32}
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        if isinstance(config, MultiTaskConfig):
            loaded: Any = load_model(path).model
        elif any(a.endswith("ForMaskedLM") for a in config.architectures or ()):
            loaded = AutoModelForMaskedLM.from_pretrained(path, **options)
        else:
            loaded = AutoModel.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"teacher {path} cannot be loaded: {error}") from error
    teacher = StateTeacher(loaded, vocabulary)
    room = positions(teacher.config)
    if room is not None and room < max_length:
        raise RecipeError(
            f"distill: {names} runs the teacher on the student's texts of up to {max_length} "
            f"tokens, but {path} has {room} positions"
        )
    return teacher


def align(student: Path, teacher: Path, *, names: str) -> Tensor:
    """For each token of a student the teacher's id of the same token.

    A student whose vocabulary was trimmed has fewer tokens and other ids; its tokens are the
    teacher's all the same, and so the teacher can be shown them.

    Args:
        student: a ``tokenizer.json``.
        teacher: a ``tokenizer.json``.
        names: the objectives that need it, for errors.

    Returns:
        int64 [V].

    Raises:
        RecipeError: if the teacher does not know them all.
    """
    if not teacher.is_file():
        raise ModelError(f"teacher {teacher.parent} holds no tokenizer.json")
    ours, theirs = (
        tokenizers.Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
        for path in (student, teacher)
    )
    unknown = sorted(token for token in ours if token not in theirs)
    if unknown:
        raise RecipeError(
            f"distill: the student has another tokenizer than the teacher, which does not know "
            f"{len(unknown):,} of its {len(ours):,} tokens ({', '.join(unknown[:3])}, ...). "
            f"{names} compares states token by token; use the objective logits, which compares "
            "answers text by text"
        )
    ids = torch.zeros(max(ours.values()) + 1, dtype=torch.int64)
    for token, number in ours.items():
        ids[number] = theirs[token]
    return ids
