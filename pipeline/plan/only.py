"""Some jobs of a plan, and not the others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pipeline.errors import PlanRefusedError
from pipeline.plan.made import table_of
from pipeline.types import Plan

_SHOWN = 5


def only(plan: Plan, ids: Collection[str]) -> Plan:
    """The plan with these jobs alone, done or to be done; pure.

    plan: of `plan_jobs`. What the plan does not have is told by a note. Raises PlanRefusedError where it has none.
    """
    chosen = table_of(plan).some(plan, ids)
    found = {job.id for job in chosen.jobs} | {skip.job_id for skip in chosen.skipped}
    lost = sorted(set(ids) - found)
    if not found:
        raise PlanRefusedError(
            f"of the {len(ids)} jobs to replay ({', '.join(lost[:_SHOWN])} …) this config has none: use the config of "
            "the run that they are of"
        )
    if not lost:
        return chosen
    shown = ", ".join(lost[:_SHOWN]) + (" …" if len(lost) > _SHOWN else "")
    return replace(chosen, notes=(f"{len(lost)} jobs to replay are not in this plan: {shown}", *chosen.notes))
