"""A local copy brought up to date: index, difference, files, and only then the index beside them.

Whatever moment the process is killed at, what the copy says of itself is true: a file has its name when it is whole, a
line of the manifest when it has its name; the index is put when all it lists has been tried; a file that another
replaces goes last. What was left undone is the next sync's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from pipeline.config import SourceConfig
from pipeline.errors import AssetError, ConfigError
from pipeline.mirror.check import date_update
from pipeline.mirror.disk import Disk, reconcile, remove_file, sweep_parts
from pipeline.mirror.fetch import Fetched, Mirrors, Want, open_mirrors
from pipeline.mirror.indices import Indices, put_beside, read_indices
from pipeline.mirror.library import DAC, gdac_of, held_files, run
from pipeline.mirror.manifest import Manifest, open_manifest
from pipeline.mirror.plan import Held, SyncPlan, plan_sync, settled
from pipeline.mirror.report import SyncReport, show_meter
from pipeline.mirror.transports import Gdac, Patience
from pipeline.plan.argo_index import ArgoIndex
from pipeline.plan.argo_names import route
from pipeline.plan.argo_select import Selection, select
from pipeline.search.argo import held_multi, index_files, read_listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncOptions:
    """How a sync goes about it; None is what the transports do by themselves."""

    http: Patience | None = None
    ftp: Patience | None = None
    in_flight: int | None = None
    incremental: bool = True
    """False: every file is fetched anew."""

    def of(self, gdac: Gdac) -> Gdac:
        """A GDAC that is asked so."""
        in_flight = gdac.in_flight if self.in_flight is None else self.in_flight
        return replace(gdac, http=self.http or gdac.http, ftp=self.ftp or gdac.ftp, in_flight=in_flight)


@dataclass(frozen=True)
class _Shelf:
    """Indices in memory, as a `search.argo.Library`."""

    roots: tuple[str, ...]
    indices: Mapping[str, ArgoIndex]

    def index(self, name: str) -> ArgoIndex:
        return self.indices[name]

    def copies(self) -> pa.Table | None:
        return None

    def strays(self, listed: pa.Table, selection: Selection) -> pa.Table:  # noqa: ARG002 (as the protocol has it)
        """None: what is on the disk and not listed is told by the plan."""
        return listed.slice(0, 0)


@dataclass
class _Work:
    """One sync while it is at work."""

    source: SourceConfig
    selection: Selection
    options: SyncOptions
    manifest: Manifest
    console: Console | None
    got: list[Fetched] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.manifest.root

    def held(self) -> dict[str, Held]:
        """What is there, by path below `dac/`."""
        rows = (self.manifest.table()[name].to_pylist() for name in ("path", "version", "mirror"))
        return {
            path.removeprefix(DAC): Held(version, own=bool(mirror))
            for path, version, mirror in zip(*rows, strict=True)
            if path.startswith(DAC)
        }


def sync(
    name: str,
    source: SourceConfig,
    selection: Selection,
    options: SyncOptions | None = None,
    console: Console | None = None,
) -> SyncReport:
    """Make the copy at `source.mirror` hold what a selection asks for, as the index of `source.gdac` lists it now.

    name: of the source. A file that cannot be had is in the report and asked for again the next time. Raises
    ConfigError without `mirror`, CatalogError where no mirror gives a whole index, PreflightError where nothing can be
    written or another sync is at work.
    """
    if source.mirror is None:
        raise ConfigError(f"sources.{name}.mirror: found none; required for a sync: the folder that holds the copy")
    began, root = datetime.now(UTC), Path(source.mirror)
    with open_manifest(root) as manifest:
        work = _Work(source, selection, options or SyncOptions(), manifest, console)
        disk = reconcile(manifest)
        work.notes += [*manifest.notes, *_found(disk)]
        done = run(_sync(work))
        put_beside(root, done.beside)
        superseded, vanished = _remove(work, done.plan)
        sweep_parts(root, {one.path for one in work.got if one.state == "failed"})
    report = SyncReport(
        source=name,
        total_floats=done.floats,
        fetched=work.got,
        kept=done.kept,
        removed=vanished,
        superseded=superseded,
        unlisted=done.plan.unlisted,
        index_bytes=sum(map(len, done.beside.files.values())),
        notes=work.notes,
        start_time=began,
        end_time=datetime.now(UTC),
    )
    logger.info("sync of %s has ended", name, extra={"statistics": report.document()})
    return report


@dataclass(frozen=True)
class _Outcome:
    """What there was to do, and what it was told by."""

    plan: SyncPlan
    kept: int
    floats: int
    beside: Indices


async def _sync(work: _Work) -> _Outcome:
    """Everything that is asked of a mirror."""
    gdac = work.options.of(gdac_of(work.source, copy=False))
    async with open_mirrors(gdac) as mirrors:
        names = index_files(work.source, work.selection).values()
        beside = await read_indices(work.root, names, mirrors, gdac)
        listed = read_listed(work.source, work.selection, _Shelf(gdac.mirrors, beside.tables))
        tried, kept = set[str](), None
        while True:  # again after a `_prof.nc`, which may be older than the index: what is newer comes by itself
            wanted, told = select(listed.table, work.selection, held_multi(held_files(work.manifest.table())))
            complete, anew = work.source.index == "global", not work.options.incremental
            plan = plan_sync(wanted, listed.table, work.held(), complete=complete, anew=anew)
            kept = len(plan.keep) if kept is None else kept
            todo = {path: version for path, version in plan.fetch.items() if path not in tried}
            if not todo:
                break
            tried |= todo.keys()
            await _fetch(work, mirrors, todo)
            if not any(route(path) == "multi" for path in todo):
                break
    work.notes += [*beside.notes, *listed.notes, *told, *plan.notes]
    return _Outcome(plan, kept, pc.count_distinct(wanted["wmo"]).as_py(), beside)


async def _fetch(work: _Work, mirrors: Mirrors, todo: Mapping[str, str]) -> None:
    """Files, each in the manifest as soon as it is there."""
    wants = (Want(DAC + path, version) for path, version in todo.items())
    with show_meter(work.console, len(todo)) as meter:
        async with aclosing(mirrors.fetch(wants, work.root)) as results:  # what is on its way ends before connections
            async for got in results:
                if got.state == "fetched":
                    work.manifest.record(_stamped(got, work.root))
                work.got.append(got)
                meter.add(got)
                level = logging.DEBUG if got.state == "fetched" else logging.WARNING
                logger.log(
                    level, "%s: %s %s", got.path, got.state, got.cause, extra={"file": got.path, "state": got.state}
                )


def _stamped(got: Fetched, root: Path) -> Fetched:
    """With the file's own date as version where no index lists it."""
    if got.version and route(got.path) == "profile":
        return got
    try:
        stamp = date_update(got.path, (root / got.path).read_bytes())
    except AssetError:
        stamp = ""
    return replace(got, version=stamp or got.version)


def _remove(work: _Work, plan: SyncPlan) -> tuple[list[str], list[str]]:
    """(superseded, vanished) files that are gone now."""
    superseded, vanished = list[str](), list[str]()
    for one in settled(plan, work.held() if plan.remove else {}):
        remove_file(work.root, DAC + one.path)
        work.manifest.forget(DAC + one.path)
        (vanished if one.by is None else superseded).append(one.path)
    return superseded, vanished


def _found(disk: Disk) -> list[str]:
    """What of the disk is worth a word."""
    notes = [f"{path}: no sound file, left as it is: {cause}" for path, cause in disk.damaged]
    if disk.adopted:
        notes.append(f"{len(disk.adopted)} files were there without a word in the manifest; they count as they are")
    if disk.lost:
        notes.append(f"{len(disk.lost)} files of the manifest were gone or changed, such as {disk.lost[0]}")
    return notes
