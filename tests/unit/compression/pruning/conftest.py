"""Small random models of the architectures that can be pruned."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import CONFIG_MAPPING

from xmpress.modeling import LoadedModel, MultiTaskConfig, MultiTaskModel, load_model, save_model
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import TaskSet

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.4,
}
ENCODERS = {
    "bert": {**SIZES, "max_position_embeddings": 64},
    "xlm-roberta": {**SIZES, "max_position_embeddings": 66, "type_vocab_size": 1},
    "distilbert": {
        "dim": 32,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 48,
        "max_position_embeddings": 64,
        "initializer_range": 0.4,
    },
    "modernbert": {
        **SIZES,
        "max_position_embeddings": 64,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
    },
}
Make = Callable[..., LoadedModel]


@pytest.fixture
def make(tiny_tokenizer_file: Path, tmp_path: Path) -> Make:
    def build(kind: str = "bert", tasks: TaskSet | None = None) -> LoadedModel:
        tasks = tasks or TaskSet.load("experience")
        tokenizer = Tokenizer.from_file(tiny_tokenizer_file, max_length=64)
        encoder = CONFIG_MAPPING[kind](
            vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad_id, **ENCODERS[kind]
        )
        config = MultiTaskConfig(
            encoder_config=encoder,
            tasks=tasks.model_dump(mode="json")["tasks"],
            max_length=64,
            initializer_range=0.4,
        )
        torch.manual_seed(0)
        model = MultiTaskModel(config)
        with torch.no_grad():  # biases and norms start as zeros and ones, which hides mistakes
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.3 * torch.randn_like(parameter))
        return load_model(save_model(tmp_path / f"made-{kind}", model, tiny_tokenizer_file.parent))

    return build
