"""The backends by name. Each renders offline what it would ask for, and opens it as a context manager."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from cluster.spec import ClusterSpec

if TYPE_CHECKING:
    from distributed import Client

BACKENDS: Mapping[str, str] = {
    "local": "cluster.local:LocalBackend",
    "existing": "cluster.existing:ExistingBackend",
    "kubernetes": "cluster.kubernetes:KubernetesBackend",
    "helm": "cluster.helm:HelmBackend",
    "coiled": "cluster.coiled:CoiledBackend",
}
"""Name in the config → "module:Class"; nothing heavy is imported before it is asked for."""
EXTRAS: Mapping[str, str] = {"kubernetes": "kubernetes", "helm": "helm", "coiled": "coiled"}
"""Name in the config → the extra of this project that it needs."""
_POLL_S = 0.5

T = TypeVar("T")


class ClusterError(Exception):
    """A cluster did not come up or is not what was asked; the message names region and backend."""


@dataclass(frozen=True)
class Found:
    """A cluster of this project's that exists somewhere, by whoever's run."""

    name: str
    backend: str
    place: str
    """Where it was found: context and namespace, or workspace."""
    run: str
    owner: str
    age_s: float
    silent_s: float | None
    """Since its driver was last heard of; None where nobody knows."""
    workers: int | None


class Backend(Protocol):
    """One way to get a Dask cluster."""

    def render(self, spec: ClusterSpec) -> Mapping[str, Any]:
        """The exact arguments or manifests, made offline; the same spec always gives the same."""

    def open(self, spec: ClusterSpec, stop: threading.Event) -> AbstractContextManager[Client]:
        """A client of a running cluster, not set as default; leaves nothing behind.

        It has its first workers when it is given. Raises ClusterError: also when `stop` is set meanwhile.
        """

    def find(self, spec: ClusterSpec) -> Sequence[Found]:
        """What is there of this project's clusters, where the spec points. Raises ClusterError."""

    def remove(self, spec: ClusterSpec, found: Found) -> None:
        """End one of them with all that belongs to it, and wait until it is gone. Raises ClusterError."""


def backend_of(spec: ClusterSpec) -> Backend:
    """The backend of a spec. Raises ClusterError where its extra is not installed, and says which."""
    module, _, name = BACKENDS[spec.backend].partition(":")
    try:
        return cast("Backend", getattr(importlib.import_module(module), name)())
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(spec.backend)
        if extra is None or (error.name or "").partition(".")[0] in {"cluster", "pipeline"}:
            raise
        raise ClusterError(
            f"region {spec.region}: backend {spec.backend} needs the package {error.name}, which is not installed: "
            f"pip install 'groundswell[{extra}]'"
        ) from error


def render(spec: ClusterSpec) -> Mapping[str, Any]:
    """What would be asked for, as plain data. Raises ClusterError where the backend's extra is not installed."""
    return backend_of(spec).render(spec)


def open_cluster(spec: ClusterSpec, stop: threading.Event | None = None) -> AbstractContextManager[Client]:
    """Context manager that yields a `distributed.Client` made with `set_as_default=False`. Raises ClusterError."""
    return backend_of(spec).open(spec, stop or threading.Event())


def wait_until(
    ready: Callable[[], T | None],
    spec: ClusterSpec,
    stop: threading.Event,
    timeout_s: float,
    explain: Callable[[], str],
) -> T:
    """The first answer of `ready` that is not None. Raises ClusterError after the time, or as soon as `stop` is set.

    explain: what was seen and what to do, for the message.
    """
    end = time.monotonic() + timeout_s
    while (answer := ready()) is None:
        if stop.is_set():
            raise ClusterError(f"region {spec.region}: not started: the run was asked to end")
        if time.monotonic() >= end:
            raise ClusterError(f"region {spec.region}: {spec.backend} cluster {spec.name}: {explain()}")
        stop.wait(_POLL_S)
    return answer
