"""Where a pretraining starts: a pretrained encoder, under its own tokenizer or another."""

import json

import pytest
import torch
from tokenizers import Tokenizer
from transformers import XLMRobertaConfig

from xmpress.errors import ConfigError, ModelError
from xmpress.modeling import load_model
from xmpress.modeling.model import encoder_from_config, fingerprint
from xmpress.training.pretraining import PretrainConfig
from xmpress.training.pretraining.start import read_glosses, starting_encoder, with_tokenizer


@pytest.fixture
def other_tokenizer(tiny_tokenizer_file, tmp_path):
    """The same pieces in another order, with one more."""
    content = json.loads(tiny_tokenizer_file.read_text())
    vocabulary = content["model"]["vocab"]
    ordinary = [p for p in vocabulary if not p.startswith("[")]
    special = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
    content["model"]["vocab"] = {p: i for i, p in enumerate([*special, *reversed(ordinary), "zz"])}
    for token in content["added_tokens"]:
        token["id"] = special.index(token["content"])
    for name, entry in content["post_processor"]["special_tokens"].items():
        entry["ids"] = [special.index(name)]
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder


def start(settings, workspace):
    config = PretrainConfig(corpus=["sample"], **settings)
    return starting_encoder(config, workspace=workspace, texts=lambda: ["some text"] * 9)


def test_a_pretrained_encoder_keeps_all_its_weights(tiny_model_dir, tmp_path):
    source = start({"init": str(tiny_model_dir)}, tmp_path / "work")
    assert fingerprint(source.encoder) == fingerprint(load_model(tiny_model_dir).model.encoder)
    assert (source.tokenizer_files / "tokenizer.json").is_file()


def test_under_another_tokenizer_texts_keep_their_meaning(
    tiny_model_dir, tiny_tokenizer_file, other_tokenizer, tmp_path
):
    settings = {"init": str(tiny_model_dir), "tokenizer": str(other_tokenizer)}
    source = start(settings, tmp_path / "work")
    before, after = load_model(tiny_model_dir).model.encoder.eval(), source.encoder.eval()
    assert after.config.pad_token_id == 1
    text = "the staff was friendly"
    old = Tokenizer.from_file(str(tiny_tokenizer_file)).encode(text).ids
    new = Tokenizer.from_file(str(other_tokenizer / "tokenizer.json")).encode(text).ids
    assert old != new
    with torch.no_grad():
        states = [m(torch.tensor([i])).last_hidden_state for m, i in ((before, old), (after, new))]
    torch.testing.assert_close(*states)
    # Padding stays without meaning: its vector takes no gradient.
    assert after.get_input_embeddings().padding_idx == 1


def test_a_new_vocabulary_is_learned_if_its_size_is_given(tiny_model_dir, tmp_path):
    source = start({"init": str(tiny_model_dir), "vocab_size": 300}, tmp_path / "work")
    size = Tokenizer.from_file(str(source.tokenizer_files / "tokenizer.json")).get_vocab_size()
    assert source.encoder.get_input_embeddings().num_embeddings == size <= 300


def test_positions_that_hang_on_the_padding_token_are_not_shifted(
    tiny_tokenizer_file, other_tokenizer
):
    config = XLMRobertaConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=40,
        pad_token_id=0,
    )
    with pytest.raises(ConfigError, match=r"numbered from its padding token, 0; .* that is 1"):
        with_tokenizer(encoder_from_config(config), tiny_tokenizer_file.parent, other_tokenizer)


def test_glosses_are_read_by_piece_or_id_and_joined(tiny_tokenizer_file, tmp_path):
    tokenizer = Tokenizer.from_file(str(tiny_tokenizer_file))
    (tmp_path / "de.tsv").write_text("Ġthe\tarticle\n7\tseven\nnot a piece\tlost\n")
    (tmp_path / "fr.tsv").write_text("Ġthe\ttea | article\n")
    (tmp_path / "notes.md").write_text("no gloss")
    glosses = read_glosses([str(tmp_path)], tokenizer)
    number = tokenizer.token_to_id("Ġthe")
    assert glosses == {number: "article | tea | article", 7: "seven"}


def test_every_wrong_gloss_is_told(tiny_tokenizer_file, tmp_path):
    path = tmp_path / "glosses.tsv"
    path.write_text("no tab\n\nĠthe\t\n99999\tlarge\n")
    with pytest.raises(ConfigError) as caught:
        read_glosses([str(path)], Tokenizer.from_file(str(tiny_tokenizer_file)))
    message = str(caught.value)
    assert "line 1: is not of the form" in message
    assert "line 3: is not of the form" in message
    assert "id 99999: is not in the vocabulary" in message


def test_glosses_reach_the_embedding(
    tiny_model_dir, tiny_tokenizer_file, other_tokenizer, tmp_path
):
    (tmp_path / "g.tsv").write_text("zz\tthe\n")
    encoder = load_model(tiny_model_dir).model.encoder
    made = with_tokenizer(
        encoder, tiny_tokenizer_file.parent, other_tokenizer, glosses=[str(tmp_path / "g.tsv")]
    )
    old = Tokenizer.from_file(str(tiny_tokenizer_file))
    wanted = (
        encoder.get_input_embeddings()
        .weight.detach()[old.encode("the", add_special_tokens=False).ids]
        .mean(dim=0)
    )
    row = made.get_input_embeddings().weight.detach()[-1]
    assert float(torch.cosine_similarity(row, wanted, dim=0)) == pytest.approx(1, abs=1e-5)


def test_a_folder_without_tokenizer_is_refused(tiny_model_dir, tmp_path):
    with pytest.raises(ModelError, match=r"holds no tokenizer\.json"):
        start({"init": str(tiny_model_dir), "tokenizer": str(tmp_path)}, tmp_path / "work")
