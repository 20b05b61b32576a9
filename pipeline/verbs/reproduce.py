"""`groundswell reproduce`: the files of an item made again from the item alone, and compared by digest."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, ConfigError, StoreError
from pipeline.execute.records.lease import scratch_prefix
from pipeline.execute.records.recipe import Inputs, read_inputs, read_recipe, write_inputs
from pipeline.execute.records.runs import current_items
from pipeline.plan.argo_jobs import whole_job
from pipeline.plan.derived import derived_job
from pipeline.plan.fingerprint import differences
from pipeline.plan.jobs import ProductPlan, Targets, job_document, plan_jobs
from pipeline.products import load_product
from pipeline.products._upstream import with_upstream
from pipeline.types import DataFile, Job, Made
from pipeline.verbs._adopted import origin_of
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import open_output
from pipeline.write.files import write_json_file
from pipeline.write.sound import Document, get_item, resolve
from pipeline.write.stac import data_key
from pipeline.write.store import Store


class Compared(NamedTuple):
    """One asset of the item beside the file that was made for it."""

    asset: str
    equal: bool
    text: str


def run(options: argparse.Namespace) -> Answer:
    """Read the sources again, make the files in a scratch folder or `options.to`, and compare each with the item.

    Exit code 0 only where all are equal. Raises ConfigError for an item that is not there, a folder that is not empty
    and a variable that is not set; StoreError where the item cannot be read or this version plans another job;
    JobError where the files cannot be made.
    """
    store = open_output(options)
    key = find_item(store, options.item)
    item = get_item(store, key)
    if (origin := origin_of(item)) is not None:
        raise ConfigError(
            f"{key}: {origin}: found no record of its inputs, parameters and software, so it cannot be made again from "
            "its item; a run of its config with --overwrite makes it anew, here"
        )
    inputs = read_inputs(json.loads(_inputs_of(store, key, item)))
    with _workdir(options.to) as folder:
        job, made = make_again(store, inputs, str(item["collection"]), folder)
    compared = list(compare(key, item, job, made.files))
    lines = [f"{one.asset}: {one.text}" for one in compared]
    lines += [f"lost: {loss.item}/{loss.asset} ({loss.href}): {loss.cause}" for loss in made.losses]
    different = [one.asset for one in compared if not one.equal]
    told = f"{len(different)} of {len(compared)} files differ: {', '.join(different)}" if different else "all equal"
    lines.append(f"reproduce: {key}: {told}")
    return Answer("\n".join(lines), EXIT_JOBS_FAILED if different else EXIT_DONE)


def _inputs_of(store: Store, key: str, item: Document) -> bytes:
    """The item's inputs document, which must be the one that was committed."""
    asset = item["assets"]["inputs"]
    where = resolve(key, asset["href"])
    data = store.get_bytes(where)
    if (found := f"1220{hashlib.sha256(data).hexdigest()}") != asset["file:checksum"]:
        raise StoreError(
            f"{store.uri}, key {where}: found checksum {found}, expected {asset['file:checksum']} as {key} says: it "
            "was changed, so the item cannot be made again from it; put it back"
        )
    return data


def find_item(store: Store, name: str) -> str:
    """The key of an item, given as its key, its id, or `product/tile/period` (then the current one).

    Raises ConfigError where there is none.
    """
    if name.startswith("items/"):
        if not store.exists(name):
            raise ConfigError(f"{name}: found no such item in {store.uri}; expected the key or the id of one")
        return name
    current = current_items(store)
    keys = [key for job_id, key in current.items() if name in {job_id, job_id.replace("/", "_")}]
    if len(keys) != 1:
        some = ", ".join(sorted(job_id.replace("/", "_") for job_id in current)[:5]) or "none"
        raise ConfigError(f"{name}: found {len(keys)} current items of that id in {store.uri}; there are: {some}")
    return keys[0]


def make_again(store: Store, inputs: Inputs, name: str, folder: Path) -> tuple[Job, Made]:
    """Plan the job of an item's inputs and make its files in `folder`, the inputs document too; publishes nothing.

    name: the product's in its run. Raises StoreError where this version makes another job of the same inputs.
    """
    entry, context = read_recipe(inputs.recipe, psutil.cpu_count() or 1)
    product = load_product(entry.product)
    plan = product.plan(entry, inputs.region, context.write, {})
    if plan.afloat:
        raise ConfigError(
            f"{name}: found a partition, which holds the number of its state; to make it again from its files, run its "
            "config with --overwrite"
        )
    job = plan_again(plan, inputs)
    if job is None or job.fingerprint != inputs.fingerprint:
        document = job_document(plan, inputs.tile, inputs.period, inputs.items, inputs.upstream)
        changes = "; ".join(differences(inputs.document, document)) or "another choice of scenes"
        raise StoreError(
            f"{name}: this version plans another job: fingerprint {job.fingerprint if job else 'none'}, expected "
            f"{inputs.fingerprint} ({changes}); install the version that the item names in processing:software"
        )
    context = replace(context, store=store)
    (made,) = product.make([with_upstream(job, store)], entry, context, [folder], job.memory)
    document = write_inputs(job, plan, inputs.recipe)
    own = write_json_file(document, folder / "inputs.json", "inputs", title="Inputs and parameters")
    return job, Made((*made.files, own), made.properties, made.rights, made.losses, made.warnings)


def plan_again(plan: ProductPlan, inputs: Inputs) -> Job | None:
    """The one job of a tile and period, planned for half of the memory that is free on this machine."""
    budget = psutil.virtual_memory().available // 2
    if plan.whole:
        return whole_job(plan, inputs.tile, inputs.period, (inputs.items, inputs.upstream), budget)
    if inputs.upstream:
        return derived_job(plan, inputs.tile, inputs.period, inputs.upstream, (plan.region, budget))
    if not inputs.items:  # it was planned so by what its source had elsewhere
        plan = replace(plan, bare=lambda _items: lambda _tile: True)
    targets = {plan.name: Targets((inputs.tile,), (inputs.period,))}
    return next(iter(plan_jobs((plan,), targets, inputs.items, {}, {plan.region: budget}).jobs), None)


def compare(key: str, item: Document, job: Job, files: tuple[DataFile, ...]) -> Iterator[Compared]:
    """Every asset of the item, and every file that it does not have."""
    made = {file.key: file for file in files}
    for name, asset in sorted(item["assets"].items()):
        file = made.pop(name, None)
        if file is None:
            yield Compared(name, equal=False, text="different: the item has it, now it is not made")
            continue
        # A folder has no digest of its own: its name holds that of its manifest.
        found, expected = f"1220{file.sha256}", asset.get("file:checksum", f"1220{file.sha256}")
        if found == expected and (file.objects == () or resolve(key, asset["href"]) == data_key(job, file)):
            yield Compared(name, equal=True, text="equal")
        else:
            text = f"different: sha256 {file.sha256}, expected {str(expected).removeprefix('1220')} ({file.path})"
            yield Compared(name, equal=False, text=text)
    for name in sorted(made):
        yield Compared(name, equal=False, text="different: it is made now, the item does not have it")


@contextmanager
def _workdir(to: Path | None) -> Iterator[Path]:
    if to is None:
        with tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
            yield Path(folder)
        return
    to.mkdir(parents=True, exist_ok=True)
    if any(to.iterdir()):
        raise ConfigError(f"--to {to}: found files there, expected an empty folder or none")
    yield to
