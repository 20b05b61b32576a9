"""The one screen on which the stages are joined.

config → snapshot → plan → clusters → jobs, each committed by its worker → journal → catalogue → summary
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from rich.console import Console

from cluster.spec import ClusterSpec
from pipeline.campaign import Campaign, Result
from pipeline.config import ProductConfig, RunConfig
from pipeline.config.options import Options
from pipeline.errors import EXIT_CLAIMED, EXIT_DONE, NothingToDoError, PreflightError, StoreError
from pipeline.estimating import estimate_run, refuse_budget
from pipeline.execute.progress import RunConsole, speaker
from pipeline.execute.replay import read_replay
from pipeline.execute.task import Assignment
from pipeline.floats import sync_mirrors
from pipeline.placement import cluster_specs, with_crossings, worker_shapes
from pipeline.plan.groups import Work
from pipeline.plan.only import Chosen
from pipeline.prepare import Prepared, access_for, load_run, open_output, prepare
from pipeline.products import load_product
from pipeline.products._upstream import with_upstream
from pipeline.read.access import Access
from pipeline.report.estimate_text import render_actual, render_estimate, spending_question
from pipeline.report.text import render_plan, render_summary
from pipeline.stores import check_stores
from pipeline.types import Estimate, Job, Plan, Quality
from pipeline.work import Terms, assign, plan_work

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Options", "Result", "Session", "open_session", "refuse_nothing", "run_config"]


@dataclass(frozen=True)
class Session:
    """A planned run: look at it, open a job lazily, run some jobs or all of them."""

    options: Options
    config: RunConfig
    specs: Mapping[str, ClusterSpec]
    """Cluster of each region."""
    prepared: Prepared
    console: Console = field(default_factory=RunConsole, compare=False)

    @property
    def plan(self) -> Plan:
        return self.prepared.plan

    @cached_property
    def estimate(self) -> Estimate:
        """What the plan is likely to take and to cost; asked for once, since a few files are looked at for it."""
        # What is replayed from a snapshot asks nobody anything.
        network = self.options.snapshot is None
        return estimate_run(self.config, self.prepared, self.specs, self.groups(self.plan.jobs), network=network)

    def open(self, job: Job) -> xr.Dataset:
        """A job's observations as a lazy Dataset (time, y, x) of stored numbers, masked; nothing is read yet.

        Raises StoreError for a job made from others that are not committed.
        """
        return load_product(job.kind).open(with_upstream(job, self.prepared.store), *self._parameters(job))

    def composite(self, job: Job) -> xr.Dataset:
        """A job's composite as a lazy Dataset (y, x): once computed, the pixels that `run` commits.

        Raises StoreError for a job made from others that are not committed.
        """
        return load_product(job.kind).composite(with_upstream(job, self.prepared.store), *self._parameters(job))

    def run(self, jobs: Sequence[Job] | None = None) -> Result:
        """Run and commit jobs (default: all of the plan) on their regions' clusters.

        A run of chosen jobs is as resumable as a whole one. Raises StoreError when the output cannot be written and
        PreflightError when it cannot be used as it must be, or no cluster comes up.
        """
        options = self.options
        campaign = Campaign(
            self.config, self.prepared, self.specs, self.estimate, self.console, options.overwrite, options.command
        )
        return campaign.run(self.plan.jobs if jobs is None else tuple(jobs), self.quality_before)

    def quality_before(self) -> dict[str, Quality]:
        """Of what is committed already, the tiles that do not keep the limits of this config, by job id.

        As far as `items.parquet` has them; what a run that did not end has committed, its own journal tells.
        """
        if not self.plan.skipped:
            return {}
        from pipeline.results.quality import judge_again  # noqa: PLC0415 (Arrow, and only where something is skipped)

        limits = {entry.name: self.config.quality_of(entry) for entry in self.config.products}
        committed = {skip.job_id: skip.fingerprint for skip in self.plan.skipped}
        try:
            return dict(judge_again(self.prepared.store, committed, limits))
        except StoreError as error:
            self.say(f"warning: nothing is told of the quality of skipped tiles: {error}")
            return {}

    def _parameters(self, job: Job) -> tuple[ProductConfig, Access]:
        entry = next(entry for entry in self.config.products if entry.name == job.product)
        return entry, access_for(self.config, entry)

    def told(self) -> str:
        """Plan and estimate, as plain text."""
        plan = render_plan(self.plan)
        if not self.plan.jobs:
            return plan
        return f"{plan}\n{render_estimate(self.estimate, self.config.run.budget_usd)}"

    def say(self, text: str) -> None:
        """Plain text, as `run.progress` wants it."""
        speaker(self.console, self.config.run.progress)(text)

    def groups(self, jobs: Sequence[Job]) -> Work:
        """Jobs as the tasks they are run in."""
        return plan_work(jobs, self.config, self.prepared, self.specs)

    def assignments(self) -> dict[str, Assignment]:
        """What workers must know besides a job, by product name."""
        return assign(self.config, self.prepared, self.specs, Terms(overwrite=self.options.overwrite))


def open_session(options: Options, chosen: Chosen | None = None) -> Session:
    """Read the config, search and plan; starts nothing. Raises what `load_config` and `prepare` raise.

    chosen: the only jobs that are wanted, in place of a replay file.
    """
    config = load_run(options)
    check_stores(config)
    offers = {region: [shape.task_bytes for shape in each] for region, each in worker_shapes(config).items()}
    if chosen is None and options.replay is not None:
        chosen = Chosen(read_replay(options.replay, partial(open_output, config)))
    prepared = prepare(
        config,
        offers,
        snapshot=options.snapshot,
        overwrite=options.overwrite,
        narrowed=options.narrowed,
        chosen=chosen,
    )
    specs = cluster_specs(config, prepared.task_bytes)
    prepared = replace(prepared, plan=with_crossings(prepared.plan, specs, config, prepared.store))
    return Session(options, config, specs, prepared)


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
        refuse_budget(session.estimate, session.config.run.budget_usd)
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
