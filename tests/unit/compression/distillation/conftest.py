from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ModernBertConfig,
    PreTrainedConfig,
    XLMRobertaConfig,
)

from xmpress.modeling import MultiTaskModel, save_model
from xmpress.modeling.encoders import EncoderSource, make_model
from xmpress.modeling.model import encoder_from_config
from xmpress.tasks import TaskSet

SIZES: dict[str, Any] = {"vocab_size": 400, "pad_token_id": 0, "num_attention_heads": 4}
CONFIGS: dict[str, Callable[..., PreTrainedConfig]] = {
    "bert": lambda **sizes: BertConfig(max_position_embeddings=64, **sizes),
    "xlm-roberta": lambda **sizes: XLMRobertaConfig(max_position_embeddings=66, **sizes),
    "distilbert": lambda hidden_size, num_hidden_layers, num_attention_heads, **sizes: (
        DistilBertConfig(
            dim=hidden_size,
            n_layers=num_hidden_layers,
            n_heads=num_attention_heads,
            hidden_dim=sizes.pop("intermediate_size"),
            max_position_embeddings=64,
            **sizes,
        )
    ),
    "modernbert": lambda **sizes: ModernBertConfig(
        bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, **sizes
    ),
    "deberta-v2": lambda **sizes: DebertaV2Config(
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["c2p", "p2c"],
        share_att_key=True,
        max_position_embeddings=64,
        **sizes,
    ),
}


@pytest.fixture(params=CONFIGS)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each architecture in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def tiny() -> Callable[..., MultiTaskModel]:
    """Makes models of any of the architectures, 32 wide and 3 layers deep if not told otherwise."""

    def make(
        architecture: str, *, hidden: int = 32, layers: int = 3, **sizes: Any
    ) -> MultiTaskModel:
        """A random model whose weights are large enough to matter."""
        torch.manual_seed(hidden + layers)
        config = CONFIGS[architecture](
            **SIZES
            | {"hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": 64}
            | {"initializer_range": 0.3}
            | sizes
        )
        source = EncoderSource(encoder_from_config(config), Path(), architecture)
        return make_model(source, TaskSet.load("experience"), max_length=64)

    return make


@pytest.fixture
def saved(tiny_tokenizer_file: Path, tmp_path: Path) -> Callable[[Any, str], Path]:
    """Writes a model directory."""

    def save(model: MultiTaskModel, name: str) -> Path:
        return save_model(tmp_path / name, model, tiny_tokenizer_file.parent)

    return save


@pytest.fixture
def padded() -> dict[str, torch.Tensor]:
    """Two texts, one of them padded."""
    ids = torch.tensor([[2, 11, 52, 93, 44, 65, 3], [2, 77, 18, 3, 0, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}
