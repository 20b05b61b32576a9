"""Tells others of what a run does, by webhook and SNS: of its begin, of each commit, of its end; so systems chain.

A notice is a CloudEvent 1.0 in JSON. Each is delivered at least once while the run lasts, and one that comes twice has
the same id. A receiver that is slow or away costs the run nothing until its end, and then half a minute.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import quote

from pipeline.config import NoticeConfig
from pipeline.execute.listen import Silent
from pipeline.execute.progress.delivery import Delivery, Lost, grouped
from pipeline.execute.progress.receivers import name_of, sender_of
from pipeline.types import Json, Outcome, Status

PATIENCE_S = 30.0
"""Without any success, once the jobs are through."""
_HURRIED_S = 3.0
"""The same where the run was interrupted."""
_THREADS = 4
"""Of one webhook, which takes one notice at a time; a topic takes ten."""


@dataclass(frozen=True)
class About:
    """The run that notices are of."""

    run: str
    name: str
    """Of its config."""
    output: str
    """Its address."""


class Notices(Silent):
    """A listener that tells others; a context manager, since a run has a begin and an end.

    write: of the run's journal, which names what could not be delivered; called by `drain` only. patience_s: that
    `drain` and `end` wait without any success.
    """

    def __init__(
        self,
        configs: Sequence[NoticeConfig],
        about: About,
        write: Callable[[Json], None],
        say: Callable[[str], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._about, self._write, self._say, self._patience_s = about, write, say, patience_s
        self._receivers = [
            (frozenset(one.on), Delivery(name_of(one), partial(sender_of, one), _threads(one), say)) for one in configs
        ]
        self._ended = False

    def __enter__(self) -> Self:
        self._tell("run", "begin", self._about.run, {})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tells of an end that nobody told: by an error. One that is in a hurry is not waited for."""
        try:
            if not self._ended and isinstance(error, Exception):
                self.end(getattr(error, "exit_code", 1), str(error), {})
        finally:
            for _, delivery in self._receivers:
                delivery.close()

    def ended(self, outcome: Outcome) -> None:
        if outcome.status is not Status.DONE or outcome.item_key is None or not self._receivers:
            return
        product, tile, period = outcome.job_id.split("/")
        quality = outcome.quality
        data = {
            "job": outcome.job_id,
            "product": product,
            "tile": tile,
            "period": period,
            "region": outcome.region,
            "fingerprint": outcome.fingerprint,
            "item": outcome.item_key,
            "href": f"{self._about.output.rstrip('/')}/{outcome.item_key}",
            "quality": None if quality is None else {"status": quality.status, "flags": list(quality.flags)},
            "written_bytes": outcome.written_bytes,
        }
        self._tell("commit", outcome.fingerprint, outcome.job_id, data)

    def drain(self, *, hurried: bool = False) -> None:
        """Wait until all is delivered, as long as anything is; what stays is named in the journal and in short.

        hurried: somebody has asked the run to end, and may end it by force soon.
        """
        if hurried:
            self._patience_s = min(self._patience_s, _HURRIED_S)
        for name, lost in self._settled():
            for cause, subjects in grouped(lost):
                self._write({"event": "notice", "target": name, "cause": cause, "subjects": subjects})

    def end(self, code: int, reason: str | None, summary: Json) -> None:
        """Tell of the run's end, after all else: its exit code, why it ended early where it did, what it came to."""
        self._ended = True
        self._settled()
        self._tell("run", "end", self._about.run, {"code": code, "reason": reason, "summary": summary})
        self._settled()

    def _tell(self, kind: str, tag: str, subject: str, data: Json) -> None:
        wanted = [delivery for on, delivery in self._receivers if kind in on]
        if not wanted:
            return
        about = self._about
        document = {
            "specversion": "1.0",
            "id": f"{about.run}-{tag}",
            "source": quote(about.output, safe=":/"),
            "type": "groundswell.commit" if kind == "commit" else f"groundswell.run.{tag}",
            "subject": subject,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": {"format": 1, "run": about.run, "name": about.name, "output": about.output, **data},
        }
        body = json.dumps(document).encode()
        for delivery in wanted:
            delivery.put(body)

    def _settled(self) -> list[tuple[str, list[Lost]]]:
        """Of each receiver what it did not get; the next time it is waited for less."""
        found, since_s = [], time.monotonic()  # one wait for all of them, however many are away
        for _, delivery in self._receivers:
            lost = delivery.settle(self._patience_s, since_s)
            if lost:
                more = f" (and {len(lost) - 1} more, named in the journal)" if len(lost) > 1 else ""
                self._say(
                    f"warning: notices: {delivery.name}: was not told of {lost[0].subject}{more}: {lost[0].cause}"
                )
                found.append((delivery.name, lost))
        if found:
            self._patience_s = min(self._patience_s, PATIENCE_S / 3)
        return found


def _threads(config: NoticeConfig) -> int:
    return 1 if config.webhook is None else _THREADS
