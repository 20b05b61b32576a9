"""One job on a worker, from reading to its commit: the function every cluster runs."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config import ProductConfig
from pipeline.errors import GroundswellError, MissingAssetsError, TransientAssetError, TransientStoreError
from pipeline.plan.jobs import ProductPlan, job_document
from pipeline.products import load_product
from pipeline.products._base import Context
from pipeline.read.access import redact
from pipeline.types import DataFile, Job, Outcome, Status
from pipeline.write.commit import commit
from pipeline.write.files import write_json_file
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


def run_job(job: Job, assignment: Assignment, attempt: int) -> Outcome:
    """Make one job and commit it; every failure comes back as an Outcome, so no job stops another.

    A passing cause gives RETRY while attempts are left, also when the loss would be within `missing_assets`: an outage
    of a minute must not become a gap for ever.
    """
    started = time.perf_counter()
    again = attempt <= assignment.retries
    outcome = Outcome(job.id, job.region, job.fingerprint, Status.FAILED, attempts=attempt)
    try:
        with tempfile.TemporaryDirectory(prefix="groundswell-") as folder:
            made = load_product(job.kind).make(job, assignment.entry, assignment.context, Path(folder))
            outcome = replace(outcome, losses=made.losses, warnings=made.warnings, read_bytes=made.read_bytes)
            passing = [loss for loss in made.losses if loss.error == TransientAssetError.__name__]
            if passing and again:
                cause = f"{passing[0].item}/{passing[0].asset}: {passing[0].cause}"
                outcome = replace(outcome, status=Status.RETRY, error=passing[0].error, cause=cause)
            else:
                made = replace(made, files=(*made.files, _inputs_file(job, assignment, Path(folder))))
                done = commit(assignment.store, job, made, overwrite=assignment.overwrite)
                outcome = replace(outcome, status=Status.DONE, item_key=done.item_key, written_bytes=done.written_bytes)
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


def _inputs_file(job: Job, assignment: Assignment, folder: Path) -> DataFile:
    """The job's inputs as a file of its own: what the fingerprint covers, and the unsigned hrefs it was read from."""
    document = {
        "fingerprint": job.fingerprint,
        "document": job_document(assignment.plan, job.tile, job.period, job.items),
        "hrefs": {
            item.key: {"item": item.href, **{band: asset.href for band, asset in sorted(item.assets.items())}}
            for item in job.items
        },
    }
    return write_json_file(document, folder / "inputs.json", "inputs", title="Inputs and parameters")
