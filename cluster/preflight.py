"""Before work begins: the scheduler is reached, workers are there, and all run the same versions as this client."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

from distributed import Client, Security, Worker, WorkerPlugin
from distributed.comm.core import CommClosedError, connect
from distributed.protocol.pickle import dumps

from cluster.backend import ClusterError, wait_until
from cluster.spec import ClusterSpec, ExistingSpec
from cluster.versions import MISSING, SPOKEN, differences, python_series, versions_here

_TRY_S = 5.0
_ANSWER_S = 30.0
"""How long a scheduler that was reached may be silent before it counts as lost."""
_WORKERS_S = 90.0
"""The same of all workers together: longer than the scheduler tries to reach one that is gone."""
_ALERTS = ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_", "ALERT_UNSUPPORTED_CERTIFICATE")
"""In OpenSSL's names of what a server answers to a client's certificate."""
_TOPIC = "groundswell-versions"
_NAMED = 3
_watched = WeakSet[Client]()
"""Clients by which later workers are checked."""
_log = logging.getLogger(__name__)

Explain = Callable[[], str]
"""What was seen of a cluster that does not come up, such as its pods' phases and reasons."""


class _Client(Client):
    """A client that was told where the scheduler's pages are."""

    def __init__(self, address: str, dashboard: str | None, **arguments: Any) -> None:
        self._dashboard = dashboard
        super().__init__(address, **arguments)  # type: ignore[no-untyped-call]

    @property
    def dashboard_link(self) -> str | None:
        return self._dashboard or super().dashboard_link


@contextmanager
def connected(
    address: str,
    security: Security | None,
    spec: ClusterSpec,
    stop: threading.Event,
    explain: Explain | None = None,
    dashboard: str | None = None,
) -> Iterator[Client]:
    """A client of the scheduler at this address, tried again while it comes up; not set as default.

    dashboard: where its pages are, where that does not follow from the address. Raises ClusterError when the scheduler
    is not reached in `start_timeout_s`, when `stop` is set, and at once when it is of another authority or has other
    versions.
    """
    failures: list[str] = []

    def reached() -> bool | None:
        try:
            _knock(address, security, min(_TRY_S, spec.start_timeout_s))
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: tornado's, of one that hangs up at once
            if _refuses(error):
                raise ClusterError(_refused(spec, address, error)) from error
            failures[:] = [_unreached(error)]
            return None
        return True

    def explained() -> str:
        seen = f"; {explain()}" if explain is not None else ""
        return f"no scheduler at {address} after {spec.start_timeout_s:.0f} s ({failures[0]}){seen}"

    wait_until(reached, spec, stop, spec.start_timeout_s, explained)
    with _talking(spec):
        client = _Client(address, dashboard, security=security, timeout=_ANSWER_S, set_as_default=False)
    with client:
        _check_scheduler(client, spec)
        try:
            yield client
        finally:
            leave(client)


def await_workers(
    client: Client, spec: ClusterSpec, stop: threading.Event, explain: Explain | None = None, count: int = 1
) -> int:
    """Wait until so many workers are there; returns how many are. Raises ClusterError as `connected` does."""
    found, silent = [0], list[str]()

    def enough() -> int | None:
        try:
            found[0] = _asked(client, "identity", _TRY_S, n_workers=1)["n_workers"]
        except (OSError, TimeoutError) as error:
            if client.status == "closed":  # as it does by itself, for good, when it cannot connect again
                raise ClusterError(_lost(spec, error)) from error
            silent[:] = [f"the scheduler does not answer any more: {type(error).__name__}: {error}"]
            return None
        silent.clear()
        return found[0] if found[0] >= count else None

    def explained() -> str:
        seen = "the scheduler is there: see what its workers' logs say"
        if silent or explain is not None:
            seen = "; ".join([*silent, *([explain()] if explain is not None else [])])
        return f"{found[0]} of {count} workers joined after {spec.start_timeout_s:.0f} s; {seen}"

    return wait_until(enough, spec, stop, spec.start_timeout_s, explained)


def check_versions(client: Client, spec: ClusterSpec) -> None:
    """Every worker runs the Python, the packages and the code of this client, or ClusterError says what differs.

    On a cluster of our own it also holds for workers that come later: one with other versions leaves again, and the
    log says why. A cluster of somebody else's is left as it is.
    """
    wanted = versions_here()
    with _talking(spec):
        # `sync`, which this goes through, takes the limit: a worker that hangs would be waited for without end.
        found = client.run(versions_here, on_error="return", callback_timeout=_WORKERS_S)
    by_fault: dict[str, list[str]] = defaultdict(list)
    for address, versions in found.items():
        for fault in _faults(wanted, versions):
            by_fault[fault].append(address)
    if by_fault:
        raise ClusterError(_differ(spec, {fault: _some(workers) for fault, workers in by_fault.items()}))
    if not isinstance(spec, ExistingSpec):
        with _talking(spec):
            client.subscribe_topic(_TOPIC, _teller())
            plugin = {"plugin": dumps(_SameVersions(wanted, spec.region)), "name": _plugin_of(client)}
            _asked(client, "register_worker_plugin", _WORKERS_S, **plugin, idempotent=False)
        _watched.add(client)


