"""Small manifests that tests put into the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fakekube.errors import Json


def python(code: str, **container: Any) -> Json:
    """A container that runs a line of Python."""
    return {"name": "main", "image": "groundswell:test", "command": ["python", "-c", code], **container}


def pod(name: str, *containers: Json, **spec: Any) -> Json:
    """A pod that runs once."""
    whole = {"restartPolicy": "Never", "containers": list(containers), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": whole}


def deployment(name: str, *containers: Json, replicas: int = 1, **spec: Any) -> Json:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": list(containers), **spec}}
    whole = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole}


def service(name: str, app: str, ports: Sequence[Json]) -> Json:
    spec = {"selector": {"app": app}, "ports": list(ports)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def job(name: str, *containers: Json, **spec: Any) -> Json:
    template = {"spec": {"restartPolicy": "Never", "containers": list(containers)}}
    whole = {"backoffLimit": 0, "template": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": whole}


def definition(kind: str, spec: Json) -> Json:
    """A CustomResourceDefinition of the group `test.example` whose objects have that schema of `spec`."""
    names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()}
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.test.example"},
        "spec": {"group": "test.example", "scope": "Namespaced", "names": names, "versions": [version]},
    }
