"""What a journal says beside the jobs: begin and end, clusters, progress, dollars, notices."""

from __future__ import annotations

from dataclasses import fields

from pipeline.types import ClusterEvent, Json
from pipeline.types.account import ClusterAt, ProgressAt

MOST = 2_000
"""Of clusters' and of progress' records that are kept; when there are more, every second one goes."""
_FIELDS = {one.name for one in fields(ClusterEvent)}


class Told:
    """Records of a journal, as they are read; of a run that takes days some thousand are kept."""

    def __init__(self) -> None:
        self.begun_s = self.ended_s = 0.0
        self.said = False
        """Whether it said that it ended."""
        self.code: int | None = None
        self.reason = ""
        self.command: tuple[str, ...] = ()
        self.environment: Json = None
        self.actual: Json = None
        self.clusters: list[ClusterAt] = []
        self.notices_failed = 0
        self._progress: list[ProgressAt] = []

    def add(self, record: Json) -> None:
        """Take one record in."""
        time_s = float(record.get("time") or 0.0)
        self.begun_s = min(self.begun_s or time_s, time_s or self.begun_s)
        self.ended_s = max(self.ended_s, time_s)
        told = {
            "begin": self._begin,
            "end": self._end,
            "cluster": self._cluster,
            "progress": self._step,
            "notice": self._notice,
            "actual": self._actual,
        }.get(record["event"])
        if told is not None:
            told(record, time_s)

    def progress(self) -> tuple[ProgressAt, ...]:
        """How far it had come, every ten seconds or, of a long run, less often."""
        return tuple(self._progress)

    def _begin(self, record: Json, _time_s: float) -> None:
        self.command = tuple(str(word) for word in record.get("command") or ())
        self.environment = record.get("environment")

    def _end(self, record: Json, _time_s: float) -> None:
        self.said, self.code = True, record.get("code")
        self.reason = str(record.get("reason") or record.get("error") or "")

    def _actual(self, record: Json, _time_s: float) -> None:
        self.actual = {key: value for key, value in record.items() if key not in {"event", "time", "format", "crc"}}

    def _notice(self, record: Json, _time_s: float) -> None:
        self.notices_failed += len(record.get("subjects") or ()) or 1

    def _cluster(self, record: Json, time_s: float) -> None:
        values = {key: value for key, value in record.items() if key in _FIELDS}
        self.clusters.append(ClusterAt(time_s, ClusterEvent(**values)))
        if len(self.clusters) > MOST:  # states are kept, numbers of workers are what there are many of
            kept = [one for n, one in enumerate(self.clusters) if one.event.state != "workers" or n % 2]
            self.clusters = kept if len(kept) < len(self.clusters) else self.clusters[::2]

    def _step(self, record: Json, time_s: float) -> None:
        rows = record.get("rows") or ()
        done, read, written = (
            sum(row.get(key) or 0 for row in rows) for key in ("done", "read_bytes", "written_bytes")
        )
        self._progress.append(ProgressAt(time_s, done, record.get("usd"), read, written))
        if len(self._progress) > MOST:
            del self._progress[1::2]
