from pathlib import Path

import pytest
import torch
from torch import Tensor

from xmpress.compression.recipe import StudentSpec
from xmpress.compression.students import make_student
from xmpress.errors import RecipeError
from xmpress.modeling import LoadedModel, load_model
from xmpress.modeling.encoders import EncoderSource, make_model
from xmpress.modeling.model import MultiTaskModel, encoder_from_config


@pytest.fixture
def teacher(tiny_model_dir: Path) -> LoadedModel:
    return load_model(tiny_model_dir)


def scores(model: MultiTaskModel) -> dict[str, Tensor]:
    ids = torch.arange(12).reshape(2, 6)
    with torch.inference_mode():
        found: dict[str, Tensor] = model.eval()(ids, torch.ones_like(ids)).logits
    return found


def deeper(teacher: LoadedModel, layers: int) -> LoadedModel:
    """A teacher of more layers, the weights of layer i all equal to i."""
    config = type(teacher.model.config.encoder_config)(
        **{**teacher.model.config.encoder_config.to_dict(), "num_hidden_layers": layers}
    )
    source = EncoderSource(encoder_from_config(config), teacher.path, "deeper")
    model = make_model(source, teacher.tasks, max_length=64)
    with torch.no_grad():
        for i, layer in enumerate(model.encoder.encoder.layer):
            for parameter in layer.parameters():
                parameter.fill_(i)
    return LoadedModel(teacher.path, model, teacher.tokenizer)


def test_a_student_of_the_same_sizes_is_the_teacher(teacher: LoadedModel, tmp_path: Path) -> None:
    student = make_student(StudentSpec(), teacher, tmp_path)
    assert student.copied == 1.0
    assert student.tokenizer_files == teacher.path
    for name, logits in scores(teacher.model).items():
        torch.testing.assert_close(scores(student.model)[name], logits)


@pytest.mark.parametrize(
    ("layers", "chosen"), [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (7, range(7))]
)
def test_evenly_spaced_layers_are_copied(
    teacher: LoadedModel, tmp_path: Path, layers: int, chosen: list[int]
) -> None:
    student = make_student(StudentSpec(layers=layers), deeper(teacher, 7), tmp_path)
    found = [
        {value.item() for p in layer.parameters() for value in p.flatten()}
        for layer in student.model.encoder.encoder.layer
    ]
    assert found == [{float(i)} for i in chosen]
    assert student.copied == 1.0


def test_what_does_not_fit_stays_random(teacher: LoadedModel, tmp_path: Path) -> None:
    student = make_student(StudentSpec(layers=1, ffn=16), teacher, tmp_path)
    assert student.model.config.encoder_config.intermediate_size == 16
    assert 0.5 < student.copied < 1.0
    words = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(student.model.state_dict()[words], teacher.model.state_dict()[words])


def test_another_width_starts_at_random(teacher: LoadedModel, tmp_path: Path) -> None:
    spec = StudentSpec(layers=1, hidden=16, init="random")
    student = make_student(spec, teacher, tmp_path)
    config = student.model.config.encoder_config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (16, 2, 64)
    assert student.copied == 0.0
    assert student.model.config.task_set == teacher.tasks


def test_another_width_cannot_copy_layers(teacher: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="teacher's hidden 32 and heads 4"):
        make_student(StudentSpec(hidden=16), teacher, tmp_path)
    with pytest.raises(RecipeError, match="no multiple of heads 3"):
        make_student(StudentSpec(heads=3, init="random"), teacher, tmp_path)


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
        given = LoadedModel(teacher.path, model, teacher.tokenizer)
        student = make_student(StudentSpec(layers=2, ffn=48), given, tmp_path).model
        assert student.config.encoder_config.num_hidden_layers == 2
        assert all(torch.isfinite(logits).all() for logits in scores(student).values())
        narrow = make_student(StudentSpec(hidden=16, init="random"), given, tmp_path).model
        assert narrow.config.encoder_config.hidden_size == 16


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
    student = make_student(spec, teacher, tmp_path)
    assert student.model.config.encoder_config.hidden_size == 8
    assert student.tokenizer_files == teacher.path
