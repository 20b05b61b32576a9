"""The chart's runner at work, on a stand-in for Kubernetes: a Job and a CronJob drive the release's own cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from cluster.backend import backend_of, open_cluster
from cluster.connect import KINDS, Kube
from cluster.podstates import is_ready
from cluster.tls import issue
from tests.cluster.pod_specs import pod_spec
from tests.demo_runs import CONFIG, digests_of, run_locally
from tests.fakekube import FakeKube
from tests.helm.charts import CHART, RELEASE, made

pytestmark = pytest.mark.long

NAME = "waves"


def demo(world: Path, output: Path) -> dict[str, Any]:
    """The demo's config without a word of clusters."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    del config["clusters"]
    for name, source in config["sources"].items():
        source.update({"gdac": f"{world}/argo"} if "gdac" in source else {"items": f"{world}/{name}/collection.json"})
    period = {key: str(value) for key, value in config["period"].items()}  # Helm takes JSON, which has no dates
    return {**config, "output": str(output), "period": period}


def prepared(kube: FakeKube, namespace: str, **autoscaling: Any) -> dict[str, Any]:
    """Values of a small release whose secret is there."""
    secret = {"metadata": {"name": f"{NAME}-tls"}, "stringData": issue(NAME).secret()}
    kube.apply({"apiVersion": "v1", "kind": "Secret", **secret}, namespace=namespace)
    small = {"cores": 1, "memory": "1Gi"}
    return {
        "image": {"reference": "groundswell:test"},
        "autoscaling": autoscaling,
        "scheduler": small,
        "worker": {**small, "threads": 1, "graceSeconds": 5},
    }


def finished(kube: FakeKube, namespace: str, job: str) -> None:
    """Wait for a Job; fails with what its pod said where it failed."""

    def ended() -> set[str]:
        status = (kube.get("Job", job, namespace) or {}).get("status", {})
        return {one["type"] for one in status.get("conditions", []) if one["status"] == "True"}

    kube.until(lambda: ended() & {"Complete", "Failed"}, timeout_s=150, what=f"the end of Job {job}")
    pods = [pod["metadata"]["name"] for pod in kube.list("pods", namespace, f"batch.kubernetes.io/job-name={job}")]
    assert "Complete" in ended(), [kube.logs(pod, namespace) for pod in pods]


def test_the_runner_makes_the_demo_on_its_release_and_finds_it_done_the_next_night(
    kube: FakeKube, namespace: str, demo_world: Path, tmp_path: Path
) -> None:
    """The bytes of a run on this machine; a second run by the clock skips all of it."""
    output = tmp_path / "output"
    runner = {"enabled": True, "config": demo(demo_world, output), "memory": "1Gi"}
    values = {**prepared(kube, namespace, mode="none", minimum=2), "runner": runner}
    with helm.Config(kubeconfig_path=kube.kubeconfig, namespace=namespace) as config:
        config.install(CHART, NAME, values)
        finished(kube, namespace, f"{NAME}-run-1")
        first = digests_of(output)
        assert first == run_locally(demo_world)

        config.upgrade(CHART, NAME, {**values, "runner": {**runner, "schedule": "0 3 * * *"}})
        finished(kube, namespace, kube.run_cronjob(f"{NAME}-runner", namespace))
        assert digests_of(output) == first
        assert len({*(output / "runs").iterdir()}) == 2
        config.uninstall(NAME)
    kube.until(lambda: kube.everything(namespace) == [f"Secret/{NAME}-tls"], what="nothing but the secret that we made")


def test_an_idle_cluster_ends_by_itself_and_the_next_upgrade_makes_it_again(operator: FakeKube, namespace: str) -> None:
    """As the notes say; with the DaskCluster goes all that the operator made of it."""
    values = {**prepared(operator, namespace, minimum=1, maximum=2), "idleTimeoutSeconds": 5}
    selector = "app.kubernetes.io/component in (scheduler,worker)"

    def pods() -> int:
        return len(operator.list("pods", namespace, selector))

    def ready() -> int:
        return sum(map(is_ready, operator.list("pods", namespace, selector)))

    with helm.Config(kubeconfig_path=operator.kubeconfig, namespace=namespace) as config:
        config.install(CHART, NAME, values)
        operator.until(lambda: pods() == 2, what="a scheduler and a worker")
        operator.until(lambda: not pods() and not operator.get("DaskCluster", NAME, namespace), what="its end")
        assert config.status(NAME)["status"] == "deployed"
        config.upgrade(CHART, NAME, values | {"idleTimeoutSeconds": 0})
        operator.until(lambda: pods() == ready() == 2, what="a scheduler and a worker again")
        config.uninstall(NAME)
    left = [f"Secret/{NAME}-tls"]
    # What the operator fails at, as where an uninstall overtakes it, it tries again a minute later.
    operator.until(lambda: operator.everything(namespace) == left, 150, what="nothing but the secret that we made")


def test_a_runner_may_do_what_making_a_cluster_takes_and_nothing_else(
    operator: FakeKube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every right of its Role is used by a run on the kubernetes backend, and no other is."""
    used: set[tuple[str, str]] = set()
    ask, forwarded = Kube._ask, Kube.forwarded

    def noted(kube: Kube, method: str, kind: str, name: str, **more: Any) -> Any:
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "GET": "get" if name else "list"}[method]
        used.add((KINDS[kind][1], verb))
        return ask(kube, method, kind, name, **more)

    def through(kube: Kube, pod: str, port: int) -> Any:
        used.update({("pods/portforward", "create"), ("pods/portforward", "get")})  # SPDY posts, WebSocket gets
        return forwarded(kube, pod, port)

    monkeypatch.setattr(Kube, "_ask", noted)
    monkeypatch.setattr(Kube, "forwarded", through)
    spec = pod_spec(
        kubeconfig=str(operator.kubeconfig),
        context=operator.context,
        namespace=namespace,
        connect="port-forward",
        grace_s=5,
        workers=2,
        idle_timeout_s=4,  # so that its lease is renewed meanwhile
    )
    with open_cluster(spec) as client:
        assert client.submit(sum, [19, 23]).result(timeout=60) == 42
        assert len(backend_of(spec).find(spec)) == 1
        operator.until(lambda: ("daskclusters", "patch") in used, what="a lease that is renewed")
    rules = made("drivers")[f"Role/{RELEASE}-runner"]["rules"]
    assert used == {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
