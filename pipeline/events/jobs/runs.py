"""The targets of one rule as one run of exactly these jobs, and what became of each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.config import RunConfig
from pipeline.config.events import EventsConfig, RuleConfig
from pipeline.config.options import Options
from pipeline.errors import (
    ConfigError,
    GroundswellError,
    MisalignedError,
    OutputError,
    PermanentAssetError,
    PlanRefusedError,
    PoisonError,
    PreflightError,
    QualityError,
)
from pipeline.estimating import refuse_budget
from pipeline.events.event import Ended
from pipeline.execute.progress.live import RunConsole
from pipeline.execute.records.runs import current_items
from pipeline.floats import sync_mirrors
from pipeline.plan.argo_names import bucket_of
from pipeline.plan.only import Chosen
from pipeline.plan.periods import STATIC
from pipeline.prepare import load_run
from pipeline.session import Result, Session, open_session
from pipeline.types import Outcome, Status

FLOAT = "float/"
_LASTING = frozenset(
    error.__name__
    for error in (PermanentAssetError, MisalignedError, QualityError, OutputError, PoisonError, PlanRefusedError)
)
"""What another attempt at the same inputs gives again, by the name of the error."""
_ABSENT = "nothing to do: the run has no such job, as nothing that is catalogued is of it"
_UNLISTED = "nothing to do: no file of this float is listed that the run asks for"
_SAME = "unchanged"
_BEHIND = "it is committed, but the databases are not up to date, see the log; `groundswell load` goes on from there"


def run_targets(config: EventsConfig, rule_name: str, targets: Collection[str], tell: Callable[[Ended], None]) -> None:
    """Make what a rule's run has of some targets, `product/tile/period` or `float/WMO`; tell of each, once.

    A target is told of when all that depends on it is done: its commit, the catalogue, the databases. What failed as a
    whole is told of every target. To be called in the main thread: SIGTERM lets jobs in flight be committed, and what
    is left is told as passing failures.
    """
    rule = config.rules[rule_name]
    try:
        ended = _ended(rule, frozenset(targets))
    except GroundswellError as error:
        passing = not isinstance(error, ConfigError | PlanRefusedError)
        ended = {target: Ended(target, failed=True, cause=_line(str(error)), passing=passing) for target in targets}
    for target in dict.fromkeys(targets):
        tell(ended[target])


def _ended(rule: RuleConfig, targets: frozenset[str]) -> dict[str, Ended]:
    options = Options(Path(str(rule.run)), yes=True)
    config = load_run(options)
    floats = {target: int(target.removeprefix(FLOAT)) for target in targets if target.startswith(FLOAT)}
    jobs = _jobs_of(floats, config, rule) | {target: frozenset({target}) for target in targets if target not in floats}
    console = RunConsole()
    if floats:
        sync_mirrors(load_run(replace(options, sets=_only_floats(config, floats.values()))), console)
    chosen = Chosen(frozenset().union(*jobs.values()), inputs=True, strict=False)
    session = replace(open_session(options, chosen), console=console)
    told = _run(session, always=bool(floats and config.stores))
    absent = {target: _UNLISTED if target in floats else _ABSENT for target in targets}
    return {target: _worst(target, [told[one] for one in jobs[target] if one in told], absent) for target in targets}


def _jobs_of(floats: Mapping[str, int], config: RunConfig, rule: RuleConfig) -> dict[str, frozenset[str]]:
    """By target, the jobs that a float is in: one of each product of floats."""
    products = [
        entry.name
        for entry in config.products
        if entry.afloat and (rule.source is None or rule.source in entry.sources)
    ]
    return {
        target: frozenset(f"{name}/{bucket_of(wmo)}/{STATIC.id}" for name in products) for target, wmo in floats.items()
    }


def _only_floats(config: RunConfig, wmos: Collection[int]) -> tuple[str, ...]:
    """Settings by which a sync copies only these floats; the plan is made with the config's own choice."""
    sets = []
    for name, source in config.sources.items():
        if source.gdac is not None:
            some = sorted(wmo for wmo in set(wmos) if not source.floats or wmo in source.floats)
            sets.append(f"sources.{name}.floats={json.dumps(some)}" if some else f"sources.{name}.download=false")
    return tuple(sets)


def _run(session: Session, *, always: bool) -> dict[str, Ended]:
    """What became of each planned job, by id. Raises PlanRefusedError where the run's budget is too small for it."""
    session.say(session.told())
    plan = session.plan
    same = {skip.job_id: Ended(skip.job_id, note=_SAME) for skip in plan.skipped}
    if not plan.jobs and not (same and (always or not _is_current(session))):
        return same
    try:
        refuse_budget(session.estimate, session.config.run.budget_usd)
    except PreflightError as error:
        raise PlanRefusedError(str(error)) from error
    result = session.run()
    told = same | {outcome.job_id: told_of(outcome, result) for outcome in result.outcomes}
    for job in plan.jobs:
        told.setdefault(job.id, Ended(job.id, failed=True, cause=_stopped(result)))
    if result.loaded:
        return told
    afloat = {entry.name for entry in session.config.products if entry.afloat}
    return {
        job_id: one
        if one.failed or job_id.partition("/")[0] not in afloat
        else replace(one, failed=True, cause=_BEHIND)
        for job_id, one in told.items()
    }


def _is_current(session: Session) -> bool:
    """Whether a finished run has planned just this: then there is nothing to write down either.

    What a run commits that is killed before its end is current only when another run has planned it.
    """
    committed = session.prepared.committed
    current = current_items(session.prepared.store, committed)
    return all(
        current.get(skip.job_id) == committed[skip.job_id.partition("/")[0]].get(skip.fingerprint)
        for skip in session.plan.skipped
    )


def told_of(outcome: Outcome, result: Result) -> Ended:
    """What the outcome of a job means to whoever asked for it."""
    if outcome.status is Status.DONE:
        return Ended(outcome.job_id, note="made")
    if outcome.status is Status.CLAIMED:
        return Ended(outcome.job_id, failed=True, cause="another run is making it")
    if outcome.status is Status.CANCELLED or (result.interrupted and outcome.status is Status.RETRY):
        return Ended(outcome.job_id, failed=True, cause=_stopped(result))
    cause = _line(f"{outcome.error}: {outcome.cause}" if outcome.error else outcome.cause or outcome.status.value)
    return Ended(outcome.job_id, failed=True, cause=cause, passing=outcome.error not in _LASTING)


def _stopped(result: Result) -> str:
    return f"the run was stopped: {_line(result.reason)}" if result.reason else "the run was interrupted"


def _worst(target: str, each: Collection[Ended], absent: Mapping[str, str]) -> Ended:
    """One word on a target of several jobs: a lasting failure before a passing one, that before what was made."""
    if not each:
        return Ended(target, note=absent[target])
    worst = max(each, key=lambda one: (one.failed, not one.passing, one.note != _SAME))
    return replace(worst, target=target)


def _line(text: str) -> str:
    return " ".join(text.split())
