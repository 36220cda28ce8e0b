"""The pass ``distill``: a smaller student learns from the teacher's answers or inner states."""

from xmpress.compression.distillation.distill import TRANSFER, Distill
from xmpress.compression.distillation.logits import DistillationLoss, soft_losses
from xmpress.compression.distillation.params import DistillParams

__all__ = ["TRANSFER", "Distill", "DistillParams", "DistillationLoss", "soft_losses"]
