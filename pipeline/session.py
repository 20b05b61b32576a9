"""The one screen on which the stages are joined.

config → snapshot → plan → clusters → jobs, each committed by its worker → journal → catalogue → summary
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

from distributed import Client
from rich.console import Console

from cluster.sizing import task_threads
from cluster.spec import ClusterSpec
from pipeline.config import ProductConfig, RunConfig, redacted
from pipeline.config.options import Options
from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, NothingToDoError, PreflightError, StoreError
from pipeline.execute.drive import drive
from pipeline.execute.history import COMMITTED_BEFORE
from pipeline.execute.interrupt import Interrupt, interruptible
from pipeline.execute.journal import Journal
from pipeline.execute.lease import Lease, run_lease, scratch_prefix
from pipeline.execute.preflight import check_output
from pipeline.execute.progress import show_progress
from pipeline.execute.recipe import write_recipe
from pipeline.execute.records import begin_run, finish_run, new_run_id, settle_run
from pipeline.execute.task import Assignment
from pipeline.floats import FLOATS, sync_mirrors, write_floats
from pipeline.placement import cluster_specs, open_clusters, specs_for, versions_check, with_crossings, worker_shapes
from pipeline.plan.groups import Group, group_jobs
from pipeline.plan.memory import READS_IN_FLIGHT
from pipeline.prepare import Prepared, access_for, load_run, prepare, remote_products, write_options
from pipeline.products import load_product
from pipeline.products._base import Context
from pipeline.products._upstream import with_upstream
from pipeline.read.access import Access
from pipeline.report.text import render_plan, render_summary
from pipeline.search.snapshot import write_snapshot
from pipeline.stores import check_stores
from pipeline.types import Job, Outcome, Plan, Quality, Status
from pipeline.write.catalog import outdate_catalog

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Options", "Result", "Session", "open_session", "refuse_nothing", "run_config"]


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    run_id: str
    outcomes: tuple[Outcome, ...]
    interrupted: int
    """Exit code of the signal that ended it early; 0 when nothing did."""
    before: Mapping[str, Quality]
    """By job id, skipped jobs whose tiles do not keep the limits of this run."""
    loaded: bool = True
    """False where the databases could not be brought up to what is committed."""


@dataclass(frozen=True)
class Session:
    """A planned run: look at it, open a job lazily, run some jobs or all of them."""

    options: Options
    config: RunConfig
    specs: Mapping[str, ClusterSpec]
    """Cluster of each region."""
    prepared: Prepared
    console: Console = field(default_factory=lambda: Console(soft_wrap=True, highlight=False), compare=False)

    @property
    def plan(self) -> Plan:
        return self.prepared.plan

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
        PreflightError when no cluster comes up.
        """
        chosen = self.plan.jobs if jobs is None else tuple(jobs)
        store, run_id, outcomes = self.prepared.store, new_run_id(datetime.now(UTC)), list[Outcome]()
        journal = Journal(store, run_id)
        with Lease(store, run_lease(run_id)):
            self._begin(run_id, Plan(chosen, self.plan.skipped, self.plan.notes))
            with journal, interruptible(self.say) as interrupt:

                def record(outcome: Outcome) -> None:
                    journal.write({"event": "job", **asdict(outcome)})
                    if outcome.status is not Status.RETRY:
                        outcomes.append(outcome)

                if chosen:
                    if self.options.overwrite:
                        outdate_catalog(store)
                    self._drive(run_id, chosen, record, interrupt)
                before = {} if interrupt.code else self.quality_before()
                for job_id, quality in before.items():
                    journal.write({"event": COMMITTED_BEFORE, "job_id": job_id, "quality": asdict(quality)})
            loaded = bool(interrupt.code) or self._finish(run_id, outcomes)
        return Result(run_id, tuple(outcomes), interrupt.code, before, loaded)

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

    def say(self, text: str) -> None:
        """Plain text, whatever it contains."""
        self.console.print(text, markup=False, highlight=False)

    def _begin(self, run_id: str, plan: Plan) -> None:
        with TemporaryDirectory(prefix=scratch_prefix()) as folder:
            snapshot = Path(folder, "items.parquet")
            write_snapshot(self.prepared.snapshot, snapshot)
            floats = Path(folder, FLOATS)
            write_floats(self.prepared.afloat, floats)
            records = [path for path in (snapshot, floats) if path.exists()]
            begin_run(self.prepared.store, run_id, redacted(self.config), plan, records)
        settle_run(self.prepared.store, plan, self.say)

    def _finish(self, run_id: str, outcomes: Sequence[Outcome]) -> bool:
        from pipeline.derive import refresh_catalog, refresh_mosaics, refresh_profiles  # noqa: PLC0415 (heavy, and only when all is done)

        store = self.prepared.store
        counts = {status.value: sum(outcome.status is status for outcome in outcomes) for status in Status}
        quality = Counter(outcome.quality.status for outcome in outcomes if outcome.quality is not None)
        summary = {"run": run_id, "outcomes": counts, "skipped": len(self.plan.skipped), "quality": dict(quality)}
        finish_run(store, run_id, summary)
        refresh_catalog(store, self.config.name, self.say, made_any=counts[Status.DONE] > 0)
        refresh_mosaics(store, self.config, self.say)
        made = {outcome.job_id.partition("/")[0]: run_id for outcome in outcomes if outcome.status is Status.DONE}
        return refresh_profiles(store, self.config, made, self.say)

    def _drive(self, run_id: str, jobs: Sequence[Job], record: Callable[[Outcome], None], interrupt: Interrupt) -> None:
        """Clusters up, jobs through, clusters down."""
        totals = Counter(job.region for job in jobs)
        groups = self.groups(jobs)
        specs = specs_for(run_id, self.config, self.specs, groups)
        if len(groups) < len(jobs):
            self.say(f"{len(jobs)} jobs in {len(groups)} tasks: neighbouring tiles are made together")

        def check(region: str, client: Client) -> None:
            check_output(client, region, self.prepared.store, run_id, interrupt.stop)

        with (
            open_clusters(specs, self.say, interrupt.stop, check) as clusters,
            show_progress(self.console, totals) as progress,
        ):

            def report(outcome: Outcome) -> None:
                record(outcome)
                progress.update(outcome)

            drive(groups, self.assignments(groups, specs), clusters, report, interrupt.stop)

    def groups(self, jobs: Sequence[Job]) -> list[Group]:
        """Jobs as the tasks they are run in: neighbours together, where there are enough of them for every core."""
        # What waits for others waits for no more than it needs itself.
        holdings = {one.name: one.holding for one in self.prepared.products if not (one.alone or one.inputs)}
        slots = {region: spec.slots for region, spec in self.specs.items()}
        together = [job for job in jobs if job.product in holdings]
        groups = group_jobs(together, holdings, slots, self.prepared.task_bytes, self.config.run.super_tile)
        return [*groups, *(Group((job,), job.memory) for job in jobs if job.product not in holdings)]

    def assignments(
        self, groups: Sequence[Group] = (), fitted: Mapping[str, ClusterSpec] = MappingProxyType({})
    ) -> dict[str, Assignment]:
        """What workers must know besides a job, by product name.

        groups: what they will do, and fitted: the clusters for that, where it is known.
        """
        assignments = {}
        tasks = Counter(group.jobs[0].region for group in groups)
        written, remote = redacted(self.config), remote_products(self.plan.jobs, self.prepared.store)
        differs = versions_check(self.specs)
        for entry, plan, text in zip(self.config.products, self.prepared.products, written["products"], strict=True):
            missing = self.config.missing_assets_of(entry)
            access = access_for(self.config, entry)
            spec = fitted.get(plan.region, self.specs[plan.region])
            threads = task_threads(spec, tasks.get(plan.region, spec.slots))
            context = Context(
                access=access,
                write=write_options(self.config, entry),
                skip_missing=missing.policy == "skip",
                max_missing_fraction=missing.max_fraction,
                # Reads from disk are decoding, so one thread a core; reads over the network are waiting.
                threads=READS_IN_FLIGHT if plan.name in remote else threads,
                store=self.prepared.store,
            )
            source = written["sources"][entry.sources[0]] if entry.sources else {"storage": written["storage"]}
            recipe = write_recipe(text, source, context)
            retries = self.config.run.retries
            limits = self.config.quality_of(entry)
            assignments[plan.name] = Assignment(
                entry, context, self.prepared.store, plan, self.options.overwrite, retries, recipe, limits, differs
            )
        return assignments


