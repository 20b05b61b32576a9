"""A release of our chart: the run's own, installed for it and gone with it, or one that is there and stays."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import helm_python as helm
from distributed import Client, Security

from cluster.backend import ClusterError, Found, wait_until
from cluster.chart import rendered, secret_of, told
from cluster.connect import Kube, age_s, kube_of, patient, reached, renewal
from cluster.kubernetes import await_operator, check_idle, made
from cluster.labels import CLUSTER, MANAGED_BY, OURS, OWNER, RENEWED, RUN, resource_name
from cluster.lease import kept
from cluster.manifest import secret
from cluster.pods import service_host
from cluster.podstates import is_ready
from cluster.preflight import await_workers, check_versions, connected
from cluster.spec import HelmSpec
from cluster.tls import issue, security_of

_CA, _CLIENT = "ca.crt", ("worker.crt", "worker.key")
"""Files of a standing release's secret by which a client is let in: its workers' own, as there are none for clients."""
_OURS = {MANAGED_BY: "groundswell"}
"""Label of the releases that a run installed, which `gc` may remove; one that somebody keeps has it not."""


class HelmBackend:
    """A scheduler and workers by `helm/groundswell`; always TLS."""

    def render(self, spec: HelmSpec) -> Mapping[str, Any]:
        """The arguments of the install and the manifests that it makes. Raises ClusterError for values refused."""
        if spec.release:
            return {"release": spec.release, "namespace": spec.namespace}
        return rendered(spec)

    @contextmanager
    def open(self, spec: HelmSpec, stop: threading.Event) -> Iterator[Client]:
        release = _standing if spec.release else _installed
        with (
            kube_of(spec) as kube,
            _config(spec) as config,
            release(kube, config, spec, stop) as there,
            reached(kube, there.name, stop) as way,
        ):
            there.grow()

            def explain() -> str:
                return f"pods ({kube.place}): {kube.seen(_pods(there.release))}"

            with (
                connected(way.address, there.security, spec, stop, explain, way.dashboard) as client,
                kept(client, there.idle_s, there.renew),
            ):
                await_workers(client, spec, stop, explain)
                check_versions(client, spec)
                yield client

    def find(self, spec: HelmSpec) -> Sequence[Found]:
        """Releases that runs installed in the namespace; one that somebody else installed to stay is none of them.

        Where a driver died before Helm began, there is only a secret, which belongs to nothing.
        """
        with kube_of(spec) as kube, _config(spec) as config:
            with told(spec):
                releases = [one for one in config.list(all_states=True) if _OURS.items() <= one["labels"].items()]
            known = {one["name"]: (one["labels"], one["deployed_at"]) for one in releases}
            secrets = [one["metadata"] for one in kube.list("Secret", f"{OURS},{RUN},{CLUSTER}")]
            alone = {
                meta["labels"][CLUSTER]: (meta["labels"], meta["creationTimestamp"])
                for meta in secrets
                if "ownerReferences" not in meta
            }
            return [_found(kube, name, *of) for name, of in (alone | known).items()]

    def remove(self, spec: HelmSpec, found: Found) -> None:
        with kube_of(spec) as kube, _config(spec) as config:
            _uninstall(kube, config, spec, found.name)


@dataclass(frozen=True)
class _Release:
    """A release whose objects are in the namespace; its scheduler may still be on its way."""

    release: str
    name: str
    """What its objects are called."""
    security: Security
    idle_s: float
    renew: Callable[[], None] | None
    """Tells others that its driver lives; nothing where it stays anyway."""
    grow: Callable[[], None]
    """To be called once its scheduler is there."""


@contextmanager
def _installed(kube: Kube, config: helm.Config, spec: HelmSpec, stop: threading.Event) -> Iterator[_Release]:
    """A release of the run's own, gone at the end with all that belongs to it."""
    asked, name = rendered(spec), resource_name(spec)  # what the chart refuses is refused before anything is made
    values = asked["values"]
    fixed = _fixed(values)
    credentials = issue(name, [service_host(spec, name)])
    timeout = round(spec.start_timeout_s)
    with made(kube, secret(spec, credentials.secret()), lambda: _uninstall(kube, config, spec, name)):
        # Neither waited for, as Helm says less of a pod that does not come up than `reached` and `await_workers`, nor
        # cancelled: Helm would return at once, and still make what is left to make while that is taken away.
        with told(spec):
            config.install(asked["chart"], name, fixed, labels=asked["labels"], timeout=timeout)
        stored = kube.get("DaskCluster", name)
        if stored is not None:
            check_idle(kube, stored, values["idleTimeoutSeconds"])
            await_operator(kube, name, stop)

        def grow() -> None:
            if fixed != values:
                with told(spec):
                    config.upgrade(asked["chart"], name, values, timeout=timeout)

        lease = renewal(kube, "Secret", secret_of(name))
        yield _Release(name, name, credentials.security(), spec.idle_timeout_s, lease, grow)


