"""A run as a terminal shows it: what is told before it, what is asked, what it came to."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from pipeline.campaign import Result
from pipeline.config.options import Options
from pipeline.errors import EXIT_CLAIMED, EXIT_DONE, NothingToDoError, PreflightError
from pipeline.estimating import refuse_budget
from pipeline.execute.progress.live import RunConsole
from pipeline.floats import sync_mirrors
from pipeline.prepare import load_run
from pipeline.report.estimate_text import render_actual, spending_question
from pipeline.report.text import render_summary
from pipeline.session import Session, open_session


def run_config(options: Options) -> int:
    """What `python -m pipeline.run` does: print plan and estimate, ask where money is spent, run it, sum it up."""
    started = time.monotonic()
    console = RunConsole()
    if not options.dry_run:
        sync_mirrors(load_run(options), console)
    session = replace(open_session(options), console=console)
    session.say(session.told())
    refuse_nothing(session)
    if options.dry_run:
        return EXIT_DONE
    if session.plan.jobs:
        refuse_budget(session.estimate, session.config.run.budget_usd)  # before anybody is asked
        _agree(session)
    result = session.run()
    _sum_up(session, result, time.monotonic() - started)
    return result.code


def _sum_up(session: Session, result: Result, seconds: float) -> None:
    """What became of every job, what it took, and where everything lies."""
    session.say(render_summary(result.outcomes, len(session.plan.skipped), seconds, result.before))
    if session.plan.jobs:
        session.say(render_actual(session.estimate, result.actual))
    if result.reason is not None:
        session.say(f"stopped: {result.reason}; run the same command again to resume")
    elif result.interrupted:
        session.say("interrupted: run the same command again to resume")
    elif result.code == EXIT_CLAIMED:
        session.say("stopped: another run is making all that is left; when it has ended, run the same command again")
    if result.report is not None:
        session.say(f"report: {result.report}")
    session.say(f"output: {session.prepared.store.uri} (run {result.run_id})")


def refuse_nothing(session: Session) -> None:
    """Raise NothingToDoError for a plan without any job, done or to be done."""
    if not session.plan.jobs and not session.plan.skipped:
        area, period = session.config.area or "of the grid", session.config.period
        raise NothingToDoError(
            f"no scene or profile of any source meets area {area} and period {period.start:%Y-%m-%d} to "
            f"{period.end:%Y-%m-%d} (end excluded): check area, period and sources"
        )


def _agree(session: Session) -> None:
    """Ask once where money would be spent; --yes agrees. Raises PreflightError on a no, or where nobody can answer."""
    made = {row.product for row in session.estimate.rows}
    used = {name for entry in session.config.products if entry.name in made for name in entry.sources}
    paid = sorted(name for name in used if session.config.sources[name].sign == "requester-pays")
    question = spending_question(session.estimate, paid)
    if question is None or session.options.yes:
        return
    if not sys.stdin.isatty():
        raise PreflightError(f"not started: {question} Nobody is there to answer: agree by --yes")
    try:
        answer = input(f"{question}\nGo on? [y/N] ")  # asked in every mode of progress
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise PreflightError("not started: the costs were not agreed to; --yes agrees")
