"""`groundswell adopt`: outputs that another system made, as items of this one, each in place of a job.

Files are copied, never changed: their digest stays what it was. An adopted item satisfies its product, tile and period
until a run with `--overwrite` makes it anew. The records of an adoption are those of a run, so what it adopted is
current when it ends. It may be killed at any moment and begun again: what is adopted stays adopted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

from pipeline.config import RunConfig
from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, ConfigError, NothingToDoError, PreflightError
from pipeline.plan.adopted import ADOPTED
from pipeline.plan.made import by_product
from pipeline.products import load_product
from pipeline.products._promise import Promising
from pipeline.session import Options, open_session
from pipeline.types import Job, Json, Skip
from pipeline.verbs._adopt_checksums import Checksums, is_checksum
from pipeline.verbs._adopt_layouts import Keys, finder
from pipeline.verbs._adopt_record import recorded
from pipeline.verbs._adopt_work import Adopted, Adoption, made_here
from pipeline.verbs._answer import Answer
from pipeline.write.store import Store, open_store

FORMAT = 1

AT_ONCE = 4
"""Jobs whose files are copied and looked at together."""
REFUSED: Mapping[str, str] = {
    "argo": "a partition holds of every profile the originals beside adjusted values, errors and flags, and of every "
    "file the version it was read in; tables and JSON of other workers lack them, so a delayed-mode file could not "
    "supersede what they say. Take over their downloads instead: `mirror:` of the source (or LOCAL_CACHE_PATH) names "
    "the folder, and a run makes the tables without fetching anything twice",
    "argo_grid": "a grid is made from the tables of `argo` in minutes, with counts and errors that others do not write",
    "matchups": "it is one table of pixels and profiles together, which no other system writes",
    "stack": "it copies its inputs: adopt those, and the stack is made from them",
}
"""Kinds of products that nothing can be adopted for, and why not."""
HICKLE = (
    ".hkl files stand for no product: hickle holds numbers without grid, nodata and names, and may hold pickles, which "
    "run code when they are read; write their layers as GeoTIFFs on the tile's grid to adopt them"
)


@dataclass(frozen=True)
class Done:
    """What an adoption came to."""

    jobs: Sequence[Adopted]
    """Those that something lies there for."""
    run_id: str | None
    before: Sequence[Skip]
    """What was adopted before."""
    known: Collection[str]
    """Files that lie there for jobs which need no work."""


def run(options: argparse.Namespace) -> Answer:
    """Adopt what lies in a folder for the jobs of a config's plan; what does not fit is named and left where it is.

    Exit code 1 where something was left out for a fault. Raises ConfigError, StoreError where a store cannot be used,
    and NothingToDoError where nothing there is any job's.
    """
    chosen = Options(options.config, sets=options.sets, output=options.output, snapshot=options.snapshot)
    if options.layout == "argo":
        raise NothingToDoError(f"nothing can be adopted for products of the kind argo: {REFUSED['argo']}")
    session = open_session(chosen)
    products = _products(session.config, options.product)
    source = _source(session.config, options)
    sizes = dict(source.list_objects())
    if not sizes:
        raise PreflightError(f"{source.uri}: found no file; expected the output of another system")
    kinds = {one.name: getattr(one, "sensor", None) for one in session.config.products}
    find = finder(options.layout, options.template, lambda job: kinds[job.product] if job.kind == "glaciers" else None)
    committed = {name: session.prepared.committed.get(name, {}) for name in products}
    adoption = Adoption(
        session, source, Keys(sizes), find, Checksums(source, sizes), options.dry_run, made_here(committed)
    )
    jobs = [job for product, some in by_product(session.plan.jobs) if product in products for job in some]
    skipped = [one for one in session.plan.skipped if one.job_id.partition("/")[0] in products]
    before = [one for one in skipped if one.reason == ADOPTED]
    known = {path for job in map(adoption.job_of, skipped) for path in adoption.files_of(job)}
    adoption = replace(adoption, shared=adoption.shared_by(chain(jobs, map(adoption.job_of, skipped))))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        if options.dry_run:
            done = Done([one for one in pool.map(adoption.adopt, jobs) if one is not None], None, before, known)
        else:
            done = Done(*recorded(session, before, lambda: pool.map(adoption.adopt, jobs)), before, known)
    if not done.jobs and not known:
        raise NothingToDoError(_nothing(source, sizes, jobs))
    return _answer(options, source, sizes, done)


def _products(config: RunConfig, asked: str | None) -> list[str]:
    """Names of the products that something may be adopted for. Raises ConfigError where there is none."""
    kinds = {one.name: one.product for one in config.products}
    if asked is not None and asked not in kinds:
        raise ConfigError(f"--product: found {asked}; allowed: {', '.join(kinds)}")
    chosen = [asked] if asked is not None else list(kinds)
    able = [name for name in chosen if isinstance(load_product(kinds[name]), Promising)]
    if not able:
        name = chosen[0]
        why = REFUSED.get(kinds[name], "its files are not told by its entry alone")
        raise ConfigError(f"product {name}: nothing can be adopted for the kind {kinds[name]}: {why}")
    return able


def _source(config: RunConfig, options: argparse.Namespace) -> Store:
    """The folder: reached as the options say, or else as the config's output is."""
    storage = config.storage
    return open_store(
        options.folder,
        endpoint=options.endpoint or storage.endpoint,
        profile=options.profile or storage.profile,
        anonymous=options.anonymous or storage.anonymous,
    )


