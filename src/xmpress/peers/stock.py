"""A model directory as the stock classifier of its architecture, which other servers can load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from xmpress.errors import ModelError
from xmpress.modeling.artefact import load_model
from xmpress.modeling.shapes import SHAPE_KEYS
from xmpress.runtime.batching import INPUTS
from xmpress.runtime.tokenization import Tokenizer

UNKNOWN = ("<unk>", "[UNK]")
"""Names of the unknown token."""

ONE_HEAD = (
    "peers that know one head serve a model's encoder with the labels of all tasks as one "
    "multi-label head, which is the same work (some architectures add a pooling layer)"
)


def write_stock_classifier(model: Path, out: Path) -> Path:
    """Write a model's encoder as ``*ForSequenceClassification``, all labels in one head.

    Args:
        model: a model directory.
        out: the directory to write.

    Raises:
        ModelError: if the model has shapes that the stock architecture does not know.
    """
    loaded = load_model(model)
    encoder: Any = loaded.model.encoder
    config = encoder.config
    shaped = [key for key in SHAPE_KEYS if getattr(config, key, None) is not None]
    if shaped:
        raise ModelError(
            f"{model} has {' and '.join(shaped)}, which the stock {config.model_type} does not "
            "know; no other server can load it"
        )
    labels = [f"{task.name}.{label}" for task in loaded.tasks for label in task.labels]
    stock_config = type(config).from_dict(config.to_dict())
    stock_config.id2label = dict(enumerate(labels))
    stock_config.label2id = {label: i for i, label in enumerate(labels)}
    # CTranslate2's converter asks for it; transformers 5 has no other kind any more.
    stock_config.position_embedding_type = "absolute"
    stock_config.problem_type = "multi_label_classification"
    stock: Any = AutoModelForSequenceClassification.from_config(stock_config)
    getattr(stock, stock.base_model_prefix).load_state_dict(encoder.state_dict(), strict=False)
    transformers_logging.disable_progress_bar()
    stock.to(torch.float32).save_pretrained(out)
    _save_tokenizer(model, out, loaded.tokenizer.max_length, loaded.model.uses_token_types)
    return out


def _save_tokenizer(model: Path, out: Path, max_length: int, token_types: bool) -> None:
    file = model / "tokenizer.json"
    raw = tokenizers.Tokenizer.from_file(str(file))
    pad = raw.id_to_token(Tokenizer.from_file(file, max_length=max_length).pad_id)
    # Byte-level vocabularies need no unknown token; the servers want a name nevertheless.
    unknown = next((name for name in UNKNOWN if raw.token_to_id(name) is not None), pad)
    PreTrainedTokenizerFast(
        tokenizer_file=str(file),
        pad_token=pad,
        unk_token=unknown,
        model_max_length=max_length,
        model_input_names=list(INPUTS if token_types else INPUTS[:2]),
    ).save_pretrained(out)
