"""Which node takes a pod: requests, selectors, affinity and taints; and the words of the one that finds none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from tests.fakekube.errors import Json
from tests.fakekube.objects import finished, name_of
from tests.fakekube.selectors import match_expression

_UNITS: dict[str, int | Fraction] = {"": 1, "m": Fraction(1, 1000), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
COUNTED = ("cpu", "memory", "ephemeral-storage")


def quantity(text: str | float) -> Fraction:
    """A number of the API, such as `500m` or `2Gi`. Raises ValueError."""
    found = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)([a-zA-Z]*)", str(text))
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"quantity {text!r} is no number with a unit of {sorted(_UNITS)}")
    return Fraction(found[1]) * _UNITS[found[2]]


def requests(pod: Json) -> dict[str, Fraction]:
    """What a pod takes from its node: the sum of its containers, or its greediest init container."""
    spec = pod["spec"]

    def of(container: Json, name: str) -> Fraction:
        given = container.get("resources") or {}
        return quantity((given.get("requests") or {}).get(name) or (given.get("limits") or {}).get(name) or 0)

    return {
        name: max(
            sum((of(each, name) for each in spec["containers"]), Fraction(0)),
            *(of(each, name) for each in spec.get("initContainers") or ()),
            Fraction(0),
        )
        for name in COUNTED
    }


def place(pod: Json, nodes: Sequence[Json], pods: Iterable[Json]) -> tuple[str | None, str]:
    """Name of the node that takes the pod, or None and why none does."""
    taken: Counter[tuple[str, str]] = Counter()
    counts: Counter[str] = Counter()
    for each in pods:
        node = each["spec"].get("nodeName")
        if node and not finished(each):
            counts[node] += 1
            taken.update({(node, name): amount for name, amount in requests(each).items()})
    wanted = requests(pod)
    reasons: Counter[str] = Counter()
    for node in nodes:
        reason = _refusal(pod, node, wanted, taken)
        if reason is None:
            return name_of(node), ""
        reasons[reason] += 1
    words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return None, f"0/{len(nodes)} nodes are available: {words or 'there is no node'}."


def _refusal(
    pod: Json, node: Json, wanted: Mapping[str, Fraction], taken: Mapping[tuple[str, str], Fraction | int]
) -> str | None:
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, pod["spec"].get("tolerations") or ()):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not _selected(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    has = node["status"]["allocatable"]
    for name in COUNTED:
        if name in has and wanted[name] + taken.get((name_of(node), name), 0) > quantity(has[name]):
            return f"Insufficient {name}"
    return None


def _tolerated(taint: Json, tolerations: Sequence[Json]) -> bool:
    return any(
        each.get("effect") in {None, "", taint["effect"]}
        and (
            (each.get("operator") == "Exists" and each.get("key") in {None, "", taint["key"]})
            or (each.get("key") == taint["key"] and each.get("value", "") == taint.get("value", ""))
        )
        for each in tolerations
    )


def _selected(pod: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(
        all(match_expression(labels, each) for each in term.get("matchExpressions") or ())
        for term in required["nodeSelectorTerms"]
    )
