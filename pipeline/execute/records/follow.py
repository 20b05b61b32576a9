"""How far one run has come, by its plan and its journal in the output; looked at again, only what is new is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from pipeline.execute.records.history import COMMITTED_BEFORE, Run, State
from pipeline.execute.records.lease import RUN_LEASE, Owner, is_held, read_owner
from pipeline.execute.records.lines import read_records
from pipeline.execute.records.runs import read_plan
from pipeline.execute.records.tally import View, view_of
from pipeline.types import ClusterEvent, Json, Status
from pipeline.write.store import Store

_SEGMENT = re.compile(r"journal-[0-9]+\.jsonl")
_CLUSTER = {one.name for one in fields(ClusterEvent)}


@dataclass(frozen=True)
class Progress:
    """How far a run has come, as far as it has been written down."""

    run: str
    state: State
    owner: Owner | None
    planned: int
    """Jobs to be done."""
    skipped: Mapping[str, int]
    """Jobs that need no work, by reason."""
    done: int
    cancelled: int
    failed: tuple[Json, ...]
    """`job`, `error`, `cause` of each."""
    retried: int
    """Failed attempts of jobs that were tried again."""
    blocked: tuple[Json, ...] = ()
    """The same of those that were never begun, since what they are made from was not made."""
    marked: tuple[Json, ...] = ()
    """`job`, `level`, `flag`, `text` of each limit that the tile of a done job does not keep."""
    before: tuple[Json, ...] = ()
    """The same of the tiles of skipped jobs, by the limits of this run."""
    claimed: int = 0
    """Open jobs that another run was making when this one looked."""
    view: View | None = None
    """What the run itself last said, by region and product; None where it has not said anything yet."""
    clusters: tuple[ClusterEvent, ...] = ()
    """The last word on each."""
    elapsed_s: float = 0.0
    """From its first record to its last, by the clock of the machine that wrote them."""
    silent_s: float | None = None
    """Since its journal was last written, by the store's clock; None where it is not at work."""
    code: int | None = None
    """Exit code, where it has ended and said so."""
    reason: str | None = None
    """Why it ended early by itself."""
    faults: tuple[str, ...] = ()
    """Records that are missing or damaged: what they said of jobs is not in these numbers."""

    @property
    def open(self) -> int:
        """Jobs of which nothing final is known."""
        ended = self.done + self.cancelled + len(self.failed) + len(self.blocked)
        return self.planned - ended

    @property
    def well(self) -> bool:
        """Whether it has ended, and nothing is left or failed."""
        return self.state is State.FINISHED and not (self.failed or self.blocked or self.code)

    def document(self) -> Json:
        """All of it as JSON."""
        told = asdict(replace(self, view=None))
        del told["view"]
        return told | {"open": self.open, "progress": self.view.written() if self.view is not None else None}


