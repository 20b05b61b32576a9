"""`groundswell plan`: what a run would do, and what it would not do again."""

from __future__ import annotations

import argparse
import json

from pipeline.session import Options, open_session
from pipeline.terminal import refuse_nothing
from pipeline.types import Job, Json, Plan
from pipeline.verbs._answer import Answer

FORMAT = 1


def run(options: argparse.Namespace) -> Answer:
    """Search and plan, start nothing. Raises what `open_session` raises, and NothingToDoError as a run does."""
    chosen = Options(options.config, sets=options.sets, output=options.output, snapshot=options.snapshot)
    session = open_session(chosen)
    refuse_nothing(session)
    if options.json:
        document = {**plan_document(session.plan), "estimate": session.estimate.document()}
        return Answer(json.dumps(document, indent=2))
    return Answer(session.told())


def plan_document(plan: Plan) -> Json:
    """A plan as JSON: jobs with their scenes and sizes, what is skipped and why, notes."""
    return {
        "format": FORMAT,
        "jobs": [_job(job) for job in plan.jobs],
        "skipped": [{"id": one.job_id, "fingerprint": one.fingerprint, "reason": one.reason} for one in plan.skipped],
        "notes": list(plan.notes),
    }


def _job(job: Job) -> Json:
    return {
        "id": job.id,
        "fingerprint": job.fingerprint,
        "region": job.region,
        "scenes": [item.key for item in job.items],
        "upstream": [one.job_id for one in job.upstream],
        "read_bytes": job.read_bytes,
        "crossing_bytes": job.crossing_bytes,
        "memory": {"strip_rows": job.memory.strip_rows, "peak_bytes": job.memory.peak_bytes},
    }
