"""Training: sampling by task and language, masked losses, and a loop that survives interruption."""

from xmpress.training.config import TrainConfig
from xmpress.training.loop import FitSettings
from xmpress.training.train import TrainResult, train

__all__ = ["FitSettings", "TrainConfig", "TrainResult", "train"]
