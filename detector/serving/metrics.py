"""Metrics of a service, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from detector.networks.network import MAX_BATCH

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one service, in a registry of their own, so that a process may have several services."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "detector_requests", "Requests, by path and status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "detector_request_seconds", "From a request's headers to its answer.", ["path"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.pictures = Counter(
            "detector_pictures", "Pictures answered: read, rejected, or failed.", ["model", "outcome"],
            registry=registry,
        )  # fmt: skip
        self.turned_away = Counter(
            "detector_requests_turned_away", "Requests to /v1/read without readings, by reason.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.batch_pictures = Histogram(
            "detector_batch_pictures", "Pictures of a batch.", ["model"],
            buckets=[size for size in (1, 2, 4, 8, 16, 24, 32) if size <= MAX_BATCH], registry=registry,
        )  # fmt: skip
        self._queue = Gauge("detector_queue_pictures", "Pictures that wait for a batch.", ["model"], registry=registry)
        self.queue_limit = Gauge("detector_queue_limit_pictures", "Pictures that may wait.", registry=registry)
        self.held_bytes = Gauge("detector_held_bytes", "Bytes of bodies in memory.", registry=registry)

    def watch_queue(self, model: str, waiting: Callable[[], int]) -> None:
        """Report the length of a model's queue, which ``waiting`` returns at each scrape."""
        self._queue.labels(model).set_function(waiting)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
