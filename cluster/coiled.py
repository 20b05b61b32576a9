"""Virtual machines in a cloud account, by Coiled: its service starts them, watches them and ends them."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import aiohttp
import coiled
import dask
from coiled.errors import ClusterCreationError, DoesNotExist, ServerError
from coiled.exceptions import CoiledException, InstanceTypeError
from coiled.utils import handle_credentials
from distributed import Client

from cluster.backend import ClusterError, Found, wait_until
from cluster.labels import dns_label, label_value, owner
from cluster.lease import kept
from cluster.preflight import await_workers, check_versions, connected
from cluster.settings import DASK, ENVIRON, as_environ
from cluster.sizing import limit_bytes
from cluster.spec import ClusterSpec, CoiledSpec

logger = logging.getLogger(__name__)

_PREFIX = "groundswell-"
_RUN = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{6}\Z", re.ASCII)
_GONE = frozenset({"stopped", "error"})
"""States in which a cluster has no machines; Coiled ends those of one that failed."""
_REQUEST_S = 60.0
"""One question to the service; its client tries again for up to five minutes."""
_GIB = 2**30
_FAULTS = (
    *(ClusterCreationError, DoesNotExist, ServerError, CoiledException),
    *(aiohttp.ClientError, OSError, RuntimeError, ValueError),
)
"""What Coiled's client raises: its classes have no common base, and much is a plain RuntimeError or ValueError."""

T = TypeVar("T")


class CoiledBackend:
    """A scheduler on demand and workers on machines that may be spot; TLS and the firewall are Coiled's."""

    def render(self, spec: CoiledSpec) -> Mapping[str, Any]:
        """Keyword arguments of `coiled.Cluster`."""
        limit = limit_bytes(spec.backend, spec.worker_memory_bytes)
        arguments: dict[str, Any] = {
            "name": _name(spec),
            "n_workers": [spec.least, spec.workers] if spec.adaptive else spec.workers,
            "worker_options": {"nthreads": spec.threads, "memory_limit": limit},
            "spot_policy": "spot_with_fallback" if spec.spot else "on-demand",
            "environ": {**ENVIRON, **as_environ(DASK), **spec.environ},
            # What this machine's configuration holds, such as tokens, is nobody's business there.
            "send_dask_config": False,
            # The name of a cluster that is there would be joined, and by default not ended.
            "shutdown_on_close": True,
            "idle_timeout": f"{round(spec.idle_timeout_s)}s",
            "no_client_timeout": f"{round(spec.idle_timeout_s)}s",
            "timeout": spec.start_timeout_s,
            "wait_for_workers": 1,
            # Where nothing is said, the client asks Docker Hub what processor a container is for.
            "arm": False,
            "tags": _tags(spec),
            "show_widget": False,
            "configure_logging": False,
        }
        if spec.vm_types:
            arguments["worker_vm_types"] = list(spec.vm_types)
        else:
            cores, memory = machine(spec.threads, spec.worker_memory_bytes)
            arguments["worker_cpu"] = [spec.threads, cores]
            arguments["worker_memory"] = [f"{spec.worker_memory_bytes} B", f"{memory} B"]
        further = {"workspace": spec.workspace, "region": spec.located, "container": spec.container}
        return arguments | {key: value for key, value in further.items() if value is not None}

    @contextmanager
    def open(self, spec: CoiledSpec, stop: threading.Event) -> Iterator[Client]:
        """A client; the machines are ended, and waited for, when it is given back."""
        arguments = self.render(spec)
        name = str(arguments["name"])
        with _service(spec, stop) as cloud:
            if _answer(spec, stop, _begin(lambda: _alive(cloud, name))):
                raise ClusterError(
                    f"region {spec.region}: a coiled cluster {name} is there already; expected none of that name: "
                    f"end it by `groundswell cluster gc CONFIG --run {spec.run}`"
                )
            starting = _begin(lambda: coiled.Cluster(cloud=cloud, **arguments))
            try:
                # This environment is copied before there are machines, for whose start alone Coiled counts the time.
                cluster = _answer(spec, stop, starting, 2 * spec.start_timeout_s)
                with (
                    connected(cluster.scheduler_address, cluster.security, spec, stop) as client,
                    kept(client, spec.idle_timeout_s),
                ):
                    client.cluster = cluster  # so that its dashboard is the one that Coiled shows
                    await_workers(client, spec, stop)
                    check_versions(client, spec)
                    yield client
            finally:
                try:
                    _end(cloud, spec, name, starting)
                except ClusterError as error:
                    logger.warning("%s", error)

    def find(self, spec: CoiledSpec) -> Sequence[Found]:
        """By name, since the service's list holds no tags; whose they are, as far as it tells: mine or not."""
        never = threading.Event()
        with _service(spec, never) as cloud:
            every, mine = (
                _answer(spec, never, _begin(partial(cloud.list_clusters, just_mine=just_mine)))
                for just_mine in (False, True)
            )
            place = f"workspace {cloud.default_workspace}"
        own = {one["id"] for one in mine}
        ours = (one for one in every if one["name"].startswith(_PREFIX) and _state(one) not in _GONE)
        return [_found(one, place, label_value(owner()) if one["id"] in own else "") for one in ours]

    def remove(self, spec: CoiledSpec, found: Found) -> None:
        """Deleted, and gone when the service says so."""
        with _service(spec, threading.Event()) as cloud:
            _end(cloud, spec, found.name, None)


