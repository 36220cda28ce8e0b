"""The pass ``trim_vocabulary``: only the pieces that some languages need."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from xmpress.compression.corpus import by_language, count_tokens, for_training
from xmpress.compression.passes import Context, Pass, PassParams
from xmpress.compression.rewriting import save_changed
from xmpress.compression.vocabulary import choice
from xmpress.compression.vocabulary.tokenizer_file import Ids, TokenizerFile
from xmpress.data import Dataset, load_dataset
from xmpress.errors import DataError, ModelError
from xmpress.modeling import LoadedModel, MultiTaskModel, load_model
from xmpress.modeling.artefact import copy_tokenizer, predict
from xmpress.modeling.shapes import set_token_table, token_table
from xmpress.runtime.tokenization import Tokenizer
from xmpress.training.pretraining.corpus import NO_LABELS

REPORTED_TEXTS = 2000
"""Per language, to compare the two tokenizers on."""
EXPECTED = 0.9
"""Share of texts that should be tokenised as before."""
CHECKED_TEXTS = 64
"""Scored by both models."""


class TrimParams(PassParams):
    """Parameters of ``trim_vocabulary``. A piece stays if any rule asks for it."""

    languages: Annotated[list[str], Field(min_length=1)] | None = None
    """The languages of the corpus that count; all of them if left out."""
    corpus: str = "data"
    """Where uses are counted: ``data``, the training rows of the recipe's data; text of its own, as
    ``xmpress train --data`` takes it, whose labels are passed over; or ``none``, which leaves the
    choice to ``scripts``."""
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.9999
    """Share of each language's uses, and of its characters, that the pieces kept make up."""
    min_count: Annotated[int, Field(ge=1)] | None = None
    """Instead: the pieces used so often in a language."""
    scripts: tuple[str, ...] = ()
    """Unicode scripts all of whose pieces stay (``Latin``, ``Han``, ...), with the digits, marks
    and emoji that all scripts share."""
    characters: Literal["corpus", "all"] | None = None
    """The single characters that stay: those of the corpus by coverage, or all. If left out: all,
    unless bytes stand in for the others, so that no text comes to be all unknown."""
    size: Annotated[int, Field(ge=1)] | None = None
    """At most so many pieces: after what must stay, the ones most used."""

    @model_validator(mode="after")
    def _rules_go_together(self) -> Self:
        if self.corpus == "none":
            if not self.scripts:
                raise ValueError("with corpus: none, give scripts")
            if self.languages or self.min_count is not None or self.characters == "corpus":
                raise ValueError("languages, min_count and characters: corpus need a corpus")
        if self.min_count is not None and "coverage" in self.model_fields_set:
            raise ValueError("give coverage or min_count, not both")
        return self


