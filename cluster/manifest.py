"""What a spec asks of Kubernetes: a DaskCluster for the operator, and what belongs to it. The same spec, the same text.

Built here, not by the operator's own helper: that one gives scheduler and workers the same resources and environment,
and knows neither TLS nor an idle time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.labels import CLUSTER, COMPONENT, labels_of, resource_name
from cluster.pods import DASHBOARD_PORT, SCHEDULER_ANNOTATIONS, SCHEDULER_PORT, scheduler_pod, worker_pod
from cluster.spec import PodSpec

DASK_API = "kubernetes.dask.org/v1"
_OPERATOR = {"app.kubernetes.io/name": "dask-kubernetes-operator"}
"""Label of the operator's pods, as its chart sets it."""


def manifests(spec: PodSpec) -> dict[str, dict[str, Any]]:
    """The DaskCluster as `cluster`, and by what they are for the objects that belong to it and go with it.

    The TLS secret is not among them: it is made anew for each cluster, and is nobody's to print.
    """
    name = resource_name(spec)
    made = {"cluster": _cluster(spec, name), "policy": _policy(spec, name), "budget": _budget(spec, name)}
    if spec.adaptive:
        made["autoscaler"] = _autoscaler(spec, name)
    return made


def secret(spec: PodSpec, texts: Mapping[str, str]) -> dict[str, Any]:
    """The secret that the pods mount. texts: of its files, by name."""
    name = resource_name(spec)
    return _object(spec, name, "v1", "Secret", f"{name}-tls") | {"type": "Opaque", "stringData": dict(texts)}


def owned(manifest: Mapping[str, Any], owner: Mapping[str, Any]) -> dict[str, Any]:
    """The same object, which Kubernetes removes together with its owner. owner: as the server stored it."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


def _cluster(spec: PodSpec, name: str) -> dict[str, Any]:
    selector = {CLUSTER: name, COMPONENT: "scheduler"}
    ports = [
        {"name": "tcp-comm", "protocol": "TCP", "port": SCHEDULER_PORT, "targetPort": "tcp-comm"},
        {"name": "http-dashboard", "protocol": "TCP", "port": DASHBOARD_PORT, "targetPort": "http-dashboard"},
    ]
    return _object(spec, name, DASK_API, "DaskCluster", name) | {
        "spec": {
            "idleTimeout": int(spec.idle_timeout_s),
            "scheduler": {
                "metadata": {"annotations": dict(SCHEDULER_ANNOTATIONS), "labels": _component("scheduler")},
                "spec": scheduler_pod(spec, name),
                "service": {"type": "ClusterIP", "selector": selector, "ports": ports},
            },
            "worker": {
                "metadata": {"labels": _component("worker")},
                "replicas": spec.least,
                "spec": worker_pod(spec, name),
            },
        }
    }


def _autoscaler(spec: PodSpec, name: str) -> dict[str, Any]:
    scaling = {"cluster": name, "minimum": spec.least, "maximum": spec.workers}
    return _object(spec, name, DASK_API, "DaskAutoscaler", name) | {"spec": scaling}


def _budget(spec: PodSpec, name: str) -> dict[str, Any]:
    """No drain of a node takes the scheduler."""
    chosen = {"maxUnavailable": 0, "selector": {"matchLabels": {CLUSTER: name, COMPONENT: "scheduler"}}}
    return _object(spec, name, "policy/v1", "PodDisruptionBudget", f"{name}-scheduler") | {"spec": chosen}


def _policy(spec: PodSpec, name: str) -> dict[str, Any]:
    """Who reaches the pods: by TLS whoever has a certificate; over HTTP, which has no login, the operator alone."""
    inside = {"podSelector": {"matchLabels": {CLUSTER: name}}}
    operator = {"namespaceSelector": {}, "podSelector": {"matchLabels": dict(_OPERATOR)}}
    chosen = {
        "podSelector": {"matchLabels": {CLUSTER: name}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [inside]},
            {"ports": [{"protocol": "TCP", "port": SCHEDULER_PORT}]},
            {"from": [operator], "ports": [{"protocol": "TCP", "port": DASHBOARD_PORT}]},
        ],
    }
    return _object(spec, name, "networking.k8s.io/v1", "NetworkPolicy", name) | {"spec": chosen}


def _object(spec: PodSpec, cluster: str, api: str, kind: str, name: str) -> dict[str, Any]:
    labels = labels_of(spec) | {CLUSTER: cluster}
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": spec.namespace, "labels": labels},
    }


def _component(role: str) -> dict[str, str]:
    return {"app.kubernetes.io/component": role}
