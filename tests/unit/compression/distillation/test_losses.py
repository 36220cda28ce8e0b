"""Every objective against plain NumPy in float64, with padding, on the states of real models."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xmpress.compression.distillation.hidden import Hidden, HiddenAndMaps, map_layers
from xmpress.compression.distillation.mlm import MaskedLanguageModel
from xmpress.compression.distillation.objectives import Objective
from xmpress.compression.distillation.relations import (
    Attention,
    Relations,
    layer_number,
    log_relation,
    relation_heads,
)
from xmpress.compression.distillation.states import Look, States, observe, show_maps
from xmpress.errors import RecipeError
from xmpress.modeling import MultiTaskModel
from xmpress.training.feed import Batch
from xmpress.training.masking import IGNORED

Array = NDArray[np.float64]
ALL: frozenset[Look] = frozenset({"hidden", "maps", "projections"})
Models = Callable[..., MultiTaskModel]


def run(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> States:
    show_maps(model)
    targets = torch.full_like(inputs["input_ids"], IGNORED)
    targets[0, 2], targets[0, 4], targets[1, 1] = 60, 7, 5
    return observe(model.eval(), inputs, ALL, targets=targets)


def compare(objective: Objective, student: States, teacher: States) -> dict[str, float]:
    batch = Batch(torch.zeros(2), {}, {})
    loss, parts = objective(student, teacher, batch)
    assert torch.isfinite(loss)
    return {"total": loss.item()} | {name: value.item() for name, value in parts.items()}


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def relation(states: torch.Tensor, row: int, length: int, heads: int) -> Array:
    """[heads, length, length], of the real tokens alone: padding never took part."""
    values = array(states)[row, :length]
    cut = values.reshape(length, heads, -1).transpose(1, 0, 2)
    return softmax(cut @ cut.transpose(0, 2, 1) / np.sqrt(cut.shape[-1]))


def mean_divergence(pairs: list[tuple[Array, Array]]) -> float:
    """Over heads and tokens of all texts; the teacher comes first."""
    rows = [(p * (np.log(p) - np.log(q))).sum(axis=-1) for p, q in pairs]
    return float(np.concatenate([row.ravel() for row in rows]).mean())


LENGTHS = (7, 4)


def test_relations(architecture: str, tiny: Models, padded: dict[str, torch.Tensor]) -> None:
    student = run(tiny(architecture, hidden=16, num_attention_heads=2), padded)
    teacher = run(tiny(architecture, layers=4), padded)
    found = compare(Relations(teacher_layer=2, heads=8), student, teacher)
    for name in ("queries", "keys", "values"):
        ours, theirs = getattr(student.projections[-1], name), getattr(teacher.projections[2], name)
        expected = mean_divergence(
            [
                (relation(theirs, row, length, 8), relation(ours, row, length, 8))
                for row, length in enumerate(LENGTHS)
            ]
        )
        assert found[f"relations/{name}"] == pytest.approx(expected, rel=1e-4)
        assert expected > 1e-3
    assert found["total"] == pytest.approx(sum(v for k, v in found.items() if k != "total"))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_relations_are_exact_in_mixed_precision(precision: torch.dtype) -> None:
    states = 4 * torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    exact = log_relation(states, mask, 4)
    with torch.autocast("cpu", dtype=precision):
        mixed = log_relation(states, mask, 4)
    assert torch.equal(mixed, exact)


def test_attention(architecture: str, tiny: Models, padded: dict[str, torch.Tensor]) -> None:
    student = run(tiny(architecture, hidden=16), padded)
    teacher = run(tiny(architecture, layers=4), padded)
    found = compare(Attention(teacher_layer=1), student, teacher)
    maps = [
        tuple(array(maps)[row, :, :length, :length] for maps in (teacher.maps[1], student.maps[-1]))
        for row, length in enumerate(LENGTHS)
    ]
    assert found["attention/maps"] == pytest.approx(mean_divergence(maps), rel=1e-4)
    values = [
        tuple(
            relation(states.values, row, length, 4)
            for states in (teacher.projections[1], student.projections[-1])
        )
        for row, length in enumerate(LENGTHS)
    ]
    assert found["attention/values"] == pytest.approx(mean_divergence(values), rel=1e-4)


def test_maps_and_projections_are_those_of_the_attention(
    architecture: str, tiny: Models, padded: dict[str, torch.Tensor]
) -> None:
    if architecture in {"modernbert", "deberta-v2"}:
        pytest.skip("its attention also has positions in it")
    states = run(tiny(architecture), padded)
    for maps, layer in zip(states.maps, states.projections, strict=True):
        queries, keys = (
            array(x)[1, :4].reshape(4, 4, 8).transpose(1, 0, 2) for x in (layer.queries, layer.keys)
        )
        by_hand = softmax(queries @ keys.transpose(0, 2, 1) / np.sqrt(8))
        np.testing.assert_allclose(array(maps)[1, :, :4, :4], by_hand, rtol=1e-4, atol=1e-7)


def test_hidden(architecture: str, tiny: Models, padded: dict[str, torch.Tensor]) -> None:
    student = run(tiny(architecture, hidden=16, layers=2), padded)
    teacher = run(tiny(architecture, layers=4), padded)
    objective = HiddenAndMaps([None, 3], student=16, teacher=32)
    found = compare(objective, student, teacher)
    for name, matrix, ours, theirs in (
        ("embedding", objective.embedding, 0, 0),
        ("1", objective.projection, 2, 4),
    ):
        projected = array(student.hidden[ours]) @ array(matrix.weight).T
        errors = (projected - array(teacher.hidden[theirs])) ** 2
        expected = np.concatenate([errors[r, :n].ravel() for r, n in enumerate(LENGTHS)]).mean()
        assert found[f"hidden/{name}"] == pytest.approx(expected, rel=1e-4)
    assert "hidden/0" not in found
    maps = [
        tuple(array(maps)[row, :, :length, :length] for maps in (teacher.maps[3], student.maps[1]))
        for row, length in enumerate(LENGTHS)
    ]
    assert found["hidden/maps"] == pytest.approx(mean_divergence(maps), rel=1e-4)
    mean = (found["hidden/embedding"] + found["hidden/1"]) / 2
    assert found["total"] == pytest.approx(mean + found["hidden/maps"])


def test_mlm(architecture: str, tiny: Models, padded: dict[str, torch.Tensor]) -> None:
    student_model, teacher_model = tiny(architecture, hidden=16), tiny(architecture)
    student, teacher = run(student_model, padded), run(teacher_model, padded)
    # A trimmed student of 100 tokens, which are others of the teacher's.
    vocabulary = torch.arange(100) * 3
    objective = MaskedLanguageModel(student=16, teacher=32, vocabulary=vocabulary, temperature=2.0)
    with torch.no_grad():
        objective.bias.copy_(torch.linspace(-1, 1, 100))
    found = compare(objective, student, teacher)
    asked, tokens = ([0, 0, 1], [2, 4, 1]), np.array([60, 7, 5])
    ours = array(student.hidden[-1])[asked] @ array(
        student_model.get_input_embeddings().weight[:100]
    ).T + array(objective.bias)
    theirs = (
        array(teacher.hidden[-1])[asked]
        @ array(teacher_model.get_input_embeddings().weight[vocabulary]).T
    )
    p, q = softmax(theirs / 2), softmax(ours / 2)
    soft = 4 * (p * (np.log(p + 1e-300) - np.log(q + 1e-300))).sum(axis=-1).mean()
    hard = -np.log(softmax(ours)[np.arange(3), tokens] + 1e-300).mean()
    a = array(student.hidden[-1]) @ array(objective.projection.weight).T
    b = array(teacher.hidden[-1])
    cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    cosine = 1 - np.concatenate([cosines[r, :n] for r, n in enumerate(LENGTHS)]).mean()
    assert found["mlm/soft"] == pytest.approx(soft, rel=1e-3)
    assert found["mlm/hard"] == pytest.approx(hard, rel=1e-3)
    assert found["mlm/cosine"] == pytest.approx(cosine, rel=1e-3)
    assert found["total"] == pytest.approx((5 * soft + 2 * hard + cosine) / 8, rel=1e-3)


def test_nothing_asked_about_is_no_error(tiny: Models, padded: dict[str, torch.Tensor]) -> None:
    states = observe(tiny("bert"), padded, ALL - {"maps"}, targets=torch.full((2, 7), IGNORED))
    objective = MaskedLanguageModel(
        student=32, teacher=32, vocabulary=torch.arange(400), temperature=1.0
    )
    found = compare(objective, states, states)
    assert found["mlm/soft"] == found["mlm/hard"] == 0.0


def test_a_student_that_is_the_teacher_has_nothing_to_learn(
    architecture: str, tiny: Models, padded: dict[str, torch.Tensor]
) -> None:
    states = run(tiny(architecture), padded)
    vocabulary = torch.arange(400)
    for objective in (
        Relations(2, 16),
        Attention(2),
        Hidden([0, 1, 2], student=32, teacher=32),
        HiddenAndMaps([0, 1, 2], student=32, teacher=32),
        MaskedLanguageModel(student=32, teacher=32, vocabulary=vocabulary, temperature=2.0),
    ):
        found = compare(objective, states, states)
        hard = {"mlm/hard", "total"} if "mlm/hard" in found else set()
        for name, value in found.items():
            assert value == pytest.approx(0.0, abs=1e-5) or name in hard, name


def test_padding_changes_nothing(
    architecture: str, tiny: Models, padded: dict[str, torch.Tensor]
) -> None:
    student, teacher = tiny(architecture, hidden=16), tiny(architecture)
    short = {name: value[1:, :4] for name, value in padded.items()}
    alone = {name: value[1:] for name, value in padded.items()}
    objectives: list[Objective] = [
        Relations(2, 8),
        Attention(2),
        HiddenAndMaps([0, 1, 2], student=16, teacher=32),
    ]
    for model in (student, teacher):
        show_maps(model.eval())
    found = [
        [compare(o, *(observe(m, i, ALL) for m in (student, teacher))) for o in objectives]
        for i in (short, alone)
    ]
    for without, with_padding in zip(*found, strict=True):
        assert with_padding == pytest.approx(without, rel=1e-4)


def test_maps_are_whole_while_training(
    architecture: str, tiny: Models, padded: dict[str, torch.Tensor]
) -> None:
    model = tiny(architecture, **DROPOUT.get(architecture, DROPOUT["bert"]))
    show_maps(model)
    for maps in observe(model.train(), padded, frozenset({"maps"})).maps:
        sums = maps[0].sum(dim=-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))


DROPOUT = {
    "bert": {"attention_probs_dropout_prob": 0.5},
    "distilbert": {"attention_dropout": 0.5},
    "modernbert": {"attention_dropout": 0.5},
}


def test_maps_need_equal_numbers_of_heads(tiny: Models, padded: dict[str, torch.Tensor]) -> None:
    student = run(tiny("bert", num_attention_heads=2), padded)
    teacher = run(tiny("bert"), padded)
    with pytest.raises(RecipeError, match="2 heads and the teacher 4; give the student as many"):
        compare(Attention(2), student, teacher)


@pytest.mark.parametrize(
    ("student", "teacher", "wanted", "heads"),
    [(384, 768, None, 48), (384, 1024, None, 64), (16, 32, None, 2), (24, 36, 12, 12)],
)
def test_relation_heads(student: int, teacher: int, wanted: int | None, heads: int) -> None:
    assert relation_heads(student, teacher, wanted) == heads


def test_relation_heads_must_divide_both_widths() -> None:
    with pytest.raises(RecipeError, match=r"student's queries, 24, .* teacher's, 36: .* divide 12"):
        relation_heads(24, 36, 8)


def test_layers_count_from_both_ends() -> None:
    assert [layer_number(n, 12) for n in (0, 11, -1, -12)] == [0, 11, 11, 0]
    with pytest.raises(RecipeError, match="teacher_layer 12 is none of the teacher's 12 layers"):
        layer_number(12, 12)


def test_the_uniform_map_takes_the_last_layer_of_each_block() -> None:
    assert map_layers("uniform", student=4, teacher=12) == [2, 5, 8, 11]
    assert map_layers("uniform", student=3, teacher=3) == [0, 1, 2]
    assert map_layers("uniform", student=4, teacher=6)[-1] == 5
    assert map_layers([None, -1], student=2, teacher=12) == [None, 11]
    with pytest.raises(RecipeError, match="1 entries, but the student has 2 layers"):
        map_layers([3], student=2, teacher=12)
    with pytest.raises(RecipeError, match="maps no layer"):
        map_layers([None], student=1, teacher=12)
    with pytest.raises(RecipeError, match="layer_map 12 is none"):
        map_layers([12], student=1, teacher=12)
