"""The bundles served: opened and warmed up, found by name and version, replaced while running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from xmpress.data.files import sha256
from xmpress.errors import BundleError, UsageError, XmpressError
from xmpress.runtime.bundle import MANIFEST, Bundle
from xmpress.runtime.cache import ScoreCache
from xmpress.serving.batcher import Batcher
from xmpress.serving.codec import Codec
from xmpress.serving.fairness import Text
from xmpress.serving.metrics import Metrics
from xmpress.serving.settings import NAME, ModelSpec, ServeSettings
from xmpress.serving.workers import EngineProcess

log = logging.getLogger("xmpress.serving")

LOOK_SECONDS = 1.0
"""Between two looks at whether all engine processes are alive."""
_WARM_UP = ("The staff was friendly but nobody answered the phone. " * 8).split()


class ServedModel:
    """One bundle, ready to answer.

    Attributes:
        name: by which it is served.
        version: by which it is served.
        bundle: what is served.
        digest: of its manifest, which tells whether the bundle on disk is still this one.
        codec: encodes and decodes.
        batcher: runs texts.
        cache: scores remembered, if any.
        metrics: its metrics.
    """

    def __init__(self, spec: ModelSpec, settings: ServeSettings, metrics: Metrics) -> None:
        """Open a bundle, start its engines and warm them up; takes seconds.

        Raises:
            ModelError: if the bundle cannot be used.
            EngineError: if its engine cannot be started.
        """
        self.digest = manifest_digest(spec)
        self.bundle = Bundle.open(spec.path)
        self.name, self.version = names_of(spec, self.bundle)
        self.codec = Codec(self.bundle)
        self.metrics = metrics.of(self.name)
        self.cache = ScoreCache(settings.cache) if settings.cache else None
        self._engines = self._open_engines(settings)
        lanes = [engine for engine in self._engines for _ in range(engine.streams)]
        self.batcher = Batcher(self.codec, lanes, limit=settings.queue, observer=self.metrics)

    def _open_engines(self, settings: ServeSettings) -> list[EngineProcess]:
        def open_one(name: str) -> EngineProcess:
            engine = EngineProcess(
                self.bundle.path,
                name,
                settings.threads_each,
                on_restart=self.metrics.engine_restarts.inc,
            )
            try:
                self._warm_up(engine)
            except XmpressError:
                engine.close()
                raise
            return engine

        # The first may have to choose an engine, by measuring; the others take the same.
        engines = [open_one(settings.engine)]
        if settings.workers > 1:
            with ThreadPoolExecutor(settings.workers - 1) as pool:
                names = [engines[0].name] * (settings.workers - 1)
                started = [pool.submit(open_one, name) for name in names]
            engines += [future.result() for future in started if future.exception() is None]
            failed = [error for future in started if (error := future.exception()) is not None]
            if failed:
                for engine in engines:
                    engine.close()
                raise failed[0]
        return engines

    def _warm_up(self, engine: EngineProcess) -> None:
        """Run batches of several shapes, which also shows that the graph fits the manifest."""
        missing = set(self.codec.tasks.names) - set(engine.outputs)
        if missing:
            raise BundleError(
                f"bundle {self.bundle.path}: its graph has no output for "
                f"{', '.join(sorted(missing))}; export it again"
            )
        for texts, words in ((1, 4), (4, 16), (16, len(_WARM_UP)), (1, 8)):
            encoded = self.codec.encode([(" ".join(_WARM_UP[:words]), None)] * texts)
            batch = [Text(row, ids, None) for row, ids in enumerate(encoded.ids)]
            self.codec.rows(engine.run(self.codec.inputs(batch)[0]))

    def look_after_engines(self) -> None:
        """Replace engine processes that died while idle."""
        for engine in self._engines:
            engine.revive()

    @property
    def engine_pids(self) -> list[int]:
        """The engine processes."""
        return [engine.pid for engine in self._engines if engine.pid is not None]

    def close(self) -> None:
        """Finish what was accepted, then end the engines."""
        self.batcher.close()
        for engine in self._engines:
            engine.close()


class Models:
    """The models of one server, in the order they were named.

    The first is the default; of several versions of a name, the first is the one that answers when
    none is asked for.
    """

    def __init__(
        self, specs: Sequence[ModelSpec], settings: ServeSettings, metrics: Metrics
    ) -> None:
        self._specs = list(specs)
        self._settings = settings
        self._metrics = metrics
        self._served: list[ServedModel] = []
        self._reloading = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._served)

    def get(self, name: str | None = None, version: str | None = None) -> ServedModel | None:
        """The model of this name and version, if there is one."""
        for served in self._served:
            if name in (None, served.name) and version in (None, served.version):
                return served
        return None

    async def load(self) -> None:
        """Open all models.

        Raises:
            XmpressError: if one cannot be served.
        """
        opened: list[ServedModel] = []
        try:
            for spec in self._specs:
                opened.append(await self._open(spec))
                check_distinct([(served.name, served.version) for served in opened])
        except BaseException:
            for served in opened:
                await asyncio.to_thread(served.close)
            raise
        self._served = opened
        self._tell()

    async def reload(self) -> int:
        """Replace every model whose bundle on disk is another one now; gives how many.

        The new one is opened and warmed up beside the old one, which finishes what it accepted.
        One that cannot be opened is reported, and the old one goes on.
        """
        replaced = 0
        async with self._reloading:
            for i, spec in enumerate(self._specs):
                old = self._served[i]
                try:
                    if await asyncio.to_thread(manifest_digest, spec) == old.digest:
                        continue
                    new = await self._open(spec)
                except XmpressError as error:
                    self._metrics.reloads.labels("failed").inc()
                    log.error("reload failed, the old one goes on: %s", error,
                              extra={"model": old.name, "version": old.version})  # fmt: skip
                    continue
                others = [s for s in self._served if s is not old]
                if any((s.name, s.version) == (new.name, new.version) for s in others):
                    self._metrics.reloads.labels("failed").inc()
                    log.error("reload failed: this version is served already",
                              extra={"model": new.name, "version": new.version})  # fmt: skip
                    self._retire(new)
                    continue
                self._served[i] = new
                self._retire(old)
                self._tell()
                self._metrics.reloads.labels("ok").inc()
                log.info("model replaced", extra={
                    "model": new.name, "version": new.version, "old_version": old.version,
                })  # fmt: skip
                replaced += 1
        return replaced

    async def look_after(self) -> None:
        """For ever: keep engine processes alive and, if so set, watch for new bundles."""
        loop = asyncio.get_running_loop()
        watch = self._settings.watch
        looked = loop.time()
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, watch or LOOK_SECONDS))
            for served in list(self._served):
                try:
                    await asyncio.to_thread(served.look_after_engines)
                except XmpressError as error:
                    log.error("an engine cannot be started: %s", error,
                              extra={"model": served.name})  # fmt: skip
            if watch and loop.time() - looked >= watch:
                await self.reload()
                looked = loop.time()

    async def close(self) -> None:
        """Finish what was accepted and end all engines."""
        async with self._reloading:
            for served in self._served:
                self._retire(served)
            while self._retiring:
                await asyncio.wait(self._retiring)

    async def _open(self, spec: ModelSpec) -> ServedModel:
        served = await asyncio.to_thread(ServedModel, spec, self._settings, self._metrics)
        log.info("model ready", extra={
            "model": served.name, "version": served.version, "engines": served.engine_pids,
        })  # fmt: skip
        return served

    def _retire(self, served: ServedModel) -> None:
        task = asyncio.create_task(asyncio.to_thread(served.close))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _tell(self) -> None:
        self._metrics.info.clear()
        for served in self._served:
            self._metrics.info.labels(served.name, served.version).set(1)
            waiting = partial(self._pending, served.name)
            self._metrics.queue_texts.labels(served.name).set_function(waiting)

    def _pending(self, name: str) -> int:
        return sum(served.batcher.pending for served in self._served if served.name == name)


def manifest_digest(spec: ModelSpec) -> str:
    """Tells one bundle from another.

    Raises:
        BundleError: if there is none.
    """
    try:
        return sha256(spec.path / MANIFEST)
    except OSError as error:
        raise BundleError(f"{spec.path / MANIFEST} cannot be read: {error.strerror}") from error


def names_of(spec: ModelSpec, bundle: Bundle) -> tuple[str, str]:
    """The name and version a bundle is served by.

    Raises:
        UsageError: if those in the bundle cannot stand in an address.
    """
    name = spec.name or bundle.manifest.name
    version = spec.version or bundle.manifest.version
    for what, value in (("name", name), ("version", version)):
        if not NAME.fullmatch(value):
            raise UsageError(
                f"bundle {spec.path} has the {what} '{value}', which cannot stand in an address; "
                f"name it: xmpress serve NAME={spec.path}@VERSION"
            )
    return name, version


def check_distinct(served: Sequence[tuple[str, str]]) -> None:
    """See that no name and version is served twice.

    Raises:
        UsageError: naming the first that is.
    """
    for i, (name, version) in enumerate(served):
        if (name, version) in served[:i]:
            raise UsageError(
                f"model '{name}' version '{version}' is there twice; name them apart: "
                "xmpress serve A=PATH B=PATH, or A=PATH@1 A=PATH@2"
            )