def _nothing(source: Store, sizes: Mapping[str, int], jobs: Sequence[Job]) -> str:
    wanted = f"{len(jobs)} jobs, such as {jobs[0].id}" if jobs else "no job that is not committed"
    return (
        f"{source.uri}: found {len(sizes)} files, such as {min(sizes)}, and none is where a job of this config would "
        f"have it ({wanted}): check --layout or --template, area, grid and period"
    )


def _answer(options: argparse.Namespace, source: Store, sizes: Mapping[str, int], done: Done) -> Answer:
    """What became of each job that something lies there for, and which files are nobody's."""
    good = [one for one in done.jobs if not one.wrong]
    bad = [one for one in done.jobs if one.wrong]
    taken = {*done.known, *(path for one in done.jobs for path in one.taken)}
    left = [key for key in sorted(sizes) if key not in taken and not is_checksum(key)]
    code = EXIT_JOBS_FAILED if bad else EXIT_DONE
    if options.json:
        document = {
            "format": FORMAT,
            "from": source.uri,
            "run": done.run_id,
            "dry_run": options.dry_run,
            "adopted": [_job(one) for one in good],
            "left_out": [_job(one) for one in bad],
            "adopted_before": [one.job_id for one in done.before],
            "files_of_no_job": left,
        }
        return Answer(json.dumps(document, indent=2), code)
    lines = [f"left out: {one.job.id}: {fault}" for one in bad for fault in one.wrong]
    assumed = sorted({text.partition(": ")[2] for one in good for text in one.assumed})
    if assumed:
        lines.append(f"note: the files do not say it, so the product's word counts: {'; '.join(assumed)}")
    if left:
        lines.append(f"note: {len(left)} files are of no job: {', '.join(left[:5])}{', …' if len(left) > 5 else ''}")
    if any(path.endswith(".hkl") for path in left):
        lines.append(f"note: {HICKLE}")
    verb = "would be adopted" if options.dry_run else "adopted"
    told = f"{len(good)} {verb}, {len(done.before)} were before, {len(bad)} left out"
    lines.append(f"adopt: {told}; from {source.uri}")
    return Answer("\n".join(lines), code)


def _job(one: Adopted) -> Json:
    return {
        "id": one.job.id,
        "item": one.item_key,
        "files": list(one.taken),
        "assumed": list(one.assumed),
        "wrong": list(one.wrong),
    }
