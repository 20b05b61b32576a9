"""What Prometheus reads is what the tally knows, over HTTP and in its own format; a port is no reason to end a run."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config import MetricsConfig
from pipeline.execute.listen import Listeners
from pipeline.execute.progress.metrics import serve_metrics
from pipeline.execute.records.tally import Tally, Totals
from pipeline.types import ClusterEvent, Outcome, Status
from tests.servers.weed import free_ports

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(samples: Samples, metric: str, **labels: str) -> float:
    return samples[metric, frozenset(labels.items())]


def test_numbers_are_those_of_the_run_at_every_scrape() -> None:
    port, says = free_ports(1)[0], list[str]()
    tally = Tally(Totals({("r", "dem"): 4}, {("r", "dem"): 2}), usd=lambda: 1.5)
    labels = {"run": "20260101T000000000Z-aaaaaa", "name": 'quo"ted\nname'}
    with serve_metrics(MetricsConfig(port=port), tally, labels, says.append) as metrics:
        told = Listeners([tally, metrics])
        before = scrape(port)
        told.cluster(ClusterEvent("r", 0, "up", workers=3))
        told.ended(Outcome("dem/a/static", "r", "f", Status.RETRY, store_retries=2))
        told.ended(Outcome("dem/a/static", "r", "f", Status.DONE, seconds=40.0, read_bytes=10, written_bytes=7))
        told.ended(Outcome("dem/b/static", "r", "f", Status.FAILED, seconds=2.0))
        after = scrape(port)
    where = {"region": "r", "product": "dem"}
    states = ("done", "failed", "open", "skipped")
    assert [value(before, "groundswell_jobs", state=state, **where) for state in states] == [0, 0, 4, 2]
    assert [value(after, "groundswell_jobs", state=state, **where) for state in states] == [1, 1, 2, 2]
    assert value(after, "groundswell_read_bytes_total", **where) == 10
    assert value(after, "groundswell_written_bytes_total", **where) == 7
    assert value(after, "groundswell_attempts_repeated_total", **where) == 1
    assert value(after, "groundswell_store_retries_total", **where) == 2
    assert value(after, "groundswell_job_seconds_sum", **where) == 40
    assert value(after, "groundswell_job_seconds_bucket", le="30.0", **where) == 0
    assert value(after, "groundswell_job_seconds_bucket", le="60.0", **where) == 1
    assert value(after, "groundswell_workers", region="r") == 3
    assert value(after, "groundswell_cost_usd") == 1.5
    assert value(after, "groundswell_eta_seconds", **where) > 0
    assert value(after, "groundswell_run_info", **labels) == 1
    if sys.platform == "linux":
        assert value(after, "process_resident_memory_bytes") > 1e6
    assert says == []


def test_the_port_is_free_again_and_no_thread_is_left() -> None:
    port, threads = free_ports(1)[0], threading.active_count()
    for _ in range(2):
        with serve_metrics(MetricsConfig(port=port), Tally(Totals({})), {"run": "x"}, pytest.fail):
            scrape(port)
    assert threading.active_count() <= threads
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_port_that_is_taken_is_a_warning_that_names_it() -> None:
    says = list[str]()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve_metrics(MetricsConfig(port=port), Tally(Totals({})), {"run": "x"}, says.append) as metrics:
            metrics.ended(Outcome("dem/a/static", "r", "f", Status.DONE))
    assert len(says) == 1
    assert says[0].startswith(f"warning: run.metrics: 127.0.0.1:{port} cannot be listened on (")


def test_without_a_config_nothing_listens() -> None:
    threads = threading.active_count()
    with serve_metrics(None, Tally(Totals({})), {}, pytest.fail) as metrics:
        metrics.ended(Outcome("dem/a/static", "r", "f", Status.DONE))
        assert threading.active_count() == threads
