"""One tokenizer of each kind, learned from the sample."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import BertProcessing, RobertaProcessing

from xmpress.data import load_dataset
from xmpress.modeling.tokenizer import train_tokenizer
from xmpress.tasks import TaskSet

BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KINDS = ("unigram", "unigram-bytes", "bpe", "byte-bpe", "wordpiece")


@pytest.fixture(scope="session")
def sample_texts() -> dict[str, list[str]]:
    """150 texts in each of four languages."""
    sample = load_dataset("sample", TaskSet.load("experience"))
    return {lang: sample.where(langs=[lang]).texts[:150] for lang in ("en", "fr", "ja", "th")}


def _unigram(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1500,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # As XLM-R has it: the last token is not in the vocabulary proper.
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def _bpe(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=1600, special_tokens=BERT_SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _byte_bpe(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1600,
        special_tokens=BERT_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _wordpiece(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1600, special_tokens=BERT_SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer_files(
    sample_texts: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A ``tokenizer.json`` per kind; ``unigram-bytes`` is the kind that is learned here."""
    texts = [text for part in sample_texts.values() for text in part]
    folder = tmp_path_factory.mktemp("tokenizers")
    paths = {kind: folder / kind / "tokenizer.json" for kind in KINDS}
    for path in paths.values():
        path.parent.mkdir()
    train_tokenizer(texts, paths["unigram-bytes"].parent, vocab_size=1800)
    makers = {"unigram": _unigram, "bpe": _bpe, "byte-bpe": _byte_bpe, "wordpiece": _wordpiece}
    for kind, make in makers.items():
        make(texts).save(str(paths[kind]))
    content = json.loads(paths["unigram"].read_text())
    content["padding"] = {
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 1, "pad_type_id": 0, "pad_token": "<pad>",
    }  # fmt: skip
    paths["unigram"].write_text(json.dumps(content))
    return paths
