"""The same on a Ray cluster: this process reads and writes, actors score.

A node needs no access to the files or the bundle, which is sent to it, only the same xmpress.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from arro3.core import Table
from arro3.io import read_ipc_stream, write_ipc_stream

from xmpress.data.files import atomic_path
from xmpress.errors import EngineError, MissingExtraError, UsageError
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle
from xmpress.scoring.plan import Plan, versions
from xmpress.scoring.reading import Window
from xmpress.scoring.scorer import Counts, Scored, Scorer, Work, write_table

THREADS = 4
"""CPUs of an actor where the call does not say; more actors need more memory, one copy of the
weights each."""
AHEAD = 2
"""Windows per actor that are sent and not yet back: the next is there when one is done."""


def score_on_ray(
    works: Iterator[Work],
    bundle: Bundle,
    plan: Plan,
    *,
    address: str,
    threads: int | None,
) -> Generator[Scored, None, None]:
    """Score windows on a cluster, in the order in which they get done.

    Args:
        works: the windows; only as many are read as are being scored.
        bundle: sent to the actors.
        plan: what to do.
        address: such as ``ray://host:10001``; ``auto`` for the cluster that this machine belongs
            to, ``local`` for a new one on this machine.
        threads: CPUs per actor, of which there are as many as the cluster has room for.

    Raises:
        MissingExtraError: if Ray is not installed.
        UsageError: if there is no such cluster, or it has too few CPUs.
        EngineError: if a node has other versions, or actors keep dying.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray", "scoring on a cluster (--ray)") from error
    begun = not ray.is_initialized()
    if begun:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray raises many kinds, the bare class too
            ray.shutdown()
            raise UsageError(
                f"there is no Ray cluster at '{address}': {error}; 'local' starts one here"
            ) from error
    try:
        yield from _score(ray, works, bundle, plan, threads)
    except ray.exceptions.RayActorError as error:
        raise EngineError(
            f"actors of the Ray cluster died, again and again: {error}; if memory is short, give "
            "them more CPUs each (--threads), so that there are fewer"
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise EngineError(f"an actor of the Ray cluster failed: {error.cause}") from error
    finally:
        if begun:
            ray.shutdown()


def _score(
    ray: Any, works: Iterator[Work], bundle: Bundle, plan: Plan, threads: int | None
) -> Iterator[Scored]:
    cpus = int(ray.cluster_resources().get("CPU", 0))
    each = threads or min(THREADS, cpus)
    if not 1 <= each <= cpus:
        raise UsageError(f"the cluster has {cpus} CPUs, too few for actors of {each} (--threads)")
    files = {
        str(file.relative_to(bundle.path)): file.read_bytes()
        for file in bundle.path.rglob("*")
        if file.is_file()
    }
    # A node that goes away takes its actor along: it begins again elsewhere, and its windows too.
    remote = ray.remote(num_cpus=each, max_restarts=-1, max_task_retries=3)(Actor)
    sent = ray.put(files)  # kept until the end, for actors that begin again
    actors = [remote.remote(sent, plan.model_dump_json(), each) for _ in range(cpus // each)]
    for found in ray.get([actor.versions.remote() for actor in actors]):
        if found != plan.versions:
            raise EngineError(
                f"a node of the cluster has {found}, this machine {plan.versions}; results would "
                "differ: install the same versions"
            )
    running: dict[Any, tuple[Any, Work]] = {}
    free = actors * AHEAD
    while True:
        while free and (work := next(works, None)) is not None:
            actor = free.pop(0)
            job = actor.score.remote(_packed(work.window.table), work.lang, work.context)
            running[job] = actor, work
        if not running:
            return
        (job, *_), _ = ray.wait(list(running))
        actor, work = running.pop(job)
        free.append(actor)
        content, counts = ray.get(job)
        yield Scored(work, counts, partial(_write, content))


class Actor:
    """Scores windows on a node, with a copy of the bundle."""

    def __init__(self, files: dict[str, bytes], plan: str, threads: int) -> None:
        self._plan = Plan.model_validate_json(plan)
        self._folder = tempfile.TemporaryDirectory(prefix="xmpress-")
        folder = Path(self._folder.name)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        analyzer = Analyzer(folder, engine=self._plan.engine, threads=threads)
        self._scorer = Scorer(analyzer, self._plan.settings)

    def versions(self) -> dict[str, str]:
        """Installed versions of what computes the scores."""
        return versions()

    def score(self, rows: bytes, lang: str | None, context: str | None) -> tuple[bytes, Counts]:
        """The content of the part's file, and what it comes to."""
        table = read_ipc_stream(BytesIO(rows)).read_all()
        work = Work(0, Window(0, 0, table.num_rows, table), lang, context)
        ((_, scored, counts),) = self._scorer.score([work])
        place = Path(self._folder.name) / f"part.{self._plan.settings.format}"
        write_table(scored, place)
        return place.read_bytes(), counts


def _packed(table: Table) -> bytes:
    content = BytesIO()
    write_ipc_stream(table, content)
    return content.getvalue()


def _write(content: bytes, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
