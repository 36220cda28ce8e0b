"""From raw text to an encoder directory: corpus, tokenizer, encoder, loop, artefact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from tokenizers import Tokenizer
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from xmpress.data.files import atomic_dir, sha256
from xmpress.errors import ConfigError
from xmpress.modeling.artefact import copy_tokenizer
from xmpress.modeling.encoders import positions
from xmpress.modeling.tokenizer import TokenCount, count_tokens
from xmpress.provenance import LOCK_FILE, digest, lock_text
from xmpress.training.checkpoint import Checkpoints
from xmpress.training.loop import fit
from xmpress.training.masking import Masking
from xmpress.training.monitor import Monitor
from xmpress.training.pretraining.card import encoder_card
from xmpress.training.pretraining.config import PretrainConfig
from xmpress.training.pretraining.corpus import TOKENIZER_TEXTS, Corpus, load_corpus
from xmpress.training.pretraining.feed import PretrainFeed
from xmpress.training.pretraining.objectives import make_objective, uses_token_types
from xmpress.training.pretraining.start import starting_encoder
from xmpress.training.train import check_place

COUNTED_TEXTS = 20_000
"""Tokens per text are measured on so many."""


@dataclass(frozen=True)
class PretrainResult:
    """What a pretraining gave.

    Attributes:
        path: the encoder directory.
        steps: optimizer steps done.
        seconds: spent on them.
        losses: the training's at the end, smoothed, by name.
        tokens: how the tokenizer cuts the corpus, by language.
    """

    path: Path
    steps: int
    seconds: float
    losses: dict[str, float]
    tokens: dict[str, TokenCount]


def pretrain(
    config: PretrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> PretrainResult:
    """Pretrain an encoder on raw text and write its directory.

    The directory is Hugging Face's own: ``AutoModel.from_pretrained`` loads it, and so does
    ``xmpress train --encoder``. While the training runs, its state lies in ``<out>.checkpoints``;
    after an interruption ``resume`` goes on from there, to the same result if the length is given
    in steps or epochs.

    Args:
        config: what to read, and how.
        out: the directory to write.
        resume: go on from the latest checkpoint.
        overwrite: replace an existing directory, and drop the checkpoints of another run.
        quiet: no progress bar.

    Raises:
        UsageError: if ``out`` exists, or there are checkpoints and neither flag is given.
        DataError: if the corpus cannot be read or is empty.
        ConfigError: if the encoder's configuration is wrong, or has too few positions.
        TrainingError: if the loss diverges.
        KeyboardInterrupt: once a checkpoint is written.
    """
    out = Path(out)
    checkpoints = Checkpoints(out.with_name(out.name + ".checkpoints"))
    processes = PartialState()
    if processes.is_main_process:
        check_place(out, checkpoints, resume=resume, overwrite=overwrite)
    corpus = load_corpus(config.corpus, columns=config.columns, parallel=config.parallel)
    settings = config.model_dump(mode="json")
    files = [] if config.tokenizer is None else [Path(config.tokenizer) / "tokenizer.json"]
    fingerprint = digest(
        [settings, corpus.fingerprint, [sha256(file) for file in files if file.is_file()]]
    )
    torch.manual_seed(config.fit.seed)
    temperature, seed = config.fit.temperature, config.fit.seed

    def texts() -> list[str]:
        rows = corpus.sample(TOKENIZER_TEXTS, temperature=temperature, seed=seed)
        found = [(corpus.texts[row], corpus.seconds[row]) for row in rows]
        return [text for pair in found for text in pair if text]

    with processes.main_process_first():
        source = starting_encoder(
            config, workspace=checkpoints.directory / f"start-{fingerprint[:12]}", texts=texts
        )
    encoder, tokenizer_file = source.encoder, source.tokenizer_files / "tokenizer.json"
    _check_positions(encoder, config.sequence_length)
    feed = PretrainFeed(
        corpus,
        tokenizer_file,
        token_types=uses_token_types(encoder.config),
        sequence_length=config.sequence_length,
        budget=config.fit.batch_tokens,
        temperature=temperature,
        parallel_share=config.parallel_share,
        seed=seed,
        pack=config.pack,
    )
    # Heads and generator start the same however the encoder was made.
    torch.manual_seed(seed)
    objective = make_objective(
        config.objective,
        encoder,
        Masking.from_file(tokenizer_file, probability=config.hide),
        generator_width=config.generator_width,
        detection_weight=config.detection_weight,
    )
    progress = fit(
        encoder,
        objective,
        feed,
        config.fit,
        checkpoints=checkpoints,
        fingerprint=fingerprint,
        monitor=Monitor(
            "pretrain",
            quiet=quiet or not processes.is_main_process,
            tensorboard=out.with_name(out.name + ".tensorboard") if config.tensorboard else None,
        ),
        resume=resume,
    )
    counts = _counts(corpus, tokenizer_file, seed=seed)
    if processes.is_main_process:
        texts_by_name = {
            "README.md": encoder_card(out.name, encoder, config, corpus, counts, progress),
            LOCK_FILE: lock_text(
                {"pretrain": settings},
                seeds=[seed],
                data={"+".join(config.corpus): corpus.fingerprint},
            ),
        }
        save_encoder(out, encoder, source.tokenizer_files, texts_by_name, overwrite=overwrite)
        checkpoints.remove()
    processes.wait_for_everyone()
    return PretrainResult(out, progress.step, progress.seconds, progress.losses, counts)


def save_encoder(
    path: Path,
    encoder: PreTrainedModel,
    tokenizer_files: Path,
    texts: dict[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Write an encoder directory, under its final name only when complete.

    Args:
        path: the directory to make.
        encoder: saved with its configuration.
        tokenizer_files: a directory that holds ``tokenizer.json`` (and its configuration).
        texts: further files by name.
        overwrite: replace an existing directory.
    """
    transformers_logging.disable_progress_bar()
    with atomic_dir(path, overwrite=overwrite) as target:
        encoder.save_pretrained(target)
        copy_tokenizer(tokenizer_files, target)
        for name, content in texts.items():
            (target / name).write_text(content, encoding="utf-8")


def _check_positions(encoder: PreTrainedModel, length: int) -> None:
    room = positions(encoder.config)
    if room is not None and length > room:
        raise ConfigError(
            f"sequence_length is {length}, but the encoder has {room} positions; "
            "shorten the one or raise max_position_embeddings"
        )


def _counts(corpus: Corpus, tokenizer_file: Path, *, seed: int) -> dict[str, TokenCount]:
    rows = corpus.sample(COUNTED_TEXTS, temperature=3.0, seed=seed)
    rows = rows[~corpus.is_pair[rows]]
    return count_tokens(
        Tokenizer.from_file(str(tokenizer_file)),
        [corpus.texts[row] for row in rows],
        [corpus.langs[row] for row in rows],
    )
