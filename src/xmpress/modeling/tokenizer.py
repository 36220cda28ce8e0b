"""Learns a tokenizer for an encoder that is made from a configuration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

from xmpress.errors import ModelError

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In XLM-R's order."""
LONGEST_TEXT = 400
"""Characters of a text used for learning; a few huge texts must not decide the vocabulary."""


def train_tokenizer(texts: Iterable[str], directory: Path, *, vocab_size: int = 32_000) -> Path:
    """Learn a Unigram tokenizer (Kudo, 2018) and write its files.

    NFKC, case kept, digits one by one. Bytes stand in for characters never seen (byte fallback),
    so that no text is all-unknown.

    The trainer sums in no fixed order: two runs on the same texts give slightly different scores
    and pieces. Where a training must be repeated exactly, keep the tokenizer and name it.

    Args:
        texts: the corpus, in the proportions the vocabulary should serve.
        directory: existing; receives ``tokenizer.json`` and ``tokenizer_config.json``.
        vocab_size: pieces, special tokens and the 256 bytes included.

    Raises:
        ModelError: if the corpus is empty or too small for the vocabulary.
    """
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    if vocab_size <= len(SPECIAL_TOKENS) + len(bytes_):
        raise ModelError(f"vocab_size is {vocab_size}; at least 300 is needed")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size - len(bytes_),
        special_tokens=list(SPECIAL_TOKENS),
        unk_token="<unk>",
        show_progress=False,
    )
    try:
        tokenizer.train_from_iterator(_trimmed(texts), trainer)
    except Exception as error:  # the library raises the bare class
        raise ModelError(f"no tokenizer could be learned from these texts: {error}") from error
    content = json.loads(tokenizer.to_str())
    model = content["model"]
    if len(model["vocab"]) <= len(SPECIAL_TOKENS):
        raise ModelError("no tokenizer could be learned: there is no text to learn from")
    # Least likely of all, so that a byte is used only where no piece fits.
    floor = min(score for _, score in model["vocab"]) - 10.0
    model["vocab"] += [[byte, floor] for byte in bytes_]
    model["byte_fallback"] = True
    model["unk_id"] = SPECIAL_TOKENS.index("<unk>")
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_max_length": 512,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    return directory


def _trimmed(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        cut = text[:LONGEST_TEXT]
        # Halves of surrogate pairs cannot be encoded.
        yield cut.encode("utf-8", "replace").decode("utf-8")