class TrimVocabulary(Pass[TrimParams]):
    """Model directory in, model directory out.

    A text whose pieces all stay is tokenised as before, and scored the same to the last bit; see
    `tokenizer_file` for the reasons. Of some of the recipe's texts both are checked.
    """

    Params: ClassVar[type[PassParams]] = TrimParams
    # With a corpus of its own too, for what it tells of held-out rows.
    uses_data: ClassVar[bool] = True

    @property
    def needs_data(self) -> bool:  # type: ignore[override]
        """Unless it has a corpus of its own, or none."""
        return self.params.corpus == "data"

    def inputs(self) -> dict[str, str]:
        """The fingerprint of a corpus of its own."""
        return {} if self._own is None else {self.params.corpus: self._own.fingerprint}

    @cached_property
    def _own(self) -> Dataset | None:
        """The corpus, if it is not the recipe's data."""
        corpus = self.params.corpus
        return None if corpus in {"data", "none"} else load_dataset(corpus, NO_LABELS)

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Choose, rewrite tokenizer and embedding, compare, write."""
        loaded = load_model(context.artefact.path)
        file = TokenizerFile(loaded.path / "tokenizer.json")
        parts = self._corpus(context)
        kept = self._choose(file, loaded, parts)
        files = context.workspace / "tokenizer"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        copy_tokenizer(loaded.path, files)
        old = file.write_subset(files, kept)
        trimmed = Tokenizer.from_file(
            files / "tokenizer.json", max_length=loaded.tokenizer.max_length
        )
        comparison = _Comparison(file, loaded.tokenizer, trimmed, old)
        reported = self._reported(context, parts, loaded)
        languages = {
            lang: comparison.report(part.texts, part.contexts) for lang, part in reported.items()
        }
        _tell_low(context, {k: v for k, v in languages.items() if k in parts})
        texts, contexts = comparison.identical(reported, CHECKED_TEXTS)
        before = predict(loaded.model, loaded.tokenizer, texts, contexts)
        trim_embedding(loaded.model, old)
        after = predict(loaded.model, trimmed, texts, contexts)
        differing = [name for name in before if not np.array_equal(before[name], after[name])]
        if differing:
            raise ModelError(
                f"the trimmed model scores texts that are tokenised as before otherwise than "
                f"{loaded.path}, in {', '.join(differing)}; nothing is written"
            )
        if self.params.languages:
            loaded.model.config.languages = sorted(self.params.languages)
        what = f"Vocabulary trimmed from {len(file):,} to {len(old):,} tokens"
        what += f" for {', '.join(self.params.languages)}." if self.params.languages else "."
        save_changed(target, loaded, what, tokenizer_files=files)
        shutil.rmtree(files)
        return {
            "tokenizer": file.kind,
            "tokens": {"before": len(file), "after": len(old)},
            "languages": languages,
            "equal_to_the_bit": len(texts),
        }

    def _corpus(self, context: Context) -> dict[str, Dataset]:
        """The texts to count, by language."""
        params = self.params
        if params.corpus == "none":
            return {}
        rows = for_training(context.dataset() if self._own is None else self._own)
        there = sorted(set(rows.langs))
        missing = sorted(set(params.languages or ()) - set(there))
        if missing:
            raise DataError(
                f"trim_vocabulary: the corpus has no texts in {', '.join(missing)} (it has "
                f"{', '.join(there) or 'none'}); correct languages, or name another corpus"
            )
        return by_language(rows.where(langs=params.languages or there), seed=context.seed)

    def _choose(
        self, file: TokenizerFile, loaded: LoadedModel, parts: dict[str, Dataset]
    ) -> set[int]:
        params = self.params
        needed = file.needed() | {n for n in _needed_by_model(loaded) if file.pieces[n]}
        wanted = choice.written_in(file, params.scripts) if params.scripts else set()
        counts = count_tokens(loaded.tokenizer, parts, len(file))
        fixed = np.zeros(len(file), dtype=bool)
        fixed[sorted(needed)] = True
        kept_characters: set[str] = set()
        for values in counts.values():
            values[fixed] = 0
            kept_characters |= choice.characters(file, values, coverage=params.coverage)
            wanted.update(choice.used(values, coverage=params.coverage, min_count=params.min_count))
        every = params.characters == "all" or (
            params.characters is None and not file.byte_pieces and not file.byte_level
        )
        needed |= choice.spelling(file, None if every else kept_characters)
        shares = choice.shares(counts) if counts else np.zeros(len(file))
        ranked = sorted(wanted, key=lambda number: (-shares[number], number))
        return choice.limited(file, needed, ranked, params.size)

    def _reported(
        self, context: Context, parts: dict[str, Dataset], loaded: LoadedModel
    ) -> dict[str, Dataset]:
        """Texts to compare on, by language: held out from the training if there are such."""
        if context.data_name is not None:
            dataset = context.dataset()
            held_out = dataset.take([s in {"validation", "test"} for s in dataset.splits])
            rows = held_out if len(held_out) else dataset
            rows = rows.where(langs=self.params.languages or sorted(set(rows.langs)))
            return by_language(rows, seed=context.seed, most=REPORTED_TEXTS)
        if not parts:
            rows = load_dataset("sample", loaded.tasks)
            return by_language(rows, seed=context.seed, most=REPORTED_TEXTS)
        return {
            lang: by_language(part, seed=context.seed, most=REPORTED_TEXTS)[lang]
            for lang, part in parts.items()
        }


def _tell_low(context: Context, languages: dict[str, dict[str, float]]) -> None:
    """Say for which of the languages asked for the corpus was too small."""
    for lang, found in languages.items():
        if found["identical"] < EXPECTED:
            share = f"{100 * found['identical']:.1f} %"
            context.say(
                f"trim_vocabulary: only {share} of the texts in {lang} are tokenised as before; "
                "a larger corpus, or its script in scripts, keeps more pieces"
            )


@dataclass(frozen=True)
class _Comparison:
    """The same texts tokenised before and after."""

    file: TokenizerFile
    before: Tokenizer
    after: Tokenizer
    old: Ids

    def report(self, texts: list[str], contexts: list[str | None]) -> dict[str, float]:
        """Tokens per text, share of unknown characters' tokens, share of texts as before."""
        found: dict[str, float] = {"texts": len(texts)}
        before = self.before.encode(texts, contexts).ids
        after = [self.old[ids] for ids in self.after.encode(texts, contexts).ids]
        unknown = [*self.file.byte_pieces]
        unknown += [] if self.file.unknown is None else [self.file.unknown]
        for name, ids in (("before", before), ("after", after)):
            tokens = np.concatenate([*ids, []])
            found[f"tokens_per_text_{name}"] = round(len(tokens) / max(1, len(texts)), 3)
            found[f"unknown_{name}"] = round(float(np.isin(tokens, unknown).mean()), 6)
        found["identical"] = round(float(np.mean(list(map(np.array_equal, before, after)))), 6)
        return found

    def identical(
        self, parts: dict[str, Dataset], number: int
    ) -> tuple[list[str], list[str | None]]:
        """Some texts of every language that are tokenised as before, and their contexts."""
        texts: list[str] = []
        contexts: list[str | None] = []
        each = max(1, number // max(1, len(parts)))
        for part in parts.values():
            some = part.take(slice(0, 8 * each))
            pairs = zip(
                self.before.encode(some.texts, some.contexts).ids,
                self.after.encode(some.texts, some.contexts).ids,
                strict=True,
            )
            same = [i for i, (a, b) in enumerate(pairs) if np.array_equal(a, self.old[b])][:each]
            texts += [some.texts[i] for i in same]
            contexts += [some.contexts[i] for i in same]
        return texts, contexts


def trim_embedding(model: MultiTaskModel, old: Ids) -> None:
    """Keep some rows of a model's token embedding, in place.

    Args:
        model: the model; its configuration changes too.
        old: the old id of each new one, int64 [kept].
    """
    config = model.config.encoder_config
    new = {int(number): position for position, number in enumerate(old)}
    table = token_table(model.encoder)
    padding = None if table.padding_idx is None else new[table.padding_idx]
    rows = table.weight.detach()[torch.from_numpy(old)]
    trimmed = nn.Embedding(len(old), rows.shape[1], padding_idx=padding, _weight=rows)
    set_token_table(model.encoder, trimmed)
    config.vocab_size = len(old)
    for key, number in _token_ids(config).items():
        setattr(config, key, new.get(number))


def _token_ids(config: Any) -> dict[str, int]:
    """The settings of a configuration that are ids of tokens."""
    content = config.to_dict()
    return {
        key: value
        for key, value in content.items()
        if key.endswith("_token_id") and isinstance(value, int)
    }


def _needed_by_model(loaded: LoadedModel) -> set[int]:
    """Ids that the model's configuration speaks of, and those that positions are counted from."""
    encoder = loaded.model.encoder
    table = token_table(encoder)
    ids = {loaded.tokenizer.pad_id}
    ids |= set(_token_ids(loaded.model.config.encoder_config).values())
    if table.padding_idx is not None:
        ids.add(table.padding_idx)
        # RoBERTa and its kin number positions from the padding's id, which must not change then.
        if any(
            module is not table and getattr(module, "padding_idx", None) is not None
            for module in encoder.modules()
            if isinstance(module, nn.Embedding)
        ):
            ids |= set(range(table.padding_idx))
    return {number for number in ids if 0 <= number < loaded.tokenizer.vocab_size}
