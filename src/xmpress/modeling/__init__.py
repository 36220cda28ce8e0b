"""The trainable model: any Hugging Face encoder, pooling, and one head per task."""

from xmpress.modeling.artefact import LoadedModel, load_model, read_config, save_model
from xmpress.modeling.config import MultiTaskConfig
from xmpress.modeling.encoders import EncoderSource, open_encoder
from xmpress.modeling.model import MultiTaskModel, MultiTaskOutput, register

register()

__all__ = [
    "EncoderSource",
    "LoadedModel",
    "MultiTaskConfig",
    "MultiTaskModel",
    "MultiTaskOutput",
    "load_model",
    "open_encoder",
    "read_config",
    "register",
    "save_model",
]
