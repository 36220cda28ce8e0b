"""Where an encoder comes from: a hub name, a directory, a zoo name, or a configuration.

A configuration (a mapping, or a YAML or JSON file of one) names a Hugging Face architecture and its
sizes, and gives random weights; it needs a tokenizer, which is read from a directory or learned
from the training texts::

    encoder:
      model_type: bert
      num_hidden_layers: 4
      hidden_size: 256
      num_attention_heads: 4
      intermediate_size: 1024
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel

from xmpress.data.files import atomic_dir
from xmpress.errors import ConfigError, ModelError
from xmpress.modeling.config import MultiTaskConfig
from xmpress.modeling.model import MultiTaskModel, encoder_from_config
from xmpress.modeling.shapes import SHAPE_KEYS
from xmpress.modeling.tokenizer import train_tokenizer
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import TaskSet
from xmpress.validation import nearest
from xmpress.zoo import resolve

EncoderSpec = str | Path | Mapping[str, Any]

INT8_SCALE = ".scale"
"""After a matrix's name: one number per row [r, 1], by which its int8 weights are multiplied."""


@dataclass(frozen=True)
class EncoderSource:
    """An encoder with its tokenizer, ready to receive heads.

    Attributes:
        encoder: the transformer, with pretrained or random weights.
        tokenizer_files: a directory with the tokenizer's files.
        name: what to call it in reports.
    """

    encoder: PreTrainedModel
    tokenizer_files: Path
    name: str


def open_encoder(
    spec: EncoderSpec,
    *,
    workspace: Path,
    tokenizer: str | Path | None = None,
    vocab_size: int = 32_000,
    texts: Iterable[str] = (),
) -> EncoderSource:
    """Load or make an encoder and its tokenizer.

    Args:
        spec: hub name, directory, zoo name (``zoo:small``), configuration, or its file.
        workspace: the tokenizer's files are put there; if it holds some already (from a training
            that was interrupted), they are used.
        tokenizer: a directory with ``tokenizer.json``, or a zoo name; otherwise the encoder's own,
            or one learned from ``texts`` for an encoder made from a configuration.
        vocab_size: size of a tokenizer that is learned.
        texts: what a tokenizer is learned from.

    Raises:
        ModelError: if the encoder cannot be loaded.
        ConfigError: if the configuration names no known architecture.
    """
    config = _configuration(spec)
    if config is None:
        return _pretrained(str(spec), workspace)
    if tokenizer is not None:
        files = Path(_location(str(tokenizer)))
        if not (files / "tokenizer.json").is_file():
            raise ModelError(f"{files} holds no tokenizer.json")
    else:
        files = workspace
        if not (files / "tokenizer.json").is_file():
            with atomic_dir(files) as target:
                train_tokenizer(texts, target, vocab_size=vocab_size)
    loaded = Tokenizer.from_file(files / "tokenizer.json", max_length=16)
    encoder = encoder_from_config(_architecture(config, loaded))
    return EncoderSource(encoder, files, f"{config['model_type']} from configuration")


def make_model(
    source: EncoderSource,
    tasks: TaskSet,
    *,
    pooling: str = "mean",
    head_dropout: float = 0.1,
    max_length: int = 128,
    languages: list[str] | None = None,
) -> MultiTaskModel:
    """Put fresh heads on an encoder.

    Raises:
        ConfigError: if ``max_length`` is more than the encoder has positions for.
    """
    room = positions(source.encoder.config)
    if room is not None and max_length > room:
        raise ConfigError(f"max_length is {max_length}, but {source.name} has {room} positions")
    config = MultiTaskConfig(
        encoder_config=source.encoder.config,
        tasks=tasks.model_dump(mode="json")["tasks"],
        pooling=pooling,
        head_dropout=head_dropout,
        max_length=max_length,
        languages=languages,
    )
    model = MultiTaskModel(config)
    # Pooling layers and the like that the encoder was saved with have no place here.
    model.encoder.load_state_dict(source.encoder.state_dict(), strict=False)
    return model


