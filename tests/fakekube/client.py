"""What a test holds: starts the stand-in, and asks and changes it through its API."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import requests

from tests.fakekube import inside
from tests.fakekube.errors import ApiError, Json
from tests.fakekube.kubeconfig import CONTEXT, write_kubeconfig
from tests.fakekube.launcher import PRELOAD, ROOT
from tests.fakekube.rbac import Account
from tests.fakekube.resources import Resource, Resources

_START_S = 60
_STOP_S = 15
_HTTP_S = 60
_POLL_S = 0.05
_CAPACITY = ("karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType")

T = TypeVar("T")


Objects = list[Json]
Names = list[str]
Kinds = list[Resource]
Pids = list[int]


@dataclass(frozen=True)
class FakeKube:
    """A running stand-in. `kind` is a plural or a Kind, such as `pods`, `Pod`, `daskclusters`."""

    folder: Path
    url: str
    resources: Resources
    context: str = CONTEXT

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def account_kubeconfig(self, namespace: str, account: str) -> Path:
        """Of one who may do what roles that are bound to a service account allow, and no more."""
        return write_kubeconfig(
            self.folder / f"{namespace}.{account}.kubeconfig", self.url, Account(namespace, account)
        )

    def asked(self, namespace: str, account: str) -> set[tuple[str, str]]:
        """What a service account did through the API, or tried to: resources and verbs, as rules have them."""
        return {(resource, verb) for resource, verb in self._do("asked", namespace, name=account)}

    @property
    def environ(self) -> dict[str, str]:
        """Variables of a child process that is to see the API, and services by their names."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            inside.NETWORK: str(self.folder / "network.json"),
            "PYTHONPATH": f"{Path(__file__).with_name('site')}:{ROOT}",
        }

    def list(self, kind: str, namespace: str | None = None, labels: str = "") -> Objects:
        """Objects of a kind, of all namespaces without one; labels: a selector."""
        resource = self._resource(kind)
        query = {"labelSelector": labels} if labels else {}
        found = self._ask("GET", self._path(resource, namespace), params=query)
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**head, **each} for each in found["items"]]

    def get(self, kind: str, name: str, namespace: str | None = None) -> Json | None:
        try:
            return self._ask("GET", self._path(self._resource(kind), namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def apply(self, *manifests: Mapping[str, Any], namespace: str = "default") -> None:
        """Create or change objects by server-side apply; each in its own namespace, else in the one given."""
        for each in manifests:
            place = each["metadata"].get("namespace", namespace)
            path = self._path(self._resource(each["kind"]), place, each["metadata"]["name"])
            self._ask("PATCH", path, each, {"fieldManager": "test"}, kind="application/apply-patch+yaml")

    def create(self, manifest: Mapping[str, Any], namespace: str = "default") -> Json:
        """A new object, as it was stored. Raises ApiError."""
        place = manifest["metadata"].get("namespace", namespace)
        return self._ask("POST", self._path(self._resource(manifest["kind"]), place), manifest)

    def patch(self, kind: str, name: str, patch: Mapping[str, Any], namespace: str | None = None) -> Json:
        path = self._path(self._resource(kind), namespace, name)
        return self._ask("PATCH", path, patch, kind="application/merge-patch+json")

    def delete(self, kind: str, name: str, namespace: str | None = None, grace_s: int | None = None) -> None:
        """grace_s 0: as `kubectl delete --force --grace-period=0`. One that is not there is deleted already."""
        options = {} if grace_s is None else {"gracePeriodSeconds": grace_s}
        try:
            self._ask("DELETE", self._path(self._resource(kind), namespace, name), options)
        except ApiError as error:
            if error.code != 404:
                raise

    def evict(self, pod: str, namespace: str) -> None:
        """As a drain does. Raises ApiError 429 where a PodDisruptionBudget forbids it."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        self._ask("POST", f"{self._path(self._resource('pods'), namespace, pod)}/eviction", body)

    def logs(self, pod: str, namespace: str, container: str = "") -> str:
        query = {"container": container} if container else {}
        path = f"{self._path(self._resource('pods'), namespace, pod)}/log"
        return self._send("GET", path, params=query).text

    def events(self, namespace: str) -> Names:
        """`Kind/name Reason: message`, oldest first."""
        return [
            f"{each['involvedObject']['kind']}/{each['involvedObject']['name']} {each['reason']}: {each['message']}"
            for each in self.list("events", namespace)
        ]

    def everything(self, namespace: str) -> Names:
        """`Kind/name` of all that is in a namespace, events left out."""
        kinds = [each for each in self._served() if each.namespaced and each.plural != "events"]
        return sorted(
            {f"{each.kind}/{one['metadata']['name']}" for each in kinds for one in self.list(each.kind, namespace)}
        )

    def execute(self, pod: str, namespace: str, *arguments: str, container: str = "") -> tuple[int, str]:
        """Exit code and output of a command in a container."""
        done = self._do("execute", namespace, name=pod, arguments=arguments, container=container)
        return done["code"], done["output"]

    def kill(self, pod: str, namespace: str, signal: int = 9, container: str = "") -> None:
        """A signal to all of a container's processes; by default what the OOM killer sends."""
        self._do("signal", namespace, name=pod, signal=signal, container=container)

    def processes(self, namespace: str = "") -> Pids:
        """Process ids of containers that run; those of pods that the API has forgotten count everywhere."""
        return cast("Pids", self._do("processes", namespace))

    def run_cronjob(self, name: str, namespace: str) -> str:
        """Make a Job of a CronJob by hand; its name."""
        return cast("str", self._do("cronjob", namespace, name=name)["metadata"]["name"])

    def add_node(
        self,
        name: str,
        cpu: float = 64,
        memory_gib: float = 256,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """taints: {key, value, effect}."""
        allocatable = {"cpu": str(cpu), "memory": f"{memory_gib}Gi", "ephemeral-storage": "1000Gi"}
        kept = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})}
        address = {"type": "InternalIP", "address": "127.0.0.1"}
        status = {"allocatable": allocatable, "capacity": allocatable, "addresses": [address]}
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        head = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": kept}}
        self.create({**head, "spec": {"taints": list(taints)}, "status": {**status, **ready}})

    def remove_node(self, name: str) -> None:
        """The node is lost, and its pods with it, without a warning."""
        self.delete("nodes", name)
        for pod in self._pods_on(name):
            self.delete("pods", pod["metadata"]["name"], pod["metadata"]["namespace"], grace_s=0)

    def drain(self, name: str) -> None:
        """The node takes no more pods, and all of its own are evicted: what a notice of its end brings about."""
        self.patch("nodes", name, {"spec": {"unschedulable": True}})
        for pod in self._pods_on(name):
            self.evict(pod["metadata"]["name"], pod["metadata"]["namespace"])

    def _pods_on(self, node: str) -> Objects:
        return [pod for pod in self.list("pods") if pod["spec"].get("nodeName") == node]

    def until(self, ready: Callable[[], T | None], timeout_s: float = 120, what: str = "") -> T:
        """The first true answer of `ready`. Raises TimeoutError that says what there is instead."""
        end = time.monotonic() + timeout_s
        while not (answer := ready()):
            if time.monotonic() > end:
                raise TimeoutError(f"{what or ready} within {timeout_s} s; there is:\n{self.describe()}")
            time.sleep(_POLL_S)
        return answer

    def describe(self) -> str:
        """Pods with their phases and last words, and all namespaces' events: for the message of a test that fails."""
        lines = []
        for pod in self.list("pods"):
            meta, status = pod["metadata"], pod["status"]
            states = {each["name"]: each["state"] for each in status.get("containerStatuses", ())}
            lines.append(f"Pod {meta['namespace']}/{meta['name']} {status.get('phase')} {json.dumps(states)}")
            lines += [f"    {line[:300]}" for line in self.logs(meta["name"], meta["namespace"]).splitlines()[-8:]]
        places = {each["metadata"]["name"] for each in self.list("namespaces")}
        lines.append(f"Endpoints {json.loads((self.folder / 'network.json').read_text())['endpoints']}")
        return "\n".join([*lines, *(event for place in sorted(places) for event in self.events(place)[-20:])])

    @contextlib.contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace of one's own; all in it, and its processes, have ended after the block."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            yield name
        finally:
            for pod in self.list("pods", name):
                self.delete("pods", pod["metadata"]["name"], name, grace_s=0)
            self.delete("namespaces", name)
            self.until(lambda: self._emptied(name), 30, f"the end of namespace {name}")

    def _emptied(self, name: str) -> bool:
        """Ends pods that controllers made meanwhile, and takes finalizers whose keeper may be gone."""
        for kind in [each for each in self._served() if each.namespaced and each.plural != "events"]:
            for each in self.list(kind.kind, name):
                meta = each["metadata"]
                if kind.plural == "pods":
                    self.delete("pods", meta["name"], name, grace_s=0)
                elif meta.get("finalizers") and meta.get("deletionTimestamp"):
                    with contextlib.suppress(ApiError):
                        self.patch(kind.kind, meta["name"], {"metadata": {"finalizers": None}}, name)
        return self.get("namespaces", name) is None and not self.processes(name)

    def _served(self) -> Kinds:
        for each in self._ask("GET", self._path(self.resources.named("crd")))["items"]:
            self.resources.add(each)
        return [*self.resources]

    def _resource(self, kind: str) -> Resource:
        try:
            return self.resources.named(kind)
        except ApiError:
            self._served()
            return self.resources.named(kind)

    @staticmethod
    def _path(resource: Resource, namespace: str | None = None, name: str = "") -> str:
        root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
        place = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
        return f"{root}{place}/{resource.plural}" + (f"/{name}" if name else "")

    def _do(self, what: str, namespace: str, **further: Any) -> Any:
        return self._send("POST", "/fakekube", json={"do": what, "namespace": namespace, **further}).json()

    def _ask(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None, kind: str = ""
    ) -> Json:
        headers = {"Content-Type": kind or "application/json"}
        data = None if body is None else json.dumps(body)
        return cast("Json", self._send(method, path, data=data, params=params, headers=headers).json())

    def _send(self, method: str, path: str, **further: Any) -> requests.Response:
        answer = requests.request(method, self.url + path, timeout=_HTTP_S, **further)
        if answer.status_code >= 400:
            status = answer.json()
            raise ApiError(status["code"], status["reason"], status["message"])
        return answer


@contextlib.contextmanager
def run_fakekube(folder: Path, shared: Sequence[Path] = (), preload: Sequence[str] = PRELOAD) -> Iterator[FakeKube]:
    """A stand-in with a node `on-demand` and a node `spot`; it and all that it started have ended after the block.

    shared: folders that pods see at the same place, whatever they mount over them.
    preload: modules that pods find imported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen = [str(each) for each in (*shared, ROOT, Path(sys.prefix))]
    settings = json.dumps({"folder": str(folder), "shared": seen, "preload": list(preload)})
    command = [sys.executable, "-m", "tests.fakekube.server", settings]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
    assert server.stdin and server.stdout
    try:
        line = server.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-in did not start:\n{(folder / 'server.log').read_text()[-4000:]}")
        kube = FakeKube(folder, json.loads(line)["url"], Resources())
        kube.add_node("on-demand", labels=dict(zip(_CAPACITY, ("on-demand", "ON_DEMAND"), strict=True)))
        kube.add_node("spot", labels=dict(zip(_CAPACITY, ("spot", "SPOT"), strict=True)))
        yield kube
    finally:
        server.stdin.close()
        server.stdout.close()
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
