"""One partition, from what is listed and what is there to validated files; publishes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StoreError
from pipeline.ops.argo_rules import read_greylist
from pipeline.plan.argo_rules import quality_rule
from pipeline.plan.argo_schema import Footer, partition_key
from pipeline.products._argo_facts import fact_schemas
from pipeline.products._argo_gather import Gathered, gather
from pipeline.products._argo_item import geometry_of, properties_of, rights_of
from pipeline.products._argo_json import write_documents
from pipeline.products._argo_listing import VERSION, Listing, complete, listing_of
from pipeline.products._argo_read import reader
from pipeline.products._argo_tables import Tables, make_tables
from pipeline.products._base import Context, Ledger
from pipeline.types import DataFile, Job, Made, Replaced
from pipeline.write.files import finished_file
from pipeline.write.profiles import ARROW_TYPE, PARQUET_TYPE, Partition, read_partition, write_arrow, write_parquet

if TYPE_CHECKING:
    from pipeline.products.argo import ArgoConfig

_TITLES = {
    "levels": "Levels: originals and best values",
    "profiles": "Profiles: one row each, with statistics",
    "ledger": "Whatever is not a plain best value, and why",
}


def make_partition(job: Job, config: ArgoConfig, context: Context, folder: Path) -> Made:
    """Merge what the job lists with what its partition holds.

    Raises MissingAssetsError where more files are lost than the policy allows, StoreError where the partition cannot
    be read. Without a store there is no partition to merge with.
    """
    rights, doi = rights_of(job.items)
    merged = _merge(job, config, context)
    if isinstance(merged, str):
        return Made((), {}, rights, warnings=(merged,))
    found, listing, replaced = merged
    losses = _losses(job, context, found)
    rule = quality_rule(config.qc_level, config.flags)
    greylist = read_greylist(listing.greylist)
    tables = make_tables(found.facts, found.ledger, config.parameters, rule, greylist)
    footer = Footer(
        product=job.product,
        bucket=job.tile.id,
        fingerprint=job.fingerprint,
        parameters=config.parameters,
        generation=replaced.generation,
        index_date=listing.index_date,
        inputs=found.inputs,
        settings={"qc_level": config.qc_level, "flags": list(rule.flags or ()), "version": VERSION},
        greylist=listing.greylist,
        license=rights.license,
        attribution=rights.attribution,
        doi=doi,
    )
    return Made(
        files=_write(tables, config, footer, replaced, folder),
        properties={
            **properties_of(tables, footer.generation),
            **({"sci:doi": doi} if doi else {}),
            "groundswell:files_read": found.parsed,
            "groundswell:files_unchanged": found.taken_over,
        },
        rights=rights,
        losses=losses.losses,
        warnings=(*losses.notes, *greylist.faults),
        read_bytes=found.read_bytes,
        geometry=geometry_of(tables.profiles),
    )


def _merge(job: Job, config: ArgoConfig, context: Context) -> tuple[Gathered, Listing, Replaced] | str:
    """What the tables are made of, what is listed, and what they replace; or why there is nothing to do."""
    store = context.store
    old = None if store is None else read_partition(store, job.product, job.tile.id, _of_facts)
    if old is not None and old.version and old.footer is None and not complete(job):
        key = partition_key(job.product, job.tile.id)
        raise StoreError(
            f"{store.uri if store else ''}, key {key}: found no partition that can be read, and a run that lists some "
            "files only cannot make it anew: run with all floats and `index: global`"
        )
    same = _comparable(old, config)
    listing = listing_of(job, old.footer if old else None)
    if listing.newer_date and same:
        found, ours = listing.newer_date, listing.index_date
        return (
            f"the partition was made from the index of {found}, this run has that of {ours} (the oldest of its kinds): "
            "it is left as it is until a run has a newer one"
        )
    gathered = gather(job.tile.id, listing, same, config.parameters, reader(context.access))
    replaced = Replaced(old.version, old.generation + 1) if old else Replaced(None, 1)
    return gathered, listing, replaced


def _of_facts(footer: Footer) -> list[str]:
    """The columns of `levels` that are taken over."""
    names: list[str] = fact_schemas(footer.parameters)[1].names
    return names


def _comparable(old: Partition | None, config: ArgoConfig) -> Partition | None:
    """A partition of other columns, or of another version of the product, does not say what is in the files.

    It is replaced, and nothing is taken over.
    """
    footer = old.footer if old else None
    known = footer is not None and (footer.parameters, footer.settings.get("version")) == (config.parameters, VERSION)
    return old if known else None


def _losses(job: Job, context: Context, found: Gathered) -> Ledger:
    ledger = Ledger(job, context, len(found.inputs))
    items = {int(item.id): item for item in job.items}
    for one, error in found.failed:
        item = items.get(one.wmo) if one.wmo is not None else None
        ledger.record(item or job.items[0], one.path, error)
    for known in found.inputs:
        if known.state == "stale":
            ledger.note(f"{known.path} ({known.version}) stays: what replaces it cannot be read")
    ledger.check()
    return ledger


def _write(
    tables: Tables, config: ArgoConfig, footer: Footer, replaced: Replaced, folder: Path
) -> tuple[DataFile, ...]:
    files = []
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        write_parquet(table, path, footer, config.compression)
        files.append(_file(path, name, PARQUET_TYPE, _TITLES[name], replaced))
    if "arrow" in config.also:
        path = folder / "levels.arrow"
        write_arrow(tables.levels, path, footer, config.compression)
        files.append(_file(path, "arrow", ARROW_TYPE, "Levels as an Arrow file"))
    if "json" in config.also:
        path = folder / "profiles.jsonl"
        write_documents(tables, config.parameters, path)
        files.append(_file(path, "json", "application/jsonl", "Profiles as JSON, one a line"))
    return tuple(files)


def _file(path: Path, key: str, media_type: str, title: str, replaced: Replaced | None = None) -> DataFile:
    return replace(finished_file(path, key, media_type, ("data",), title, {}), replaces=replaced)