class Following:
    """One run of an output; `look` reads what has been written since the last look, so it may be asked for ever."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._waiting: set[str] | None = None
        self._skipped = Counter[str]()
        self._read: set[str] = set()
        self._last: dict[str, Json] = {}
        self._before: dict[str, Json] = {}
        self._clusters: dict[tuple[str, int], ClusterEvent] = {}
        self._view: View | None = None
        self._end: Json = None
        self._faults: list[str] = []
        self._retried = 0
        self._begun_s = self._heard_s = 0.0

    def look(self) -> Progress:
        """How far it is now. Raises StoreError where its records cannot be read, and may be asked again then."""
        prefix = f"runs/{self._run_id}/"
        objects = {entry.key.removeprefix(prefix): entry for entry in self._store.list_entries(prefix)}
        run = Run(self._run_id, objects, is_held(self._store, objects.get(RUN_LEASE)))
        if self._waiting is None and run.planned:
            self._plan()
        segments = sorted(name for name in objects if _SEGMENT.fullmatch(name))
        for name in segments:
            if name not in self._read:
                self._take(f"{prefix}{name}")
                self._read.add(name)
        told = self._told(_state(run, ended=self._end is not None))
        told = replace(told, faults=(*_missing(prefix, segments), *self._faults))
        told = replace(told, owner=read_owner(self._store, objects.get(RUN_LEASE)))
        if told.state is State.LIVE and segments:
            silent = self._store.now_s() - max(objects[name].modified_s for name in segments)
            told = replace(told, silent_s=max(0.0, silent))
        return told

    def _take(self, key: str) -> None:
        """Take a segment in; nothing of it where it cannot be read."""
        records, faults = read_records(self._store.get_bytes(key), f"{self._store.uri}, key {key}")
        for record in records:
            self._add(record)
        self._faults += faults

    def _plan(self) -> None:
        waiting = set[str]()
        skipped = Counter[str]()
        for line in read_plan(self._store, self._run_id):
            if line["state"] == "run":
                waiting.add(line["job"])
            else:
                skipped[line["state"]] += 1
        self._waiting, self._skipped = waiting, skipped

    def _add(self, record: Json) -> None:
        """Take one record in; of a job what is told of it is kept, and nothing else."""
        self._heard_s = record.get("time") or self._heard_s
        self._begun_s = self._begun_s or self._heard_s
        match record.get("event"):
            case "job" if record["job_id"] in (self._waiting or ()):
                self._retried += record["status"] == Status.RETRY
                found = (record.get("quality") or {}).get("found", ())
                kept = {"status": record["status"]} | ({"found": found} if found else {})
                if record["status"] in {Status.FAILED, Status.BLOCKED}:
                    kept |= {"error": record["error"], "cause": record["cause"]}
                self._last[record["job_id"]] = kept
            case "progress":
                self._view = view_of(record)
            case "cluster":
                self._cluster(ClusterEvent(**{key: value for key, value in record.items() if key in _CLUSTER}))
            case "end":
                self._end = record
            case event if event == COMMITTED_BEFORE:
                self._before[record["job_id"]] = {"found": (record.get("quality") or {}).get("found", ())}

    def _cluster(self, event: ClusterEvent) -> None:
        """Whoever counts workers knows neither backend nor page: those are told when a cluster comes up."""
        before = self._clusters.get((event.region, event.shard))
        if before is not None and event.state == "workers":
            event = replace(before, state=event.state, workers=event.workers)
        self._clusters[event.region, event.shard] = event

    def _told(self, state: State) -> Progress:
        counts = Counter(record["status"] for record in self._last.values())
        named: dict[Status, list[Json]] = {Status.FAILED: [], Status.BLOCKED: []}
        for job_id, record in sorted(self._last.items()):
            if record["status"] in named:
                one = {"job": job_id, "error": record["error"], "cause": record["cause"]}
                named[Status(record["status"])].append(one)
        end = self._end or {}
        return Progress(
            run=self._run_id,
            state=state,
            owner=None,
            planned=len(self._waiting or ()),
            skipped=dict(self._skipped),
            done=counts[Status.DONE],
            cancelled=counts[Status.CANCELLED],
            failed=tuple(named[Status.FAILED]),
            blocked=tuple(named[Status.BLOCKED]),
            retried=self._retried,
            marked=tuple(_marked({job: one for job, one in self._last.items() if one["status"] == Status.DONE})),
            before=tuple(_marked(self._before)),
            claimed=counts[Status.CLAIMED],
            view=self._view,
            clusters=tuple(event for _, event in sorted(self._clusters.items())),
            elapsed_s=max(0.0, self._heard_s - self._begun_s),
            code=end.get("code"),
            reason=end.get("reason"),
        )


def _marked(records: Mapping[str, Json]) -> Iterator[Json]:
    for job_id, record in sorted(records.items()):
        for one in record.get("found", ()):
            yield {"job": job_id, **one}


def _missing(prefix: str, segments: Sequence[str]) -> Iterator[str]:
    """Segments have numbers, in their order, from 0."""
    found = {int(name.removeprefix("journal-").removesuffix(".jsonl")) for name in segments}
    for number in range(max(found, default=-1) + 1):
        if number not in found:
            yield f"{prefix}journal-{number:06d}.jsonl is missing: jobs that it tells of may be done, and count as open"


def _state(run: Run, *, ended: bool) -> State:
    if run.finished:
        return State.FINISHED
    if run.live:
        return State.LIVE
    return State.INTERRUPTED if ended else State.DEAD
