"""Pods on Kubernetes, which the operator of dask-kubernetes makes of a DaskCluster, and ends with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from distributed import Client

from cluster.backend import ClusterError, Found, wait_until
from cluster.connect import LATER, Kube, KubeError, age_s, kube_of, patient, reached, renewal
from cluster.labels import CLUSTER, COMPONENT, OURS, OWNER, RENEWED, RUN, resource_name
from cluster.lease import kept
from cluster.manifest import manifests, owned, secret
from cluster.pods import service_host
from cluster.podstates import is_ready
from cluster.preflight import await_workers, check_versions, connected
from cluster.spec import KubernetesSpec
from cluster.tls import Credentials, issue

_OPERATOR_S = 60.0
"""How long the operator may take to notice a DaskCluster."""
_EXISTS, _UNKNOWN = 409, 404
_INSTALL = (
    "helm install --repo https://helm.dask.org --create-namespace -n dask-operator --generate-name "
    "dask-kubernetes-operator"
)


class KubernetesBackend:
    """A DaskCluster and a DaskAutoscaler; TLS always, by an authority of the cluster's own."""

    def render(self, spec: KubernetesSpec) -> Mapping[str, Any]:
        return manifests(spec)

    @contextmanager
    def open(self, spec: KubernetesSpec, stop: threading.Event) -> Iterator[Client]:
        name = resource_name(spec)
        credentials = issue(name, [service_host(spec, name)])
        with kube_of(spec) as kube, _made(kube, credentials, stop) as stored, reached(kube, name, stop) as there:

            def explain() -> str:
                return f"pods ({kube.place}): {kube.seen(f'{CLUSTER}={name}')}"

            renew = renewal(kube, "DaskCluster", name)
            with (
                connected(there.address, credentials.security(), spec, stop, explain, there.dashboard) as client,
                kept(client, spec.idle_timeout_s, renew),
            ):
                if spec.adaptive:
                    # Not before the scheduler's pod is there: the operator would miss it, and look again in a minute.
                    kube.create(owned(manifests(spec)["autoscaler"], stored))
                await_workers(client, spec, stop, explain)
                check_versions(client, spec)
                yield client

    def find(self, spec: KubernetesSpec) -> Sequence[Found]:
        with kube_of(spec) as kube:
            return [_found(kube, cluster) for cluster in _clusters(kube)]

    def remove(self, spec: KubernetesSpec, found: Found) -> None:
        with kube_of(spec) as kube:
            _end(kube, found.name)


@contextmanager
def _made(kube: Kube, credentials: Credentials, stop: threading.Event) -> Iterator[dict[str, Any]]:
    """The DaskCluster, as the server stored it, and what it needs are there meanwhile, and gone afterwards."""
    spec, parts = kube.spec, manifests(kube.spec)
    name = parts["cluster"]["metadata"]["name"]
    with made(kube, parts["cluster"], lambda: _end(kube, name)) as stored:
        check_idle(kube, stored, parts["cluster"]["spec"]["idleTimeout"])
        # Each belongs to the DaskCluster from its first moment: whatever happens to this process, nothing stays alone.
        for manifest in (secret(spec, credentials.secret()), parts["policy"], parts["budget"]):
            kube.create(owned(manifest, stored))
        await_operator(kube, name, stop)
        yield stored


