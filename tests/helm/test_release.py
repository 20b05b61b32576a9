"""Releases of the chart, by Helm itself on a stand-in for Kubernetes: their whole life, and that nothing stays."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from cluster.backend import ClusterError, backend_of, open_cluster
from cluster.chart import chart_of, secret_of
from cluster.connect import Kube, KubeError
from cluster.labels import RENEWED, owner, resource_name
from cluster.manifest import secret
from cluster.pods import service_host
from cluster.spec import HelmSpec
from cluster.tls import issue
from tests.demo_runs import REGIONS, run_demo, run_locally
from tests.fakekube import FakeKube

pytestmark = pytest.mark.long

IMAGE = "groundswell:test"
WAIT: dict[str, Any] = {"wait": "watcher", "timeout": 90}


def spec_in(kube: FakeKube, namespace: str, **changes: Any) -> HelmSpec:
    """Small pods, and short times."""
    fields = {
        "name": "geo",
        "backend": "helm",
        "region": "eu-central-1",
        "workers": 3,
        "minimum": 1,
        "threads": 1,
        "worker_memory_bytes": 2**30,
        "scheduler_memory_bytes": 2**30,
        "run": "run-1",
        "image": IMAGE,
        "kubeconfig": str(kube.kubeconfig),
        "context": kube.context,
        "namespace": namespace,
        "grace_s": 10,
        "start_timeout_s": 90.0,
        "stop_timeout_s": 150.0,
    }
    return HelmSpec(**{**fields, **changes})


def values(minimum: int, **env: str) -> dict[str, Any]:
    """Of a release without the operator."""
    return {
        "image": {"reference": IMAGE},
        "autoscaling": {"mode": "none", "minimum": minimum},
        "scheduler": {"memory": "1Gi"},
        "worker": {"threads": 1, "cores": 1, "memory": "1Gi", "graceSeconds": 10, "env": env},
    }


def workers(kube: FakeKube, namespace: str) -> list[dict[str, Any]]:
    """Pods of workers that stay."""
    pods = kube.list("pods", namespace, "app.kubernetes.io/component=worker")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def steps(kube: FakeKube, namespace: str) -> list[str | None]:
    """The variable STEP of each worker."""
    environs = [
        {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        for pod in workers(kube, namespace)
    ]
    return [environ.get("STEP") for environ in environs]


@pytest.fixture
def config(kube: FakeKube, namespace: str) -> Iterator[helm.Config]:
    with helm.Config(kubeconfig_path=kube.kubeconfig, namespace=namespace) as config:
        yield config


def test_a_release_is_installed_upgraded_rolled_back_tested_and_uninstalled(
    kube: FakeKube, namespace: str, config: helm.Config
) -> None:
    """And meanwhile runs use it, which do not end it; and no `gc` sees it."""
    spec = spec_in(kube, namespace, run="", release="geo")
    chart = chart_of(spec)
    kube.apply(secret(spec, issue("geo", [service_host(spec, "geo")]).secret()), namespace=namespace)

    config.install(chart, "geo", values(1), **WAIT)
    assert steps(kube, namespace) == [None]
    config.upgrade(chart, "geo", values(2, STEP="two"), **WAIT)
    assert steps(kube, namespace) == ["two", "two"]
    with pytest.raises(helm.HelmReleaseError, match="at '/autoscaling/minimum': minimum: got -1"):
        config.upgrade(chart, "geo", values(-1), **WAIT)
    assert config.status("geo")["revision"] == 2

    config.rollback("geo", version=1, **WAIT)
    assert steps(kube, namespace) == [None]
    assert [one["status"] for one in config.history("geo")] == ["superseded", "superseded", "deployed"]
    assert "'tls://" in config.test("geo", timeout=120, logs=True)["logs"]

    with open_cluster(spec) as client:
        assert client.submit(sum, [19, 23]).result(timeout=60) == 42
    assert backend_of(spec).find(spec) == []
    assert config.status("geo")["status"] == "deployed"

    config.uninstall("geo", **WAIT)
    kube.until(lambda: kube.everything(namespace) == ["Secret/geo-tls"], what="nothing but what we made ourselves")
    kube.until(lambda: not kube.processes(namespace), what="no process")


def test_a_release_of_a_run_follows_its_work_and_leaves_nothing(operator: FakeKube, namespace: str) -> None:
    spec = spec_in(operator, namespace)
    with open_cluster(spec) as client:
        futures = client.map(time.sleep, [0.5] * 60, pure=False)
        operator.until(lambda: len(workers(operator, namespace)) == 3, what="three workers for much work")
        [found] = backend_of(spec).find(spec)
        assert (found.name, found.run, found.owner) == (resource_name(spec), "run-1", owner())
        lease = operator.get("Secret", secret_of(found.name), namespace)
        assert lease is not None and RENEWED in lease["metadata"]["annotations"]
        client.gather(futures)
        del futures
        operator.until(lambda: len(workers(operator, namespace)) == 1, what="one worker for no work")
    operator.until(lambda: not operator.everything(namespace), what="nothing, a moment later")
    assert operator.processes(namespace) == []


def test_the_demo_as_releases_gives_the_bytes_of_the_demo_on_this_machine(
    operator: FakeKube, namespace: str, demo_world: Path, tmp_path: Path
) -> None:
    """Two regions are two releases at once, and each region's jobs run in its own."""
    section = {
        "backend": "helm",
        "image": IMAGE,
        "kubeconfig": str(operator.kubeconfig),
        "context": operator.context,
        "namespace": namespace,
        "workers": [1, 2],
        "threads": 1,
        "worker_memory": "1GiB",
        "scheduler_memory": "1GiB",
        "grace_s": 10,
    }
    wanted = run_locally(demo_world)  # first, so that the kernels are compiled, as they are in an image
    ran = run_demo(demo_world, tmp_path / "output", {"default": section})
    assert ran.digests == wanted
    assert {*ran.workers()} == {*REGIONS}
    names = [(region, name) for region, done in ran.workers().items() for name in done]
    assert all(name.startswith(f"demo-{region}-") for region, name in names)
    operator.until(lambda: not operator.everything(namespace), what="nothing, a moment later")


