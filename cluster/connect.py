"""The Kubernetes API of one spec, spoken to from ordinary threads, and the way to a scheduler behind it."""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio
import httpx_ws
import kr8s
from anyio.from_thread import BlockingPortal, start_blocking_portal

from cluster.backend import ClusterError, wait_until
from cluster.forward import FAULTS, Forward
from cluster.labels import CLUSTER, COMPONENT, RENEWED
from cluster.pods import DASHBOARD_PORT, SCHEDULER_PORT, service_host
from cluster.podstates import is_ready, told
from cluster.spec import PodSpec

KINDS: Mapping[str, tuple[str, str]] = {
    "DaskCluster": ("kubernetes.dask.org/v1", "daskclusters"),
    "DaskAutoscaler": ("kubernetes.dask.org/v1", "daskautoscalers"),
    "DaskWorkerGroup": ("kubernetes.dask.org/v1", "daskworkergroups"),
    "Deployment": ("apps/v1", "deployments"),
    "Job": ("batch/v1", "jobs"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Pod": ("v1", "pods"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
}
"""Kind → its API and its name there."""
_REQUEST_S = 30.0
_DIRECT_S = 3.0
_NOT_BEGUN, _NOT_FOUND = 400, 404
LATER = frozenset({429, 500, 502, 503, 504})
_NO_LOGIN = "not reached (KUBECONFIG, or `kubeconfig` and `context` of this cluster, say where and as whom)"
_MERGE = {"Content-Type": "application/merge-patch+json"}

T = TypeVar("T")


class KubeError(ClusterError):
    """The Kubernetes API refused, or was not reached."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """As HTTP has it; None where there was no answer."""


@dataclass(frozen=True)
class Kube:
    """The API server of one spec's context, and its namespace. Every method raises KubeError."""

    spec: PodSpec
    _portal: BlockingPortal
    _api: kr8s.asyncio.Api

    @property
    def place(self) -> str:
        """Where this is, for people."""
        context = self._api.auth.active_context
        return f"{f'context {context}' if context else 'this pod'}, namespace {self.spec.namespace}"

    def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The object as the server stored it."""
        return self._ask("POST", manifest["kind"], "", json=dict(manifest))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """None where there is none."""
        return self._there("GET", kind, name)

    def list(self, kind: str, selector: str) -> list[dict[str, Any]]:
        """Those with the labels of the selector."""
        items: list[dict[str, Any]] = self._ask("GET", kind, "", params={"labelSelector": selector})["items"]
        return items

    def log(self, pod: str, container: str, since_s: float | None = None) -> str:
        """What a container wrote, of all times or since so many seconds ago; empty where there is no such pod."""
        asked: dict[str, Any] = {"container": container}
        if since_s is not None:
            asked["sinceSeconds"] = max(1, math.ceil(since_s))
        try:
            return self._answer("GET", "Pod", f"{pod}/log", params=asked).decode(errors="replace")
        except KubeError as error:
            if error.status in {_NOT_FOUND, _NOT_BEGUN}:
                return ""
            raise

    def annotate(self, kind: str, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations; others stay."""
        patch = json.dumps({"metadata": {"annotations": dict(annotations)}})
        self._ask("PATCH", kind, name, content=patch, headers=_MERGE)

    def delete(self, kind: str, name: str) -> bool:
        """Ask for an object's end, and of all that it owns; False where it is not there."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        return self._there("DELETE", kind, name, json=options) is not None

    def seen(self, selector: str) -> str:
        """The pods, those that run counted and the others named with their reasons; never raises."""
        try:
            return told(self.list("Pod", selector))
        except KubeError as error:
            return f"its pods cannot be listed: {error}"

    @contextmanager
    def forwarded(self, pod: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to a port of a pod, for as long as this lasts."""
        forward = self._portal.wrap_async_context_manager(
            Forward(self._api, self.spec.namespace, pod, port).listening()
        )
        local = _translated(self.spec, f"port-forward to port {port} of pod {pod}", forward.__enter__)
        try:
            yield local
        finally:
            # Never told of an error: it would come back as a group of one.
            forward.__exit__(None, None, None)

    def _there(self, method: str, kind: str, name: str, **more: Any) -> dict[str, Any] | None:
        try:
            return self._ask(method, kind, name, **more)
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _ask(self, method: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
        content = self._answer(method, kind, name, **more)
        answer: dict[str, Any] = _translated(self.spec, f"{method} {kind}", lambda: json.loads(content))
        return answer

    def _answer(self, method: str, kind: str, name: str, **more: Any) -> bytes:
        version, plural = KINDS[kind]

        async def asked() -> bytes:
            url = "/".join(part for part in (plural, name) if part)
            call = self._api.call_api(method, version=version, namespace=self.spec.namespace, url=url, **more)
            with anyio.fail_after(_REQUEST_S):
                async with call as response:
                    content: bytes = response.content
                    return content

        what = f"{method} {kind} {name}".strip()
        return _translated(self.spec, what, lambda: self._portal.call(asked))


@contextmanager
def kube_of(spec: PodSpec) -> Iterator[Kube]:
    """The API server that the spec's kubeconfig and context name, or the one of the pod that this runs in.

    Raises KubeError where there are no credentials or it does not answer.
    """

    async def opened() -> kr8s.asyncio.Api:
        with anyio.fail_after(_REQUEST_S):
            return await kr8s.asyncio.api(kubeconfig=spec.kubeconfig, context=spec.context, namespace=spec.namespace)

    async def closed(api: kr8s.asyncio.Api) -> None:
        session = api._session  # noqa: SLF001 (kr8s never closes it, and has no way to)
        if session is not None:
            await session.aclose()

    with start_blocking_portal() as portal:
        api = _translated(spec, _NO_LOGIN, lambda: portal.call(opened))
        try:
            yield Kube(spec, portal, api)
        finally:
            portal.call(closed, api)


def patient(ask: Callable[[], T | None]) -> Callable[[], T | None]:
    """For `wait_until`: an API server that is busy, or away for a moment, has not answered yet."""

    def asked() -> T | None:
        try:
            return ask()
        except KubeError as error:
            if error.status is None or error.status in LATER:
                return None
            raise

    return asked


def _translated(spec: PodSpec, what: str, ask: Callable[[], T]) -> T:
    """What the answer is, or KubeError with what was asked and where."""
    try:
        return ask()
    except kr8s.ServerError as error:
        status = error.response.status_code if error.response is not None else None
        raise KubeError(f"{_where(spec)}: {what}: {error}", status) from error
    except TimeoutError as error:
        raise KubeError(f"{_where(spec)}: {what}: no answer within {_REQUEST_S:.0f} s") from error
    except httpx_ws.WebSocketUpgradeError as error:
        status = error.response.status_code
        raise KubeError(f"{_where(spec)}: {what}: refused with HTTP status {status}", status) from error
    except FAULTS as error:
        raise KubeError(f"{_where(spec)}: {what}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Reached:
    """Where this process finds a scheduler and its dashboard."""

    address: str
    dashboard: str


@contextmanager
def reached(kube: Kube, name: str, stop: threading.Event) -> Iterator[Reached]:
    """The way to the scheduler of this name once its pod is ready: by the service's name, or forwarded by the API.

    Raises ClusterError after the spec's time, or as soon as `stop` is set.
    """
    spec, selector = kube.spec, f"{CLUSTER}={name}"

    def ready() -> str | None:
        pods = kube.list("Pod", f"{selector},{COMPONENT}=scheduler")
        return next((pod["metadata"]["name"] for pod in pods if is_ready(pod)), None)

    pod = wait_until(
        patient(ready),
        spec,
        stop,
        spec.start_timeout_s,
        lambda: (
            f"its scheduler was not ready within {spec.start_timeout_s:.0f} s ({kube.place}). Pods: "
            f"{kube.seen(selector)}. More: kubectl describe pods --namespace {spec.namespace} --selector {selector}"
        ),
    )
    host = service_host(spec, name)
    if spec.connect == "direct" or (spec.connect == "auto" and _answers(host)):
        yield Reached(f"tls://{host}:{SCHEDULER_PORT}", f"http://{host}:{DASHBOARD_PORT}/status")
        return
    with kube.forwarded(pod, SCHEDULER_PORT) as scheduler, kube.forwarded(pod, DASHBOARD_PORT) as dashboard:
        yield Reached(f"tls://127.0.0.1:{scheduler}", f"http://127.0.0.1:{dashboard}/status")


def renewal(kube: Kube, kind: str, name: str) -> Callable[[], None]:
    """Writes on an object that its driver lives; raises KubeError."""
    return lambda: kube.annotate(kind, name, {RENEWED: now()})


def now() -> str:
    """As Kubernetes writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age_s(time: str) -> float:
    """Since a time as Kubernetes writes it."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()


def _where(spec: PodSpec) -> str:
    context = f"context {spec.context}" if spec.context else "current context"
    return f"{spec.title}: Kubernetes, {context}, namespace {spec.namespace}"


def _answers(host: str) -> bool:
    """Whether this process is where services have names."""
    try:
        with socket.create_connection((host, SCHEDULER_PORT), timeout=_DIRECT_S):
            return True
    except OSError:
        return False
