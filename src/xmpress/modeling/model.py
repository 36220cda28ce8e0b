"""`MultiTaskModel`: one encoder, one pooled vector per text, one linear head per task."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PreTrainedModel
from transformers.utils.generic import ModelOutput

from xmpress.modeling.config import MultiTaskConfig
from xmpress.modeling.shapes import apply_shapes


@dataclass
class MultiTaskOutput(ModelOutput):  # type: ignore[misc, unused-ignore]
    """What `MultiTaskModel` returns.

    Attributes:
        pooled: float [n, hidden], what the heads see.
        logits: per task float [n, L].
        hidden_states: with ``output_hidden_states``: embeddings and each layer, [n, s, hidden].
        attentions: with ``output_attentions``: per layer [n, heads, s, s].
    """

    # Not the mapping first: the base class would take it for all the fields.
    pooled: Tensor | None = None
    logits: dict[str, Tensor] | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class MultiTaskModel(PreTrainedModel):  # type: ignore[misc, unused-ignore]
    """Any Hugging Face encoder with one classification head per task.

    Saved and loaded as a Hugging Face directory: ``AutoModel.from_pretrained(directory)`` after
    ``import xmpress``, without remote code.
    """

    config_class = MultiTaskConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: MultiTaskConfig) -> None:
        super().__init__(config)
        self.encoder = encoder_from_config(config.encoder_config)
        self.dropout = nn.Dropout(config.head_dropout)
        hidden = config.encoder_config.hidden_size  # type: ignore[union-attr]
        self.heads = nn.ModuleDict(
            {task.name: nn.Linear(hidden, len(task)) for task in config.task_set}
        )
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> MultiTaskOutput:
        """Score a padded batch.

        Args:
            input_ids: int64 [n, s].
            attention_mask: int64 [n, s], 1 for tokens and 0 for padding.
            token_type_ids: int64 [n, s], 1 for the tokens of the context; ignored by encoders
                without segment embeddings.
            **kwargs: passed to the encoder (``output_hidden_states``, ``output_attentions``).
        """
        if token_type_ids is not None and self.uses_token_types:
            kwargs["token_type_ids"] = token_type_ids
        encoded = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        pooled = self._pool(encoded.last_hidden_state, attention_mask)
        dropped = self.dropout(pooled)
        return MultiTaskOutput(
            logits={name: head(dropped) for name, head in self.heads.items()},
            pooled=pooled,
            hidden_states=getattr(encoded, "hidden_states", None),
            attentions=getattr(encoded, "attentions", None),
        )

    def _pool(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        if self.config.pooling == "first":
            return states[:, 0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(dim=1) / mask.sum(dim=1)

    @property
    def uses_token_types(self) -> bool:
        """Whether the encoder tells segments apart: BERT does, XLM-R and DistilBERT do not."""
        return getattr(self.config.encoder_config, "type_vocab_size", 0) > 1


def encoder_from_config(config: Any) -> PreTrainedModel:
    """The encoder of a configuration, random weights, without a pooling layer of its own."""
    architecture: Any = MODEL_MAPPING[type(config)]
    accepted = inspect.signature(architecture).parameters
    unpooled = {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}
    encoder: PreTrainedModel = AutoModel.from_config(config, **unpooled)
    apply_shapes(encoder, config)
    return encoder


def register() -> None:
    """Make ``AutoConfig`` and ``AutoModel`` know multi-task model directories."""
    AutoConfig.register(MultiTaskConfig.model_type, MultiTaskConfig, exist_ok=True)
    AutoModel.register(MultiTaskConfig, MultiTaskModel, exist_ok=True)


def count_parameters(model: nn.Module) -> int:
    """All parameters, tied ones once."""
    return sum(p.numel() for p in model.parameters())


def fingerprint(model: nn.Module) -> str:
    """A hash of all weights, by name and value."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