def test_a_cluster_that_cannot_come_up_says_why_and_leaves_nothing(kube: FakeKube, namespace: str) -> None:
    spec = spec_in(
        kube,
        namespace,
        image="registry.example.org/missing:1",
        values={"autoscaling": {"mode": "none"}},
        start_timeout_s=8,
    )
    with pytest.raises(ClusterError, match=r"region eu-central-1.*within 8 s .*ErrImagePull"), open_cluster(spec):
        pass
    assert kube.everything(namespace) == []


def test_a_run_that_is_to_end_waits_for_no_cluster(kube: FakeKube, namespace: str) -> None:
    spec = spec_in(kube, namespace, image="registry.example.org/missing:1", values={"autoscaling": {"mode": "none"}})
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    with pytest.raises(ClusterError, match=r"region eu-central-1: .*asked to end"), open_cluster(spec, stop):
        pass
    assert kube.everything(namespace) == []


def test_a_release_that_is_not_there_is_named(kube: FakeKube, namespace: str) -> None:
    spec = spec_in(kube, namespace, release="shared")
    with pytest.raises(ClusterError, match=r"helm release shared .*not found: install it"), open_cluster(spec):
        pass


def test_a_release_that_cannot_be_used_says_what_it_lacks(
    kube: FakeKube, namespace: str, config: helm.Config, tmp_path: Path
) -> None:
    """At once, and it is left as it is."""
    spec = spec_in(kube, namespace, release="shared")
    config.install(chart_of(spec), "shared", values(1))
    with (
        pytest.raises(ClusterError, match=r"has no ca.crt, .* in its secret shared-tls: `helm get notes"),
        open_cluster(spec),
    ):
        pass
    config.upgrade(chart_of(spec), "shared", {**values(1), "cluster": {"enabled": False}})
    with pytest.raises(ClusterError, match=r"has no cluster: set cluster\.enabled"), open_cluster(spec):
        pass
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: other, version: 0.1.0}")
    config.upgrade(tmp_path, "shared", reset_values=True)
    with pytest.raises(ClusterError, match=r"helm release shared .* is of another chart"), open_cluster(spec):
        pass
    assert config.status("shared")["status"] == "deployed"
    config.uninstall("shared")