@contextmanager
def _standing(kube: Kube, config: helm.Config, spec: HelmSpec, _: threading.Event) -> Iterator[_Release]:
    """A release that somebody installed: used as it is, and left so. Raises ClusterError where it cannot be used."""
    release = str(spec.release)
    with told(spec):
        status = config.status(release)["status"]
        values = config.get_values(release, all_values=True)
    name = values.get("fullnameOverride") or release
    holder = values.get("tls", {}).get("existingSecret") or secret_of(name)
    data = (kube.get("Secret", holder) or {}).get("data", {})
    if status != "deployed":
        wrong = f"is {status}, not deployed: see `helm status {release}`"
    elif not values.get("tls", {}).get("enabled"):
        wrong = "is of another chart, or without TLS: required is helm/groundswell with tls.enabled"
    elif not values["cluster"]["enabled"]:
        wrong = "has no cluster: set cluster.enabled"
    elif missing := sorted({_CA, *_CLIENT} - data.keys()):
        wrong = f"has no {', '.join(missing)} in its secret {holder}: `helm get notes {release}` says how to make it"
    elif values["autoscaling"]["mode"] == "dask" and kube.get("DaskCluster", name) is None:
        wrong = "has lost its DaskCluster, as after its idle time: `helm upgrade` makes it again"
    else:
        ca, cert, key = (base64.b64decode(data[file]).decode() for file in (_CA, *_CLIENT))
        yield _Release(
            release,
            name,
            security_of(ca, cert, key),
            values["idleTimeoutSeconds"] or spec.idle_timeout_s,
            renew=None,
            grow=lambda: None,
        )
        return
    raise ClusterError(f"region {spec.region}: helm release {release} ({kube.place}) {wrong}")


def _fixed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a release that does not scale yet.

    The operator asks the scheduler for the first time as soon as it sees an autoscaler; where its pod is not there yet,
    it fails, and asks again a minute later.
    """
    scaling = values["autoscaling"]
    maximum = scaling["minimum"] if scaling["mode"] == "dask" else scaling["maximum"]
    return {**values, "autoscaling": {**scaling, "maximum": maximum}}


def _uninstall(kube: Kube, config: helm.Config, spec: HelmSpec, release: str) -> None:
    """End a release of a run's own, and wait until its pods are gone. Raises ClusterError after `stop_timeout_s`."""
    pods, refused = _pods(release), [""]

    def gone() -> bool | None:
        try:
            config.uninstall(release, ignore_not_found=True, timeout=round(spec.stop_timeout_s))
        except helm.HelmError as error:  # of which none says whether it passes
            refused[0] = f" Helm: {error}."
            return None
        kube.delete("Secret", secret_of(release))
        return None if kube.list("Pod", pods) or kube.get("DaskCluster", release) else True

    wait_until(
        patient(gone),
        spec,
        threading.Event(),  # whoever asked for the end of the run wants nothing left behind
        spec.stop_timeout_s,
        lambda: (
            f"not gone {spec.stop_timeout_s:.0f} s after its release {release} was uninstalled ({kube.place}). Pods: "
            f"{kube.seen(pods)}.{refused[0]} The operator holds a DaskCluster until it has seen its end: does it run?"
        ),
    )


def _found(kube: Kube, name: str, labels: Mapping[str, str], begun: str) -> Found:
    annotations = (kube.get("Secret", secret_of(name)) or {}).get("metadata", {}).get("annotations", {})
    age = age_s(begun)
    return Found(
        name=name,
        backend="helm",
        place=kube.place,
        run=labels.get(RUN, ""),
        owner=labels.get(OWNER, ""),
        age_s=age,
        # A driver first speaks when its scheduler answers.
        silent_s=age_s(annotations[RENEWED]) if RENEWED in annotations else age,
        workers=sum(map(is_ready, kube.list("Pod", f"{_pods(name)},app.kubernetes.io/component=worker"))),
    )


def _config(spec: HelmSpec) -> helm.Config:
    """Helm on the API server of `kube_of`. It is told of KUBECONFIG: it knows the environment of its start only."""
    path = spec.kubeconfig or os.environ.get("KUBECONFIG") or None
    if path is not None and os.pathsep in path:
        path = None  # Helm takes one file by its path; several, it finds by itself
    with told(spec):
        return helm.Config(kubeconfig_path=path, kube_context=spec.context, namespace=spec.namespace)


def _pods(release: str) -> str:
    return f"app.kubernetes.io/instance={release},app.kubernetes.io/part-of=groundswell"
