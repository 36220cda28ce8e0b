from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xmpress.compression.recipe import StudentSpec
from xmpress.compression.students import as_deep, make_student
from xmpress.errors import ConfigError, RecipeError
from xmpress.modeling import LoadedModel, load_model, save_model
from xmpress.modeling.encoders import EncoderSource, make_model
from xmpress.modeling.model import MultiTaskModel, encoder_from_config
from xmpress.modeling.shapes import FactorisedEmbedding


@pytest.fixture
def teacher(tiny_model_dir: Path) -> LoadedModel:
    return load_model(tiny_model_dir)


def scores(model: MultiTaskModel) -> dict[str, Tensor]:
    ids = torch.arange(12).reshape(2, 6)
    with torch.inference_mode():
        found: dict[str, Tensor] = model.eval()(ids, torch.ones_like(ids)).logits
    return found


def saved(model: MultiTaskModel, teacher: LoadedModel, path: Path) -> Path:
    return save_model(path, model, teacher.path)


def deeper(teacher: LoadedModel, layers: int, path: Path, **sizes: Any) -> Path:
    """A teacher of more layers, the weights of layer i all equal to i."""
    content = teacher.model.config.encoder_config.to_dict()
    config = type(teacher.model.config.encoder_config)(
        **{**content, "num_hidden_layers": layers, **sizes}
    )
    source = EncoderSource(encoder_from_config(config), teacher.path, "deeper")
    model = make_model(source, teacher.tasks, max_length=64)
    with torch.no_grad():
        for i, layer in enumerate(model.encoder.encoder.layer):
            for parameter in layer.parameters():
                parameter.fill_(i)
    return saved(model, teacher, path)


def test_a_student_of_the_same_sizes_is_the_teacher(teacher: LoadedModel, tmp_path: Path) -> None:
    student = make_student(StudentSpec(), teacher.path, tmp_path)
    assert student.copied == 1.0
    assert student.tokenizer_files == teacher.path
    for name, logits in scores(teacher.model).items():
        torch.testing.assert_close(scores(student.model)[name], logits)


def test_a_student_may_cut_texts_elsewhere(teacher: LoadedModel, tmp_path: Path) -> None:
    usual = teacher.model.config.max_length
    for asked, given in ((None, usual), (usual - 8, usual - 8)):
        student = make_student(StudentSpec(max_length=asked), teacher.path, tmp_path)
        assert student.model.config.max_length == given
    with pytest.raises(ConfigError, match="positions"):
        make_student(StudentSpec(max_length=10**6), teacher.path, tmp_path)


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (7, range(7)), ((1, 5), [1, 5]), ((2,), [2])],
)
def test_evenly_spaced_or_chosen_layers_are_copied(
    teacher: LoadedModel, tmp_path: Path, layers: int | tuple[int, ...], chosen: list[int]
) -> None:
    student = make_student(
        StudentSpec(layers=layers), deeper(teacher, 7, tmp_path / "deep"), tmp_path
    )
    found = [
        {value.item() for p in layer.parameters() for value in p.flatten()}
        for layer in student.model.encoder.encoder.layer
    ]
    assert found == [{float(i)} for i in chosen]
    assert student.copied == 1.0


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        (StudentSpec(layers=3), "--set student.layers=1"),
        (StudentSpec(layers=4), "--set student.layers=1"),
        (StudentSpec(layers=(0, 1, 2)), "--set student.layers=1"),
        (StudentSpec(layers=2), None),
        (StudentSpec(layers=(0, 2)), None),
        (StudentSpec(layers=3, ffn=16), None),
        (StudentSpec(), None),  # asks for a student of the same size
    ],
)
def test_a_student_as_deep_as_its_teacher_is_warned_of(
    teacher: LoadedModel, tmp_path: Path, spec: StudentSpec, remedy: str | None
) -> None:
    warning = as_deep(spec, deeper(teacher, 3, tmp_path / "deep"))
    assert warning is None if remedy is None else remedy in str(warning)


def test_layers_of_a_pruned_teacher_keep_their_sizes(teacher: LoadedModel, tmp_path: Path) -> None:
    shapes = {"head_size": 8, "heads": [1, 4, 2], "ffn": [16, 64, 24]}
    pruned = deeper(teacher, 3, tmp_path / "pruned", pruned_shapes=shapes)
    student = make_student(StudentSpec(layers=(0, 2)), pruned, tmp_path)
    assert student.copied == 1.0
    config = student.model.config.encoder_config
    assert config.pruned_shapes == {"head_size": 8, "heads": [1, 2], "ffn": [16, 24]}
    assert load_model(pruned).model.config.encoder_config.pruned_shapes == shapes
    path = saved(student.model, teacher, tmp_path / "student")
    for name, logits in scores(student.model).items():
        torch.testing.assert_close(scores(load_model(path).model)[name], logits)
    whole = make_student(StudentSpec(layers=2, ffn=32, init="random"), pruned, tmp_path)
    assert not hasattr(whole.model.config.encoder_config, "pruned_shapes")


def test_what_does_not_fit_stays_random(teacher: LoadedModel, tmp_path: Path) -> None:
    student = make_student(StudentSpec(layers=1, ffn=16), teacher.path, tmp_path)
    assert student.model.config.encoder_config.intermediate_size == 16
    assert 0.5 < student.copied < 1.0
    words = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(student.model.state_dict()[words], teacher.model.state_dict()[words])


