"""Hides tokens for masked-language modelling."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from xmpress.errors import ModelError

IGNORED = -100
"""The target of a position that nothing is asked about; what `torch.nn.functional` ignores too."""
MASK_TOKENS = ("<mask>", "[MASK]", "<|mask|>")


@dataclass(frozen=True)
class Masking:
    """How BERT hides tokens (Devlin et al., 2019).

    Each token but the special ones is asked about with a probability. Of those, 80 % are replaced
    by the mask token, 10 % by a random one, and 10 % stay, so that no position can be trusted.

    Attributes:
        mask_id: the mask token.
        special: ids that are never hidden: padding, begin, end, mask.
        vocab_size: random tokens are drawn from below it.
        probability: that a token is asked about.
    """

    mask_id: int
    special: tuple[int, ...]
    vocab_size: int
    probability: float = 0.15

    @classmethod
    def from_file(cls, path: str | Path, *, probability: float = 0.15) -> Self:
        """Read what it needs from a ``tokenizer.json``.

        Raises:
            ModelError: if the tokenizer has no mask token.
        """
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        added = {token["content"]: token for token in content.get("added_tokens", [])}
        mask = next((added[name]["id"] for name in MASK_TOKENS if name in added), None)
        if mask is None:
            raise ModelError(
                f"{path} has no mask token (looked for {', '.join(MASK_TOKENS)}), which "
                "masked-language modelling needs"
            )
        vocab = content["model"]["vocab"]
        special = tuple(sorted(token["id"] for token in added.values() if token["special"]))
        largest = max(max(vocab.values()) if isinstance(vocab, dict) else len(vocab) - 1, *special)
        return cls(int(mask), special, largest + 1, probability)

    def __call__(
        self, ids: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hide tokens of a batch.

        Args:
            ids: int64 [n, s], padded with a special token.
            generator: decides what is hidden; torch's own if left out.

        Returns:
            The ids with tokens hidden, and the targets: the original id where a token is asked
            about, `IGNORED` elsewhere; both int64 [n, s].
        """

        def chance() -> Tensor:
            return torch.rand(ids.shape, device=ids.device, generator=generator)

        special = torch.isin(ids, torch.tensor(self.special, device=ids.device))
        asked = (chance() < self.probability) & ~special
        fate = chance()
        random = torch.randint(
            self.vocab_size, ids.shape, device=ids.device, generator=generator, dtype=ids.dtype
        )
        hidden = torch.where(asked & (fate < 0.8), self.mask_id, ids)
        hidden = torch.where(asked & (fate >= 0.9), random, hidden)
        return hidden, torch.where(asked, ids, IGNORED)
