import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from transformers import CONFIG_MAPPING

from xmpress.compression import Artefact, Context
from xmpress.compression.factorisation import FactoriseEmbedding, FactoriseParams
from xmpress.compression.vocabulary import TokenizerFile, TrimParams, TrimVocabulary
from xmpress.data import load_dataset
from xmpress.errors import DataError, RecipeError
from xmpress.modeling import MultiTaskConfig, MultiTaskModel, load_model, save_model
from xmpress.tasks import TaskSet

TASKS = TaskSet.load("experience")
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.5,
}
ENCODERS = {
    # Positions are counted from the id of the padding.
    "unigram": ("xlm-roberta", {"pad_token_id": 1, "max_position_embeddings": 66}),
    "wordpiece": ("bert", {"pad_token_id": 0, "max_position_embeddings": 64}),
    "byte-bpe": ("distilbert", {"pad_token_id": 0, "max_position_embeddings": 64}),
}


def make(kind: str, tokenizer: Path, directory: Path) -> Artefact:
    """A random model directory with a tokenizer of some kind."""
    name, special = ENCODERS[kind]
    sizes = {"vocab_size": len(TokenizerFile(tokenizer)), **SIZES, **special}
    if name == "distilbert":
        renamed = CONFIG_MAPPING[name].attribute_map | {"intermediate_size": "hidden_dim"}
        sizes = {renamed.get(key, key): value for key, value in sizes.items()}
    config = MultiTaskConfig(
        encoder_config=CONFIG_MAPPING[name](**sizes),
        tasks=TASKS.model_dump(mode="json")["tasks"],
        max_length=64,
        languages=["en", "fr", "ja", "th"],
        initializer_range=0.5,
    )
    card = {"README.md": "# A model\n"}
    return Artefact(save_model(directory, MultiTaskModel(config), tokenizer.parent, texts=card))


@pytest.fixture(params=list(ENCODERS))
def given(
    request: pytest.FixtureRequest,
    context: Context,
    tokenizer_files: dict[str, Path],
    tmp_path: Path,
) -> Context:
    """A context with a model of each kind, and the sample for data."""
    artefact = make(request.param, tokenizer_files[request.param], tmp_path / "model")
    return with_sample(replace(context, artefact=artefact, teacher=artefact))


@pytest.fixture
def xlmr(context: Context, tokenizer_files: dict[str, Path], tmp_path: Path) -> Context:
    artefact = make("unigram", tokenizer_files["unigram"], tmp_path / "model")
    return with_sample(replace(context, artefact=artefact, teacher=artefact))


def with_sample(context: Context) -> Context:
    return replace(context, data_name="sample", dataset=lambda: load_dataset("sample", TASKS))


def run(context: Context, target: Path, **params: Any) -> dict[str, Any]:
    target.mkdir()
    return TrimVocabulary(TrimParams(**params)).run(context, target)


def test_texts_of_the_languages_score_the_same_to_the_bit(
    given: Context, sample_texts: dict[str, list[str]], tmp_path: Path
) -> None:
    details = run(given, tmp_path / "out", languages=["en", "ja"], coverage=1.0)
    tokens, languages = details["tokens"], details["languages"]
    assert tokens["after"] < tokens["before"]
    assert details["equal_to_the_bit"] > 30
    assert set(languages) == {"en", "ja"}
    for found in languages.values():
        assert found["identical"] > 0.5
        assert found["tokens_per_text_after"] >= found["tokens_per_text_before"]
    before, after = load_model(given.artefact.path), load_model(tmp_path / "out")
    # The texts the pieces were chosen on: all of them are as before.
    texts = load_dataset("sample", TASKS).where(split="train", langs=["en", "ja"]).texts[:80]
    expected, found = before.logits(texts), after.logits(texts)
    for name in TASKS.names:
        np.testing.assert_array_equal(found[name], expected[name])
    assert after.model.config.languages == ["en", "ja"]
    assert after.model.config.encoder_config.vocab_size == after.tokenizer.vocab_size
    assert (Artefact(tmp_path / "out").parameters or 0) < (given.artefact.parameters or 0)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("# A model") and "for en, ja." in card
    assert "is of the model before this" in card
    assert card.endswith(f" {Artefact(tmp_path / 'out').parameters:,} parameters.\n")


def test_it_loads_in_a_clean_process_with_its_tokenizer(xlmr: Context, tmp_path: Path) -> None:
    run(xlmr, tmp_path / "out", languages=["en"])
    code = (
        "import sys, xmpress, torch\n"
        "from transformers import AutoModel, AutoTokenizer\n"
        "model = AutoModel.from_pretrained(sys.argv[1])\n"
        "ids = AutoTokenizer.from_pretrained(sys.argv[1])('the staff')['input_ids']\n"
        "print(model(torch.tensor([ids]), torch.ones(1, len(ids))).logits['effort'].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True
    )
    found = load_model(tmp_path / "out").logits(["the staff"])["effort"]
    np.testing.assert_allclose(json.loads(done.stdout), found, rtol=1e-5, err_msg=done.stderr)


