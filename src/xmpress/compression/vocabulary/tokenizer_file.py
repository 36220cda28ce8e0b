"""A ``tokenizer.json`` with a part of its vocabulary.

Whoever tokenises a text with the smaller file gets the same pieces as before, as long as all of
them were kept (and, with WordPiece, none of them is the unknown token). Why this is so:

**WordPiece** takes the longest piece that fits, from left to right. Where that piece was kept it is
still the longest. (A word that was unknown may come to be known: where the longest piece led
nowhere and is gone, a shorter one may lead on.)

**Unigram** takes the path of the highest score through all pieces that fit. The old path is still
there, and so are only some of its rivals; ties between the others fall as before. But an unknown
character scores a fixed distance below the least likely piece: that piece is kept, so that this
score stays, and a character whose piece is gone makes no path better than it was.

**BPE** applies the merge of lowest rank, again and again. For each kept piece the parts of each
merge that makes it are kept, and the parts of those. So all the merges that led to the old pieces
are still there, in their order, and at each step the lowest of all is the lowest of those left.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from xmpress.errors import ModelError

KINDS = ("Unigram", "BPE", "WordPiece")
SETTINGS = "tokenizer_config.json"
METASPACE = "▁"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""Pieces that stand for bytes of a character that has no piece."""
Ids = NDArray[np.int64]


class TokenizerFile:
    """A ``tokenizer.json`` and what depends on its ids beside it.

    Attributes:
        path: the file.
        content: what it says.
        kind: ``Unigram``, ``BPE`` or ``WordPiece``.
        pieces: the string of each id; ``""`` for an id without one.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ModelError: if it cannot be read, or its model is of another kind.
        """
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
            self.content: dict[str, Any] = json.loads(text)
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except OSError as error:
            raise ModelError(f"tokenizer {path} cannot be read: {error.strerror}") from error
        except Exception as error:  # the library raises the bare class
            raise ModelError(f"tokenizer {path} is damaged: {error}") from error
        # Very old files do not say the kind.
        self.kind = self.content["model"].get("type") or type(self._tokenizer.model).__name__
        if self.kind not in KINDS:
            raise ModelError(
                f"the vocabulary of {path} is of the kind {self.kind}; "
                f"{', '.join(KINDS)} can be trimmed"
            )
        numbers = self._tokenizer.get_vocab(with_added_tokens=True)
        self.pieces = [""] * (max(numbers.values()) + 1)
        for piece, number in numbers.items():
            self.pieces[number] = piece

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def model(self) -> dict[str, Any]:
        """The part of the file that holds the vocabulary."""
        model: dict[str, Any] = self.content["model"]
        return model

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The id of each piece of the vocabulary proper, without added tokens that are not in it.

        Of a piece that stands twice (Unigram) the last id counts, as in the library.
        """
        vocabulary = self.model["vocab"]
        if self.kind == "Unigram":
            return {piece: number for number, (piece, _) in enumerate(vocabulary)}
        return dict(vocabulary)

    @property
    def unknown(self) -> int | None:
        """The id of the unknown token."""
        if self.kind == "Unigram":
            number = self.model.get("unk_id")
            return None if number is None else int(number)
        return self.numbers.get(self.model.get("unk_token") or "")

    @cached_property
    def byte_pieces(self) -> list[int]:
        """The ids of the pieces for bytes; empty if no byte ever stands for a character."""
        if not self.model.get("byte_fallback"):
            return []
        return [self.numbers[piece] for piece in BYTES if piece in self.numbers]

    @cached_property
    def byte_level(self) -> bool:
        """Whether pieces are written in bytes, each as a character of its own (GPT-2)."""
        found = list(_of_type(self.content.get("pre_tokenizer"), "ByteLevel"))
        return bool(found) or bool(list(_of_type(self.content.get("normalizer"), "ByteLevel")))

    @cached_property
    def surfaces(self) -> list[str]:
        """What each piece stands for in a text, without marks of the beginning or the inside.

        ``""`` for added tokens, byte pieces, and bytes that are no whole characters.
        """
        added = {token["id"] for token in self.content.get("added_tokens", [])}
        hidden = added | set(self.byte_pieces)
        prefix = self.model.get("continuing_subword_prefix") or ""
        suffix = self.model.get("end_of_word_suffix") or ""
        byte_of = _byte_of_character() if self.byte_level else {}
        found = []
        for number, piece in enumerate(self.pieces):
            surface = piece.removeprefix(prefix).removesuffix(suffix)
            if number in hidden:
                surface = ""
            elif self.byte_level:
                data = bytes(byte_of.get(c, 0) for c in surface)
                try:
                    surface = data.decode().removeprefix(" ")
                except UnicodeDecodeError:
                    surface = ""
            elif surface != METASPACE:
                surface = surface.removeprefix(METASPACE)
            found.append(surface)
        return found

    def needed(self) -> set[int]:
        """Ids without which the file does not work, or no longer does as before."""
        kept = {int(token["id"]) for token in self.content.get("added_tokens", [])}
        kept |= set(self.byte_pieces)
        kept |= {number for _, number in _template_ids(self.content.get("post_processor"))}
        padding = self.content.get("padding")
        if padding:
            kept.add(int(padding["pad_id"]))
        if self.unknown is not None:
            kept.add(self.unknown)
        if self.kind == "Unigram":
            scores = [score for _, score in self.model["vocab"]]
            kept.add(int(np.argmin(scores)))
        if self.byte_level:
            kept |= {self.numbers[c] for c in _byte_of_character() if c in self.numbers}
        return kept

    @cached_property
    def parts(self) -> dict[int, list[int]]:
        """Per piece that merges make, the ids that it is made of; empty but for BPE."""
        parts: dict[int, list[int]] = {}
        for left, right, made in self._merges():
            parts.setdefault(self.numbers[made], []).extend(
                (self.numbers[left], self.numbers[right])
            )
        return parts

    def closure(self, ids: Collection[int], within: Collection[int] = ()) -> set[int]:
        """The ids, and all that they are made of, except what is ``within`` another closed set."""
        known = set(within)
        found: set[int] = set()
        waiting = [number for number in ids if number not in known]
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            waiting += [part for part in self.parts.get(number, ()) if part not in known]
        return found

    def subset(self, keep: Collection[int]) -> tuple[dict[str, Any], Ids]:
        """The content of a file with these pieces only, in their old order.

        Args:
            keep: ids, everything `needed` among them and closed under `closure`.

        Returns:
            The content, and the old id of each new one, int64 [kept].
        """
        in_model = sorted(set(keep) & set(self.numbers.values()))
        # Added tokens beyond the vocabulary get the next ids, in order, when the file is read.
        beyond = sorted(set(keep) - set(in_model))
        old = np.array([*in_model, *beyond], dtype=np.int64)
        new = {int(number): position for position, number in enumerate(old)}
        content = {**self.content, "model": self._model(new)}
        content["added_tokens"] = [
            {**token, "id": new[token["id"]]} for token in self.content.get("added_tokens", [])
        ]
        if content.get("padding"):
            content["padding"] = {**content["padding"], "pad_id": new[content["padding"]["pad_id"]]}
        content["post_processor"] = _renumbered(self.content.get("post_processor"), new)
        return content, old

    def write_subset(self, directory: Path, keep: Collection[int]) -> Ids:
        """Write `subset` and the settings beside it into a directory.

        Returns:
            The old id of each new one, int64 [kept].

        Raises:
            ModelError: if the library reads other ids than were written.
        """
        content, old = self.subset(keep)
        text = json.dumps(content, ensure_ascii=False)
        (directory / self.path.name).write_text(text, encoding="utf-8")
        new = {int(number): position for position, number in enumerate(old)}
        read = tokenizers.Tokenizer.from_str(text).get_vocab(with_added_tokens=True)
        wrong = sorted(set(read.items()) ^ {(self.pieces[n], i) for n, i in new.items()})
        if wrong:
            raise ModelError(
                f"{self.path} cannot be trimmed: the ids of its added tokens do not follow its "
                f"vocabulary ({', '.join(piece for piece, _ in wrong[:5])})"
            )
        settings = self.path.with_name(SETTINGS)
        if settings.is_file():
            described = json.loads(settings.read_text(encoding="utf-8"))
            if "added_tokens_decoder" in described:
                described["added_tokens_decoder"] = {
                    str(new[int(number)]): token
                    for number, token in described["added_tokens_decoder"].items()
                }
            text = json.dumps(described, ensure_ascii=False, indent=2)
            (directory / SETTINGS).write_text(text, encoding="utf-8")
        return old

    def _model(self, new: dict[int, int]) -> dict[str, Any]:
        """The vocabulary's part of the file with other ids."""
        model = dict(self.model)
        if self.kind == "Unigram":
            model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in new]
            if model.get("unk_id") is not None:
                model["unk_id"] = new[model["unk_id"]]
            return model
        model["vocab"] = {
            piece: new[number] for piece, number in model["vocab"].items() if number in new
        }
        if self.kind == "BPE":
            kept = model["vocab"]
            model["merges"] = [
                raw
                for raw, (left, right, made) in zip(model["merges"], self._merges(), strict=True)
                if left in kept and right in kept and made in kept
            ]
        return model

    def _merges(self) -> Iterator[tuple[str, str, str]]:
        """Left and right part and result of each merge, in the order of rank."""
        prefix = self.model.get("continuing_subword_prefix") or ""
        for merge in self.model.get("merges", ()):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            yield left, right, left + right.removeprefix(prefix)


