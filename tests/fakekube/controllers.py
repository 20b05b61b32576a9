"""The controllers that keep what specs ask for: workloads, jobs, endpoints, namespaces, garbage, and the scheduler."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakekube import objects
from tests.fakekube.errors import ApiError, Json
from tests.fakekube.scheduling import place
from tests.fakekube.selectors import match_selector
from tests.fakekube.states import conditions
from tests.fakekube.store import Store

_HASH = "pod-template-hash"


def collect_garbage(store: Store) -> None:
    """What has owners and none of them exists is deleted; a namespace goes when nothing is left in it."""
    known = {value["metadata"]["uid"] for _, value in store.every()}
    for _, value in store.every():
        owners = value["metadata"].get("ownerReferences")
        if owners and not objects.ending(value) and not any(each["uid"] in known for each in owners):
            store.delete(value)
    for namespace in store.list("namespaces"):
        if objects.ending(namespace):
            name = objects.name_of(namespace)
            inside = [value for _, value in store.every() if objects.namespace_of(value) == name]
            for value in inside:
                if not objects.ending(value):
                    store.delete(value)
            if not inside:
                store.remove(namespace)


def schedule(store: Store) -> None:
    """Give each pod that waits a node, or say why none takes it."""
    nodes = store.list("nodes")
    for pod in store.list("pods"):
        if pod["spec"].get("nodeName") or objects.ending(pod):
            continue
        node, reason = place(pod, nodes, store.list("pods"))
        if node is not None:
            store.set_spec(pod, nodeName=node)
            continue
        unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": reason}
        store.set_status(pod, {"conditions": [unplaced]})
        store.event(pod, "FailedScheduling", reason)


def make_pod(store: Store, owner: Json, template: Json, name: Mapping[str, str], labels: Mapping[str, str]) -> Json:
    """A pod of a workload. name: `name` or `generateName`."""
    meta = copy.deepcopy(template.get("metadata") or {})
    for each in ("name", "generateName", "creationTimestamp"):
        meta.pop(each, None)
    meta |= {**name, "ownerReferences": [objects.owner_reference(owner)]}
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    pod = {"metadata": meta, "spec": copy.deepcopy(template["spec"])}
    return store.create(store.resources.get("v1", "pods"), objects.namespace_of(owner), pod)


def template_hash(template: Json) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def run_each(store: Store, kind: str, run: Callable[[Store, Json], None]) -> None:
    """Run a controller for each object of a kind that is not ending; what the API refuses is an event of it."""
    for each in store.list(kind):
        if not objects.ending(each):
            try:
                run(store, each)
            except ApiError as error:
                store.event(each, "FailedCreate", error.message)


def run_deployments(store: Store) -> None:
    run_each(store, "deployments", _run_deployment)


def _run_deployment(store: Store, owner: Json) -> None:
    """As many pods of the template as asked for; old ones go when new ones are ready, with Recreate before."""
    spec, wanted = owner["spec"], owner["spec"]["replicas"]
    digest = template_hash(spec["template"])
    mine = [
        pod
        for pod in store.list("pods", objects.namespace_of(owner))
        if objects.owned_by(pod, owner) and not objects.ending(pod)
    ]
    for pod in mine:
        if objects.finished(pod):
            store.delete(pod, 0)
    living = [pod for pod in mine if not objects.finished(pod)]
    new = [pod for pod in living if pod["metadata"]["labels"].get(_HASH) == digest]
    old = [pod for pod in living if pod not in new]
    recreate = (spec.get("strategy") or {}).get("type") == "Recreate"
    ready = sum(objects.holds(pod, "Ready") for pod in new)
    for pod in old if recreate else old[: max(0, len(old) - max(0, wanted - ready))]:
        store.delete(pod)
    ended = [pod for pod in store.list("pods", objects.namespace_of(owner)) if objects.owned_by(pod, owner)]
    if not recreate or not any(pod["metadata"]["labels"].get(_HASH) != digest for pod in ended):
        for _ in range(wanted - len(new)):
            name = {"generateName": f"{objects.name_of(owner)}-{digest}-"}
            make_pod(store, owner, spec["template"], name, {_HASH: digest})
    for pod in sorted(new, key=_cheapest)[: max(0, len(new) - wanted)]:
        store.delete(pod)
    _tell(store, owner, new, old)


def _cheapest(pod: Json) -> tuple[bool, int, int]:
    """Order in which pods are given up: not ready, then by their deletion cost, then the youngest."""
    cost = (pod["metadata"].get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", "0")
    return objects.holds(pod, "Ready"), int(cost), -int(pod["metadata"]["resourceVersion"])


def _tell(store: Store, owner: Json, new: list[Json], old: list[Json]) -> None:
    wanted = owner["spec"]["replicas"]
    ready = sum(objects.holds(pod, "Ready") for pod in [*new, *old])
    known = conditions(owner, {"Available": ready >= wanted, "Progressing": True})
    known[1]["reason"] = "NewReplicaSetAvailable" if len(new) == wanted == ready and not old else "ReplicaSetUpdated"
    counts: dict[str, Any] = {
        "replicas": len(new) + len(old),
        "updatedReplicas": len(new),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, wanted - ready) or None,
        "observedGeneration": owner["metadata"]["generation"],
    }
    store.set_status(owner, {**counts, "conditions": known})


def run_stateful_sets(store: Store) -> None:
    """Pods with numbers for names; all at once, as with podManagementPolicy Parallel."""
    run_each(store, "statefulsets", _run_stateful_set)


def _run_stateful_set(store: Store, owner: Json) -> None:
    spec, wanted, name = owner["spec"], owner["spec"]["replicas"], objects.name_of(owner)
    digest = template_hash(spec["template"])
    mine = [pod for pod in store.list("pods", objects.namespace_of(owner)) if objects.owned_by(pod, owner)]
    names = {f"{name}-{number}" for number in range(wanted)}
    for pod in mine:
        stale = pod["metadata"]["labels"].get("controller-revision-hash") != digest
        if not objects.ending(pod) and (objects.name_of(pod) not in names or stale or objects.finished(pod)):
            store.delete(pod)
    for each in sorted(names - {objects.name_of(pod) for pod in mine}):
        labels = {"controller-revision-hash": digest, "statefulset.kubernetes.io/pod-name": each}
        make_pod(store, owner, spec["template"], {"name": each}, labels)
    ready = sum(objects.holds(pod, "Ready") for pod in mine if not objects.ending(pod))
    counts = dict.fromkeys(("readyReplicas", "availableReplicas", "updatedReplicas", "currentReplicas"), ready)
    revision = {"currentRevision": digest, "updateRevision": digest}
    generation = owner["metadata"]["generation"]
    store.set_status(owner, {**counts, **revision, "replicas": len(mine), "observedGeneration": generation})


def disruption_refused(store: Store, pod: Json) -> str | None:
    """Why the eviction of a pod would break a PodDisruptionBudget; None where it may go."""
    place = objects.namespace_of(pod)
    for budget in store.list("poddisruptionbudgets", place):
        selector = budget["spec"].get("selector")
        if not match_selector(pod["metadata"].get("labels"), selector):
            continue
        covered = [
            each for each in store.list("pods", place) if match_selector(each["metadata"].get("labels"), selector)
        ]
        healthy = sum(objects.holds(each, "Ready") and not objects.ending(each) for each in covered)
        spec = budget["spec"]
        if "minAvailable" in spec:
            least = _share(spec["minAvailable"], len(covered))
        else:
            least = len(covered) - _share(spec.get("maxUnavailable", 0), len(covered))
        if objects.holds(pod, "Ready") and healthy - 1 < least:
            name = objects.name_of(budget)
            return (
                f"Cannot evict pod as it would violate the pod's disruption budget. "
                f"The disruption budget {name} needs {least} healthy pods and has {healthy} currently"
            )
    return None


def _share(given: int | str, total: int) -> int:
    """A number of pods, or a percentage rounded up."""
    return -(-int(given[:-1]) * total // 100) if isinstance(given, str) and given.endswith("%") else int(given)
