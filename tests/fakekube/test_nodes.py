"""Pods find a node or say why not; nodes that go take their pods along, with notice or without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakekube import ApiError, FakeKube
from tests.fakekube.manifests import deployment, pod, python
from tests.fakekube.waits import FOREVER, POLITE, ready, says, state

pytestmark = pytest.mark.long


def test_a_pod_that_fits_no_node_waits_and_says_why(kube: FakeKube, namespace: str) -> None:
    kube.apply(pod("big", python(FOREVER, resources={"requests": {"cpu": "1000"}})), namespace=namespace)
    kube.apply(pod("picky", python(FOREVER), nodeSelector={"test/zone": namespace}), namespace=namespace)
    kube.apply(pod("typo", {**python(FOREVER), "image": "missing:1"}), namespace=namespace)
    kube.until(lambda: len(kube.events(namespace)) == 3, 30)
    events = "\n".join(kube.events(namespace))
    assert "Pod/big FailedScheduling: 0/2 nodes are available: 2 Insufficient cpu." in events
    assert "Pod/picky FailedScheduling: 0/2 nodes are available: 2 node(s) didn't match" in events
    assert 'Pod/typo Failed: failed to pull image "missing:1"' in events
    assert state(kube, "typo", namespace, "waiting")["reason"] == "ErrImagePull"
    kube.add_node("zone", labels={"test/zone": namespace})
    try:
        says(kube, "picky", namespace, "up")
    finally:
        kube.remove_node("zone")
    assert kube.get("pods", "picky", namespace) is None, "a lost node takes its pods with it"


def test_an_eviction_heeds_the_disruption_budget(kube: FakeKube, namespace: str) -> None:
    kube.apply(deployment("d", python(POLITE)), namespace=namespace)
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "d"}}}
    kube.apply(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec},
        namespace=namespace,
    )
    (one,) = kube.until(ready(kube, namespace, 1), 30)
    with pytest.raises(ApiError, match="would violate the pod's disruption budget"):
        kube.evict(one["metadata"]["name"], namespace)
    kube.delete("poddisruptionbudgets", "b", namespace)
    kube.evict(one["metadata"]["name"], namespace)
    kube.until(lambda: kube.get("pods", one["metadata"]["name"], namespace) is None, 30)


def test_a_drained_node_gives_its_pods_the_time_of_their_hooks(kube: FakeKube, namespace: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    hook = {
        "preStop": {"exec": {"command": ["python", "-c", f"import time; time.sleep(0.5); open({str(told)!r}, 'w')"]}}
    }
    kube.add_node("going", labels={"test/zone": namespace})
    try:
        kube.apply(pod("p", python(POLITE, lifecycle=hook), nodeSelector={"test/zone": namespace}), namespace=namespace)
        says(kube, "p", namespace, "up")
        kube.drain("going")
        kube.until(lambda: kube.get("pods", "p", namespace) is None, 30, "the end of the pod")
        assert told.exists()
        kube.apply(pod("late", python(POLITE), nodeSelector={"test/zone": namespace}), namespace=namespace)
        kube.until(lambda: any("1 node(s) were unschedulable" in each for each in kube.events(namespace)), 30)
    finally:
        kube.remove_node("going")
