"""What of lost work stands already: a worker commits, whether or not anybody hears of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.errors import StoreError
from pipeline.execute.worker.task import Assignment
from pipeline.types import Job, Outcome, Status
from pipeline.write.stac import item_key

_LOOKS = 16
"""Items that are looked for at once."""


def committed(jobs: Sequence[Job], assignments: Mapping[str, Assignment]) -> set[str]:
    """Ids of those whose items stand; none where items are overwritten, since theirs may be older."""

    def stands(job: Job) -> bool:
        assignment = assignments[job.product]
        try:
            return not assignment.overwrite and assignment.store.exists(item_key(job))
        except StoreError:
            return False  # it is made again, and finds it then

    with ThreadPoolExecutor(_LOOKS, "groundswell-look") as threads:
        return {job.id for job, found in zip(jobs, threads.map(stands, jobs), strict=True) if found}


def record_of(job: Job, begun: int) -> Outcome:
    """The record of a job whose own was lost with its cluster; begun: how often it was."""
    told = ("its cluster or worker was lost after it was committed, and with it what else is told of a job",)
    return Outcome(
        job.id, job.region, job.fingerprint, Status.DONE, attempts=begun, item_key=item_key(job), warnings=told
    )