def kept_surfaces(directory: Path) -> set[str]:
    return set(TokenizerFile(directory / "tokenizer.json").surfaces)


def test_rules_keep_more_or_less(xlmr: Context, tmp_path: Path) -> None:
    sizes = {
        name: run(xlmr, tmp_path / name, languages=["en"], **params)["tokens"]["after"]
        for name, params in {
            "all": {"coverage": 1.0},
            "most": {"coverage": 0.9},
            "often": {"min_count": 20},
            "few characters": {"coverage": 0.9, "characters": "corpus"},
            "latin": {"coverage": 0.9, "scripts": ["Latin"]},
            "at most": {"size": 1000},
        }.items()
    }
    assert sizes["few characters"] < sizes["most"] < sizes["all"]
    assert sizes["few characters"] < sizes["often"] < sizes["all"]
    assert sizes["latin"] > sizes["most"]
    assert sizes["at most"] == 1000 < sizes["all"]
    # Where no bytes stand in for a character, all of them stay unless one asks otherwise.
    assert "の" in kept_surfaces(tmp_path / "most")
    assert "の" not in kept_surfaces(tmp_path / "few characters")


def test_scripts_alone_need_no_corpus(xlmr: Context, tmp_path: Path) -> None:
    assert not TrimVocabulary(TrimParams(corpus="none", scripts=("Latin",))).needs_data
    given = replace(xlmr, data_name=None, dataset=lambda: pytest.fail("asked for data"))
    details = run(given, tmp_path / "out", corpus="none", scripts=["Latin"])
    # Nobody asked for other languages to be reported; the sample stands in.
    assert details["languages"]["en"]["identical"] == 1.0
    assert details["languages"]["th"]["identical"] < 1.0
    longer = {s for s in kept_surfaces(tmp_path / "out") if len(s) > 1}
    assert any(s.isascii() and s.isalpha() for s in longer)
    assert not any("\u3040" < c < "\u9fff" for s in longer for c in s)


def test_a_file_can_be_the_corpus(xlmr: Context, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,lang\nthe staff was friendly,en\nla queue,fr\n")
    given = replace(xlmr, data_name=None)
    details = run(given, tmp_path / "out", corpus=str(path), languages=["en"], characters="corpus")
    assert details["languages"] == {
        "en": details["languages"]["en"] | {"texts": 1, "identical": 1.0, "unknown_after": 0.0}
    }
    assert details["tokens"]["after"] < 40
    # But where there are data, the report is of their rows.
    step = TrimVocabulary(TrimParams(corpus=str(path)))
    assert (step.needs_data, step.uses_data) == (False, True)


def test_a_corpus_too_small_is_told(xlmr: Context, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,lang\nthe staff was friendly,en\n")
    said: list[str] = []
    given = replace(xlmr, say=said.append)
    run(given, tmp_path / "out", corpus=str(path), languages=["en"])
    assert any("of the texts in en are tokenised as before" in line for line in said)
    said.clear()
    run(given, tmp_path / "all", scripts=["Latin"], languages=["en"])
    assert not said


def test_a_factorised_embedding_is_trimmed_too(xlmr: Context, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    FactoriseEmbedding(FactoriseParams(rank=4, weights="uniform")).run(xlmr, tmp_path / "small")
    small = replace(xlmr, artefact=Artefact(tmp_path / "small"))
    details = run(small, tmp_path / "out", languages=["en"])
    embedding = load_model(tmp_path / "out").model.encoder.get_input_embeddings()
    assert embedding.table.weight.shape == (details["tokens"]["after"], 4)


def test_what_cannot_be_is_refused(xlmr: Context, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no texts in sw .*correct languages"):
        run(xlmr, tmp_path / "1", languages=["en", "sw"])
    with pytest.raises(RecipeError, match="'Klingon' is no Unicode script"):
        run(xlmr, tmp_path / "2", scripts=["Klingon"])
    with pytest.raises(RecipeError, match="raise it, or set characters: corpus"):
        run(xlmr, tmp_path / "3", size=10)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"corpus": "none"}, "give scripts"),
        ({"corpus": "none", "scripts": ["Han"], "languages": ["ja"]}, "need a corpus"),
        ({"coverage": 0.9, "min_count": 3}, "not both"),
        ({"coverage": 1.1}, "less than or equal to 1"),
        ({"langs": ["en"]}, "langs"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrimParams(**params)
