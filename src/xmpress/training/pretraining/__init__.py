"""Pretraining: raw text in, an encoder out that needs few labels."""

from xmpress.training.pretraining.config import PretrainConfig
from xmpress.training.pretraining.run import PretrainResult, pretrain

__all__ = ["PretrainConfig", "PretrainResult", "pretrain"]
