"""Learns a tokenizer for an encoder that is made from a configuration, and measures one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

from xmpress.errors import ModelError

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In XLM-R's order."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
LONGEST_TEXT = 400
"""Characters of a text used for learning; a few huge texts must not decide the vocabulary."""


def train_tokenizer(
    texts: Iterable[str], directory: Path, *, vocab_size: int = 32_000, lowercase: bool = False
) -> Path:
    """Learn a Unigram tokenizer (Kudo, 2018) and write its files.

    NFKC, case kept unless asked otherwise, digits one by one. Bytes stand in for characters never
    seen (byte fallback), so that no text is all-unknown.

    The trainer sums in no fixed order: two runs on the same texts give slightly different scores
    and pieces. Where a training must be repeated exactly, keep the tokenizer and name it.

    Args:
        texts: the corpus, in the proportions the vocabulary should serve.
        directory: existing; receives ``tokenizer.json`` and ``tokenizer_config.json``.
        vocab_size: pieces, special tokens and the 256 bytes included.
        lowercase: fold case: fewer pieces for the same words; whether a text SHOUTS is lost.

    Raises:
        ModelError: if the corpus is empty or too small for the vocabulary.
    """
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    if vocab_size <= len(SPECIAL_TOKENS) + len(bytes_):
        raise ModelError(f"vocab_size is {vocab_size}; at least 300 is needed")
    tokenizer = Tokenizer(models.Unigram())
    case: list[normalizers.Normalizer] = [normalizers.Lowercase()] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), *case, normalizers.Replace(Regex(r"\s+"), " ")]
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
        hint = "; raise vocab_size" if "not large enough" in str(error) else ""
        raise ModelError(
            f"no tokenizer could be learned from these texts: {error}{hint}"
        ) from error
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


@dataclass
class TokenCount:
    """How a tokenizer cuts the texts of one language, special tokens left out.

    Attributes:
        texts: how many were cut.
        characters: in all of them.
        tokens: that came of it.
        unseen: of these, bytes that stand in for characters the vocabulary lacks, and unknowns.
    """

    texts: int = 0
    characters: int = 0
    tokens: int = 0
    unseen: int = 0

    @property
    def per_text(self) -> float:
        """Tokens per text."""
        return self.tokens / self.texts

    @property
    def characters_per_token(self) -> float:
        """Characters for which one token stands; more is shorter input for the encoder."""
        return self.characters / max(1, self.tokens)


def count_tokens(
    tokenizer: Tokenizer, texts: Sequence[str], langs: Sequence[str]
) -> dict[str, TokenCount]:
    """Measure a tokenizer on texts, by language, languages in alphabetical order.

    Example:
        >>> tokenizer = Tokenizer(models.WordLevel({"slow": 0, "[UNK]": 1}, unk_token="[UNK]"))
        >>> tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> count_tokens(tokenizer, ["slow slow", "lent"], ["en", "fr"])["en"].per_text
        2.0
    """
    unseen = {
        number
        for piece, number in tokenizer.get_vocab().items()
        if _BYTE.fullmatch(piece) or piece in {"<unk>", "[UNK]"}
    }
    counts: dict[str, TokenCount] = defaultdict(TokenCount)
    encodings = tokenizer.encode_batch_fast(list(_whole(texts)), add_special_tokens=False)
    for text, lang, encoding in zip(texts, langs, encodings, strict=True):
        count = counts[lang]
        count.texts += 1
        count.characters += len(text)
        count.tokens += len(encoding.ids)
        count.unseen += sum(i in unseen for i in encoding.ids)
    return dict(sorted(counts.items()))


def _trimmed(texts: Iterable[str]) -> Iterator[str]:
    return _whole(text[:LONGEST_TEXT] for text in texts)


def _whole(texts: Iterable[str]) -> Iterator[str]:
    """The texts without halves of surrogate pairs, which cannot be encoded."""
    return (text.encode("utf-8", "replace").decode("utf-8") for text in texts)
