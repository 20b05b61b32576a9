"""A group of jobs on a worker, from reading to each one's commit: the function every cluster runs."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import get_worker

from pipeline.config import ProductConfig, QualityConfig
from pipeline.errors import (
    ClaimedError,
    CredentialsError,
    GroundswellError,
    MissingAssetsError,
    MovedError,
    StoreError,
    TransientAssetError,
    TransientStoreError,
)
from pipeline.execute.records.claims import Own, Verdict, claim_all, release
from pipeline.execute.records.recipe import write_inputs
from pipeline.execute.worker.quality import assess, look_again, refuse
from pipeline.execute.worker.scratch import scratch_folder, scratch_full
from pipeline.plan.groups import Group
from pipeline.plan.jobs import ProductPlan
from pipeline.products import load_product
from pipeline.products._base import Context
from pipeline.products._upstream import with_upstream
from pipeline.read.access import redact
from pipeline.types import AssetLoss, DataFile, Job, Json, Made, Outcome, Status
from pipeline.write.commit import Committed, OtherFilesError, commit
from pipeline.write.files import write_json_file
from pipeline.write.retry import counting
from pipeline.write.sound import Listing, check_item
from pipeline.write.stac import item_key
from pipeline.write.store import Store

logger = logging.getLogger(__name__)

_MOVES = 20
"""How often a partition is made again because somebody else replaced it meanwhile."""
_PAUSE_S = 1.0


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
    limits: QualityConfig
    """What a finished tile must be like."""
    differs: Callable[[], Sequence[str]] | None = None
    """What a worker has in other versions than the client, in words; None where they cannot differ."""
    claimed_by: str | None = None
    """The run that claims its jobs before it makes them; None: nothing is claimed."""


def run_job(job: Job, assignment: Assignment, attempt: int) -> Outcome:
    """Make one job by itself and commit it."""
    return run_group(Group((job,), job.memory), assignment, attempt)[0]


def _alone(job: Job, assignment: Assignment, attempt: int) -> Outcome:
    """The same within its group, which has claimed it."""
    return _made(Group((job,), job.memory), assignment, attempt)[0]


def run_group(group: Group, assignment: Assignment, attempt: int) -> list[Outcome]:
    """Make neighbouring jobs together and commit each; every failure comes back as an Outcome, in the order of jobs.

    A group only saves work: whatever goes wrong while several are made, each of them is made by itself. A passing cause
    gives RETRY while attempts are left, also when the loss would be within `missing_assets`: an outage of a minute must
    not become a gap for ever. Jobs that another run is making are left to it, and are CLAIMED.
    """
    began = time.time()
    with counting() as sent_again:
        outcomes = _shared(group, assignment, attempt)
    return [replace(one, begun_s=began, store_retries=sent_again.count) for one in outcomes]


def _shared(group: Group, assignment: Assignment, attempt: int) -> list[Outcome]:
    """What `_made` says of the jobs that nobody else makes, or has made meanwhile."""
    if assignment.differs is not None and (faults := assignment.differs()):
        return [_refused(job, assignment, attempt, faults) for job in group.jobs]
    if assignment.claimed_by is None:
        return _made(group, assignment, attempt)
    store = assignment.store
    verdicts = claim_all(store, assignment.claimed_by, group.jobs, afloat=assignment.plan.afloat)
    mine = [job for job, verdict in zip(group.jobs, verdicts, strict=True) if verdict is Own.MINE]
    try:
        made = iter(_made(_part(group, mine), assignment, attempt) if mine else ())
    finally:
        release(store, mine)
    return [
        next(made) if verdict is Own.MINE else _left(_begun(job, attempt, 0.0), job, verdict, assignment)
        for job, verdict in zip(group.jobs, verdicts, strict=True)
    ]


def _part(group: Group, jobs: Sequence[Job]) -> Group:
    """Some jobs of a group: what all of it needs is enough for them."""
    return Group(tuple(jobs), group.memory if len(jobs) > 1 else jobs[0].memory)


def _left(outcome: Outcome, job: Job, verdict: Verdict, assignment: Assignment) -> Outcome:
    """What becomes of a job that is not made here."""
    if isinstance(verdict, StoreError):
        return _ended(outcome, verdict, assignment.retries)
    if verdict is Own.DONE:
        cause = "committed meanwhile, by another run or attempt"
        return replace(outcome, status=Status.DONE, item_key=item_key(job), cause=cause)
    return replace(outcome, status=Status.CLAIMED, error=ClaimedError.__name__, cause=str(verdict))


def _made(group: Group, assignment: Assignment, attempt: int) -> list[Outcome]:
    for _ in range(_MOVES):
        outcomes = _run_once(group, assignment, attempt)
        if not any(outcome.error == MovedError.__name__ for outcome in outcomes):
            break
        # Somebody else was faster; that says nothing about whether the next attempt succeeds, so it costs none.
        time.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311 (so that two who meet do not meet again)
    return outcomes


def _run_once(group: Group, assignment: Assignment, attempt: int) -> list[Outcome]:
    started, jobs = time.perf_counter(), group.jobs
    logger.debug("begin %s", group.id)
    with ExitStack() as stack:
        try:
            folders = [stack.enter_context(scratch_folder()) for _ in jobs]
            product = load_product(jobs[0].kind)
            ready = [with_upstream(job, assignment.store) for job in jobs]
            made = product.make(ready, assignment.entry, assignment.context, folders, group.memory)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is said of a job, here or in its own turn)
            if len(jobs) == 1:
                outcome = _begun(jobs[0], attempt, time.perf_counter() - started)
                return [_ended(outcome, error, assignment.retries)]
            logger.debug("%s: made one by one: %s: %s", group.id, type(error).__name__, redact(str(error)))
        else:
            share_s = (time.perf_counter() - started) / len(jobs)
            begun = [_begun(job, attempt, share_s) for job in jobs]
            each = zip(jobs, begun, made, folders, strict=True)
            # Without attempts left, what a group lost for a passing cause is not lost before its job lost it alone.
            last = len(jobs) > 1 and attempt > assignment.retries
            return [
                _alone(job, assignment, attempt)
                if last and _passing(one)
                else _settled(job, outcome, one, folder, assignment)
                for job, outcome, one, folder in each
            ]
    return [_alone(job, assignment, attempt) for job in jobs]


def _begun(job: Job, attempt: int, seconds: float) -> Outcome:
    return Outcome(
        job.id, job.region, job.fingerprint, Status.FAILED, attempts=attempt, seconds=seconds, worker=_worker()
    )


def _refused(job: Job, assignment: Assignment, attempt: int, faults: Sequence[str]) -> Outcome:
    """Nothing is made by other code: a worker that came late to somebody else's cluster was checked by nobody."""
    outcome = _begun(job, attempt, 0.0)
    status = Status.RETRY if attempt <= assignment.retries else Status.FAILED
    cause = f"worker {outcome.worker} has other versions than the client: {'; '.join(faults)}: install the same there"
    return replace(outcome, status=status, error="VersionsError", cause=cause)


