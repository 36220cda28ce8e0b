"""Objectives against plain references, and on every architecture they are meant for."""

import pytest
import torch
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    XLMRobertaConfig,
)

from xmpress.modeling.model import encoder_from_config
from xmpress.training.feed import Batch
from xmpress.training.masking import IGNORED, Masking
from xmpress.training.pretraining.objectives import (
    MaskedLanguage,
    ReplacedToken,
    draw,
    generator_config,
    run,
    uses_token_types,
)

VOCABULARY, PAD, MASK = 50, 1, 4
SIZES = {
    "vocab_size": VOCABULARY,
    "pad_token_id": PAD,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
ARCHITECTURES = {
    "bert": BertConfig(**SIZES),
    "xlm-roberta": XLMRobertaConfig(**SIZES),
    "distilbert": DistilBertConfig(
        vocab_size=VOCABULARY, pad_token_id=PAD, dim=32, n_layers=1, n_heads=4, hidden_dim=48
    ),
    "modernbert": ModernBertConfig(
        **SIZES, bos_token_id=0, cls_token_id=0, eos_token_id=2, sep_token_id=2
    ),
    "deberta-v2": DebertaV2Config(**SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "electra": ElectraConfig(**SIZES, embedding_size=16),
    "bert, factorised": BertConfig(**SIZES, embedding_rank=8),
}


@pytest.fixture
def masking() -> Masking:
    return Masking(MASK, special=(0, PAD, 2, 3, MASK), vocab_size=VOCABULARY, probability=0.3)


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (6, 20))
    ids[:, 0], ids[:, -1] = 0, 2
    ids[3, 12:] = PAD
    inputs = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    return Batch(rows=torch.arange(6), inputs=inputs, labels={})


def encoder_of(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    return encoder_from_config(ARCHITECTURES[name]).eval()


def test_mlm_is_the_cross_entropy_of_the_hidden_tokens(batch, masking):
    encoder = encoder_of("bert")
    objective = MaskedLanguage(32, encoder, masking)
    torch.manual_seed(5)
    loss, parts = objective(encoder, batch)

    torch.manual_seed(5)
    hidden, targets = masking(batch.inputs["input_ids"])
    states = encoder(hidden, attention_mask=batch.inputs["attention_mask"]).last_hidden_state
    scores = objective.head(states) @ encoder.embeddings.word_embeddings.weight.T + objective.bias
    plain = torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED
    )
    torch.testing.assert_close(loss, plain)
    assert parts["mlm"] is loss


def test_only_ordinary_tokens_are_hidden(batch, masking):
    ids = batch.inputs["input_ids"].repeat(50, 1)
    hidden, targets = masking(ids)
    asked = targets != IGNORED
    assert not asked[torch.isin(ids, torch.tensor(masking.special))].any()
    assert torch.equal(targets[asked], ids[asked])
    assert torch.equal(hidden[~asked], ids[~asked])
    assert float((hidden[asked] == MASK).float().mean()) == pytest.approx(0.8, abs=0.04)
    assert float((hidden[asked] == ids[asked]).float().mean()) == pytest.approx(0.1, abs=0.03)


def test_a_batch_without_hidden_tokens_costs_nothing(batch, masking):
    encoder = encoder_of("bert")
    nothing = Masking(MASK, masking.special, VOCABULARY, probability=0.0)
    loss, _ = MaskedLanguage(32, encoder, nothing)(encoder, batch)
    assert loss.item() == 0


def test_rtd_detects_what_the_generator_put_in(batch, masking):
    encoder = encoder_of("bert")
    objective = ReplacedToken(encoder, masking, width=0.5, weight=50).eval()
    seen = []
    encoder.register_forward_pre_hook(lambda _, __, kwargs: seen.append(kwargs), with_kwargs=True)
    torch.manual_seed(5)
    loss, parts = objective(encoder, batch)
    torch.testing.assert_close(loss, parts["mlm"] + 50 * parts["rtd"])

    torch.manual_seed(5)
    ids, present = batch.inputs["input_ids"], batch.inputs["attention_mask"].bool()
    _, targets = masking(ids)
    shown = seen[0]["input_ids"]
    replaced = shown != ids
    assert replaced.any()
    assert not replaced[targets == IGNORED].any()
    scores = objective.detector(run(encoder, batch, input_ids=shown)).squeeze(-1)
    likelihood = torch.where(replaced, scores.sigmoid(), (-scores).sigmoid())[present]
    torch.testing.assert_close(parts["rtd"], -likelihood.log().mean())


def test_tokens_are_drawn_as_likely_as_they_are():
    torch.manual_seed(0)
    likelihood = torch.tensor([0.5, 0.0, 0.2, 0.3])
    drawn = draw(likelihood.log().expand(4000, 4))
    shares = torch.bincount(drawn, minlength=4) / 4000
    torch.testing.assert_close(shares, likelihood, atol=0.03, rtol=0)
    assert shares[1] == 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_encoder_learns_by_either_objective(name, batch, masking):
    encoder = encoder_of(name)
    if uses_token_types(encoder.config):
        types = torch.zeros_like(batch.inputs["input_ids"])
        batch.inputs["token_type_ids"] = types
    for objective in (
        MaskedLanguage(encoder.config.hidden_size, encoder, masking),
        ReplacedToken(encoder, masking, width=0.25, weight=50),
    ):
        module = torch.nn.ModuleList([encoder, objective]).train()
        module.zero_grad()
        loss, _ = objective(encoder, batch)
        loss.backward()
        idle = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
        assert idle == []


def test_the_token_embedding_is_there_once(masking):
    encoder = encoder_of("bert")
    objective = ReplacedToken(encoder, masking, width=0.25, weight=50)
    large = [n for n, p in objective.named_parameters() if p.ndim == 2 and len(p) >= VOCABULARY]
    assert large == []


def test_the_generator_is_narrower_with_heads_of_the_same_size():
    narrow = generator_config(ARCHITECTURES["bert"], 0.25)
    assert (narrow.hidden_size, narrow.num_attention_heads, narrow.intermediate_size) == (8, 1, 12)
    assert narrow.num_hidden_layers == 1
    assert ARCHITECTURES["bert"].hidden_size == 32
    assert generator_config(ARCHITECTURES["distilbert"], 0.5).hidden_dim == 24
