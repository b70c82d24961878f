"""What Prometheus reads: TensorFlow Serving's names where it has them, and its microseconds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

_MICROSECONDS = [10 * 1.8**step for step in range(33)]  # TensorFlow Serving's buckets
_ROWS = [2**step for step in range(11)]


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # A gauge that only rises: a Counter would append _total to TensorFlow Serving's name.
        self.requests = Gauge(
            ":tensorflow:serving:request_count",
            "Predict requests answered or refused.",
            ["model_name", "version", "signature", "status"],
            registry=self._registry,
        )
        self.request_latency = self._histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from arrival to answer.",
            ["model_name", "API", "entrypoint"],
        )
        self.runtime_latency = self._histogram(
            ":tensorflow:serving:runtime_latency",
            "Microseconds that the engine took for a batch.",
            ["model_name", "API", "runtime"],
        )
        self.queuing_latency = self._histogram(
            ":tensorflow:serving:batching_session:queuing_latency",
            "Microseconds that a request waited to be computed.",
            ["model_name"],
        )
        self.batch_size = Histogram(
            ":tensorflow:serving:batching_session:processed_batch_size",
            "Rows computed together.",
            ["model_name"],
            registry=self._registry,
            buckets=_ROWS,
        )
        self.queue = Gauge(
            "tfadvseg_serving_queue_depth", "Requests that wait.", registry=self._registry
        )
        self.versions = Gauge(
            "tfadvseg_serving_version_available",
            "1 for every version that is served.",
            ["model_name", "version"],
            registry=self._registry,
        )

    def _histogram(self, name: str, text: str, labels: list[str]) -> Histogram:
        return Histogram(name, text, labels, registry=self._registry, buckets=_MICROSECONDS)

    def page(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