def _worker() -> str | None:
    try:
        worker = get_worker()
    except ValueError:  # not in a task of Dask
        return None
    return worker.name if isinstance(worker.name, str) else worker.address  # local workers are only numbered


def _passing(made: Made) -> list[AssetLoss]:
    """What a job lost for a cause that may pass."""
    return [loss for loss in made.losses if loss.error == TransientAssetError.__name__]


def _settled(job: Job, outcome: Outcome, made: Made, folder: Path, assignment: Assignment) -> Outcome:
    """Commit what was made of one job, unless an input that it lost may be there when it is tried again."""
    started = time.perf_counter()
    outcome = replace(outcome, losses=made.losses, warnings=made.warnings, read_bytes=made.read_bytes)
    passing = _passing(made)
    if passing and outcome.attempts <= assignment.retries:
        cause = f"{passing[0].item}/{passing[0].asset}: {passing[0].cause}"
        return replace(outcome, status=Status.RETRY, error=passing[0].error, cause=cause)
    try:
        if made.files:
            made = replace(made, files=(*made.files, inputs_file(job, assignment, folder)))
        assessed = assess(job, made, assignment.limits, assignment.store)
        outcome = replace(outcome, quality=assessed.quality)
        refuse(job, assessed.quality, assignment.limits)
        if not made.files:
            return replace(outcome, status=Status.DONE, quality=assessed.quality)
        done, kept = _commit(job, assignment, assessed.made)
        quality = look_again(job, assessed, assignment.limits, assignment.store)
        outcome = replace(outcome, quality=quality)
        outcome = replace(outcome, status=Status.DONE, item_key=done.item_key, written_bytes=done.written_bytes)
        outcome = replace(outcome, warnings=(*outcome.warnings, *kept))
    except Exception as error:  # noqa: BLE001 (see `_ended`)
        outcome = _ended(outcome, error, assignment.retries)
    return replace(outcome, seconds=outcome.seconds + time.perf_counter() - started)


def _ended(outcome: Outcome, error: Exception, retries: int) -> Outcome:
    """What an error means for a job. A fault of ours or of a library costs it, by name, and never the run."""
    full = scratch_full(error)
    if full is not None:
        error = full
    elif not isinstance(error, GroundswellError):
        logger.error("job %s", outcome.job_id, exc_info=error)
    # Other tasks of this worker end and leave their place on its disk, or another worker has more.
    passing = full is not None or isinstance(error, TransientStoreError | CredentialsError)
    passing = passing or (isinstance(error, MissingAssetsError) and error.passing)
    status = Status.RETRY if passing and outcome.attempts <= retries else Status.FAILED
    return replace(outcome, status=status, error=type(error).__name__, cause=redact(str(error)))


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
