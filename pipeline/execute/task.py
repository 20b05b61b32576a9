"""One job on a worker, from reading to its commit: the function every cluster runs."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config import ProductConfig
from pipeline.errors import GroundswellError, MissingAssetsError, StoreError, TransientAssetError, TransientStoreError
from pipeline.execute.lease import scratch_prefix
from pipeline.execute.recipe import write_inputs
from pipeline.plan.jobs import ProductPlan
from pipeline.products import load_product
from pipeline.products._base import Context
from pipeline.read.access import redact
from pipeline.types import DataFile, Job, Json, Made, Outcome, Status
from pipeline.write.commit import Committed, OtherFilesError, commit
from pipeline.write.files import write_json_file
from pipeline.write.sound import Listing, check_item
from pipeline.write.stac import item_key
from pipeline.write.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """What a worker must know besides the job: the same for every job of one product. Holds no secret."""

    entry: ProductConfig
    context: Context
    store: Store
    plan: ProductPlan
    overwrite: bool
    retries: int
    """Further attempts at what failed for a passing cause."""
    recipe: Json
    """How the product is made, for the item (see `recipe.write_recipe`)."""


def run_job(job: Job, assignment: Assignment, attempt: int) -> Outcome:
    """Make one job and commit it; every failure comes back as an Outcome, so no job stops another.

    A passing cause gives RETRY while attempts are left, also when the loss would be within `missing_assets`: an outage
    of a minute must not become a gap for ever.
    """
    started = time.perf_counter()
    again = attempt <= assignment.retries
    outcome = Outcome(job.id, job.region, job.fingerprint, Status.FAILED, attempts=attempt)
    try:
        with tempfile.TemporaryDirectory(prefix=scratch_prefix()) as folder:
            made = load_product(job.kind).make(job, assignment.entry, assignment.context, Path(folder))
            outcome = replace(outcome, losses=made.losses, warnings=made.warnings, read_bytes=made.read_bytes)
            passing = [loss for loss in made.losses if loss.error == TransientAssetError.__name__]
            if passing and again:
                cause = f"{passing[0].item}/{passing[0].asset}: {passing[0].cause}"
                outcome = replace(outcome, status=Status.RETRY, error=passing[0].error, cause=cause)
            else:
                made = replace(made, files=(*made.files, inputs_file(job, assignment, Path(folder))))
                done, kept = _commit(job, assignment, made)
                warnings = (*outcome.warnings, *kept)
                outcome = replace(outcome, status=Status.DONE, item_key=done.item_key, warnings=warnings)
                outcome = replace(outcome, written_bytes=done.written_bytes)
    except TransientStoreError as error:
        outcome = replace(_failed(outcome, error), status=Status.RETRY if again else Status.FAILED)
    except MissingAssetsError as error:
        outcome = replace(_failed(outcome, error), status=Status.RETRY if again and error.passing else Status.FAILED)
    except GroundswellError as error:
        outcome = _failed(outcome, error)
    except Exception as error:
        # A fault of ours or of a library costs this job, by name, and never the run.
        logger.exception("job %s", job.id)
        outcome = _failed(outcome, error)
    return replace(outcome, seconds=time.perf_counter() - started)


def _failed(outcome: Outcome, error: Exception) -> Outcome:
    return replace(outcome, error=type(error).__name__, cause=redact(str(error)))


def inputs_file(job: Job, assignment: Assignment, folder: Path) -> DataFile:
    """What the job was made from, as a file of its own: see `recipe`."""
    document = write_inputs(job, assignment.plan, assignment.recipe)
    return write_json_file(document, folder / "inputs.json", "inputs", title="Inputs and parameters")


def _commit(job: Job, assignment: Assignment, made: Made) -> tuple[Committed, tuple[str, ...]]:
    """Publish; and a warning where a sound item of the same fingerprint stands already, with other files.

    That is what two runs come to of which one lost an input for a time: the job is done, and what readers may have
    read already is kept. Raises StoreError.
    """
    try:
        return commit(assignment.store, job, made, overwrite=assignment.overwrite), ()
    except OtherFilesError as error:
        key, store = item_key(job), assignment.store
        data = store.list_objects(f"data/{job.product}/{job.tile.id}/{job.period.id}/")
        faults = check_item(store, key, Listing([(key, 0), *data]), quick=True, links=False)
        if faults:
            raise StoreError(f"{error}. The item there is not sound: {faults[0]}") from error
        return Committed(key, 0, created=False), (f"the item that was there is kept: {error}",)
