"""The backends by name. Each renders offline what it would ask for, and opens it as a context manager."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, cast

from cluster.spec import ClusterSpec

if TYPE_CHECKING:
    from distributed import Client

BACKENDS: Mapping[str, str] = {"local": "cluster.local:LocalBackend"}
"""Name in the config → "module:Class"; nothing heavy is imported before it is asked for."""


class ClusterError(Exception):
    """A cluster did not come up or is not what was asked; the message names region and backend."""


class Backend(Protocol):
    """One way to get a Dask cluster."""

    def render(self, spec: ClusterSpec) -> Mapping[str, Any]:
        """The exact arguments or manifest, made offline."""

    def open(self, spec: ClusterSpec) -> AbstractContextManager[Client]:
        """A client of a running cluster, not set as default; leaves nothing behind. Raises ClusterError."""


def _backend(spec: ClusterSpec) -> Backend:
    module, _, name = BACKENDS[spec.backend].partition(":")
    return cast("Backend", getattr(importlib.import_module(module), name)())


def render(spec: ClusterSpec) -> Mapping[str, Any]:
    """What would be asked for, as plain data."""
    return _backend(spec).render(spec)


def open_cluster(spec: ClusterSpec) -> AbstractContextManager[Client]:
    """Context manager that yields a `distributed.Client` made with `set_as_default=False`. Raises ClusterError."""
    return _backend(spec).open(spec)
