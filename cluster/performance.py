"""What a cluster did, as one page: Dask's performance report with its task stream, which opens without any network."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from distributed import Client

logger = logging.getLogger(__name__)

_PATIENCE_S = 30.0
_ICON = re.compile(rb'<link rel="shortcut icon"[^>]*>\s*')
_ALONE = (
    b'<head>\n    <meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data: blob:; '
    b"font-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'\">"
)
"""A browser asks nobody for anything because of this page: Bokeh knows addresses that it may load formulas from."""


@dataclass(frozen=True)
class Watch:
    """What a scheduler has kept of its tasks since `watch`."""

    client: Client
    since_s: float
    """Seconds since 1970."""

    def page(self, timeout_s: float = _PATIENCE_S) -> bytes | None:
        """HTML of 2 MB and 150 bytes a task; None, with a line in the log, where the scheduler does not give it.

        Takes the scheduler half a second, and one more for every 20,000 tasks.
        """
        if self.client.status != "running":
            return None
        scheduler: Any = self.client.scheduler
        try:
            text: str = self.client.sync(
                scheduler.performance_report,
                start=self.since_s,
                last_count=0,
                code="",
                mode="inline",
                callback_timeout=timeout_s,
            )
        except Exception as error:  # noqa: BLE001 (whatever a scheduler, maybe somebody else's, raised to make it)
            logger.warning("no performance report: %s: %s", type(error).__name__, error)
            return None
        return _ICON.sub(b"", text.encode(), count=1).replace(b"<head>", _ALONE, 1)


def watch(client: Client) -> Watch:
    """Have a scheduler keep what its tasks took, the newest of them, from now on.

    How many is Dask's `distributed.scheduler.dashboard.tasks.task-stream-length` there.
    """
    scheduler: Any = client.scheduler
    client.sync(scheduler.get_task_stream, start=0, stop=0)
    return Watch(client, time.time())
