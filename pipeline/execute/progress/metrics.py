"""A run's numbers for Prometheus, at /metrics for as long as it is at work; computed when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.config import MetricsConfig
from pipeline.execute.listen import Listener, Silent
from pipeline.execute.records.tally import Tally
from pipeline.types import Outcome, Status

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

_SECONDS = (1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 7200)
"""Limits of the buckets of what a job takes."""
_WHERE = ("region", "product")
_STATES = ("done", "failed", "blocked", "cancelled", "claimed", "open", "skipped")


@contextmanager
def serve_metrics(
    config: MetricsConfig | None, tally: Tally, labels: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[Listener]:
    """A listener whose numbers are served at the config's host and port while it is open; the port is free again then.

    labels: of the run itself, on `groundswell_run_info`. A port that cannot be had is a warning: no run ends for it.
    """
    if config is None:
        yield Silent()
        return
    from prometheus_client import CollectorRegistry, Info, ProcessCollector, start_http_server  # noqa: PLC0415 (rare)

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("groundswell_run", "The run that these numbers are of.", registry=registry).info(dict(labels))
    registry.register(_Numbers(tally))
    taken = _Taken(registry)
    try:
        server, thread = start_http_server(config.port, config.host, registry)
    except OSError as error:
        say(
            f"warning: run.metrics: {config.host}:{config.port} cannot be listened on ({error.strerror or error}): the "
            "run goes on without metrics; --set run.metrics.port=… takes another port"
        )
        yield Silent()
        return
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Taken(Silent):
    """How long jobs take, by product."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Histogram  # noqa: PLC0415

        self._seconds = Histogram(
            "groundswell_job_seconds",
            "What one attempt at a job took that made it, on its worker.",
            _WHERE,
            buckets=_SECONDS,
            registry=registry,
        )

    def ended(self, outcome: Outcome) -> None:
        if outcome.status is Status.DONE:
            self._seconds.labels(outcome.region, outcome.job_id.partition("/")[0]).observe(outcome.seconds)


class _Numbers:
    """Everything that the tally knows, as metrics, made at each scrape."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        view = self._tally.view()
        jobs = GaugeMetricFamily(
            "groundswell_jobs", "Jobs of the run by what became of them.", labels=(*_WHERE, "state")
        )
        eta = GaugeMetricFamily("groundswell_eta_seconds", "Until the last job has ended, where known.", labels=_WHERE)
        read = CounterMetricFamily("groundswell_read_bytes", "Bytes that jobs read.", labels=_WHERE)
        written = CounterMetricFamily("groundswell_written_bytes", "Bytes that jobs committed.", labels=_WHERE)
        for row in view.rows:
            where = (row.region, row.product)
            for state in _STATES:
                jobs.add_metric((*where, state), getattr(row, state))
            read.add_metric(where, row.read_bytes)
            written.add_metric(where, row.written_bytes)
            if row.eta_s is not None:
                eta.add_metric(where, row.eta_s)
        yield from (jobs, eta, read, written)
        repeated = CounterMetricFamily(
            "groundswell_attempts_repeated", "Attempts that were tried again.", labels=_WHERE
        )
        sent = CounterMetricFamily(
            "groundswell_store_retries", "Requests to the output that were sent again.", labels=_WHERE
        )
        for where, counts in self._tally.further().items():
            repeated.add_metric(where, counts["repeated"])
            sent.add_metric(where, counts["store_retries"])
        yield from (repeated, sent)
        workers = GaugeMetricFamily("groundswell_workers", "Workers that are there.", labels=("region",))
        for region, count in view.workers.items():
            workers.add_metric((region,), count)
        yield workers
        if view.usd is not None:
            yield GaugeMetricFamily("groundswell_cost_usd", "US dollars so far.", value=view.usd)