def test_another_width_starts_at_random(teacher: LoadedModel, tmp_path: Path) -> None:
    spec = StudentSpec(layers=1, hidden=16, init="random")
    student = make_student(spec, teacher.path, tmp_path)
    config = student.model.config.encoder_config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (16, 2, 64)
    assert student.copied == 0.0
    assert student.model.config.task_set == teacher.tasks


def test_another_width_cannot_copy_layers(teacher: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="teacher's hidden 32 and heads 4"):
        make_student(StudentSpec(hidden=16), teacher.path, tmp_path)
    with pytest.raises(RecipeError, match="no multiple of heads 3"):
        make_student(StudentSpec(heads=3, init="random"), teacher.path, tmp_path)


def test_a_narrow_embedding_keeps_what_it_can_of_the_teachers(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    spec = StudentSpec(layers=1, hidden=16, heads=2, init="teacher-embedding")
    student = make_student(spec, teacher.path, tmp_path)
    words, positions = (
        [
            model.encoder.embeddings.get_parameter(f"{kind}_embeddings.weight")
            for model in (teacher.model, student.model)
        ]
        for kind in ("word", "position")
    )
    wide = words[0].detach().double()
    best = torch.linalg.svd(wide).Vh[:16].T
    # The best approximation of that rank (Eckart & Young, 1936): the same inner products.
    torch.testing.assert_close(
        (words[1] @ words[1].T).double(), wide @ best @ best.T @ wide.T, atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(
        (words[1] @ positions[1].T).double(),
        wide @ best @ best.T @ positions[0].detach().double().T,
        atol=1e-4,
        rtol=1e-3,
    )
    same = make_student(StudentSpec(layers=1, init="teacher-embedding"), teacher.path, tmp_path)
    assert torch.equal(same.model.get_input_embeddings().weight, words[0])


def test_a_factorised_embedding_is_multiplied_out(teacher: LoadedModel, tmp_path: Path) -> None:
    encoder = teacher.model.encoder
    tokens, width = encoder.get_input_embeddings().weight.shape
    factors = FactorisedEmbedding(tokens, 8, width)
    encoder.set_input_embeddings(factors)
    teacher.model.config.encoder_config.embedding_rank = 8
    path = saved(teacher.model, teacher, tmp_path / "factorised")
    product = (factors.table.weight @ factors.projection.weight.T).detach()
    same = make_student(StudentSpec(layers=1, init="teacher-embedding"), path, tmp_path)
    torch.testing.assert_close(same.model.get_input_embeddings().weight.detach(), product)
    spec = StudentSpec(layers=1, hidden=16, heads=2, init="teacher-embedding")
    narrow = make_student(spec, path, tmp_path).model.get_input_embeddings().weight.detach()
    # Of rank 8, it loses nothing by 16 directions.
    torch.testing.assert_close(narrow @ narrow.T, product @ product.T, atol=1e-4, rtol=1e-3)


def test_layers_must_be_the_teachers(teacher: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="layers 2, 7 are none of the teacher's 2, 0 to 1"):
        make_student(StudentSpec(layers=(0, 2, 7)), teacher.path, tmp_path)
    with pytest.raises(ValueError, match="needs init: teacher-layers"):
        StudentSpec(layers=(0, 1), init="random")
    for wrong in (0, [], [-1], "two", True):
        with pytest.raises(ValueError, match="a number of layers, 1 or more, or a list"):
            StudentSpec(layers=wrong)  # type: ignore[arg-type]


def test_the_teacher_is_never_loaded_whole(
    teacher: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the teacher was loaded")

    monkeypatch.setattr(MultiTaskModel, "from_pretrained", refuse)
    assert make_student(StudentSpec(layers=1), teacher.path, tmp_path).copied == 1.0


def test_distilbert_and_modernbert_call_their_sizes_otherwise(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    from transformers import DistilBertConfig, ModernBertConfig

    configs = [
        DistilBertConfig(vocab_size=400, dim=32, n_heads=4, n_layers=3, hidden_dim=64),
        ModernBertConfig(
            vocab_size=400,
            hidden_size=32,
            num_attention_heads=4,
            num_hidden_layers=3,
            intermediate_size=64,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            cls_token_id=2,
            sep_token_id=3,
        ),
    ]
    for config in configs:
        source = EncoderSource(encoder_from_config(config), teacher.path, "other")
        model = make_model(source, teacher.tasks, max_length=64)
        given = saved(model, teacher, tmp_path / config.model_type)
        student = make_student(StudentSpec(layers=2, ffn=48), given, tmp_path).model
        assert student.config.encoder_config.num_hidden_layers == 2
        assert all(torch.isfinite(logits).all() for logits in scores(student).values())
        for init in ("random", "teacher-embedding"):
            spec = StudentSpec(hidden=16, init=init)  # type: ignore[arg-type]
            narrow = make_student(spec, given, tmp_path)
            assert narrow.model.config.encoder_config.hidden_size == 16
            assert (narrow.copied > 0) == (init == "teacher-embedding")


def test_an_encoder_of_its_own_takes_the_teachers_tokenizer(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 1}
    spec = StudentSpec(
        encoder={
            "model_type": "bert",
            **sizes,
            "intermediate_size": 8,
            "max_position_embeddings": 64,
        }
    )
    student = make_student(spec, teacher.path, tmp_path)
    assert student.model.config.encoder_config.hidden_size == 8
    assert student.tokenizer_files == teacher.path
