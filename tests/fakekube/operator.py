"""The real operator of dask-kubernetes, as a pod of the stand-in, with its own resource definitions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import yaml

from tests.fakekube.client import FakeKube
from tests.fakekube.errors import Json
from tests.fakekube.objects import holds

NAMESPACE = "dask-operator"
_COMMAND = ["kopf", "run", "-m", "dask_kubernetes.operator.controller", "--all-namespaces", "--standalone", "--quiet"]


def definitions() -> list[Json]:
    """CustomResourceDefinitions that the installed operator brings. Raises ModuleNotFoundError without it."""
    found = importlib.util.find_spec("dask_kubernetes")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'dask_kubernetes'", name="dask_kubernetes")
    folder = Path(found.origin).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    return [each for path in sorted(folder.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text()) if each]


def install(kube: FakeKube) -> None:
    """Returns when the operator runs and watches."""
    kube.apply(*definitions())
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    _allow_all(kube)
    labels = {"app.kubernetes.io/name": "dask-kubernetes-operator"}
    container = {
        "name": "operator",
        "image": "ghcr.io/dask/dask-kubernetes-operator:latest",
        "command": [*_COMMAND, "--liveness=http://0.0.0.0:8080/healthz"],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
    }
    kube.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "operator", "namespace": NAMESPACE},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "operator", "containers": [container]},
                },
            },
        }
    )
    kube.until(lambda: any(holds(each, "Ready") for each in kube.list("pods", NAMESPACE)), what="the operator")


def _allow_all(kube: FakeKube) -> None:
    """What its own chart allows the operator is its own affair."""
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "dask-operator"}}
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": NAMESPACE}
    role = {"kind": "ClusterRole", "name": "dask-operator", "apiGroup": "rbac.authorization.k8s.io"}
    kube.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": NAMESPACE}},
        {**head, "kind": "ClusterRole", "rules": [rule]},
        {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
    )