def machine(threads: int, memory_bytes: int) -> tuple[int, int]:
    """(cores, bytes) of the smallest common machine that holds a worker: 2, 4 or 8 GiB a core, powers of two.

    Coiled is asked for what lies between a worker's need and this, so that three threads or 12 GiB find a machine.
    """
    cores = 2
    while cores < threads or memory_bytes > 8 * _GIB * cores:
        cores *= 2
    memory = 2 * _GIB * cores
    while memory < memory_bytes:
        memory *= 2
    return cores, memory


def _name(spec: CoiledSpec) -> str:
    """Tells the project, and the run where there is one: the service lists names, not tags."""
    name = _PREFIX + dns_label(spec.name)
    return f"{name}-{spec.run}" if spec.run else name


def _tags(spec: CoiledSpec) -> dict[str, str]:
    """Letters that tags of AWS and labels of Google Cloud both may have; the project's own win."""
    own = {"groundswell-run": spec.run, "groundswell-region": spec.region, "groundswell-owner": owner()}
    return {**spec.tags, **{key: value for key, value in own.items() if value}}


@contextmanager
def _service(spec: CoiledSpec, stop: threading.Event) -> Iterator[coiled.Cloud[Any]]:
    """A session of the service. Raises ClusterError where nobody is logged in, instead of opening a browser."""
    token = dask.config.get("coiled.token", None)
    if not token:
        raise ClusterError(
            f"region {spec.region}: backend coiled found no token of Coiled; expected `coiled login` to have been "
            "done on this machine, or a token in the variable DASK_COILED__TOKEN"
        )

    def begun() -> coiled.Cloud[Any]:
        server = dask.config.get("coiled.server")
        asyncio.run(
            handle_credentials(server=server, token=token, save=False, retry=False, print_invalid_token_messages=False)
        )
        return coiled.Cloud(token=token, server=server, workspace=spec.workspace)

    cloud = _answer(spec, stop, _begin(begun))
    try:
        yield cloud
    finally:
        cloud.close()


def _begin(call: Callable[[], T]) -> Future[T]:
    """The call, begun in a thread of its own: Coiled's client waits as long as it likes, a run does not."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 (whoever waits is told)
            future.set_exception(error)

    threading.Thread(target=run, name="coiled", daemon=True).start()
    return future


def _answer(spec: ClusterSpec, stop: threading.Event, call: Future[T], timeout_s: float = _REQUEST_S) -> T:
    """What the service answers. Raises ClusterError where it refuses, after the time, or when `stop` is set."""
    late = f"no answer of the service within {timeout_s:.0f} s: see https://status.coiled.io"
    wait_until(lambda: call.done() or None, spec, stop, timeout_s, lambda: late)
    try:
        return call.result()
    except _FAULTS as error:
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        advice = ": change threads or worker_memory, or name machines by vm_types" * isinstance(
            error, InstanceTypeError
        )
        raise ClusterError(f"region {spec.region}: coiled cluster {spec.name}: {message}{advice}") from error


def _end(cloud: coiled.Cloud[Any], spec: ClusterSpec, name: str, starting: Future[coiled.Cluster[Any]] | None) -> None:
    """Delete what has that name until there is none and nobody is making one. Raises ClusterError after the time."""
    never, faults = threading.Event(), [""]
    making = [] if starting is None else [starting]

    def gone() -> bool | None:
        if making and making[0].done():
            made = making.pop()
            if made.exception() is None:
                made.result().close()
        alive = _alive(cloud, name)
        for one in alive:
            if _state(one) != "stopping":
                cloud.delete_cluster(one["id"])
        return (not making and not alive) or None

    def patient() -> bool | None:
        try:
            return _answer(spec, never, _begin(gone))
        except ClusterError as error:
            faults[0] = f" ({error})"
            return None

    late = f"{name} was deleted, and is still there after {spec.stop_timeout_s:.0f} s"
    wait_until(patient, spec, never, spec.stop_timeout_s, lambda: f"{late}{faults[0]}: look at https://cloud.coiled.io")


def _alive(cloud: coiled.Cloud[Any], name: str) -> list[dict[str, Any]]:
    """The clusters of that name that are not gone."""
    try:
        listed: list[dict[str, Any]] = cloud.get_clusters_by_name(name)
    except DoesNotExist:
        return []
    return [one for one in listed if one["name"] == name and _state(one) not in _GONE]


def _state(listed: Mapping[str, Any]) -> str:
    return str(listed["current_state"]["state"])


def _found(listed: Mapping[str, Any], place: str, user: str) -> Found:
    name = str(listed["name"])
    run = _RUN.search(name)
    return Found(
        name=name,
        backend="coiled",
        place=place,
        run=run[0] if run else "",
        owner=user,
        age_s=(datetime.now(UTC) - datetime.fromisoformat(listed["created"])).total_seconds(),
        silent_s=None,
        workers=listed.get("desired_workers"),
    )
