"""The chart rendered: value sets that cover it, its pods as the operator would make them, schemas of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate.utils as schemas
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from cluster.chart import values_of
from cluster.spec import HelmSpec
from tests.cluster.crds import faults

CHART = Path(__file__).parents[2] / "helm" / "groundswell"
RELEASE, NAMESPACE = "waves", "geo"
DIGEST = "registry.example.org/groundswell@sha256:" + "0" * 64
OTHERS = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
"""Kinds of Prometheus' operator and KEDA: made only where they are asked for."""
ROLE = "arn:aws:iam::123456789012:role/"
RUN = {
    "name": "night",
    "output": "s3://bucket/night",
    "area": {"bbox": [11.9, 44.8, 12.0, 44.9]},
    "period": {"start": "2024-06-01", "end": "2024-08-01", "every": "month"},
    "sources": {"s2": {"stac": "https://example.org/v1", "collection": "sentinel-2-c1-l2a"}},
    "products": [{"product": "sentinel2", "source": "s2", "bands": ["red"]}],
}
SPEC = HelmSpec(
    name="demo-eu-central-1",
    backend="helm",
    region="eu-central-1",
    workers=4,
    threads=2,
    worker_memory_bytes=6 * 2**30 + 2**28,
    minimum=1,
    run="20240601T120000Z-1a2b",
    image=DIGEST,
    namespace=NAMESPACE,
)


def account(role: str) -> dict[str, Any]:
    """A service account that AWS trusts."""
    return {"annotations": {"eks.amazonaws.com/role-arn": ROLE + role}}


QUEUE = {"enabled": True, "queueUrl": "https://sqs.eu-central-1.amazonaws.com/1/scenes", "region": "eu-central-1"}
RULES = {
    "name": "arrivals",
    "inbox": "somewhere.sqlite",
    "topics": ["arn:aws:sns:eu-central-1:123456789012:arrivals"],
    "queue": {"url": QUEUE["queueUrl"]},
    "listen": {"port": 1},
    "rules": {"scenes": {"match": {"collection": "sentinel-2-l2a"}, "run": "night.yaml", "settle": "6h"}},
}
"""A file of rules, whose inbox and port are not those of a pod."""
JUPYTER = {"enabled": True, "image": "registry.example.org/jupyter:1", "existingSecret": "notebook-token"}
VALUES: Mapping[str, dict[str, Any]] = {
    "defaults": {},
    "region-east": {"run": {"region": "eu-central-1"}, "worker": {"serviceAccount": account("east")}},
    "region-west": {"run": {"region": "us-west-2"}, "worker": {"serviceAccount": account("west")}},
    "hpa": {"autoscaling": {"mode": "hpa", "minimum": 2, "maximum": 40}, "metrics": {"monitors": True}},
    "none": {"autoscaling": {"mode": "none", "minimum": 3}, "runner": {"enabled": True, "config": RUN}},
    "listener-jupyter": {
        "idleTimeoutSeconds": 0,
        "events": {"config": RULES, "runs": {"night.yaml": RUN}},
        "listener": {
            "enabled": True,
            "serviceAccount": account("consumer"),
            "ingress": {"enabled": True, "host": "events.example.org", "tlsSecret": "events-tls"},
        },
        "jupyter": {**JUPYTER, "existingClaim": "notebooks"},
    },
    "locked-down": {
        "run": {"id": "r1", "region": "eu-central-1", "owner": "ada"},
        "image": {"reference": DIGEST, "pullPolicy": "Always", "pullSecrets": ["registry"]},
        "networkPolicy": {"clients": [], "egress": [{"ports": [{"protocol": "TCP", "port": 5432}]}]},
        "quota": {"requests.cpu": 1_000_000, "limits.memory": "2Ti", "pods": 50},
        "worker": {"secrets": ["store"], "env": {"AWS_REGION": "eu-central-1"}, "serviceAccount": account("worker")},
        "runner": {
            "enabled": True,
            "config": {**RUN, "clusters": {}, "run": {"metrics": {"port": 9400}}},
            "rbac": True,
            "serviceAccount": account("runner"),
        },
        "events": {
            "existingConfigMap": "rules",
            "inbox": "postgresql",
            "database": {"existingSecret": "inbox", "key": "url"},
            "rbac": True,
        },
        "listener": {"enabled": True, "replicas": 2, "serviceAccount": account("listener")},
        "consumer": {"enabled": True, "keda": QUEUE, "serviceAccount": account("consumer"), "secrets": ["store"]},
        "argoSync": {"enabled": True, "existingConfigMap": "gdac", "serviceAccount": account("sync")},
        "jupyter": JUPYTER,
        "metrics": {"monitors": True, "alerts": True, "dashboard": True, "labels": {"release": "prometheus"}},
    },
    "nightly": {
        "idleTimeoutSeconds": 0,
        "tls": {"enabled": False},
        "runner": {"enabled": True, "schedule": "0 3 * * *", "existingConfigMap": "night", "secrets": ["store"]},
        "argoSync": {"enabled": True, "config": {"a": 1}, "args": ["--json"], "existingClaim": "gdac"},
        "worker": {
            "spot": True,
            "memory": "7500M",
            "nodeSelector": {"pool": "work"},
            "tolerations": [{"key": "pool", "operator": "Exists"}],
            "priorityClassName": "low",
        },
    },
    "drivers": {
        "cluster": {"enabled": False},
        "run": {"region": "eu-central-1"},
        "argoSync": {"enabled": True, "existingConfigMap": "gdac"},
        "runner": {
            "enabled": True,
            "schedule": "0 3 * * *",
            "rbac": True,
            "config": {**RUN, "clusters": {"default": {"backend": "kubernetes", "workers": [1, 40], "image": DIGEST}}},
        },
    },
    "backend": values_of(SPEC),
}
"""By what they show; the first seven are those that the chart promises."""


