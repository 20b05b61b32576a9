"""A command as a Job of Kubernetes: one pod, hardened, with its files, and what it wrote."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from cluster.connect import LATER, Kube, KubeError, age_s, kube_of, now
from cluster.labels import MANAGED_BY, PART_OF, RENEWED, dns_label, label_value
from cluster.manifest import owned
from cluster.pods import CONTAINER_SECURITY, POD_SECURITY, places, resources, variables
from cluster.podstates import told
from cluster.settings import ENVIRON
from cluster.spec import PodSpec

FILES = "/var/run/groundswell"
"""Where a pod finds the files of its Job."""
_CONTAINER = "job"
_FOR = "groundswell.io/for"
"""Label: whose Job it is, by the name in its config."""
_NAME = "job-name"
"""Kubernetes' own label, on the pods of a Job."""
_DISK = 20 * 2**30
"""Bytes of /tmp."""
_KEPT_S = 600
"""For people: how long a Job stays after its end, where nobody removes it."""
_END_S = 20
"""Between asking a pod to end and making it."""


@dataclass(frozen=True)
class JobSpec(PodSpec):
    """What the pods of Jobs are; `name` is of who starts them."""

    config_map: str | None = None
    """Files of the namespace that every pod finds at `config_path`."""
    config_path: str = ""
    api: bool = False
    """Whether a pod may speak to the Kubernetes API."""

    @property
    def title(self) -> str:
        return f"jobs of {self.name}"


@dataclass(frozen=True)
class Task:
    """What one Job is to do."""

    name: str
    command: Sequence[str]
    timeout_s: float
    files: Mapping[str, str] = field(default_factory=dict)
    """Name → text, found in `FILES`; up to a megabyte."""
    labels: Mapping[str, str] = field(default_factory=dict)


def manifest(spec: JobSpec, task: Task) -> dict[str, Any]:
    """The Job: its pod is not begun again by Kubernetes, since who started it counts the attempts."""
    labels = _labels(spec) | {key: label_value(value) for key, value in task.labels.items()}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": task.name,
            "namespace": spec.namespace,
            "labels": labels,
            "annotations": {RENEWED: now()},
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": max(1, round(task.timeout_s)),
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": labels}, "spec": _pod(spec, task)},
        },
    }


def secret(spec: JobSpec, task: Task) -> dict[str, Any]:
    """Its files: a secret, since a setting of the command line may be one."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": task.name, "namespace": spec.namespace, "labels": _labels(spec)},
        "type": "Opaque",
        "immutable": True,
        "stringData": dict(task.files),
    }


def job_name(spec: JobSpec, number: str) -> str:
    """A name that no other Job has. number: of this one, in lower-case letters and digits."""
    return f"{dns_label(spec.name, 40)}-{number}"


@dataclass
class Job:
    """One that was started; every method raises KubeError."""

    kube: Kube
    name: str

    def ended(self) -> str | None:
        """None while it goes on; empty where it did well, else why it did not."""
        found = self.kube.get("Job", self.name)
        if found is None:
            return "the Job was deleted"
        for one in found.get("status", {}).get("conditions") or ():
            if one["status"] == "True" and one["type"] == "Complete":
                return ""
            if one["status"] == "True" and one["type"] == "Failed":
                return f"the Job failed: {one.get('reason', '')}: {one.get('message', '')}{self._pods()}"
        return None

    def log(self, since_s: float | None = None) -> str:
        """What its pods wrote: all, or of the last seconds."""
        pods = self.kube.list("Pod", f"{_NAME}={self.name}")
        return "".join(self.kube.log(pod["metadata"]["name"], _CONTAINER, since_s) for pod in pods)

    def waits(self) -> str:
        """Why it has no pod that has begun, such as an image that is not there; empty where it has one."""
        pods = self.kube.list("Pod", f"{_NAME}={self.name}")
        begun = any(pod.get("status", {}).get("phase", "Pending") != "Pending" for pod in pods)
        return "" if begun else f"its pod has not begun: {told(pods)}"

    def renew(self) -> None:
        """Say that who started it still waits for it."""
        self.kube.annotate("Job", self.name, {RENEWED: now()})

    def _pods(self) -> str:
        """Why its pods ended, in words."""
        pods = self.kube.list("Pod", f"{_NAME}={self.name}")
        states = [one.get("state", {}).get("terminated") or {} for pod in pods for one in _statuses(pod)]
        reasons = [f"exit code {one.get('exitCode')}, {one.get('reason', '')}" for one in states if one]
        return f" ({'; '.join(reasons) or told(pods)})"


@contextmanager
def running(spec: JobSpec, task: Task) -> Iterator[Job]:
    """A Job that is started, and deleted with its pod afterwards. Raises KubeError."""
    with kube_of(spec) as kube:
        stored = kube.create(manifest(spec, task))
        try:
            # It belongs to the Job from its first moment, so nothing stays alone; until it is there, the pod waits.
            kube.create(owned(secret(spec, task), {"apiVersion": "batch/v1", "kind": "Job", **stored}))
            yield Job(kube, task.name)
        finally:
            end(kube, task.name)


def end(kube: Kube, name: str) -> None:
    """Delete a Job, with all that belongs to it; where the API server is away, its own deadline ends it."""
    for _ in range(3):
        try:
            kube.delete("Job", name)
        except KubeError as error:
            if error.status is not None and error.status not in LATER:
                raise
            threading.Event().wait(1.0)
        else:
            return


def end_orphans(spec: JobSpec, silent_s: float) -> list[str]:
    """Delete Jobs of this name of which nobody has said for so long that he waits for them. Raises KubeError."""
    found = []
    with kube_of(spec) as kube:
        for job in kube.list("Job", f"{_FOR}={label_value(spec.name)},{MANAGED_BY}=groundswell"):
            meta, status = job["metadata"], job.get("status", {})
            heard = meta.get("annotations", {}).get(RENEWED, meta["creationTimestamp"])
            if not status.get("conditions") and age_s(heard) > silent_s:
                with suppress(KubeError):  # another consumer was faster, or the next one is
                    kube.delete("Job", meta["name"])
                    found.append(meta["name"])
    return found


def _labels(spec: JobSpec) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "groundswell",
        "app.kubernetes.io/component": "job",
        PART_OF: "groundswell",
        MANAGED_BY: "groundswell",
        _FOR: label_value(spec.name),
    }


def _pod(spec: JobSpec, task: Task) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": str(_DISK)}},
        {"name": "files", "secret": {"secretName": task.name, "defaultMode": 0o440}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (the pod's own)
        {"name": "files", "mountPath": FILES, "readOnly": True},
    ]
    if spec.config_map is not None:
        volumes.append({"name": "config", "configMap": {"name": spec.config_map}})
        mounts.append({"name": "config", "mountPath": spec.config_path, "readOnly": True})
    container = {
        "name": _CONTAINER,
        "image": spec.image,
        "args": list(task.command),
        "env": variables({**ENVIRON, **places(), **spec.environ}),
        "envFrom": [{"secretRef": {"name": name}} for name in spec.secrets],
        "resources": resources(spec.cores, spec.worker_memory_bytes),
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": mounts,
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _END_S,
        "automountServiceAccountToken": spec.api,
        "enableServiceLinks": False,
        "securityContext": dict(POD_SECURITY),
        "volumes": volumes,
        "containers": [container],
    }
    if spec.service_account:
        pod["serviceAccountName"] = spec.service_account
    if spec.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.pull_secrets]
    return pod


def _statuses(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return pod.get("status", {}).get("containerStatuses") or ()