def positions(config: Any) -> int | None:
    """The longest input in tokens, or ``None`` where there is no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None:
        return None
    # RoBERTa and XLM-R number positions from pad_token_id + 1.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(limit) - offset


def _in_our_shapes(directory: Path, config: Any) -> PreTrainedModel:
    """A stock encoder with a factorised embedding or pruned layers, in a directory of its own."""
    config.dtype = torch.float32
    encoder = encoder_from_config(config)
    weights = _widened(load_file(directory / "model.safetensors"), directory)
    lacking = sorted(set(encoder.state_dict()) - set(weights))
    if lacking:
        raise ModelError(f"{directory}: model.safetensors has no weights for {lacking[0]}")
    encoder.load_state_dict(weights, strict=False)
    return encoder


def _widened(stored: dict[str, Tensor], directory: Path) -> dict[str, Tensor]:
    """Weights of which some are in int8, with these in fp32: each row times its scale."""
    weights = dict(stored)
    for name, matrix in stored.items():
        if matrix.dtype == torch.int8:
            scale = weights.pop(name + INT8_SCALE, None)
            if scale is None or scale.shape != (len(matrix), 1):
                raise ModelError(
                    f"{directory}: model.safetensors has {name} in int8 without a scale for every "
                    f"row ({name}{INT8_SCALE}); the file is damaged or incomplete, copy it again"
                )
            weights[name] = matrix * scale.float()
    return weights


def _configuration(spec: EncoderSpec) -> dict[str, Any] | None:
    if isinstance(spec, Mapping):
        return dict(spec)
    path = Path(spec)
    if path.suffix.lower() not in {".yaml", ".yml", ".json"}:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"encoder configuration {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"encoder configuration {path} is not a mapping with model_type")
    return content


def _architecture(config: dict[str, Any], tokenizer: Tokenizer) -> Any:
    known = sorted(CONFIG_MAPPING.keys())
    name = config.get("model_type")
    if name not in known:
        close = nearest(str(name), known)
        hint = f"; did you mean '{close}'?" if close else ""
        raise ConfigError(f"encoder: model_type {name!r} is no known architecture{hint}")
    sizes = {key: value for key, value in config.items() if key != "model_type"}
    sizes.setdefault("vocab_size", tokenizer.vocab_size)
    sizes.setdefault("pad_token_id", tokenizer.pad_id)
    if sizes["vocab_size"] < tokenizer.vocab_size:
        raise ConfigError(
            f"encoder: vocab_size is {sizes['vocab_size']}, the tokenizer has "
            f"{tokenizer.vocab_size} ids; leave vocab_size out"
        )
    defaults = CONFIG_MAPPING[name]()
    unknown = [key for key in sizes if key not in SHAPE_KEYS and not hasattr(defaults, key)]
    if unknown:
        close = nearest(unknown[0], list(defaults.to_dict()))
        hint = f"; did you mean '{close}'?" if close else ""
        raise ConfigError(f"encoder: '{unknown[0]}' is no setting of {name}{hint}")
    return CONFIG_MAPPING[name](**sizes)


def _location(name: str) -> str:
    """The directory of a zoo name; anything else as it is."""
    return str(resolve(name.removeprefix("zoo:"))) if name.startswith("zoo:") else name


def _pretrained(name: str, workspace: Path) -> EncoderSource:
    location = _location(name)
    try:
        config = AutoConfig.from_pretrained(location)
        if any(getattr(config, key, None) for key in SHAPE_KEYS):
            encoder: Any = _in_our_shapes(Path(location), config)
        else:
            # Weights may be stored in half precision, but small gradients are lost in it.
            encoder = AutoModel.from_pretrained(location, dtype=torch.float32)
        with atomic_dir(workspace, overwrite=True) as target:
            AutoTokenizer.from_pretrained(location).save_pretrained(target)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"encoder '{name}' could not be loaded: it is no complete model directory, and the "
            f"model hub did not give it ({str(error).splitlines()[0]})"
        ) from error
    if isinstance(config, MultiTaskConfig):
        encoder = encoder.encoder
    if not (workspace / "tokenizer.json").is_file():
        raise ModelError(f"encoder '{name}' has no fast tokenizer (tokenizer.json)")
    return EncoderSource(encoder, workspace, name)
