"""The pods of a cluster on Kubernetes: scheduler and worker, hardened, as the resources of the operator take them.

The chart has the same pods in its templates; a test holds them together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.settings import DASK, ENVIRON, as_environ
from cluster.sizing import limit_bytes
from cluster.spec import PodSpec
from cluster.tls import MOUNT, Role, pod_environ, secret_items

SCHEDULER_PORT, DASHBOARD_PORT, WORKER_HTTP_PORT = 8786, 8787, 8788
SCHEDULER_DISK, WORKER_DISK = 2**30, 20 * 2**30
"""Bytes of /tmp: a pod that fills it is evicted."""
SPOT_NODES: Mapping[str, str] = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-preemptible": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
"""Labels of nodes that can be taken away, by those who run them."""
SPOT_TAINTS = ("cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority", "groundswell.io/spot")
SCHEDULER_ANNOTATIONS: Mapping[str, str] = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
"""With the scheduler a run loses all that is on its way: no autoscaler may move it to save a node."""
POD_SECURITY: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""As the pod security standard "restricted" wants them."""
SCHEDULER_ROUTES = (
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.health",
    "distributed.http.proxy",
    "distributed.http.statics",
    "distributed.http.scheduler.api",
)
"""Dask's own, and the one by which the operator asks: without it, it would send pickles of its own version of Dask."""


def address_of(spec: PodSpec, name: str) -> str:
    """Where a scheduler is reached inside of its Kubernetes cluster, whatever the domain of that is."""
    return f"tls://{service_host(spec, name)}:{SCHEDULER_PORT}"


def service_host(spec: PodSpec, name: str) -> str:
    """Name of the scheduler's service, as every pod resolves it."""
    return f"{name}-scheduler.{spec.namespace}.svc"


def scheduler_pod(spec: PodSpec, name: str) -> dict[str, Any]:
    """The scheduler's; it stands on nodes only that nobody takes away, and has no rights in the cloud."""
    values = {
        **as_environ(DASK),
        **places(),
        **pod_environ("scheduler"),
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": json.dumps(SCHEDULER_ROUTES),
    }
    container = {
        "name": "scheduler",
        "image": spec.image,
        "args": ["dask", "scheduler", "--port", str(SCHEDULER_PORT), "--dashboard-address", f":{DASHBOARD_PORT}"],
        "env": variables(values),
        "ports": [_port("tcp-comm", SCHEDULER_PORT), _port("http-dashboard", DASHBOARD_PORT)],
        "resources": resources(spec.scheduler_cores, spec.scheduler_memory_bytes),
        "readinessProbe": _alive(5, 5, 6),
        # Patient: a scheduler with a long graph in its hands does not answer, and to end it is to lose the run.
        "livenessProbe": _alive(30, 10, 10),
        **_hardened_container(),
    }
    return {
        **_hardened_pod(spec, name, "scheduler", SCHEDULER_DISK),
        "containers": [container],
        "affinity": {"nodeAffinity": _on_demand()},
    }


def worker_pod(spec: PodSpec, name: str) -> dict[str, Any]:
    """A worker's: one process; asked to leave, it hands over what it holds before it goes."""
    values = {
        **as_environ(DASK),
        **ENVIRON,
        **places(),
        **pod_environ("worker"),
        "DASK_DISTRIBUTED__WORKER__MEMORY__MAX_SPILL": str(WORKER_DISK // 2),
        "DASK_SCHEDULER_ADDRESS": address_of(spec, name),
        **spec.environ,
    }
    container = {
        "name": "worker",
        "image": spec.image,
        "args": _worker_command(spec),
        "env": variables(values),
        "envFrom": [{"secretRef": {"name": secret}} for secret in spec.secrets],
        "ports": [_port("http-dashboard", WORKER_HTTP_PORT)],
        "resources": resources(spec.cores, spec.worker_memory_bytes),
        "readinessProbe": _alive(5, 5, 6),
        "lifecycle": {
            "preStop": {"exec": {"command": ["python", "-m", "cluster.retire", "--grace", str(spec.grace_s)]}}
        },
        **_hardened_container(),
    }
    pod = {
        **_hardened_pod(spec, name, "worker", WORKER_DISK),
        "containers": [container],
        "terminationGracePeriodSeconds": spec.grace_s,
        "affinity": {"nodeAffinity": _spot_first() if spec.spot else _on_demand()},
        "tolerations": [*(_spot_tolerations() if spec.spot else ()), *map(dict, spec.tolerations)],
        "nodeSelector": dict(spec.node_selector),
    }
    if spec.service_account:
        # Amazon's webhook mounts a token of its own for IRSA; the one for the Kubernetes API stays away.
        pod["serviceAccountName"] = spec.service_account
    return pod


def _worker_command(spec: PodSpec) -> list[str]:
    """`--name` as the operator says: by it a worker is retired, and its Deployment deleted."""
    return [
        *("dask", "worker", "--name", "$(DASK_WORKER_NAME)"),
        *("--nthreads", str(spec.threads)),
        *("--memory-limit", str(limit_bytes(spec.backend, spec.worker_memory_bytes))),
        *("--dashboard-address", f":{WORKER_HTTP_PORT}"),
        *("--death-timeout", "300"),
    ]


def places() -> dict[str, str]:
    """Where a process with a read-only root may write."""
    return {"DASK_TEMPORARY_DIRECTORY": "/tmp", "HOME": "/tmp"}  # noqa: S108 (the pod's own, an emptyDir)


def variables(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Environment variables of a container."""
    return [{"name": name, "value": value} for name, value in values.items()]


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def resources(cores: float, memory_bytes: int) -> dict[str, Any]:
    """Memory is bounded and reserved in full; processors are reserved only: throttled threads gain nobody anything."""
    processors = f"{round(cores * 1000)}m" if cores % 1 else str(int(cores))
    return {"requests": {"cpu": processors, "memory": str(memory_bytes)}, "limits": {"memory": str(memory_bytes)}}


def _alive(period_s: int, timeout_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/health", "port": "http-dashboard"},
        "periodSeconds": period_s,
        "timeoutSeconds": timeout_s,
        "failureThreshold": failures,
    }


def _hardened_pod(spec: PodSpec, name: str, role: Role, disk_bytes: int) -> dict[str, Any]:
    """As the pod security standard "restricted" wants it, with the TLS files of its role only."""
    files = [{"key": key, "path": key} for key in secret_items(role)]
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": dict(POD_SECURITY),
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": str(disk_bytes)}},
            {"name": "tls", "secret": {"secretName": f"{name}-tls", "defaultMode": 0o440, "items": files}},
        ],
    }
    if spec.pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in spec.pull_secrets]
    return pod


def _hardened_container() -> dict[str, Any]:
    return {
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (the pod's own)
            {"name": "tls", "mountPath": MOUNT, "readOnly": True},
        ],
    }


def _on_demand() -> dict[str, Any]:
    """Nodes without any of the labels are taken for nodes that stay."""
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_nodes("NotIn", SPOT_NODES)]}}


def _spot_first() -> dict[str, Any]:
    terms = [{"weight": 100, "preference": _nodes("In", {key: SPOT_NODES[key]})} for key in SPOT_NODES]
    return {"preferredDuringSchedulingIgnoredDuringExecution": terms}


def _nodes(operator: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "matchExpressions": [{"key": key, "operator": operator, "values": [value]} for key, value in labels.items()]
    }


def _spot_tolerations() -> Iterable[dict[str, str]]:
    return ({"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in SPOT_TAINTS)