def test_a_standing_cluster_that_went_is_made_again_by_an_upgrade(
    operator: FakeKube, namespace: str, config: helm.Config
) -> None:
    """As it goes after its idle time: a run says so at once, and does not wait for it."""
    spec = spec_in(operator, namespace, release="geo")
    chart, dask = chart_of(spec), {**values(1), "autoscaling": {"mode": "dask", "minimum": 1, "maximum": 1}}
    operator.apply(secret(replace(spec, run=""), issue("geo").secret()), namespace=namespace)
    config.install(chart, "geo", dask)
    operator.until(lambda: workers(operator, namespace), what="a worker")
    operator.delete("DaskCluster", "geo", namespace)
    operator.until(lambda: operator.get("DaskCluster", "geo", namespace) is None, what="no cluster")
    with (
        pytest.raises(ClusterError, match=r"has lost its DaskCluster, .* `helm upgrade` makes it again"),
        open_cluster(spec),
    ):
        pass
    config.upgrade(chart, "geo", dask)
    with open_cluster(spec) as client:
        assert client.submit(sum, [19, 23]).result(timeout=60) == 42
    config.uninstall("geo", **WAIT)


def test_what_a_dead_driver_left_is_found_and_removed(kube: FakeKube, namespace: str) -> None:
    """No idle time ends a release without the operator: `gc` does."""
    spec = spec_in(kube, namespace, values={"autoscaling": {"mode": "none"}})
    _die(spec, "")
    [found] = backend_of(spec).find(spec)
    assert (found.name, found.backend, found.run) == (resource_name(spec), "helm", "run-1")
    assert f"Secret/{secret_of(found.name)}" in kube.everything(namespace)
    backend_of(spec).remove(spec, found)
    assert kube.everything(namespace) == []
    assert backend_of(spec).find(spec) == []


def test_a_driver_that_died_before_its_release_was_there_leaves_nothing_that_is_not_found(
    kube: FakeKube, namespace: str
) -> None:
    """A run that is resumed says what is in its way, and does not touch it."""
    spec = spec_in(kube, namespace, values={"autoscaling": {"mode": "none"}})
    _die(spec, "helm_python.Config.install = lambda *_, **__: os._exit(9)")
    [found] = backend_of(spec).find(spec)
    assert (found.name, found.run, found.owner, found.workers) == (resource_name(spec), "run-1", owner(), 0)
    with (
        pytest.raises(ClusterError, match=r"Secret .* is there already .*`groundswell cluster gc`"),
        open_cluster(spec),
    ):
        pass
    assert kube.everything(namespace) == [f"Secret/{secret_of(found.name)}"]
    backend_of(spec).remove(spec, found)
    assert kube.everything(namespace) == []


def _die(spec: HelmSpec, at: str) -> None:
    """A driver that is killed when its cluster is open, or sooner. at: a statement before it opens."""
    driver = f"""\
import os, threading
import helm_python
from cluster.backend import backend_of
from cluster.spec import HelmSpec
{at}
with backend_of(spec := {spec!r}).open(spec, threading.Event()):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", driver], check=False, timeout=120).returncode == 9


def test_a_release_whose_end_is_refused_for_a_moment_is_ended_all_the_same(
    kube: FakeKube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the driver never heard that its secret is stored."""
    spec = spec_in(kube, namespace, values={"autoscaling": {"mode": "none"}})
    create, uninstall, tried = Kube.create, helm.Config.uninstall, []

    def unheard(self: Kube, manifest: Mapping[str, Any]) -> dict[str, Any]:
        create(self, manifest)
        raise KubeError("the line broke")

    def later(self: helm.Config, *arguments: Any, **named: Any) -> Any:
        tried.append(arguments)
        if len(tried) == 1:
            raise helm.HelmKubeError("the server is currently unable to handle the request")
        return uninstall(self, *arguments, **named)

    monkeypatch.setattr(Kube, "create", unheard)
    monkeypatch.setattr(helm.Config, "uninstall", later)
    with pytest.raises(ClusterError, match="the line broke"), open_cluster(spec):
        pass
    assert len(tried) > 1
    assert kube.everything(namespace) == []
