"""The listener's numbers for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from pipeline.events.event import Verdict
from pipeline.events.listener.limits import Crowd
from pipeline.events.listener.posts import Outcome

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 12)


class ListenerNumbers:
    """Counted as requests are answered; what is stored and who is connected, when they are asked for."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._counts: Mapping[str, int] | None = None
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        messages = Counter(
            "groundswell_listener_messages", "Bodies that were answered.", ["outcome"], registry=self._registry
        )
        events = Counter(
            "groundswell_listener_events", "Events that the inbox was given.", ["verdict"], registry=self._registry
        )
        self._seconds = Histogram(
            "groundswell_listener_answer_seconds",
            "From the head of a request until it was answered.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        # Made now, so that each is there with 0 before it ever happens.
        self._messages = {outcome: messages.labels(outcome.name.lower()) for outcome in Outcome}
        self._events = {verdict: events.labels(verdict.value) for verdict in Verdict}
        self._registry.register(self)

    def answered(self, outcome: Outcome, verdicts: Sequence[Verdict], seconds: float) -> None:
        self._messages[outcome].inc()
        for verdict in verdicts:
            self._events[verdict].inc()
        self._seconds.observe(seconds)

    def page(self, counts: Mapping[str, int] | None) -> tuple[bytes, str]:
        """Text and its type. counts: of the store; None where it does not answer."""
        self._counts = counts
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        yield GaugeMetricFamily("groundswell_listener_connections", "That are open.", value=len(self._crowd.open))
        yield GaugeMetricFamily(
            "groundswell_listener_held_bytes", "Of bodies that are not whole yet.", value=self._crowd.held_bytes
        )
        refused = CounterMetricFamily(
            "groundswell_listener_refused", "Before there was a body: by status, or for want of a place.", labels=["by"]
        )
        for reason, count in sorted(self._crowd.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield GaugeMetricFamily(
            "groundswell_listener_store_up", "1: the store answers.", value=int(self._counts is not None)
        )
        stored = GaugeMetricFamily("groundswell_inbox", "Events, and orders by their state.", labels=["state"])
        for state, count in (self._counts or {}).items():
            stored.add_metric([state], count)
        yield stored
