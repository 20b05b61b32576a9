"""Before the first job: the output takes what a run puts there, from this machine and from each region's workers."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from distributed import Client, Future

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.records.claims import CLAIMS
from pipeline.execute.worker.scratch import check_scratch, scratch_folder
from pipeline.write.lock import NoLocksError
from pipeline.write.store import Store

PROBE_TIMEOUT_S = 120.0
"""A task of a moment, on a worker that is there."""
_POLL_S = 0.02
_FIRST = 10**6
_DRIVER_PUTS = ("collections/",)
"""Where this machine puts, beside `runs/`."""
_WORKERS_PUT = ("data/", "items/")
_NO_VERSION = f'"{0:032x}"'
"""Of nothing that ever was: a put that is only for it is refused for that, or before for lack of a right."""


def check_store(store: Store, run_id: str, floats: Sequence[str], say: Callable[[str], None]) -> bool:
    """Put, put again, read, list and delete a few bytes beside a run's records; whether claims may be used.

    floats: names of the products that are replaced in place. Raises PreflightError where a right lacks that a run
    cannot do without, where puts ignore their conditions and there are such products, and where this machine has no
    room for unfinished files; what else is found is said.
    """
    key, folder = f"runs/{run_id}/probe", f"runs/{run_id}/"
    check_scratch()
    fault = f"output {store.uri}: this store ignores the conditions of puts (If-None-Match, If-Match)"
    try:
        try:
            kept = _keeps_conditions(store, key)
        except NoLocksError as error:
            kept, fault = False, f"output {error}"
        if key not in [found for found, _ in store.list_objects(folder)]:
            raise PreflightError(f"output {store.uri}: a listing of {folder} lacks what was put there a moment ago")
        if kept:
            _may_put(store, run_id, _DRIVER_PUTS)
    except StoreError as error:
        raise PreflightError(f"output: {error}") from error
    if not kept:
        _refuse_or_warn(fault, floats, say)
    try:
        store.delete(key)
    except StoreError as error:
        say(f"warning: nothing can be deleted from the output, so leases stay and nothing is claimed: {error}")
        return False
    return kept


def _keeps_conditions(store: Store, key: str) -> bool:
    """Whether puts that are only for what is not there are refused. Raises StoreError."""
    first, second = secrets.token_bytes(16), secrets.token_bytes(16)
    new = store.put_new(first, key) and not store.put_new(second, key)
    with scratch_folder() as folder:
        path = Path(folder, "probe")
        path.write_bytes(second)
        return new and store.put_if(path, key, _NO_VERSION) is None and store.get_bytes(key) == first


def _refuse_or_warn(found: str, floats: Sequence[str], say: Callable[[str], None]) -> None:
    if floats:
        raise PreflightError(
            f"{found}; {', '.join(floats)} replaces tables in place, which needs them: write to a folder or to a store "
            "that keeps them"
        )
    say(f"warning: {found}: of two runs at once each makes everything, and the later one's items stay")


def _may_put(store: Store, run_id: str, prefixes: Sequence[str]) -> None:
    """Try a put under each prefix that cannot succeed and leaves nothing. Raises StoreError where a right lacks."""
    with scratch_folder() as folder:
        path = Path(folder, "probe")
        path.touch()
        for prefix in prefixes:
            key = f"{prefix}probe-{run_id}"
            with suppress(NoLocksError):  # said elsewhere, as where conditions are ignored
                if store.put_if(path, key, _NO_VERSION) is not None:
                    store.delete(key)


def check_output(
    client: Client, region: str, store: Store, run_id: str, stop: threading.Event, *, claims: bool
) -> None:
    """Have a worker put a few bytes beside the run's records, read them here, and remove them.

    That finds missing rights, a folder that is not the same disk there, workers without this package and such without
    room for unfinished files. Raises PreflightError naming region and output: also after `PROBE_TIMEOUT_S`, and as soon
    as `stop` is set. claims: whether its jobs will put some.
    """
    key, token = f"runs/{run_id}/probe-{region}", secrets.token_bytes(16)
    where = f"region {region}: output {store.uri}"
    # Before whatever else waits there, on a cluster that others use too.
    prefixes = (*_WORKERS_PUT, CLAIMS) if claims else _WORKERS_PUT
    asked = client.submit(_probe, store, run_id, prefixes, key, token, pure=False, priority=_FIRST)
    host = _answer(asked, where, stop)
    try:
        found = store.get_bytes(key) if store.exists(key) else None
    except StoreError as error:
        raise PreflightError(
            f"{where}: a worker on {host} wrote there, this machine cannot read it: {error}"
        ) from error
    if found != token:
        raise PreflightError(
            f"{where}: what a worker on {host} wrote there is not there for {socket.gethostname()}: a folder must be "
            "one disk for all of them; allowed: such a folder, or output: s3://bucket/prefix"
        )
    # Who may write and not delete keeps sixteen bytes more beside the records of the run.
    with suppress(StoreError):
        store.delete(key)


def _probe(store: Store, run_id: str, prefixes: Sequence[str], key: str, token: bytes) -> str:
    """On a worker: put the bytes, and see that it may put and has room where its jobs will; the worker's host."""
    check_scratch()
    store.put_bytes(token, key)
    _may_put(store, run_id, prefixes)
    return socket.gethostname()


def _answer(future: Future[str], where: str, stop: threading.Event) -> str:
    """What a worker answered. Raises PreflightError for whatever else came, or did not."""
    end = time.monotonic() + PROBE_TIMEOUT_S
    while not future.done():
        if stop.wait(_POLL_S) or time.monotonic() > end:
            future.cancel()
            why = "the run was asked to end" if stop.is_set() else f"no worker answered for {PROBE_TIMEOUT_S:.0f} s"
            raise PreflightError(f"{where}: nobody knows whether workers can write there: {why}")
    error = future.exception() if future.status == "error" else None
    if isinstance(error, ModuleNotFoundError):
        raise PreflightError(
            f"{where}: its workers have no {error.name}: they need the packages that this machine has, by their image, "
            "container or environment"
        )
    if isinstance(error, PreflightError):
        raise PreflightError(f"{where}: its workers cannot be used: {error}")
    if error is not None:
        raise PreflightError(f"{where}: its workers cannot write there: {type(error).__name__}: {error}")
    if future.status != "finished":
        raise PreflightError(f"{where}: nobody knows whether workers can write there: the scheduler was lost")
    return future.result()
