"""What Prometheus sees. One process serves, so the figures are those of the whole server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from xmpress import __version__
from xmpress.tasks import Bools, TaskSet

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_MODEL = ("model",)


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self.requests = Counter(
            "xmpress_requests", "Requests by route and status.", ("route", "status"),
            registry=registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "xmpress_request_seconds", "From a request's arrival to its answer.", ("route",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.rejected = Counter(
            "xmpress_rejected", "Requests that were refused, by reason.", ("reason",),
            registry=registry,
        )  # fmt: skip
        self.ready = Gauge("xmpress_ready", "Whether all models are warm.", registry=registry)
        self.reloads = Counter(
            "xmpress_reloads", "Bundles replaced while running, by result.", ("result",),
            registry=registry,
        )  # fmt: skip
        self.info = Gauge(
            "xmpress_model_info", "The models served.", ("model", "version"), registry=registry
        )
        self.texts = Counter("xmpress_texts", "Texts answered.", _MODEL, registry=registry)
        self.queue_texts = Gauge(
            "xmpress_queue_texts", "Texts accepted and not yet answered.", _MODEL,
            registry=registry,
        )  # fmt: skip
        self.queue_seconds = Histogram(
            "xmpress_queue_seconds", "From a request's arrival to an engine.", _MODEL,
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.tokenisation_seconds = Histogram(
            "xmpress_tokenisation_seconds", "Tokenising texts together.", _MODEL,
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.inference_seconds = Histogram(
            "xmpress_inference_seconds", "An engine's work on a batch.", _MODEL,
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_tokens = Histogram(
            "xmpress_batch_tokens", "Tokens of a batch, padding included.", _MODEL,
            buckets=_TOKENS, registry=registry,
        )  # fmt: skip
        self.batch_texts = Histogram(
            "xmpress_batch_texts", "Texts of a batch.", _MODEL, buckets=_TEXTS, registry=registry
        )
        self.padding_ratio = Histogram(
            "xmpress_padding_ratio", "Share of padding in a batch.", _MODEL,
            buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75), registry=registry,
        )  # fmt: skip
        self.cache = Counter(
            "xmpress_cache", "Texts looked up among those remembered, by result.",
            ("model", "result"), registry=registry,
        )  # fmt: skip
        self.engine_restarts = Counter(
            "xmpress_engine_restarts", "Engine processes that died and were replaced.", _MODEL,
            registry=registry,
        )  # fmt: skip
        self._labels = _LabelCounts()
        registry.register(self._labels)
        build = Gauge("xmpress_build_info", "The version.", ("version",), registry=registry)
        build.labels(__version__).set(1)

    def of(self, model: str) -> ModelMetrics:
        """Those of one model."""
        return ModelMetrics(self, model)

    def count_labels(
        self, model: str, version: str, tasks: TaskSet, decided: Bools, langs: Iterable[str]
    ) -> None:
        """Count the labels decided on, bool [n, S] of all tasks side by side, by language."""
        self._labels.add((model, version), tasks, decided, langs)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)


class ModelMetrics:
    """The metrics of one model; an `xmpress.serving.batcher.Observer`."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.texts = metrics.texts.labels(model)
        self.hits = metrics.cache.labels(model, "hit")
        self.misses = metrics.cache.labels(model, "miss")
        self.engine_restarts = metrics.engine_restarts.labels(model)
        self._queue_seconds = metrics.queue_seconds.labels(model)
        self._tokenisation_seconds = metrics.tokenisation_seconds.labels(model)
        self._inference_seconds = metrics.inference_seconds.labels(model)
        self._batch_tokens = metrics.batch_tokens.labels(model)
        self._batch_texts = metrics.batch_texts.labels(model)
        self._padding_ratio = metrics.padding_ratio.labels(model)

    def tokenised(self, texts: int, seconds: float) -> None:
        """Texts were tokenised together."""
        self._tokenisation_seconds.observe(seconds)

    def waited(self, seconds: float) -> None:
        """A request's first text reached an engine."""
        self._queue_seconds.observe(seconds)

    def ran(self, texts: int, tokens: int, padded: int, seconds: float) -> None:
        """An engine ran a batch."""
        self._inference_seconds.observe(seconds)
        self._batch_tokens.observe(padded)
        self._batch_texts.observe(texts)
        self._padding_ratio.observe(1 - tokens / padded)


class _LabelCounts(Collector):
    """How often each label was predicted, by language: what a drift shows in first.

    One array per model and language, because a counter per label would cost more than decoding.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], dict[str, NDArray[np.int64]]] = {}
        self._tasks: dict[tuple[str, str], TaskSet] = {}

    def add(
        self, model: tuple[str, str], tasks: TaskSet, decided: Bools, langs: Iterable[str]
    ) -> None:
        if self._tasks.get(model) != tasks:
            # New, or replaced by one of other tasks: what was counted no longer has a name.
            self._tasks[model], self._counts[model] = tasks, {}
        counts = self._counts[model]
        by_lang: dict[str, list[int]] = {}
        for row, lang in enumerate(langs):
            by_lang.setdefault(lang, []).append(row)
        for lang, rows in by_lang.items():
            counts[lang] = counts.get(lang, 0) + decided[rows].sum(axis=0, dtype=np.int64)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "xmpress_labels",
            "Texts by predicted label, and by language where the caller gave it.",
            labels=("model", "version", "task", "label", "lang"),
        )
        for model, by_lang in self._counts.items():
            names = [(task.name, label) for task in self._tasks[model] for label in task.labels]
            for lang, counts in by_lang.items():
                for (task, label), count in zip(names, counts.tolist(), strict=True):
                    family.add_metric((*model, task, label, lang), count)
        yield family
