"""The real operator of dask-kubernetes runs clusters on the stand-in: up, wider, narrower, lost pods, gone."""

from __future__ import annotations

import json
import os

import pytest
from distributed import Client, Event

from tests.fakekube import ApiError, FakeKube
from tests.fakekube.errors import Json
from tests.fakekube.objects import holds
from tests.fakekube.tasks import held

pytestmark = pytest.mark.long

ROUTES = ["distributed.http.scheduler.info", "distributed.http.health", "distributed.http.scheduler.api"]
API = "kubernetes.dask.org/v1"


def part(name: str, *arguments: str) -> Json:
    """A pod of the cluster that answers for its health."""
    port = 8787 if name == "scheduler" else 8788
    container = {
        "name": name,
        "image": "groundswell:test",
        "args": ["dask", name, "--dashboard-address", f":{port}", *arguments],
        "ports": [{"name": "http-dashboard", "containerPort": port}],
        "readinessProbe": {"httpGet": {"port": "http-dashboard", "path": "/health"}},
        "env": [{"name": "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES", "value": json.dumps(ROUTES)}],
    }
    return {"containers": [container]}


def cluster(name: str) -> Json:
    ports = [
        {"name": "tcp-comm", "port": 8786, "protocol": "TCP", "targetPort": "8786"},
        {"name": "http-dashboard", "port": 8787, "protocol": "TCP", "targetPort": "http-dashboard"},
    ]
    selector = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    service = {"type": "ClusterIP", "selector": selector, "ports": ports}
    worker = part("worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1")
    spec = {
        "idleTimeout": 600,
        "scheduler": {"spec": part("scheduler"), "service": service},
        "worker": {"replicas": 1, "spec": worker},
    }
    return {"apiVersion": API, "kind": "DaskCluster", "metadata": {"name": name}, "spec": spec}


def test_a_cluster_comes_up_widens_survives_a_lost_worker_narrows_and_goes(
    operator: FakeKube, kube_dns: FakeKube, namespace: str
) -> None:
    kube = operator
    kube.apply(cluster("demo"), namespace=namespace)
    workers = "dask.org/component=worker"
    kube.until(lambda: sum(holds(each, "Ready") for each in kube.list("pods", namespace)) == 2, 60, "the cluster")
    stored = kube.get("daskclusters", "demo", namespace)
    assert stored and stored["spec"]["idleTimeout"] == 600
    spec = {"cluster": "demo", "minimum": 1, "maximum": 2}
    kube.apply(
        {"apiVersion": API, "kind": "DaskAutoscaler", "metadata": {"name": "demo"}, "spec": spec}, namespace=namespace
    )
    with Client(f"tcp://demo-scheduler.{namespace}:8786", set_as_default=False) as client:
        futures = client.map(held, range(60))
        pods = kube.until(lambda: (found := kube.list("pods", namespace, workers))[1:] and found, 60, "a second worker")
        kube.delete("pods", pods[0]["metadata"]["name"], namespace, grace_s=0)
        Event("go", client=client).set()
        assert sum(client.gather(futures)) == sum(range(60))
        assert client.submit(os.getenv, "FAKEKUBE_NAMESPACE").result() == namespace
        del futures
        kube.until(lambda: len(kube.list("pods", namespace, workers)) == 1, 60, "one worker again")
    kube.delete("daskclusters", "demo", namespace)
    kube.until(lambda: kube.everything(namespace) == [] and not kube.processes(namespace), 30, "the cluster's end")


def test_a_cluster_that_the_definitions_do_not_allow_is_refused(operator: FakeKube, namespace: str) -> None:
    wrong = cluster("demo")
    wrong["spec"]["worker"]["replicas"] = "3"
    wrong["spec"]["scheduler"]["spec"]["containers"][0]["imagee"] = "typo"
    with pytest.raises(ApiError, match=r"spec\.worker\.replicas: '3' is not of type 'integer'"):
        operator.create(wrong, namespace)
    wrong["spec"]["worker"]["replicas"] = 0
    made = operator.create(wrong, namespace)
    assert "imagee" not in made["spec"]["scheduler"]["spec"]["containers"][0], "what they do not know is dropped"
