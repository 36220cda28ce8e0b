"""The encoder a pretraining starts from, and its tokenizer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel

from xmpress.data.files import atomic_dir
from xmpress.data.readers import find_files
from xmpress.errors import ConfigError, ModelError, Problem
from xmpress.modeling.encoders import EncoderSource, open_encoder
from xmpress.modeling.model import encoder_from_config
from xmpress.modeling.shapes import token_table
from xmpress.modeling.tokenizer import train_tokenizer
from xmpress.modeling.transfer import ROLES, SENSES, transfer_embedding
from xmpress.runtime.tokenization import Tokenizer as RuntimeTokenizer
from xmpress.training.pretraining.config import PretrainConfig

VOCABULARY = 32_000
"""Size of a tokenizer that is learned, if none is given."""


def starting_encoder(
    config: PretrainConfig, *, workspace: Path, texts: Callable[[], Iterable[str]]
) -> EncoderSource:
    """Make the encoder, or load it and, if it gets another tokenizer, transfer its embedding.

    Args:
        config: says which.
        workspace: for files; a tokenizer learned there by an interrupted training is used again.
        texts: gives what a tokenizer is learned from.

    Raises:
        ConfigError: if the configuration names no known architecture, or a gloss is wrong.
        ModelError: if encoder or tokenizer cannot be loaded.
    """
    files = None if config.tokenizer is None else Path(config.tokenizer)
    if config.learns_tokenizer:
        files = workspace / "learned"
        if not (files / "tokenizer.json").is_file():
            with atomic_dir(files) as target:
                train_tokenizer(
                    texts(),
                    target,
                    vocab_size=config.vocab_size or VOCABULARY,
                    lowercase=config.lowercase,
                )
    if config.init is None:
        assert config.encoder is not None
        return open_encoder(config.encoder, workspace=workspace, tokenizer=files)
    source = open_encoder(config.init, workspace=workspace / "init")
    if files is None:
        return EncoderSource(rebuilt(source.encoder), source.tokenizer_files, source.name)
    if not (files / "tokenizer.json").is_file():
        raise ModelError(f"{files} holds no tokenizer.json")
    encoder = with_tokenizer(source.encoder, source.tokenizer_files, files, glosses=config.glosses)
    return EncoderSource(encoder, files, source.name)


def with_tokenizer(
    encoder: PreTrainedModel, old_files: Path, new_files: Path, *, glosses: Sequence[str] = ()
) -> PreTrainedModel:
    """The same layers under a token embedding for another tokenizer.

    Args:
        encoder: pretrained.
        old_files: directory of its ``tokenizer.json``.
        new_files: directory of the other.
        glosses: see `read_glosses`.
    """
    embedding = encoder.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding):
        raise ConfigError(
            f"the token embedding of this encoder is a {type(embedding).__name__}; only a plain "
            "one can be transferred to another tokenizer. Keep the encoder's own"
        )
    old, new = (
        Tokenizer.from_file(str(files / "tokenizer.json")) for files in (old_files, new_files)
    )
    weights = transfer_embedding(
        embedding.weight.detach().float().cpu().numpy(),
        old,
        new,
        read_glosses(glosses, new),
    )
    pad_id = RuntimeTokenizer.from_file(new_files / "tokenizer.json", max_length=16).pad_id
    if "roberta" in encoder.config.model_type and pad_id != encoder.config.pad_token_id:
        raise ConfigError(
            f"the positions of a {encoder.config.model_type} encoder are numbered from its "
            f"padding token, {encoder.config.pad_token_id}; in {new_files} that is {pad_id}. Use a "
            "tokenizer where it is the same"
        )
    changed: dict[str, Any] = {"vocab_size": len(weights), "pad_token_id": pad_id}
    ids = new.get_vocab()
    for role, names in {"begin": ("bos", "cls"), "end": ("eos", "sep")}.items():
        number = next((ids[token] for token in ROLES[role] if token in ids), None)
        for name in names:
            if getattr(encoder.config, f"{name}_token_id", None) is not None:
                changed[f"{name}_token_id"] = number
    result = rebuilt(encoder, **changed)
    with torch.no_grad():
        token_table(result).weight.copy_(torch.from_numpy(weights))
    return result


def rebuilt(encoder: PreTrainedModel, **changes: Any) -> PreTrainedModel:
    """A copy without a pooling layer, with settings changed and all weights that still fit."""
    config = type(encoder.config).from_dict({**encoder.config.to_dict(), **changes})
    result = encoder_from_config(config)
    fitting = result.state_dict()
    kept = {
        name: value
        for name, value in encoder.state_dict().items()
        if name in fitting and fitting[name].shape == value.shape
    }
    result.load_state_dict(kept, strict=False)
    return result


def read_glosses(paths: Sequence[str], tokenizer: Tokenizer) -> dict[int, str]:
    """Read what pieces of a vocabulary mean; what several files say of a piece is joined.

    Args:
        paths: files, or folders of .tsv files, of lines ``piece<TAB>gloss`` or ``id<TAB>gloss``; a
            number is an id. Pieces that the vocabulary does not have are passed over: a dictionary
            may serve several vocabularies.
        tokenizer: of the vocabulary.

    Raises:
        ConfigError: naming every line that is wrong.
    """
    vocabulary = tokenizer.get_vocab()
    senses: dict[int, list[str]] = defaultdict(list)
    problems = []
    for path in _gloss_files(paths):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            piece, tab, gloss = line.partition("\t")
            if not line.strip():
                continue
            if not tab or not piece or not gloss.strip():
                what = "is not of the form piece<TAB>gloss or id<TAB>gloss"
                problems.append(Problem(f"{path}, line {number}", what))
            elif piece.isascii() and piece.isdigit():
                senses[int(piece)].append(gloss.strip())
            elif piece in vocabulary:
                senses[vocabulary[piece]].append(gloss.strip())
    size = max(vocabulary.values()) + 1
    problems += [
        Problem(f"id {number}", f"is not in the vocabulary, which has {size} pieces")
        for number in senses
        if number >= size
    ]
    if problems:
        raise ConfigError("glosses cannot be used", problems)
    return {number: SENSES.join(dict.fromkeys(found)) for number, found in senses.items()}


def _gloss_files(paths: Sequence[str]) -> list[Path]:
    return [
        file
        for path in map(Path, paths)
        for file in (sorted(path.glob("*.tsv")) if path.is_dir() else find_files([path]))
    ]
