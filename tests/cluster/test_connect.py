"""What stands between a run and its Kubernetes is said, with the region, and nothing waits without end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.backend import ClusterError
from cluster.connect import KubeError, kube_of, patient
from cluster.podstates import told
from tests.cluster.pod_specs import pod_spec


def kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }


@pytest.mark.parametrize(
    ("text", "context", "why"),
    [
        ("{", None, "ParserError"),
        ("current: nothing", None, "KeyError"),
        ("", None, "TypeError"),
        ("{apiVersion: v1, kind: Config, current-context: '', clusters: [], contexts: []}", None, "IndexError"),
        (yaml.safe_dump(kubeconfig("http://127.0.0.1:9")), "elsewhere", "No such context elsewhere"),
        (yaml.safe_dump(kubeconfig("http://127.0.0.1:9")), None, "ConnectError"),
    ],
)
def test_a_kubernetes_that_is_not_reached_is_named(tmp_path: Path, text: str, context: str | None, why: str) -> None:
    (tmp_path / "config").write_text(text)
    spec = pod_spec(kubeconfig=str(tmp_path / "config"), context=context)
    with (
        pytest.raises(
            ClusterError, match=rf"region eu-central-1: kubernetes.*{context or 'current context'}.*geo.*{why}"
        ),
        kube_of(spec),
    ):
        pass


@pytest.mark.parametrize(("status", "later"), [(None, True), (429, True), (503, True), (403, False), (404, False)])
def test_only_what_may_pass_is_waited_for(status: int | None, later: bool) -> None:
    def ask() -> bool:
        raise KubeError("no", status)

    if later:
        assert patient(ask)() is None
    else:
        with pytest.raises(KubeError):
            patient(ask)()


def pod(name: str, phase: str, *, ready: bool = False, waiting: str = "", unfit: str = "", gone: bool = False) -> Any:
    conditions = [{"type": "Ready", "status": str(ready)}]
    if unfit:
        conditions.append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unfit})
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    meta = {"name": name} | ({"deletionTimestamp": "2024-06-01T00:00:00Z"} if gone else {})
    return {
        "metadata": meta,
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": [{"state": state}]},
    }


def test_pods_are_told_by_phase_and_reason() -> None:
    pods = [
        pod("a", "Running", ready=True),
        pod("b", "Running", ready=True),
        pod("c", "Pending", waiting="ImagePullBackOff"),
        pod("d", "Pending", unfit="0/3 nodes are available"),
        pod("e", "Running", ready=True, gone=True),
    ]
    assert told(pods) == (
        "2 ready; c Pending (ImagePullBackOff); d Pending (Unschedulable: 0/3 nodes are available); e leaving"
    )
    assert told([]) == "none"
    assert told([pod(str(number), "Pending") for number in range(7)]).endswith("4 Pending; and 2 more")
