"""Prometheus metrics of one service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What the service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "recyclenet_requests",
            "Requests answered.",
            ("method", "path", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "recyclenet_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("path",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.refusals = Counter(
            "recyclenet_refusals", "Refusals by reason.", ("reason",), registry=self.registry
        )
        self.predictions = Counter(
            "recyclenet_predictions",
            "Answers by model and class.",
            ("model", "label", "known"),
            registry=self.registry,
        )
        self.batch_sizes = Histogram(
            "recyclenet_batch_size",
            "Photos per run of the model.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.queue = Gauge("recyclenet_queue_length", "Photos in progress.", registry=self.registry)
        self.loads = Counter(
            "recyclenet_model_loads",
            "Model files loaded or refused.",
            ("model", "result"),
            registry=self.registry,
        )
        self.feedback = Counter(
            "recyclenet_feedback", "Feedback stored.", ("photo",), registry=self.registry
        )

    def render(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)
