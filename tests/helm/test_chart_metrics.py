"""What watches a cluster asks for figures that Dask gives, and scales by them without haste."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import dask
import pytest
import yaml
from distributed import Client, LocalCluster

from pipeline.config import MetricsConfig
from pipeline.execute.progress.metrics import serve_metrics
from pipeline.execute.records.tally import Tally, Totals
from pipeline.types import Outcome, Status
from tests.helm.charts import CHART, NAMESPACE, RELEASE, by_name, documents, made, parsed, pods, selects
from tests.servers.weed import free_ports

METRIC = re.compile(r"\b(?:dask|groundswell)_[a-z_]+")


@pytest.fixture(scope="module")
def exposed() -> dict[str, frozenset[str]]:
    """Names of the metrics of a real scheduler, worker and run, each with its labels."""
    routes = {
        "distributed.scheduler.http.routes": ["distributed.http.scheduler.prometheus"],
        "distributed.worker.http.routes": ["distributed.http.worker.prometheus"],
    }
    local = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "scheduler_kwargs": {"dashboard": False}}
    with (
        dask.config.set(routes),
        LocalCluster(dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0", **local) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.submit(sum, [1, 2]).result(timeout=30)
        texts = [_metrics(server.http_server.port) for server in (cluster.scheduler, *cluster.workers.values())]
    tally, port = Tally(Totals({("r", "dem"): 1}), usd=lambda: 1.0), free_ports(1)[0]
    tally.ended(Outcome("dem/t/static", "r", "f", Status.DONE))
    with serve_metrics(MetricsConfig(port=port), tally, {"run": "r1"}, pytest.fail):
        texts.append(_metrics(port))
    lines = re.findall(r"^((?:dask|groundswell)_\w+)(?:\{(.*?)\})? ", "\n".join(texts), re.MULTILINE)
    return {name: frozenset(re.findall(r'(\w+)="', labels)) for name, labels in lines}


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def queries() -> list[str]:
    """Of the dashboard, of the alerts and of the HorizontalPodAutoscaler."""
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [one["query"]["query"] for one in board["templating"]["list"] if isinstance(one["query"], dict)]
    rules = made("locked-down")[f"PrometheusRule/{RELEASE}"]["spec"]["groups"][0]["rules"]
    scaler = made("hpa")[f"HorizontalPodAutoscaler/{RELEASE}-worker"]["spec"]["metrics"][0]["external"]["metric"]
    return [*found, *(rule["expr"] for rule in rules), scaler["name"]]


@pytest.mark.parametrize("query", queries())
def test_what_is_asked_for_is_given(query: str, exposed: dict[str, frozenset[str]]) -> None:
    """The names, and the labels by which they are chosen and summed beside those that Prometheus adds."""
    added = {"namespace", "service", "pod"}
    for name in METRIC.findall(query):
        assert name in exposed
    for name, chosen in re.findall(r"\b((?:dask|groundswell)_[a-z_]+)\{(.*?)\}", query):
        assert set(re.findall(r"(\w+)[!=~]+\"", chosen)) <= exposed[name] | added
    for summed in re.findall(r"by \((.*?)\)", query):
        (name, *_) = METRIC.findall(query)
        assert set(summed.split(", ")) <= exposed[name] | added


def test_monitors_find_the_service_and_the_pods_and_workers_are_told_apart_by_it() -> None:
    found = made("hpa")
    service = found[f"Service/{RELEASE}-scheduler"]
    watch = found[f"ServiceMonitor/{RELEASE}-scheduler"]["spec"]
    assert selects(watch["selector"], service["metadata"]["labels"])
    assert {one["port"] for one in watch["endpoints"]} <= {one["name"] for one in service["spec"]["ports"]}
    each = found[f"PodMonitor/{RELEASE}-worker"]["spec"]
    chosen = [pod for pod in pods(documents("hpa")) if selects(each["selector"], pod.labels)]
    assert {pod.component for pod in chosen} == {"worker"}
    (endpoint,) = each["podMetricsEndpoints"]
    assert endpoint["port"] in {one["name"] for one in chosen[0].container["ports"]}
    assert endpoint["relabelings"][0]["replacement"] == service["metadata"]["name"]


def test_a_runner_shows_its_own_numbers_where_its_config_says_so() -> None:
    """From outside of its pod, which is what the config's default does not do; and nothing without a port."""
    found = made("locked-down")
    config = yaml.safe_load(found[f"ConfigMap/{RELEASE}-runner"]["data"]["config.yaml"])
    assert config["run"]["metrics"] == {"port": 9400, "host": "0.0.0.0"}  # noqa: S104 (in a pod, behind a policy)
    monitor = found[f"PodMonitor/{RELEASE}-runner"]["spec"]
    (runner,) = [pod for pod in pods(documents("locked-down")) if selects(monitor["selector"], pod.labels)]
    (port,) = runner.container["ports"]
    assert (runner.component, port["containerPort"]) == ("runner", 9400)
    assert [one["port"] for one in monitor["podMetricsEndpoints"]] == [port["name"]]
    assert f"PodMonitor/{RELEASE}-runner" not in made("none")
    assert all("ports" not in pod.container for pod in pods(documents("none")) if pod.component == "runner")


def test_a_service_that_the_operator_makes_is_found_too() -> None:
    """It has the DaskCluster's labels and its scheduler's."""
    from dask_kubernetes.operator.controller.controller import build_scheduler_service_spec  # noqa: PLC0415 (slow)

    cluster = made("locked-down")[f"DaskCluster/{RELEASE}"]
    scheduler = cluster["spec"]["scheduler"]
    labels = cluster["metadata"]["labels"] | scheduler["metadata"]["labels"]
    service: Any = build_scheduler_service_spec(RELEASE, scheduler["service"], {}, labels)
    assert selects(
        made("locked-down")[f"ServiceMonitor/{RELEASE}-scheduler"]["spec"]["selector"], service["metadata"]["labels"]
    )


def test_nobody_is_alarmed_by_workers_that_may_not_come() -> None:
    """A cluster has at most as many as its values say, whatever its scheduler would like."""
    for mode, most in (("dask", 40), ("none", 2)):
        values = {"autoscaling": {"mode": mode, "minimum": 2, "maximum": 40}, "metrics": {"alerts": True}}
        rules = by_name(parsed(values))[f"PrometheusRule/{RELEASE}"]["spec"]["groups"][0]["rules"]
        (few,) = [rule["expr"] for rule in rules if rule["alert"] == "GroundswellTooFewWorkers"]
        assert few.endswith(f", {most})")


def test_workers_follow_what_the_scheduler_asks_for_and_leave_one_by_one() -> None:
    """They hold results: never by processor or memory, never many at once, never at the first lull."""
    scaler = made("hpa")[f"HorizontalPodAutoscaler/{RELEASE}-worker"]["spec"]
    (metric,) = scaler["metrics"]
    assert (metric["type"], metric["external"]["metric"]["name"]) == ("External", "dask_scheduler_desired_workers")
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {
        "namespace": NAMESPACE,
        "service": f"{RELEASE}-scheduler",
    }
    down = scaler["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 600
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 40)
    assert "replicas" not in made("hpa")[f"Deployment/{RELEASE}-worker"]["spec"], "an upgrade would undo what it did"


def test_the_dashboard_is_found_and_its_panels_do_not_overlap() -> None:
    held = made("locked-down")[f"ConfigMap/{RELEASE}-dashboard"]
    assert held["metadata"]["labels"]["grafana_dashboard"] == "1"
    board = json.loads(held["data"]["groundswell.json"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert max(x for x, _ in cells) < 24
