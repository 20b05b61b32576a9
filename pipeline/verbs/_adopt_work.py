"""From files that lie there for a job to its adopted item: copied, compared with checksums, looked at, committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.config import RunConfig
from pipeline.execute.records.lease import scratch_prefix
from pipeline.plan.adopted import adopted_fingerprint, is_adopted, place_of
from pipeline.plan.made import table_of
from pipeline.products import load_product
from pipeline.products._promise import Promise, Promising
from pipeline.products._rights import united_rights
from pipeline.session import Session
from pipeline.types import DataFile, Job, Json, Made, Rights, Skip
from pipeline.verbs._adopt_checksums import Checksums, fetch
from pipeline.verbs._adopt_files import look_at
from pipeline.verbs._adopt_layouts import Finder, Found, Keys
from pipeline.verbs._adopted import ABSENT, FROM
from pipeline.write.commit import OtherFilesError, commit
from pipeline.write.files import write_json_file
from pipeline.write.stac import timestamp
from pipeline.write.store import Store

UNKNOWN = ("inputs", "parameters", "software", "when it was made", "who made it")
"""What nobody knows of an adopted item."""
_FORMAT = 1


@dataclass(frozen=True)
class Adopted:
    """What became of a job."""

    job: Job
    """With the fingerprint of what was adopted; as it was planned where nothing was."""
    item_key: str | None = None
    written_bytes: int = 0
    wrong: tuple[str, ...] = ()
    """Why it was left out: every fault by name."""
    assumed: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    """Keys of the files, in their folder."""


@dataclass(frozen=True)
class Adoption:
    """A folder of another system beside the plan of a config."""

    session: Session
    source: Store
    keys: Keys
    find: Finder
    checksums: Checksums
    dry_run: bool = False
    made_here: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By product, the places of items that were made here."""
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of `shared_by`: nobody knows which of the jobs they are."""

    @property
    def config(self) -> RunConfig:
        return self.session.config

    def promised(self, job: Job) -> Promise:
        """What the files of a job will be, by its entry in the config."""
        entry = next(one for one in self.config.products if one.name == job.product)
        product = load_product(job.kind)
        if not isinstance(product, Promising):
            raise TypeError(f"{job.kind} promises no files")
        return product.promised(entry, job)

    def job_of(self, skip: Skip) -> Job:
        """A job that needs no work."""
        product, tile, period = skip.job_id.split("/")
        table = table_of(self.session.plan)
        row = table.row_at(product, tile, period)
        if row is None:
            raise LookupError(f"{skip.job_id} is not in the plan")
        return table.job(row)

    def files_of(self, job: Job) -> set[str]:
        """What lies there for a job."""
        return {*self.find(job, self.promised(job), self.keys).paths.values()}

    def shared_by(self, jobs: Iterable[Job]) -> dict[str, list[str]]:
        """Files that lie there for several jobs, and their ids; what lies beside the pixels may be of many."""
        takers: dict[str, list[str]] = {}
        for job in jobs:
            promise = self.promised(job)
            for key, path in self.find(job, promise, self.keys).paths.items():
                if key not in promise.beside:
                    takers.setdefault(path, []).append(job.id)
        return {path: ids for path, ids in takers.items() if len(ids) > 1}

    def adopt(self, job: Job) -> Adopted | None:
        """Adopt what lies there for a job, or say why not; None where nothing does. Raises StoreError."""
        promise = self.promised(job)
        found = self.find(job, promise, self.keys)
        if not found.paths:
            return None
        taken = tuple(found.paths.values())
        if f"{job.tile.id}_{job.period.id}" in self.made_here.get(job.product, frozenset()):
            return Adopted(job, wrong=("an item that was made here is there already; it stays",), taken=taken)
        if several := {path: self.shared[path] for path in taken if path in self.shared}:
            return Adopted(job, wrong=tuple(_of_several(path, ids) for path, ids in several.items()), taken=taken)
        if found.lacking:
            return Adopted(job, wrong=tuple(f"found nothing at {where}" for where in found.lacking), taken=taken)
        with TemporaryDirectory(prefix=scratch_prefix()) as folder:
            return self._adopt(job, promise, found, Path(folder))

    def _adopt(self, job: Job, promise: Promise, found: Found, folder: Path) -> Adopted:
        files: list[DataFile] = []
        wrong: list[str] = []
        assumed: list[str] = []
        rows: list[Json] = []
        names = {band.name for bands in promise.files.values() for band in bands}
        for key, path in found.paths.items():
            local, known = folder / f"{key}.tif", self.checksums.of(path)
            faults = fetch(self.source, path, local, known)
            if faults:
                wrong += faults
                continue
            more = {"groundswell:solar_day": found.days[key]} if key in found.days else {}
            looked = look_at(local, key, found.bands[key], job.tile.geobox, more, names)
            wrong += [f"{path}: {one}" for one in looked.wrong]
            assumed += [f"{path}: {one}" for one in looked.assumed]
            if looked.file is not None:
                files.append(looked.file)
                compared = [f"{each.algorithm} of {each.source}" for each in known]
                rows.append({"asset": key, "path": path, "sha256": looked.file.sha256, "compared_with": compared})
        taken = tuple(found.paths.values())
        if wrong:
            return Adopted(job, wrong=tuple(wrong), taken=taken)
        fingerprint = adopted_fingerprint(
            job.product, job.tile, job.period.id, {file.key: file.sha256 for file in files}
        )
        own = replace(job, fingerprint=fingerprint, items=(), upstream=(), neighbours=())
        if self.dry_run:
            return Adopted(own, assumed=tuple(assumed), taken=taken)
        document = {
            "format": _FORMAT,
            "adopted": {"from": self.source.uri, "files": rows, "assumed": assumed, "unknown": list(UNKNOWN)},
            "product": job.kind,
            "place": {"tile": job.tile.identity(), "period": job.period.id},
        }
        inputs = write_json_file(document, folder / "inputs.json", "inputs", title="Where it was adopted from")
        absent = sorted({*promise.beside} - {*found.paths})
        made = Made((*files, inputs), self._properties(job, absent), self._rights(job, promise))
        try:
            committed = commit(self.session.prepared.store, own, made)
        except OtherFilesError:
            text = "it was adopted before, from another folder or of files that say something else; that item stays"
            return Adopted(job, wrong=(text,), taken=taken)
        size = committed.written_bytes if committed.created else 0
        return Adopted(own, committed.item_key, size, (), tuple(assumed), taken)

    def _properties(self, job: Job, absent: list[str]) -> dict[str, Json]:
        times = {}
        if job.period.start is None:
            moments = sorted(item.time for one in self._sources(job) for item in one.items)
            moments = moments or [datetime.fromtimestamp(self.session.prepared.store.now_s(), UTC)]
            start, end = timestamp(moments[0]), timestamp(moments[-1])
            times = {"datetime": None, "start_datetime": start, "end_datetime": end}
        return {
            **times,
            "processing:lineage": f"Made elsewhere; adopted from {self.source.uri}. Unknown: {', '.join(UNKNOWN)}.",
            FROM: self.source.uri,
            **({ABSENT: absent} if absent else {}),
        }

    def _sources(self, job: Job) -> Iterator[Job]:
        """The jobs of scenes that a job is planned from, itself or over any number of steps."""
        if not job.upstream:
            yield job
            return
        table = table_of(self.session.plan)
        for one in job.upstream:
            row = table.row_at(one.product, one.tile_id, one.period.id)
            if row is not None:
                yield from self._sources(table.job(row))

    def _rights(self, job: Job, promise: Promise) -> Rights:
        """Of the scenes that are planned for it: those it was made from are not known, and are of the same sources."""
        if promise.rights is not None:
            return promise.rights(job)
        parts = []
        for one in self._sources(job):
            rights = self.promised(one).rights
            parts += [rights(one)] if rights is not None else []
        return united_rights(parts) if parts else Rights("other", "Rights of what it was made from are not known")


def _of_several(path: str, ids: Sequence[str]) -> str:
    some = ", ".join(ids[:2])
    return (
        f"{path}: found the file of {len(ids)} jobs ({some}{' ...' if len(ids) > 2 else ''}), expected of one: choose "
        "--product, a template that tells them apart, or the period that the file is of"
    )


def made_here(committed: Mapping[str, Mapping[str, str]]) -> dict[str, frozenset[str]]:
    """By product, the places at which an item lies that is not adopted. committed: item key by fingerprint."""
    return {
        product: frozenset(place_of(key) for fingerprint, key in keys.items() if not is_adopted(fingerprint))
        for product, keys in committed.items()
    }
