"""The objective ``mlm``: the triple loss of DistilBERT (Sanh et al., 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from xmpress.compression.distillation.hidden import projection
from xmpress.compression.distillation.objectives import Losses, Objective
from xmpress.compression.distillation.states import Look, States
from xmpress.training.feed import Batch
from xmpress.training.masking import IGNORED

SOFT, HARD, COSINE = 5.0, 2.0, 1.0
"""The paper's weights; here divided by their sum."""


class MaskedLanguageModel(Objective):
    """Soft targets of hidden tokens, hard ones, and the direction of the last hidden states.

    The student predicts a hidden token by the product of its last hidden state with its token
    embedding, plus a bias that is dropped after training. The teacher's soft targets are its own
    predictions if it is a masked language model. A multi-task teacher has no such head any more:
    then they are made the same way as the student's, and say where its states lie among the tokens
    rather than which token is likely.

    Args:
        student: width of the student.
        teacher: width of the teacher.
        vocabulary: per token of the student the teacher's id, int64 [V].
        temperature: divides the scores of both.
    """

    looks: ClassVar[frozenset[Look]] = frozenset({"hidden"})
    masked: ClassVar[bool] = True

    def __init__(
        self, *, student: int, teacher: int, vocabulary: Tensor, temperature: float
    ) -> None:
        super().__init__()
        self.register_buffer("vocabulary", vocabulary, persistent=False)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))
        self.projection = projection(student, teacher)
        self.temperature = temperature

    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """The weighted mean of the three parts."""
        assert teacher is not None
        assert student.targets is not None
        vocabulary = self.get_buffer("vocabulary")
        asked = student.targets != IGNORED
        ours = student.hidden[-1][asked] @ embedding_of(student, len(vocabulary)).T + self.bias
        theirs = teacher.token_logits
        if theirs is None:
            rows = int(vocabulary.max()) + 1
            theirs = teacher.hidden[-1][asked] @ embedding_of(teacher, rows).T
        # A batch of short texts may have no hidden token.
        count = asked.sum().clamp(min=1)
        parts = {
            "mlm/soft": token_divergence(ours, theirs[:, vocabulary], self.temperature).sum()
            / count,
            "mlm/hard": nn.functional.cross_entropy(
                ours.float(), student.targets[asked], reduction="sum"
            )
            / count,
            "mlm/cosine": cosine_distance(
                self.projection(student.hidden[-1]), teacher.hidden[-1], student.mask
            ),
        }
        weights = ours.new_tensor([SOFT, HARD, COSINE], dtype=torch.float32)
        return (weights * torch.stack(list(parts.values()))).sum() / weights.sum(), parts


def token_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The divergence of predicted tokens, in nats, times the square of the temperature.

    Args:
        student: scores, float [m, V].
        teacher: the same.
        temperature: divides both.

    Returns:
        float [m].
    """
    rows = nn.functional.kl_div(
        (student.float() / temperature).log_softmax(dim=-1),
        (teacher.float() / temperature).log_softmax(dim=-1),
        reduction="none",
        log_target=True,
    ).sum(dim=-1)
    return temperature**2 * rows


def cosine_distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The mean over real positions of one minus the cosine.

    Args:
        student: float [n, s, width].
        teacher: the same.
        mask: bool [n, s].
    """
    distances = 1 - nn.functional.cosine_similarity(student.float(), teacher.float(), dim=-1)
    return (distances * mask).sum() / mask.sum()


def embedding_of(states: States, tokens: int) -> Tensor:
    """The vectors of the first so many tokens, float [tokens, width]."""
    ids = torch.arange(tokens, device=states.mask.device)
    vectors: Tensor = states.embedding(ids)
    return vectors
