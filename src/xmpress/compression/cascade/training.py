"""The first stage, trained to give the main model's answers, and rounded to whole numbers.

Soft targets alone, for every task of every text (Hinton et al., 2015; XtremeDistil, Mukherjee &
Awadallah, 2020, has them as the means of a large reduction). As in model2vec (Tulkens & van Dongen,
2024) a piece's vector begins with what the main model says to that piece alone, which it also says
of pieces that no training text has. A piece's weight in the mean is the length of its vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn

from xmpress.compression.distillation.logits import soft_losses
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.cascade import SIGNED, UNSIGNED, StageWeights
from xmpress.runtime.tokenization import Encoded
from xmpress.tasks import FloatArray, TaskSet

BATCH = 256
DROPOUT = 0.1
SPREAD = 0.3
"""Standard deviation of the vectors that training begins with."""
CLIP = 99.95
"""Percentile of activations that becomes the largest whole number."""
PIECES_AT_ONCE = 4096


class StaticStudent(nn.Module):
    """The mean of a text's vectors, and a perceptron on it.

    Args:
        start: the vectors to begin with, float [V, D].
        hidden: units.
        labels: of all tasks.
    """

    def __init__(self, start: FloatArray, hidden: int, labels: int) -> None:
        super().__init__()
        vectors = torch.tensor(start)  # a copy, for training changes it
        self.table = nn.EmbeddingBag.from_pretrained(vectors, freeze=False, mode="mean")
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Linear(start.shape[1], hidden)
        self.output = nn.Linear(hidden, labels)

    def forward(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """Scores, float [B, S], of texts whose tokens, int [N], begin at the offsets, int [B]."""
        return self.output(self.units(self.means(tokens, offsets)))  # type: ignore[no-any-return]

    def means(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """Float [B, D]."""
        return self.dropout(self.table(tokens, offsets))  # type: ignore[no-any-return]

    def units(self, means: Tensor) -> Tensor:
        """Float [B, H], not negative."""
        return self.hidden(means).relu()  # type: ignore[no-any-return]


def piece_scores(main: Analyzer, pieces: int) -> FloatArray:
    """What a model says to each piece alone, between the special tokens of a text; [V, S]."""
    special = main.bundle.tokenizer().encode([""]).tokens
    before, after = special[:-1], special[-1:]
    scores = []
    for start in range(0, pieces, PIECES_AT_ONCE):
        some = range(start, min(start + PIECES_AT_ONCE, pieces))
        ids = [np.array([*before, piece, *after], dtype=np.int32) for piece in some]
        scores.append(main.score_tokens(Encoded.of(ids)))
    return np.concatenate(scores)


def starting_table(scores: FloatArray, dimensions: int, seed: int) -> FloatArray:
    """Vectors to begin with, float32 [V, D]: the scores' main directions, then noise."""
    rng = np.random.default_rng(seed)
    table = 0.1 * SPREAD * rng.standard_normal((len(scores), dimensions))
    centred = scores - scores.mean(axis=0)
    _, _, directions = np.linalg.svd(np.cov(centred.T))
    kept = directions[:dimensions]
    spread = max(float(centred.std()), 1e-6)
    table[:, : len(kept)] += centred @ kept.T * (SPREAD / spread)
    return np.asarray(table, dtype=np.float32)


def train_stage(
    tasks: TaskSet,
    start: FloatArray,
    encoded: Encoded,
    soft: Mapping[str, FloatArray],
    *,
    hidden: int,
    epochs: int,
    learning_rate: float,
    seed: int,
    quiet: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> StageWeights:
    """Train on the main model's scores and round.

    Args:
        tasks: of the main model.
        start: see `starting_table`.
        encoded: the texts, n.
        soft: the main model's logits per task, float [n, L].
        hidden: units.
        epochs: passes over the texts.
        learning_rate: at the start; falls to 0.
        seed: of weights and order.
        quiet: no progress bar.
        say: told how well it ends.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    labels = sum(map(len, tasks))
    student = StaticStudent(start, hidden, labels)
    optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate)
    targets = {task.name: torch.from_numpy(np.ascontiguousarray(soft[task.name])) for task in tasks}
    batches = [
        rows
        for _ in range(epochs)
        for rows in np.array_split(rng.permutation(len(encoded)), -(-len(encoded) // BATCH))
    ]
    losses = []
    for step, rows in enumerate(track(batches, "first stage", disable=quiet, transient=True)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / len(batches))
        scores = student(*_tensors(encoded.take(rows))).split([len(t) for t in tasks], dim=1)
        loss = torch.stack([
            soft_losses(task, own, targets[task.name][rows], temperature=1.0).mean()
            for task, own in zip(tasks, scores, strict=True)
        ]).sum()  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    say(f"cascade: {len(batches)} steps, loss {np.mean(losses[-50:]):.3f}")
    student.eval()
    return _rounded(student, encoded)


@torch.no_grad()
def _rounded(student: StaticStudent, encoded: Encoded) -> StageWeights:
    """A student's weights in whole numbers, with scales from the texts it was trained on."""
    means = student.means(*_tensors(encoded))
    units = student.units(means).numpy()
    table, table_scale = _whole(student.table.weight.numpy())
    mean_scale = _largest(means.abs().numpy(), SIGNED)
    unit_scale = _largest(units, UNSIGNED)
    hidden, hidden_scale = _whole(student.hidden.weight.numpy().T * mean_scale[:, None])
    output, output_scale = _whole(student.output.weight.numpy().T * unit_scale[:, None])
    return StageWeights(
        table=table,
        table_scale=table_scale / mean_scale,
        hidden=hidden,
        hidden_scale=hidden_scale / unit_scale,
        hidden_bias=np.asarray(student.hidden.bias.numpy() / unit_scale, dtype=np.float32),
        output=output,
        output_scale=output_scale,
        output_bias=student.output.bias.numpy(),
    )


def _whole(values: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Values [m, n] as whole numbers, and the scale of each column, float32 [n]."""
    scale = np.maximum(np.abs(values).max(axis=0), 1e-12).astype(np.float32) / np.float32(SIGNED)
    return np.rint(values / scale).astype(np.int8), scale


def _largest(values: FloatArray, most: int) -> FloatArray:
    """The scale of each column of activations, not negative, float32 [n]."""
    top = np.percentile(values, CLIP, axis=0)
    return np.asarray(np.maximum(top, 1e-6) / most, dtype=np.float32)


def _tensors(encoded: Encoded) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(encoded.tokens), torch.from_numpy(encoded.offsets[:-1].astype(np.int32))
