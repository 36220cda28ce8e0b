"""From what a user names to candidates: models, baselines, and peers that serve these models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmpress.benchmark.candidates import PEERS, Candidate
from xmpress.benchmark.report import Failure
from xmpress.errors import ModelError, UsageError
from xmpress.runtime.bundle import MANIFEST, Bundle
from xmpress.tasks import TaskSet
from xmpress.validation import nearest
from xmpress.zoo import resolve

ALL = "all"
"""Stands for every peer."""
MAX_LENGTH = 128
"""Tokens per text of baselines that are compared with no model."""
_GENERIC = {"bundle", "model"}
"""Names that say nothing without the directory above."""


@dataclass(frozen=True)
class Wishes:
    """What a user wants measured.

    Attributes:
        models: bundles, model directories, names of the zoo.
        baselines: names of the package's table.
        peers: names of `PEERS`, or ``all``.
        engines: for bundles, one candidate each.
        precisions: for model directories and baselines in torch, one candidate each.
        device: for torch: ``cpu``, ``cuda`` or ``auto``.
        tokenizer: a directory with the ``tokenizer.json`` that stands in for that of a baseline
            which cannot be had; by default the first model's.
    """

    models: Sequence[str]
    baselines: Sequence[str] = ()
    peers: Sequence[str] = ()
    engines: Sequence[str] = ("auto",)
    precisions: Sequence[str] = ("fp32",)
    device: str = "cpu"
    tokenizer: Path | None = None


@dataclass(frozen=True)
class Subject:
    """What the models are compared on.

    Attributes:
        tokenizer: directory with the tokenizer of the first model.
        tasks: of the first model.
        languages: of the first model; empty if it does not tell.
        max_length: of the first model.
    """

    tokenizer: Path | None
    tasks: TaskSet
    languages: tuple[str, ...] = ()
    max_length: int = MAX_LENGTH


@dataclass(frozen=True)
class Collected:
    """Candidates, and what could not become one."""

    subject: Subject
    candidates: list[Candidate] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def collect(wishes: Wishes, workspace: Path) -> Collected:
    """Find the models, make the baselines, prepare what peers open.

    Args:
        wishes: what to measure.
        workspace: a directory for what has to be made.

    Raises:
        UsageError: if there is nothing to measure, or a name is not known.
        ModelError: if a model cannot be used.
    """
    if not wishes.models and not wishes.baselines:
        raise UsageError("name a model, or a baseline (--baseline)")
    paths = _named(wishes.models)
    subject = _subject(paths, wishes.tokenizer)
    found = Collected(subject)
    for name in wishes.baselines:
        found.candidates.extend(_baseline(name, wishes, subject, workspace / "baselines"))
    for name, path in paths.items():
        found.candidates.extend(_model(name, path, wishes))
    for peer in _peers(wishes.peers):
        _serve(peer, paths, workspace / "peers", found)
    return found


def _named(models: Sequence[str]) -> dict[str, Path]:
    """The directories by a name that tells them apart."""
    paths = {model: resolve(model) for model in models}
    short = {model: _short(path) for model, path in paths.items()}
    clash = len(set(short.values())) < len(short)
    return {(model if clash else short[model]): path for model, path in paths.items()}


def _short(path: Path) -> str:
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.name in _GENERIC else path.name


def _is_bundle(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _subject(paths: dict[str, Path], tokenizer: Path | None) -> Subject:
    if not paths:
        return Subject(tokenizer, TaskSet.load("experience"))
    first = next(iter(paths.values()))
    if _is_bundle(first):
        manifest = Bundle.open(first).manifest
        return Subject(
            tokenizer or first, manifest.task_set, manifest.languages, manifest.max_length
        )
    from xmpress.modeling import read_config

    config = read_config(first)
    return Subject(
        tokenizer or first, config.task_set, tuple(config.languages or ()), config.max_length
    )


def _model(name: str, path: Path, wishes: Wishes) -> list[Candidate]:
    if _is_bundle(path):
        return [
            Candidate(
                name=name if len(wishes.engines) == 1 else f"{name}, {engine}",
                kind="bundle",
                path=path,
                options={"engine": engine},
            )
            for engine in wishes.engines
        ]
    return [
        Candidate(
            name=f"{name}, torch {precision}",
            kind="torch",
            path=path,
            options={"precision": precision, "device": wishes.device},
        )
        for precision in wishes.precisions
    ]


def _baseline(name: str, wishes: Wishes, subject: Subject, workspace: Path) -> list[Candidate]:
    """The baseline as people run it, and with our batches."""
    from xmpress.peers.baselines import make_baseline
    from xmpress.peers.prepare import prepare_peer

    if subject.tokenizer is None:
        raise UsageError(
            f"baseline {name} needs a tokenizer where the hub is out of reach: name a model beside "
            "it, or a directory with a tokenizer.json (--tokenizer)"
        )
    short = name.rpartition("/")[2]
    path = workspace / short
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = make_baseline(
        name,
        path,
        tokenizer=subject.tokenizer,
        tasks=subject.tasks,
        max_length=subject.max_length,
    )
    stock = prepare_peer("transformers", path, workspace / f"{short}.peers")
    options = {"device": wishes.device}
    return [
        Candidate(
            name=f"{short}, pipeline",
            kind="transformers",
            path=stock,
            group="baseline",
            options={**options, "precision": wishes.precisions[0]},
            notes=(
                *notes,
                f"{short}, pipeline: {PEERS['transformers'].about}, as people run it",
            ),
        ),
        *(
            Candidate(
                name=f"{short}, torch {precision}",
                kind="torch",
                path=path,
                group="baseline",
                options={**options, "precision": precision},
                notes=(f"{short}, torch: in our batches of like length",),
            )
            for precision in wishes.precisions
        ),
    ]


def _peers(names: Sequence[str]) -> list[str]:
    wanted = list(PEERS) if ALL in names else list(dict.fromkeys(names))
    for name in wanted:
        if name not in PEERS:
            close = nearest(name, list(PEERS))
            hint = f"; did you mean '{close}'?" if close else ""
            raise UsageError(
                f"there is no peer '{name}'{hint} The peers are {', '.join(PEERS)}, or {ALL}"
            )
    return wanted


def _serve(name: str, paths: dict[str, Path], workspace: Path, found: Collected) -> None:
    """Add a peer for every model of the form that it serves."""
    peer = PEERS[name]
    if not peer.installed:
        found.failures.append(Failure(name, f"not installed; {peer.install}"))
        return
    served = {n: p for n, p in paths.items() if _is_bundle(p) == (peer.serves == "bundle")}
    if not served:
        what = "a bundle" if peer.serves == "bundle" else "a model directory"
        found.failures.append(Failure(name, f"it serves {what}, and none is among the models"))
    for model, path in served.items():
        notes: tuple[str, ...] = (f"{name}: {peer.about}",)
        place = path
        if peer.serves == "model":
            from xmpress.peers.prepare import prepare_peer
            from xmpress.peers.stock import ONE_HEAD

            notes += (ONE_HEAD,)
            workspace.mkdir(parents=True, exist_ok=True)
            try:
                place = prepare_peer(name, path, workspace / model.replace("/", "-"))
            except ModelError as error:
                found.failures.append(Failure(f"{model} in {name}", str(error)))
                continue
        found.candidates.append(
            Candidate(
                name=f"{model} in {name}",
                kind=peer.kind,
                path=place,
                group="peer",
                serves=model,
                options=peer.options,
                notes=notes,
            )
        )
