"""A cluster ends by itself when it was idle for long: a driver that lives keeps it, one that died does not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client

from cluster.backend import ClusterError

_LONGEST_S = 60.0
"""Between two renewals, however long the idle time is: by their time people judge whether a driver lives."""
_CALL_S = 10.0
_FRACTION = 4
_log = logging.getLogger(__name__)


@contextmanager
def kept(client: Client, idle_timeout_s: float, renew: Callable[[], None] | None = None) -> Iterator[None]:
    """Meanwhile the cluster does not count as idle: told at once, then every quarter of its idle time.

    idle_timeout_s: of whatever watches the scheduler; the scheduler's own, where it has one, counts too. renew: what
    else is to be renewed then. Where it raises ClusterError or OSError, or the scheduler is not reached, the log says
    so and it is tried again the next time.
    """
    end = threading.Event()

    def renewed() -> None:
        longest = min(_LONGEST_S, idle_timeout_s / _FRACTION)
        # A client that could not connect again has closed itself: there is nothing left to keep.
        while client.status != "closed":
            own_s = _renew(client, renew)
            if end.wait(min(longest, own_s / _FRACTION) if own_s else longest):
                return

    thread = threading.Thread(target=renewed, name="groundswell-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _renew(client: Client, renew: Callable[[], None] | None) -> float | None:
    """Once; returns the scheduler's own idle time in seconds, where it has one and was reached."""
    own_s: float | None = None
    try:
        # `sync`, which this goes through, takes the limit: a scheduler that is gone would be waited for at length.
        own_s = client.run_on_scheduler(_touch(), callback_timeout=_CALL_S)
        if renew is not None:
            renew()
    except (ClusterError, OSError, TimeoutError, AttributeError) as error:  # AttributeError: it closes meanwhile
        _log.warning("the lease on the cluster was not renewed: %s: %s", type(error).__name__, error)
    return own_s


def _touch() -> Callable[..., float | None]:
    """Has the scheduler count its idle time from now on. A function of a function: sent whole.

    So the scheduler's machine needs nothing of this project.
    """

    def touch(dask_scheduler: Any) -> float | None:
        # As the scheduler does itself whenever a task moves; it begins to count anew.
        dask_scheduler.idle_since = None
        own: float | None = dask_scheduler.idle_timeout
        return own

    return touch
