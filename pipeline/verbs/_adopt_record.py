"""The records of an adoption: those of a run whose jobs were made elsewhere, so that what it adopted is current."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime

from pipeline.config import redacted
from pipeline.derive import refresh_catalog
from pipeline.execute.records.environment import environment
from pipeline.execute.records.journal import Journal
from pipeline.execute.records.lease import Lease, run_lease, wait_for_locks
from pipeline.execute.records.runs import begin_run, current_items, finish_run, new_run_id
from pipeline.plan.adopted import adopted_places
from pipeline.plan.made import table_of
from pipeline.session import Session
from pipeline.types import Outcome, Plan, Skip, Status
from pipeline.verbs._adopt_work import Adopted
from pipeline.write.commit import list_committed
from pipeline.write.store import Store


def recorded(
    session: Session, before: Sequence[Skip], work: Callable[[], Iterable[Adopted | None]]
) -> tuple[list[Adopted], str | None]:
    """Do the work as a run that lives meanwhile; what came of it, and the run's id, or None where it changed nothing.

    before: what was adopted already, maybe by an adoption that was killed before its end: it is current from now on.
    Plan and end are put when all is committed. A killed adoption leaves items alone, which the next run counts as done.
    """
    store, run_id = session.prepared.store, new_run_id(datetime.now(UTC))
    with Lease(store, run_lease(run_id)):
        wait_for_locks(store, session.say)
        done = [one for one in work() if one is not None]
        own = [one.job for one in done if one.item_key is not None]
        asked = {(job.id, job.fingerprint) for job in own} | {(one.job_id, one.fingerprint) for one in before}
        stand = _standing(store, asked)
        jobs = [job for job in own if (job.id, job.fingerprint) in stand]
        current = current_items(store)
        left = [one for one in before if (one.job_id, one.fingerprint) in stand]
        late = [one.job_id for one in left if not current.get(one.job_id, "").endswith(f"_{one.fingerprint}.json")]
        if not jobs and not late:
            return done, None
        plan = Plan(jobs, table_of(session.plan).some(session.plan, {*late}).skipped)
        begin_run(store, run_id, redacted(session.config), plan, [])
        taken = [one for one in done if one.item_key is not None]  # the rest is told, and in no plan
        _journal(store, run_id, session.options.command, taken)
        outcomes = {**dict.fromkeys((status.value for status in Status), 0), Status.DONE.value: len(taken)}
        finish_run(store, run_id, {"run": run_id, "outcomes": outcomes, "skipped": len(late), "quality": {}})
        refresh_catalog(store, session.config.name, session.say, made_any=True)
    return done, run_id


def _standing(store: Store, adopted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of (job id, fingerprint), those that still stand for their place: no run has made it meanwhile."""
    products = {job_id.partition("/")[0] for job_id, _ in adopted}
    places = {product: adopted_places(list_committed(store, product)) for product in products}
    found = set()
    for job_id, fingerprint in adopted:
        product, tile, period = job_id.split("/")
        if fingerprint in places[product].get(f"{tile}_{period}", ()):
            found.add((job_id, fingerprint))
    return found


def _journal(store: Store, run_id: str, command: Sequence[str], done: Iterable[Adopted]) -> None:
    """command: what makes the jobs that are left, as a run has it, without secrets."""
    with Journal(store, run_id, begin={"environment": environment(), "command": list(command)}) as journal:
        for one in done:
            status = Status.DONE if one.item_key else Status.FAILED
            cause = "; ".join(one.wrong) or None
            journal.ended(
                Outcome(
                    one.job.id,
                    one.job.region,
                    one.job.fingerprint,
                    status,
                    one.item_key,
                    written_bytes=one.written_bytes,
                    warnings=one.assumed,
                    error=None if cause is None else "NotAdoptedError",
                    cause=cause,
                )
            )
        journal.over(0, None)
