import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from xmpress.compression.vocabulary import TokenizerFile
from xmpress.errors import ModelError

KINDS = ("unigram", "unigram-bytes", "bpe", "byte-bpe", "wordpiece")
Encode = Callable[[str], list[int]]


def subset(file: TokenizerFile, wanted: set[int], directory: Path) -> tuple[Encode, Encode]:
    """The two tokenizers as functions from a text to ids of the larger one."""
    old = file.write_subset(directory, file.closure(file.needed() | wanted))
    before = Tokenizer.from_file(str(file.path))
    after = Tokenizer.from_file(str(directory / "tokenizer.json"))
    assert after.get_vocab_size() == len(old)
    return (
        lambda text: before.encode(text).ids,
        lambda text: [int(old[number]) for number in after.encode(text).ids],
    )


@pytest.fixture(scope="session")
def pairs(
    tokenizer_files: dict[str, Path],
    sample_texts: dict[str, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[tuple[TokenizerFile, set[int], Encode, Encode]]]:
    """Per kind several subsets: what some languages use, and pieces drawn by chance."""
    found = {}
    for kind, path in tokenizer_files.items():
        file = TokenizerFile(path)
        tokenizer = Tokenizer.from_file(str(path))
        subsets = []
        for number, langs in enumerate([("en",), ("fr", "ja"), None, None]):
            if langs is None:
                rng = random.Random(number)
                wanted = {i for i in range(len(file)) if rng.random() < 0.7}
            else:
                texts = [text for lang in langs for text in sample_texts[lang]]
                wanted = {i for e in tokenizer.encode_batch(texts) for i in e.ids}
            kept = file.closure(file.needed() | wanted)
            directory = tmp_path_factory.mktemp("subset")
            subsets.append((file, kept, *subset(file, wanted, directory)))
        found[kind] = subsets
    return found


WORDS = [
    *("the staff was friendly", "awful", " queue", "waiting", "Très bien", "l'attente"),
    *("最高の接客でした", "待ち時間", "รอคิวนาน", "พนักงาน", "<mask>", "<0x41>", "👍", "ß", "[UNK]"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=12).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXTS)
def test_a_text_whose_pieces_stay_is_tokenised_as_before(kind, pairs, text):
    for file, kept, before, after in pairs[kind]:
        ids = before(text)
        lost = set(ids) - kept
        # An unknown word may come to be known; see the module.
        unclear = kind == "wordpiece" and file.unknown in ids
        if not lost and not unclear:
            assert after(text) == ids
        elif lost:
            assert after(text) != ids


@pytest.mark.parametrize("kind", KINDS)
def test_most_texts_of_a_language_that_stays_are_tokenised_as_before(kind, pairs, sample_texts):
    """So that the test above is not about a few empty texts."""
    _, kept, before, after = pairs[kind][0]
    assert len(kept) < len(pairs[kind][0][0])
    for text in sample_texts["en"]:
        assert after(text) == before(text)
    changed = [after(text) != before(text) for text in sample_texts["th"]]
    assert np.mean(changed) > 0.9


@pytest.mark.parametrize("kind", ["unigram-bytes", "byte-bpe"])
@given(text=st.text(max_size=20))
@settings(max_examples=50, deadline=None)
def test_bytes_spell_what_has_no_pieces(kind, pairs, text):
    file, _, _, after = pairs[kind][0]
    assert file.unknown not in after(text)


def test_the_least_likely_piece_of_a_unigram_vocabulary_stays(tmp_path):
    """Unknown characters would score better without it, here better than pieces that stay."""
    pieces = [("<unk>", 0.0), ("zz", -50.0), ("xy", -40.0), ("wv", -15.0), ("ywv", -1.0)]
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False)).save(str(path))
    file = TokenizerFile(path)
    assert 1 in file.needed()
    for wanted, tokens in ({0, 1, 2, 3, 4}, ["xy", "wv"]), ({0, 2, 3, 4}, ["x", "ywv"]):
        directory = tmp_path / str(len(wanted))
        directory.mkdir()
        file.write_subset(directory, wanted)
        trimmed = Tokenizer.from_file(str(directory / "tokenizer.json"))
        assert trimmed.encode("xywv").tokens == tokens


def test_pieces_that_others_are_made_of_stay_with_them(tokenizer_files):
    file = TokenizerFile(tokenizer_files["bpe"])
    longest = max(range(len(file)), key=lambda number: len(file.pieces[number]))
    closed = file.closure([longest])
    text = file.pieces[longest]
    assert {file.numbers[character] for character in text} <= closed
    assert 2 < len(closed) < 3 * len(text)
    within = file.closure([longest], within=closed)
    assert within == set()


def test_settings_and_padding_are_renumbered(tokenizer_files, tmp_path):
    path = tmp_path / "old" / "tokenizer.json"
    path.parent.mkdir()
    path.write_text(tokenizer_files["unigram"].read_text())
    file = TokenizerFile(path)
    mask = file.pieces.index("<mask>")
    described = {"mask_token": "<mask>", "added_tokens_decoder": {str(mask): {"content": "<mask>"}}}
    path.with_name("tokenizer_config.json").write_text(json.dumps(described))
    old = file.write_subset(tmp_path, file.closure(file.needed()))
    after = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert after["added_tokens_decoder"] == {str(len(old) - 1): {"content": "<mask>"}}
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    assert old[content["padding"]["pad_id"]] == 1
    assert old[content["model"]["unk_id"]] == 3
    assert old[content["post_processor"]["sep"][1]] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_surfaces_are_what_stands_in_the_text(kind, tokenizer_files):
    file = TokenizerFile(tokenizer_files[kind])
    surfaces = set(file.surfaces)
    assert {"e", "の"} <= surfaces
    assert not {"<mask>", "[CLS]", "<s>", "<0x41>"} & surfaces
    assert not any(surface.startswith(("##", "Ġ", " ")) for surface in surfaces)


def test_other_kinds_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ModelError, match="cannot be read"):
        TokenizerFile(path)
    path.write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        TokenizerFile(path)
    Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(path))
    with pytest.raises(ModelError, match="kind WordLevel; Unigram, BPE, WordPiece"):
        TokenizerFile(path)