@contextmanager
def made(kube: Kube, manifest: Mapping[str, Any], end: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The first object of a cluster, as the server stored it; afterwards `end` takes the cluster away.

    Raises ClusterError for one that is there already, which is not touched.
    """
    spec, kind, name = kube.spec, manifest["kind"], manifest["metadata"]["name"]
    try:
        stored = kube.create(manifest)
    except KubeError as error:
        if error.status == _EXISTS:
            raise ClusterError(
                f"region {spec.region}: {kind} {name} is there already ({kube.place}), and not of this run: wait for "
                f"its end, or remove it by `groundswell cluster gc` or `kubectl delete {kind.lower()} {name}`"
            ) from error
        if error.status == _UNKNOWN:
            raise KubeError(f"{error}. Is the namespace there, and the operator? {_INSTALL}", _UNKNOWN) from error
        if error.status is None or error.status in LATER:
            with _ended(end):
                raise  # perhaps only the answer was lost
        raise
    with _ended(end):
        yield stored


@contextmanager
def _ended(end: Callable[[], None]) -> Iterator[None]:
    """Afterwards `end`, in any case; where both fail, the error has both."""
    first: ClusterError | None = None
    try:
        yield
    except ClusterError as error:
        first = error
        raise
    finally:
        try:
            end()
        except ClusterError as last:
            raise ClusterError(f"{first}; and then: {last}" if first else str(last)) from first


def _clusters(kube: Kube) -> Sequence[Mapping[str, Any]]:
    """None where Kubernetes does not even know the kind."""
    try:
        return kube.list("DaskCluster", OURS)
    except KubeError as error:
        if error.status == _UNKNOWN:
            return ()
        raise


def check_idle(kube: Kube, stored: Mapping[str, Any], idle_s: int) -> None:
    """Raises ClusterError where a DaskCluster, as the server stored it, would outlive its driver for ever."""
    name, kept_s = stored["metadata"]["name"], stored["spec"].get("idleTimeout")
    if kept_s != idle_s:
        raise ClusterError(
            f"region {kube.spec.region}: Kubernetes ({kube.place}) stored DaskCluster {name} with idleTimeout "
            f"{kept_s}, not {idle_s}: without it a cluster whose driver died stays and costs. Its "
            "CustomResourceDefinitions are older than this package: upgrade the operator's chart and its CRDs"
        )


def await_operator(kube: Kube, name: str, stop: threading.Event) -> None:
    """Raises ClusterError where nobody takes notice of the DaskCluster, or refuses it."""
    spec = kube.spec
    phase = wait_until(
        patient(lambda: ((kube.get("DaskCluster", name) or {}).get("status") or {}).get("phase")),
        spec,
        stop,
        min(_OPERATOR_S, spec.start_timeout_s),
        lambda: (
            f"no operator took notice of DaskCluster {name} ({kube.place}). Is it installed, and does it watch that "
            f"namespace? {_INSTALL}. One that runs may have lost its watch: kubectl rollout restart deployment "
            "--namespace dask-operator"
        ),
    )
    if phase == "Error":
        raise ClusterError(
            f"region {spec.region}: the operator refuses DaskCluster {name} ({kube.place}): see its events"
        )


def _end(kube: Kube, name: str) -> None:
    """Delete a DaskCluster, with which all that it owns goes, and wait until its pods are gone. Raises ClusterError."""
    spec, selector = kube.spec, f"{CLUSTER}={name}"
    # What scales it goes first. Last, the group of workers: the operator makes it without an owner, and gives it to the
    # DaskCluster if that is still there.
    parts = (("DaskAutoscaler", name), ("DaskCluster", name), ("DaskWorkerGroup", f"{name}-default"))

    def gone() -> bool | None:
        # Asked again each time: one that is on its way out takes no harm, and the first request may have been lost.
        left = [kube.delete(kind, part) for kind, part in parts]
        return None if any(left) or kube.list("Pod", selector) else True

    wait_until(
        patient(gone),
        spec,
        threading.Event(),  # whoever asked for the end of the run wants nothing left behind
        spec.stop_timeout_s,
        lambda: (
            f"not gone {spec.stop_timeout_s:.0f} s after it was deleted ({kube.place}). Pods: {kube.seen(selector)}. "
            "The operator holds a DaskCluster until it has seen its end: does it run? "
            "Look again by `groundswell cluster list`"
        ),
    )


def _found(kube: Kube, cluster: Mapping[str, Any]) -> Found:
    meta = cluster["metadata"]
    labels, renewed = meta.get("labels", {}), meta.get("annotations", {}).get(RENEWED)
    age = age_s(meta["creationTimestamp"])
    workers = kube.list("Pod", f"{CLUSTER}={meta['name']},{COMPONENT}=worker")
    return Found(
        name=meta["name"],
        backend=kube.spec.backend,
        place=kube.place,
        run=labels.get(RUN, ""),
        owner=labels.get(OWNER, ""),
        age_s=age,
        # A driver first speaks when its scheduler answers.
        silent_s=age if renewed is None else age_s(renewed),
        workers=sum(map(is_ready, workers)),
    )