def open_session(options: Options) -> Session:
    """Read the config, search and plan; starts nothing. Raises what `load_config` and `prepare` raise."""
    config = load_run(options)
    check_stores(config)
    offers = {region: [shape.task_bytes for shape in each] for region, each in worker_shapes(config).items()}
    prepared = prepare(
        config, offers, snapshot=options.snapshot, overwrite=options.overwrite, narrowed=options.narrowed
    )
    specs = cluster_specs(config, prepared.task_bytes)
    plan = with_crossings(prepared.plan, specs, config, prepared.store)
    return Session(options, config, specs, replace(prepared, plan=plan))


def run_config(options: Options) -> int:
    """What `python -m pipeline.run` does: print the plan, ask where money is spent, run it, sum it up."""
    started = time.monotonic()
    console = Console(soft_wrap=True, highlight=False)
    if not options.dry_run:
        sync_mirrors(load_run(options), console)
    session = replace(open_session(options), console=console)
    session.say(render_plan(session.plan))
    refuse_nothing(session)
    if options.dry_run:
        return EXIT_DONE
    if session.plan.jobs:
        _agree(session)
    result = session.run()
    seconds = time.monotonic() - started
    session.say(render_summary(result.outcomes, len(session.plan.skipped), seconds, result.before))
    if result.interrupted:
        session.say("interrupted: run the same command again to resume")
    session.say(f"output: {session.prepared.store.uri} (run {result.run_id})")
    failed = any(outcome.status in {Status.FAILED, Status.BLOCKED} for outcome in result.outcomes)
    return result.interrupted or (EXIT_JOBS_FAILED if failed or not result.loaded else EXIT_DONE)


def refuse_nothing(session: Session) -> None:
    """Raise NothingToDoError for a plan without any job, done or to be done."""
    if not session.plan.jobs and not session.plan.skipped:
        area, period = session.config.area or "of the grid", session.config.period
        raise NothingToDoError(
            f"no scene or profile of any source meets area {area} and period {period.start:%Y-%m-%d} to "
            f"{period.end:%Y-%m-%d} (end excluded): check area, period and sources"
        )


def _agree(session: Session) -> None:
    """Ask once where money would be spent and somebody is there to answer. Raises PreflightError on a no."""
    paid = sorted(name for name, source in session.config.sources.items() if source.sign == "requester-pays")
    if not paid or session.options.yes or not sys.stdin.isatty():
        return
    session.say(f"Requests to and bytes out of {', '.join(paid)} are charged to your account (requester pays).")
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise PreflightError("not started: reading from a requester-pays source was not agreed to; --yes agrees")
