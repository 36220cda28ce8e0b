"""Tiny artefacts: a tokenizer, a random model with the built-in tasks, and its bundle."""

import os
from pathlib import Path

import pytest

# The tests run offline; a model hub that is asked would be a mistake.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny models are no faster on more threads, and much slower where the cores are taken.
os.environ.setdefault("OMP_NUM_THREADS", "1")

VOCABULARY_TEXT = [
    "the service was great and the staff friendly",
    "waiting far too long, nobody answered the phone",
    "trop d'attente au guichet",
    "die Lieferung kam zu spät",
    "todo perfecto, gracias",
    "最高の接客でした",
    "客服态度很好",
    "배송은 빨랐는데",
    "รอคิวนานมาก",
    "please add a dark mode",
]


@pytest.fixture(scope="session")
def tiny_tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``tokenizer.json``: byte-level, so that every text has tokens; segments 0 and 1."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(VOCABULARY_TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="session")
def tiny_model_dir(tiny_tokenizer_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: a random two-layer BERT with the built-in tasks, 64 tokens at most."""
    import torch
    from transformers import BertConfig

    from xmpress.modeling import MultiTaskConfig, MultiTaskModel, save_model
    from xmpress.runtime.tokenization import Tokenizer
    from xmpress.tasks import TaskSet

    vocab_size = Tokenizer.from_file(tiny_tokenizer_file, max_length=64).vocab_size
    encoder = BertConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        # Large weights: predictions then differ from text to text.
        initializer_range=0.5,
    )
    tasks = TaskSet.load("experience")
    config = MultiTaskConfig(
        encoder_config=encoder,
        tasks=tasks.model_dump(mode="json")["tasks"],
        max_length=64,
        languages=["en", "fr", "ja"],
        calibration={
            "sentiment": {"temperature": 2.0},
            "emotion": {"thresholds": [0.3, 0.4, 0.5, 0.6, 0.7, 0.3, 0.4, 0.5, 0.6, 0.7, 0.5]},
        },
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("model") / "tiny"
    return save_model(directory, MultiTaskModel(config), tiny_tokenizer_file.parent)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tiny_model_dir`. To change it, copy it first."""
    from xmpress.export import export_bundle

    return export_bundle(tiny_model_dir, tmp_path_factory.mktemp("bundle") / "tiny", version="7")


@pytest.fixture(scope="session")
def bundle_of_all_engines(
    tiny_bundle: Path, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """`tiny_bundle` with a graph for each engine that is installed here."""
    import shutil
    from importlib.util import find_spec

    from xmpress.export import add_openvino
    from xmpress.runtime.bundle import Bundle, write_manifest

    target = tmp_path_factory.mktemp("engines") / "all"
    if find_spec("openvino"):
        add_openvino(tiny_bundle, target)
    else:
        shutil.copytree(tiny_bundle, target)
    shutil.copytree(tiny_model_dir, target / "torch")
    write_manifest(target, Bundle.open(tiny_bundle).manifest)
    return target


@pytest.fixture(scope="session")
def cascade_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory):
    """Makes copies of `tiny_bundle` with a random first stage, by its certainty for all tasks."""
    import shutil

    import numpy as np

    from xmpress.runtime.bundle import Bundle, write_manifest
    from xmpress.runtime.cascade import STAGE, CascadeSpec, StageWeights

    def make(certainty: float, **changes: float) -> Path:
        target = tmp_path_factory.mktemp("cascade") / "bundle"
        shutil.copytree(tiny_bundle, target)
        bundle = Bundle.open(target)
        tasks = bundle.manifest.task_set
        rng = np.random.default_rng(0)
        pieces, labels = bundle.tokenizer().vocab_size, sum(map(len, tasks))

        def whole(*shape: int):
            return rng.integers(-127, 128, shape).astype(np.int8)

        def scale(size: int, value: float):
            return np.full(size, value, dtype=np.float32)

        (target / STAGE).parent.mkdir()
        StageWeights(
            table=whole(pieces, 8), table_scale=scale(8, 1.5), hidden=whole(8, 16),
            hidden_scale=scale(16, 0.01), hidden_bias=scale(16, 1.0), output=whole(16, labels),
            output_scale=scale(labels, 5e-4), output_bias=scale(labels, 0.1),
        ).save(target / STAGE)  # fmt: skip
        spec = CascadeSpec(
            certainty={name: changes.get(name, certainty) for name in tasks.names},
            temperature=dict.fromkeys(tasks.names, 0.5),
        )
        write_manifest(target, bundle.manifest.model_copy(update={"cascade": spec}))
        return target

    return make
