"""What an encoder is asked about raw text.

An objective is called with the encoder and a batch, and gives the loss and its parts. What it needs
besides the encoder (heads, a generator) are its own parameters, which are left behind at the end.
Scores of tokens are products with the encoder's own token embedding, which is thus there once.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xmpress.modeling.model import encoder_from_config
from xmpress.modeling.shapes import SHAPE_KEYS, FactorisedEmbedding, token_table
from xmpress.training.feed import Batch
from xmpress.training.masking import IGNORED, Masking

Losses = tuple[Tensor, dict[str, Tensor]]
"""What is minimised, and its parts for the display."""


class Objective(nn.Module):
    """The common part: hidden tokens, and the prediction of what they were.

    Args:
        width: of the states that predictions are made from.
        encoder: for the sizes of its token embedding alone.
        masking: hides tokens, anew each time a text is shown.
    """

    runs_model = True
    """For the training loop: it is given the encoder, not what the encoder computed."""

    def __init__(self, width: int, encoder: PreTrainedModel, masking: Masking) -> None:
        super().__init__()
        self.masking = masking
        size = embedding_size(encoder)
        self.head = nn.Sequential(nn.Linear(width, size), nn.GELU(), nn.LayerNorm(size))
        self.bias = nn.Parameter(torch.zeros(token_table(encoder).num_embeddings))

    def forward(self, encoder: PreTrainedModel, batch: Batch) -> Losses:
        """The loss of a batch."""
        raise NotImplementedError

    def scores(self, states: Tensor, encoder: PreTrainedModel) -> Tensor:
        """Of every token of the vocabulary, at some positions.

        With tens of thousands of tokens this costs as much as a small encoder: so it is done for
        the hidden positions alone.

        Args:
            states: float [m, width].
            encoder: whose token embedding is used.

        Returns:
            float [m, V].
        """
        meanings = self.head(states)
        embedding: Any = encoder.get_input_embeddings()
        if isinstance(embedding, FactorisedEmbedding):
            meanings = meanings @ embedding.projection.weight
        return nn.functional.linear(meanings, token_table(encoder).weight, self.bias)


class MaskedLanguage(Objective):
    """Masked-language modelling (Devlin et al., 2019): hidden tokens are predicted.

    With pairs of translations in the batches it is translation language modelling (Conneau and
    Lample, 2019): what is hidden in one language can be read in the other.
    """

    def forward(self, encoder: PreTrainedModel, batch: Batch) -> Losses:
        """The mean of ``-log p`` over the hidden tokens, in nats."""
        hidden, targets = self.masking(batch.inputs["input_ids"])
        asked = targets != IGNORED
        states = run(encoder, batch, input_ids=hidden)[asked]
        loss = token_loss(self.scores(states, encoder), targets[asked])
        return loss, {"mlm": loss}


class ReplacedToken(Objective):
    """Replaced-token detection (ELECTRA; Clark et al., 2020).

    A small generator predicts hidden tokens and puts likely ones in their place; the encoder tells
    for every token whether it was replaced, so that it learns from all of them. Both read the same
    token embedding, which learns from both; the generator's is projected to its width.

    Args:
        encoder: the discriminator, which is what is kept.
        masking: hides tokens.
        width: of the generator, relative to the encoder; the same number of layers.
        weight: of the detection, beside the generator's loss.
    """

    def __init__(
        self, encoder: PreTrainedModel, masking: Masking, *, width: float, weight: float
    ) -> None:
        config = generator_config(encoder.config, width)
        super().__init__(config.hidden_size, encoder, masking)
        self.weight = weight
        self.generator = encoder_from_config(config)
        self.generator.get_input_embeddings().requires_grad_(False)  # never looked into
        self.projection = nn.Linear(embedding_size(encoder), config.hidden_size)
        hidden = encoder.config.hidden_size
        self.detector = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, encoder: PreTrainedModel, batch: Batch) -> Losses:
        """The generator's loss per hidden token and the detector's per token, in nats."""
        ids = batch.inputs["input_ids"]
        hidden, targets = self.masking(ids)
        asked = targets != IGNORED
        embedded = self.projection(encoder.get_input_embeddings()(hidden))
        states = run(self.generator, batch, inputs_embeds=embedded)[asked]
        scores = self.scores(states, encoder)
        generated = token_loss(scores, targets[asked])

        shown = ids.clone()
        shown[asked] = draw(scores.detach())
        present = batch.inputs["attention_mask"].bool()
        found = self.detector(run(encoder, batch, input_ids=shown)[present]).squeeze(-1)
        # A generator that guesses right has replaced nothing.
        replaced = (shown != ids)[present]
        detected = nn.functional.binary_cross_entropy_with_logits(found.float(), replaced.float())
        return generated + self.weight * detected, {"mlm": generated, "rtd": detected}


def make_objective(
    name: Literal["mlm", "rtd"],
    encoder: PreTrainedModel,
    masking: Masking,
    *,
    generator_width: float,
    detection_weight: float,
) -> Objective:
    """The objective of that name."""
    if name == "mlm":
        return MaskedLanguage(encoder.config.hidden_size, encoder, masking)
    return ReplacedToken(encoder, masking, width=generator_width, weight=detection_weight)


def embedding_size(encoder: PreTrainedModel) -> int:
    """The width of the vectors that stand for tokens."""
    embedding: Any = encoder.get_input_embeddings()
    if isinstance(embedding, FactorisedEmbedding):
        return embedding.projection.out_features
    return token_table(encoder).embedding_dim


def uses_token_types(config: Any) -> bool:
    """Whether an encoder tells segments apart: BERT does, XLM-R and DistilBERT do not."""
    return getattr(config, "type_vocab_size", 0) > 1


def run(encoder: PreTrainedModel, batch: Batch, **tokens: Tensor) -> Tensor:
    """The last hidden states of a batch with other tokens, float [n, s, width]."""
    rest = {name: value for name, value in batch.inputs.items() if name != "input_ids"}
    states: Tensor = encoder(**tokens, **rest).last_hidden_state
    return states


def token_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """The mean of ``-log p``; 0 where nothing was hidden, as can be in a tiny batch.

    Args:
        scores: float [m, V].
        targets: int64 [m].
    """
    total = nn.functional.cross_entropy(scores.float(), targets, reduction="sum")
    return total / max(1, len(targets))


def draw(scores: Tensor) -> Tensor:
    """A token per row, each as likely as its score says.

    Args:
        scores: float [m, V].

    Returns:
        int64 [m].
    """
    # One random number per row; torch.multinomial takes one per token of the vocabulary.
    sums = scores.float().softmax(dim=-1).cumsum(dim=-1)
    chance = torch.rand(len(scores), 1, device=scores.device) * sums[:, -1:]
    return torch.searchsorted(sums, chance, right=True).squeeze(-1).clamp(max=scores.shape[1] - 1)


def generator_config(config: Any, width: float) -> Any:
    """The encoder's configuration, narrower: fewer heads of the same size.

    Its own token embedding stays empty, since it is given vectors.
    """
    narrow = copy.deepcopy(config)
    heads, hidden = narrow.num_attention_heads, narrow.hidden_size
    narrow.num_attention_heads = max(1, round(heads * width))
    narrow.hidden_size = narrow.num_attention_heads * (hidden // heads)
    # DistilBERT has another word for it, and knows no common one.
    inner = "hidden_dim" if hasattr(narrow, "hidden_dim") else "intermediate_size"
    setattr(narrow, inner, max(1, getattr(narrow, inner) * narrow.hidden_size // hidden))
    if hasattr(narrow, "embedding_size"):
        narrow.embedding_size = narrow.hidden_size
    narrow.vocab_size = (narrow.pad_token_id or 0) + 1
    for key in SHAPE_KEYS:
        if hasattr(narrow, key):
            delattr(narrow, key)
    return narrow