def leave(client: Client) -> None:
    """Take from a cluster what `check_versions` put there; one that is lost has nothing left to take."""
    if client in _watched and client.status == "running":
        _watched.discard(client)
        with suppress(OSError, TimeoutError, ValueError):  # ValueError: a scheduler that was started anew has none
            _asked(client, "unregister_worker_plugin", _TRY_S, name=_plugin_of(client))


class _SameVersions(WorkerPlugin):
    """A worker that joins with other versions hands over and leaves before it does harm."""

    def __init__(self, wanted: Mapping[str, str], region: str) -> None:
        self._wanted = wanted
        self._region = region

    def setup(self, worker: Worker) -> None:
        faults = _faults(self._wanted, versions_here())
        if faults:
            reason = f"region {self._region}: worker {worker.name} left: its versions differ: {'; '.join(faults)}"
            worker.log_event(_TOPIC, {"name": str(worker.name), "reason": reason})
            worker.loop.add_callback(worker.close_gracefully, reason=reason)


def _teller() -> Callable[[tuple[float, Mapping[str, str]]], None]:
    """Has the log say it once a worker: a pod that left is started again, and leaves again."""
    told = set[str]()

    def tell(event: tuple[float, Mapping[str, str]]) -> None:
        if event[1]["name"] not in told:
            told.add(event[1]["name"])
            _log.warning("%s", event[1]["reason"])

    return tell


def _plugin_of(client: Client) -> str:
    return f"groundswell-versions-{client.id}"


def _knock(address: str, security: Security | None, within_s: float) -> None:
    """Connect as a client would, in a thread: a notebook's own thread runs an event loop already. Raises OSError."""

    async def knock() -> None:
        arguments = security.get_connection_args("client") if security is not None else {}
        comm = await connect(address, timeout=within_s, **arguments)
        await comm.close()

    with ThreadPoolExecutor(1, "groundswell-connect") as thread:
        thread.submit(asyncio.run, knock()).result()


@contextmanager
def _talking(spec: ClusterSpec) -> Iterator[None]:
    """A scheduler that is lost meanwhile is a ClusterError."""
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise ClusterError(_lost(spec, error)) from error


def _lost(spec: ClusterSpec, error: Exception) -> str:
    what = "its scheduler was reached, and lost again"
    if isinstance(error, TimeoutError):
        what = "its scheduler was reached, and then it or one of its workers did not answer"
    return f"region {spec.region}: {spec.backend} cluster {spec.name}: {what}: {error}"


def _asked(client: Client, operation: str, within_s: float, **arguments: Any) -> Any:
    """What the scheduler answers. Raises OSError or TimeoutError where it does not in that time."""
    scheduler: Any = client.scheduler
    if scheduler is None:
        raise ConnectionError("the connection was lost")
    return client.sync(getattr(scheduler, operation), callback_timeout=within_s, **arguments)


def _unreached(error: Exception) -> str:
    """What came of it; to be hung up on after the greeting is no network's fault."""
    hint = ": does it speak TLS, and know these certificates?" if isinstance(error, CommClosedError) else ""
    return f"{type(error).__name__}: {error}{hint}"


def _check_scheduler(client: Client, spec: ClusterSpec) -> None:
    """Before it is given any code: what another Python compiled could end it. Raises ClusterError."""
    with _talking(spec):
        # Not `get_versions`, which asks every worker too.
        packages: Mapping[str, str | None] = _asked(client, "versions", _ANSWER_S, packages=SPOKEN)["packages"]
    found = {name: packages.get(name) or MISSING for name in SPOKEN}
    found["python"] = python_series(packages["python"] or MISSING)
    faults = differences({name: versions_here()[name] for name in found}, found)
    if faults:
        raise ClusterError(_differ(spec, dict.fromkeys(faults, "the scheduler")))


def _faults(wanted: Mapping[str, str], found: Mapping[str, str] | Exception) -> list[str]:
    """What one worker has, against the client's; one that cannot even look has not this project."""
    if isinstance(found, OSError | TimeoutError):
        return []  # it was lost meanwhile, and its successor is looked at when it joins
    if isinstance(found, Exception):
        return [f"{type(found).__name__}: {found}"]
    return differences(wanted, found)


def _differ(spec: ClusterSpec, faults: Mapping[str, str]) -> str:
    found = "; ".join(f"{fault} on {where}" for fault, where in sorted(faults.items()))
    return (
        f"region {spec.region}: versions on {spec.backend} cluster {spec.name} differ from this machine's: {found}: "
        "install the same versions there, or run with an image of this version"
    )


def _some(workers: list[str]) -> str:
    rest = len(workers) - _NAMED
    return ", ".join(sorted(workers)[:_NAMED]) + (f" and {rest} more workers" if rest > 0 else "")


def _refuses(error: Exception) -> bool:
    """Whether one side said that it does not accept the other's certificate; one that hangs up may be coming up."""
    return isinstance(error.__cause__, ssl.SSLCertVerificationError) or any(word in str(error) for word in _ALERTS)


def _refused(spec: ClusterSpec, address: str, error: Exception) -> str:
    return (
        f"region {spec.region}: scheduler {address} of {spec.backend} cluster {spec.name} and this client do not "
        "accept each other's certificates, which must be of one authority and valid today: "
        f"{error.__cause__ or error}"
    )