@dataclass(frozen=True)
class Pod:
    """A pod as Kubernetes gets it."""

    component: str
    owner: str
    """Kind and name of what makes it."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def container(self) -> Mapping[str, Any]:
        """The only one."""
        (only,) = self.spec["containers"]
        return dict(only)


@cache
def chart() -> helm.Chart:
    """Loaded once."""
    return helm.Chart.load(CHART)


@cache
def documents(name: str, release: str = RELEASE) -> tuple[dict[str, Any], ...]:
    """What a value set makes; parsed once, so not to be changed."""
    return parsed(VALUES[name], release)


def parsed(
    values: Mapping[str, Any],
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    revision: int = 1,
    of: helm.Chart | None = None,
) -> tuple[dict[str, Any], ...]:
    """What any values make. Raises helm's errors."""
    texts = (of or chart()).render(dict(values), name=release, namespace=namespace, revision=revision)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(
        one for path, text in texts.items() if path.endswith(".yaml") for one in yaml.load_all(text, loader) if one
    )


def made(name: str) -> dict[str, dict[str, Any]]:
    """What a value set makes, by kind and name."""
    return by_name(documents(name))


def by_name(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By kind and name."""
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def pods(found: Iterable[dict[str, Any]]) -> Iterator[Pod]:
    """Every pod that comes of these, those of a DaskCluster by the operator's own functions."""
    for one in found:
        owner = f"{one['kind']}/{one['metadata']['name']}"
        templates = [deployment["spec"]["template"] for deployment in by_operator(one)]
        match one["kind"]:
            case "Pod":
                templates = [one]
            case "Deployment" | "Job":
                templates = [one["spec"]["template"]]
            case "CronJob":
                templates = [one["spec"]["jobTemplate"]["spec"]["template"]]
        for template in templates:
            meta = template["metadata"]
            component = meta["labels"]["app.kubernetes.io/component"]
            yield Pod(component, owner, meta["labels"], meta.get("annotations", {}), template["spec"])


def by_operator(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Deployments that the operator of dask-kubernetes makes of a DaskCluster; of anything else none."""
    if one["kind"] != "DaskCluster":
        return []
    from dask_kubernetes.operator.controller.controller import (  # noqa: PLC0415 (two seconds)
        build_scheduler_deployment_spec,
        build_worker_deployment_spec,
    )

    name, spec = one["metadata"]["name"], one["spec"]
    labels = {role: one["metadata"]["labels"] | spec[role]["metadata"]["labels"] for role in ("scheduler", "worker")}
    notes = {role: spec[role]["metadata"].get("annotations", {}) for role in labels}
    worker: Any = (f"{name}-default", NAMESPACE, name, "0123456789", spec["worker"]["spec"])
    return [
        build_scheduler_deployment_spec(name, spec["scheduler"]["spec"], notes["scheduler"], labels["scheduler"]),
        build_worker_deployment_spec(*worker, notes["worker"], labels["worker"]),
    ]


def variables(pod: Pod, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Environment of a pod's container, from its ConfigMaps and its own; what is no plain value stays a mapping."""
    merged: dict[str, Any] = {}
    for source in pod.container.get("envFrom", []):
        if "configMapRef" in source:
            merged |= found[f"ConfigMap/{source['configMapRef']['name']}"]["data"]
    return merged | {one["name"]: one.get("value", one.get("valueFrom")) for one in pod.container.get("env", [])}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A label selector; an empty one selects all."""
    if not labels.items() >= selector.get("matchLabels", {}).items():
        return False
    for one in selector.get("matchExpressions", []):
        has = labels.get(one["key"]) in one["values"]
        if has != {"In": True, "NotIn": False}[one["operator"]]:
            return False
    return True


def quantity_bytes(text: str) -> int:
    """A quantity of Kubernetes."""
    powers = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    unit = text.lstrip("0123456789.")
    return int(float(text.removesuffix(unit)) * powers.get(unit, 1))


def refusals(one: Mapping[str, Any], versions: Iterable[str]) -> Iterator[str]:
    """What Kubernetes of these versions, or the operator, would refuse of an object; kinds of others it passes over."""
    where = f"{one['kind']}/{one['metadata']['name']}"
    if one["apiVersion"].startswith("kubernetes.dask.org"):
        yield from (f"{where}: {fault}" for fault in faults(one))
    elif one["kind"] not in OTHERS:
        for version in versions:
            errors = validator(version, one["kind"], one["apiVersion"]).iter_errors(one)
            yield from (f"{where} ({version}): {error.json_path}: {error.message}" for error in errors)


@cache
def validator(version: str, kind: str, api: str) -> Draft202012Validator:
    """Strict schema of one kind; raises FileNotFoundError for what is none of Kubernetes' own."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    group, _, number = api.rpartition("/")
    name = f"{kind.lower()}-{group.partition('.')[0]}-{number}" if group else f"{kind.lower()}-{number}"
    schema = schemas.schema_contents(f"{folder}/{name}.json", version)
    registry: Registry[Any] = Registry()
    for contents in (schema, schemas.schema_contents(f"{folder}/_definitions.json", version)):
        registry = Resource.from_contents(contents) @ registry
    return Draft202012Validator(schema, registry=registry)
