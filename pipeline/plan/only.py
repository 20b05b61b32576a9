"""Some jobs of a plan, and not the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.errors import PlanRefusedError
from pipeline.plan.made import table_of
from pipeline.types import Plan

_SHOWN = 5


@dataclass(frozen=True)
class Chosen:
    """Which jobs of a plan are wanted."""

    ids: frozenset[str]
    inputs: bool = False
    """With what they are made from, as far as that is not committed."""
    strict: bool = True
    """A plan that has none of them is refused."""


def only(plan: Plan, chosen: Chosen) -> Plan:
    """The plan with these jobs alone, done or to be done; pure.

    plan: of `plan_jobs`. What the plan does not have is told by a note. Raises PlanRefusedError where it has none.
    """
    ids = chosen.ids
    some = table_of(plan).some(plan, ids, inputs=chosen.inputs)
    found = {job.id for job in some.jobs} | {skip.job_id for skip in some.skipped}
    lost = sorted(ids - found)
    if not found and chosen.strict:
        raise PlanRefusedError(
            f"of the {len(ids)} jobs to replay ({', '.join(lost[:_SHOWN])} …) this config has none: use the config of "
            "the run that they are of"
        )
    if not lost:
        return some
    shown = ", ".join(lost[:_SHOWN]) + (" …" if len(lost) > _SHOWN else "")
    return replace(some, notes=(f"{len(lost)} jobs to replay are not in this plan: {shown}", *some.notes))
