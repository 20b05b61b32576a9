"""`groundswell explain`: why a tile would be made again: its planned fingerprint document beside the committed ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pipeline.errors import ConfigError
from pipeline.execute.records.runs import current_items
from pipeline.plan.adopted import ADOPTED, is_adopted
from pipeline.plan.fingerprint import differences
from pipeline.plan.jobs import job_document
from pipeline.prepare import Prepared
from pipeline.session import Options, open_session
from pipeline.types import Job, Json, Skip
from pipeline.verbs._adopted import origin_of
from pipeline.verbs._answer import Answer
from pipeline.write.commit import fingerprint_of
from pipeline.write.sound import get_item, resolve
from pipeline.write.store import Store


def run(options: argparse.Namespace) -> Answer:
    """One paragraph a job of `options.tile`, a tile id or `product/tile/period`: committed, new, or what changed.

    Raises ConfigError when the config has no such tile.
    """
    chosen = Options(options.config, sets=options.sets, output=options.output, snapshot=options.snapshot)
    prepared, tile = open_session(chosen).prepared, options.tile
    jobs = {job.id: job for job in prepared.plan.jobs if tile in {job.id, job.tile.id}}
    skipped = {skip.job_id: skip for skip in prepared.plan.skipped if tile in {skip.job_id, skip.job_id.split("/")[1]}}
    if not jobs and not skipped:
        ids = [*(job.id for job in prepared.plan.jobs), *(skip.job_id for skip in prepared.plan.skipped)]
        raise ConfigError(_unknown(tile, ids))
    current = current_items(prepared.store)
    lines = [_committed(prepared, skipped[job_id]) for job_id in sorted(skipped)]
    for job_id in sorted(jobs):
        lines += _explain(prepared, jobs[job_id], current.get(job_id))
    return Answer("\n".join(lines))


def _unknown(name: str, ids: Sequence[str]) -> str:
    """ids: of all jobs. Only names of one kind are compared: it takes a while, and a campaign has a million ids."""
    tiles = sorted({one.split("/")[1] for one in ids})
    near = get_close_matches(name, ids if "/" in name else tiles, 3)
    meant = f"; closest: {', '.join(near)}" if near else ""
    return f"no job of this config is about {name!r}{meant}; its tiles: {', '.join(tiles[:20]) or 'none'}"


def _committed(prepared: Prepared, skip: Skip) -> str:
    key = prepared.committed.get(skip.job_id.partition("/")[0], {}).get(skip.fingerprint)
    if skip.reason != ADOPTED or key is None:
        return f"{skip.job_id}: committed, nothing to do"
    return f"{skip.job_id}: {origin_of(get_item(prepared.store, key))}; --overwrite makes it anew"


def _explain(prepared: Prepared, job: Job, item_key: str | None) -> Iterator[str]:
    if item_key is None:
        inputs = f"{len(job.items)} scenes" if job.items else ", ".join(one.job_id for one in job.upstream) or "no item"
        yield f"{job.id}: never committed here; it will be made from {inputs}"
        return
    if is_adopted(str(fingerprint_of(item_key))):
        yield f"{job.id}: will be made here; {origin_of(get_item(prepared.store, item_key))}"
        return
    product = next(product for product in prepared.products if product.name == job.product)
    document = job_document(product, job.tile, job.period, job.items, job.upstream)
    changes = differences(_document(prepared.store, item_key), document)
    yield f"{job.id}: will be made again; changed since {item_key}:"
    for change in changes:
        yield f"  {change}"


def _document(store: Store, item_key: str) -> Json:
    """The fingerprint document that a committed item was made from."""
    item = json.loads(store.get_bytes(item_key))
    return json.loads(store.get_bytes(resolve(item_key, item["assets"]["inputs"]["href"])))["document"]
