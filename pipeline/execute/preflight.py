"""Before the first job of a region: what its workers write is found where this machine, and everybody else, looks."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from contextlib import suppress

from distributed import Client, Future

from pipeline.errors import PreflightError, StoreError
from pipeline.write.store import Store

PROBE_TIMEOUT_S = 120.0
"""A task of a moment, on a worker that is there."""
_POLL_S = 0.02
_FIRST = 10**6


def check_output(client: Client, region: str, store: Store, run_id: str, stop: threading.Event) -> None:
    """Have a worker put a few bytes beside the run's records, read them here, and remove them.

    That finds missing rights, a folder that is not the same disk there, and workers without this package. Raises
    PreflightError naming region and output: also after `PROBE_TIMEOUT_S`, and as soon as `stop` is set.
    """
    key, token = f"runs/{run_id}/probe-{region}", secrets.token_bytes(16)
    where = f"region {region}: output {store.uri}"
    # Before whatever else waits there, on a cluster that others use too.
    host = _answer(client.submit(_probe, store, key, token, pure=False, priority=_FIRST), where, stop)
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


def _probe(store: Store, key: str, token: bytes) -> str:
    """On a worker: put the bytes; the worker's host."""
    store.put_bytes(token, key)
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
    if error is not None:
        raise PreflightError(f"{where}: its workers cannot write there: {type(error).__name__}: {error}")
    if future.status != "finished":
        raise PreflightError(f"{where}: nobody knows whether workers can write there: the scheduler was lost")
    return future.result()
