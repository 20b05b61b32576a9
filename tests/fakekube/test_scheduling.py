"""A pod goes to a node that has room, fits its selectors and whose taints it tolerates; else it is said why not."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.fakekube.errors import Json
from tests.fakekube.manifests import pod, python
from tests.fakekube.scheduling import place, quantity

SPOT = "karpenter.sh/capacity-type"


def node(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Json:
    allocatable = {"cpu": "4", "memory": "8Gi"}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"allocatable": allocatable},
    }


def asking(cpu: str = "1", memory: str = "1Gi", **spec: Any) -> Json:
    resources = {"requests": {"cpu": cpu}, "limits": {"memory": memory}}
    return {**pod("p", python("pass", resources=resources), **spec), "status": {}}


@pytest.mark.parametrize(
    ("text", "value"), [("500m", Fraction(1, 2)), ("2Gi", Fraction(2**31)), ("1e3", Fraction(1000)), (3, Fraction(3))]
)
def test_quantities(text: str | int, value: Fraction) -> None:
    assert quantity(text) == value


def test_a_quantity_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="'4 GB' is no number"):
        quantity("4 GB")


def test_requests_of_running_pods_count_and_those_of_finished_ones_do_not() -> None:
    running = asking(cpu="3500m")
    running["spec"]["nodeName"] = "a"
    assert place(asking(), [node("a")], [running]) == (None, "0/1 nodes are available: 1 Insufficient cpu.")
    assert place(asking(), [node("a"), node("b")], [running])[0] == "b"
    running["status"]["phase"] = "Succeeded"
    assert place(asking(), [node("a")], [running])[0] == "a"
    assert "Insufficient memory" in place(asking(memory="9Gi"), [node("a")], [])[1]


def test_affinity_and_selector_choose_the_node() -> None:
    nodes = [node("a", {SPOT: "spot"}), node("b", {SPOT: "on-demand"}), node("c")]
    term = {"matchExpressions": [{"key": SPOT, "operator": "NotIn", "values": ["spot"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    assert place(asking(affinity={"nodeAffinity": required}), nodes, [])[0] == "b"
    assert place(asking(nodeSelector={SPOT: "spot"}), nodes, [])[0] == "a"
    none = place(asking(nodeSelector={"zone": "x"}), nodes, [])
    assert none == (None, "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.")


def test_taints_need_tolerations() -> None:
    taint = {"key": "spot", "value": "yes", "effect": "NoSchedule"}
    tainted = [node("a", taints=[taint])]
    assert "untolerated taint {spot: yes}" in place(asking(), tainted, [])[1]
    for toleration in ({"key": "spot", "operator": "Exists"}, {"key": "spot", "value": "yes"}, {"operator": "Exists"}):
        assert place(asking(tolerations=[toleration]), tainted, [])[0] == "a"
    assert "unschedulable" in place(asking(), [node("a", unschedulable=True)], [])[1]
    assert place(asking(), [], [])[1] == "0/0 nodes are available: there is no node."