def _of_type(part: Any, name: str) -> Iterator[dict[str, Any]]:
    """The components of a type, sequences looked into."""
    if isinstance(part, dict):
        if part.get("type") == name:
            yield part
        for value in part.values():
            yield from _of_type(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _of_type(value, name)


def _template_ids(processor: Any) -> Iterator[tuple[str, int]]:
    """Names and ids of the tokens that a post-processor puts around a text."""
    for template in _of_type(processor, "TemplateProcessing"):
        for token in template["special_tokens"].values():
            yield from zip(token["tokens"], token["ids"], strict=True)
    for kind in ("BertProcessing", "RobertaProcessing"):
        for fixed in _of_type(processor, kind):
            for key in ("sep", "cls"):
                name, number = fixed[key]
                yield name, number


def _renumbered(processor: Any, new: dict[int, int]) -> Any:
    """A post-processor with other ids."""
    if processor is None:
        return None
    processor = json.loads(json.dumps(processor))
    for template in _of_type(processor, "TemplateProcessing"):
        for token in template["special_tokens"].values():
            token["ids"] = [new[number] for number in token["ids"]]
    for kind in ("BertProcessing", "RobertaProcessing"):
        for fixed in _of_type(processor, kind):
            for key in ("sep", "cls"):
                fixed[key] = [fixed[key][0], new[fixed[key][1]]]
    return processor


def _byte_of_character() -> dict[str, int]:
    """The characters by which GPT-2's byte-level tokenizers write bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    shifted = {chr(256 + position): byte for position, byte in enumerate(others)}
    return {**{chr(byte): byte for byte in plain}, **shifted}
