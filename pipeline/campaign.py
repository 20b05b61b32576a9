"""A run: clusters up, jobs through, clusters down; everybody who watches it is told, and everything is written down.

A plan comes in, a `Result` comes out. Whatever lasts is in the output: the items that workers commit, and the records
under `runs/<id>/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from distributed import Client
from rich.console import Console

from cluster.spec import ClusterSpec
from pipeline.config import RunConfig, redacted
from pipeline.errors import (
    EXIT_CLAIMED,
    EXIT_DONE,
    EXIT_JOBS_FAILED,
    EXIT_PREFLIGHT,
    CredentialsError,
    GroundswellError,
    StoreError,
)
from pipeline.estimating import job_features
from pipeline.execute.driver.drive import Rules, drive
from pipeline.execute.driver.interrupt import Interrupt, interruptible
from pipeline.execute.driver.preflight import check_output, check_store
from pipeline.execute.listen import Listener, Listeners, Silent
from pipeline.execute.progress.live import progress_records, show_progress, speaker
from pipeline.execute.progress.meter import Meter
from pipeline.execute.progress.metrics import serve_metrics
from pipeline.execute.progress.notices import About, Notices
from pipeline.execute.records.environment import environment
from pipeline.execute.records.history import COMMITTED_BEFORE
from pipeline.execute.records.journal import Journal
from pipeline.execute.records.lease import Lease, run_lease, scratch_prefix
from pipeline.execute.records.outcomes import Outcomes
from pipeline.execute.records.replay import ReplayFile
from pipeline.execute.records.runs import begin_run, finish_run, new_run_id, settle_run
from pipeline.execute.records.tally import Tally, Totals
from pipeline.floats import FLOATS, write_floats
from pipeline.opening import Watch, open_clusters
from pipeline.placement import specs_for
from pipeline.plan.made import skipped_counts
from pipeline.prepare import Prepared
from pipeline.report.text import render_summary
from pipeline.search.snapshot import write_snapshot
from pipeline.types import Actual, Estimate, Job, Outcome, Plan, Quality, Status
from pipeline.work import Terms, assign, plan_work
from pipeline.write.catalog import outdate_catalog
from pipeline.write.files import json_bytes

if TYPE_CHECKING:
    import pyarrow as pa

ESTIMATE = "estimate.json"
"""Name of a run's record of what it was expected to take, put before its first job."""


@dataclass(frozen=True, repr=False)
class Result:
    """What a run came to; in a notebook it shows itself, as text it is what `pipeline.run` prints at its end."""

    run_id: str
    outcomes: Sequence[Outcome]
    """The last word on each job; kept on disk, each made anew when it is asked for."""
    counts: Mapping[Status, int]
    """Jobs by what became of them."""
    interrupted: int
    """Exit code of the signal that ended it early; 0 when nothing did."""
    before: Mapping[str, Quality]
    """By job id, skipped jobs whose tiles do not keep the limits of this run."""
    actual: Actual
    """What it took and cost."""
    loaded: bool = True
    """False where the databases could not be brought up to what is committed."""
    reason: str | None = None
    """Why it ended early by itself: budget, credentials, disk."""
    report: str | None = None
    """Where its report lies."""
    skipped: int = 0
    """Jobs of the plan that were committed before."""

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {status.value}" for status, number in self.counts.items() if number)
        return f"<Result {self.run_id}: {counts or 'nothing to run'}, {self.skipped} committed before>"

    def __str__(self) -> str:
        return render_summary(self.outcomes, self.skipped, self.actual.hours * 3600, self.before)

    def _repr_html_(self) -> str:
        from pipeline.report.result_html import Ended, result_html  # noqa: PLC0415 (only for those who look)

        seconds = self.actual.hours * 3600
        ended = Ended(self.run_id, self.outcomes, self.counts, self.skipped, seconds, self.reason, self.report)
        return result_html(ended)

    def table(self) -> pa.Table:
        """A row a job that was to be run, with the last word on it, as `report.result_html.outcome_table` says."""
        from pipeline.report.result_html import outcome_table  # noqa: PLC0415 (as above)

        return outcome_table(self.outcomes)

    @property
    def code(self) -> int:
        """What a run ends with, see `pipeline.errors`."""
        if self.interrupted or self.reason is not None:
            return self.interrupted or EXIT_PREFLIGHT
        if self.counts.get(Status.FAILED) or self.counts.get(Status.BLOCKED) or not self.loaded:
            return EXIT_JOBS_FAILED
        return EXIT_CLAIMED if self.counts.get(Status.CLAIMED) else EXIT_DONE


@dataclass(frozen=True)
class Campaign:
    """What is to be run, and how."""

    config: RunConfig
    prepared: Prepared
    specs: Mapping[str, ClusterSpec]
    """Cluster of each region."""
    estimate: Estimate
    console: Console
    overwrite: bool = False
    command: Sequence[str] = ()
    """How the run was started, for the report."""

    @property
    def say(self) -> Callable[[str], None]:
        """Plain text, as `run.progress` wants it."""
        return speaker(self.console, self.config.run.progress)

    def run(self, jobs: Sequence[Job], before: Callable[[], Mapping[str, Quality]]) -> Result:
        """Run and commit jobs on their regions' clusters, and write down what happened.

        before: tells the quality of what is skipped. Raises StoreError when the output cannot be written and
        PreflightError when it cannot be used as it must be, or no cluster comes up.
        """
        run = _Run(self, jobs)
        with Lease(self.prepared.store, run_lease(run.id)):
            return run.through(before)


class _Stops(Silent):
    """Ends the run as soon as no job can succeed any more."""

    def __init__(self, halt: Callable[[str], None]) -> None:
        self._halt = halt

    def ended(self, outcome: Outcome) -> None:
        if outcome.error == CredentialsError.__name__:
            self._halt(f"{outcome.job_id}: {outcome.cause}")


class _Run:
    """One run on its way: its records, and who watches it."""

    def __init__(self, campaign: Campaign, jobs: Sequence[Job]) -> None:
        self.id = new_run_id(datetime.now(UTC))
        self.campaign, self.jobs = campaign, jobs
        self.config, self.prepared, self.say = campaign.config, campaign.prepared, campaign.say
        self.store, plan = campaign.prepared.store, campaign.prepared.plan
        self.plan = Plan(jobs, plan.skipped, plan.notes)
        regions = {one.name: one.region for one in self.prepared.products}
        skipped = {(regions[name], name): count for name, count in skipped_counts(plan.skipped).items()}
        self.tally = Tally(Totals(Counter((job.region, job.product) for job in jobs), skipped))
        self.outcomes = Outcomes()

    def through(self, quality_before: Callable[[], Mapping[str, Quality]]) -> Result:
        floats = [one.name for one in self.prepared.products if one.afloat]
        conditions = check_store(self.store, self.id, floats, self.say)
        words = {"environment": environment(), "command": list(self.campaign.command)}
        journal = Journal(self.store, self.id, lambda reason: interrupt.halt(reason), words)  # noqa: PLW0108 (there is none yet)
        self._begin()
        with ExitStack() as stack:
            with interruptible(self.say) as interrupt:
                about = About(self.id, self.config.name, self.store.uri)
                notices = stack.enter_context(Notices(self.config.run.notify, about, journal.write, self.say))
                with journal:
                    actual = self._drive(journal, notices, interrupt, claims=conditions and self.config.run.claims)
                    notices.drain(hurried=bool(interrupt.code))
                    before = {} if interrupt.code or interrupt.reason else quality_before()
                    for job_id, quality in before.items():
                        journal.write({"event": COMMITTED_BEFORE, "job_id": job_id, "quality": asdict(quality)})
                    journal.write({"event": "actual", **actual.document()})
                    result = Result(self.id, self.outcomes.all(), self.outcomes.counts, interrupt.code, before, actual)
                    result = replace(result, reason=interrupt.reason, skipped=len(self.plan.skipped))
                    journal.over(result.code, interrupt.reason)
            return self._end(result, journal.path, notices)

    def _begin(self) -> None:
        """Put config, snapshot, plan and estimate: the run exists from here on."""
        with TemporaryDirectory(prefix=scratch_prefix()) as folder:
            snapshot, floats, estimate = (Path(folder, name) for name in ("items.parquet", FLOATS, ESTIMATE))
            write_snapshot(self.prepared.snapshot, snapshot)
            write_floats(self.prepared.afloat, floats)
            estimate.write_bytes(json_bytes(self.campaign.estimate.document()))
            records = [path for path in (snapshot, floats, estimate) if path.exists()]
            begin_run(self.store, self.id, redacted(self.config), self.plan, records)
        settle_run(self.store, self.plan, self.say, self.prepared.since)

    def _drive(self, journal: Journal, notices: Notices, interrupt: Interrupt, *, claims: bool) -> Actual:
        """Everything to its last word, told to all who watch; what it took."""
        campaign, run = self.campaign, self.config.run
        meter = Meter(campaign.estimate, job_features(self.jobs), halt=interrupt.halt, budget_usd=run.budget_usd)
        if not self.jobs:
            return meter.actual()
        if campaign.overwrite:
            outdate_catalog(self.store)
        with ExitStack() as stack:
            self.tally.usd = meter.usd
            stack.enter_context(progress_records(journal.write, self.tally))
            watchers: list[Listener] = [journal, self.outcomes, _Stops(interrupt.halt), self.tally]
            watchers += [stack.enter_context(one) for one in (meter, ReplayFile(self.store, self.id, self.say))]
            labels = {"run": self.id, "name": self.config.name}
            watchers.append(stack.enter_context(serve_metrics(run.metrics, self.tally, labels, self.say)))
            watchers.append(stack.enter_context(show_progress(campaign.console, run.progress, self.tally)))
            self._work(Listeners([*watchers, notices]), interrupt, claims=claims)
        return meter.actual()

    def _work(self, listeners: Listeners, interrupt: Interrupt, *, claims: bool) -> None:
        """Clusters up, jobs through, clusters down."""
        campaign, run = self.campaign, self.config.run
        work = plan_work(self.jobs, self.config, self.prepared, campaign.specs)
        specs = specs_for(self.id, self.config, campaign.specs, work)
        if len(work) < len(self.jobs):
            self.say(f"{len(self.jobs)} jobs in {len(work)} tasks: neighbouring tiles are made together")
        terms = Terms(
            overwrite=campaign.overwrite,
            run_id=self.id if claims and not campaign.overwrite else None,
            tasks=Counter(head.region for head in work.heads()),
            fitted=specs,
        )

        def check(region: str, client: Client) -> None:
            check_output(client, region, self.store, self.id, interrupt.stop, claims=terms.run_id is not None)

        watch = Watch(listeners.cluster, run.cluster_restarts, self._keep)
        with open_clusters(specs, self.say, interrupt.stop, check, watch) as fleet:
            assignments = assign(self.config, self.prepared, campaign.specs, terms)
            drive(work, assignments, fleet, listeners, interrupt.stop, Rules(run.job_timeout_s, run.worker_timeout_s))

    def _keep(self, region: str, shard: int, page: bytes) -> None:
        """Dask's own report of a cluster, beside the run's records."""
        try:
            self.store.put_bytes(page, f"runs/{self.id}/performance-{region}-{shard}.html")
        except StoreError as error:
            self.say(f"warning: the performance report of {region} was not kept: {error}")

    def _end(self, result: Result, log: Path, notices: Notices) -> Result:
        """What is made when all is over: the run's last record and all that is derived, the report, the notice."""
        if not (result.interrupted or result.reason):
            result = replace(result, loaded=self._finish(result))
        result = replace(result, report=self._report(log))
        counts = {status.value: number for status, number in sorted(result.counts.items())}
        notices.end(result.code, result.reason, {"jobs": counts, "usd": result.actual.usd, "report": result.report})
        return result

    def _finish(self, result: Result) -> bool:
        from pipeline.derive import refresh_catalog, refresh_mosaics, refresh_profiles  # noqa: PLC0415 (heavy, and only when all is done)

        made = self.outcomes.made
        summary = {
            "run": self.id,
            "outcomes": {status.value: result.counts.get(status, 0) for status in Status},
            "skipped": len(self.plan.skipped),
            "quality": dict(self.outcomes.quality),
            "actual": result.actual.document(),
        }
        finish_run(self.store, self.id, summary)
        refresh_catalog(self.store, self.config.name, self.say, made_any=bool(made), known=self.prepared.committed)
        refresh_mosaics(self.store, self.config, self.say)
        return refresh_profiles(self.store, self.config, dict.fromkeys(made, self.id), self.say)

    def _report(self, log: Path) -> str | None:
        """The report's page; nothing that is not worth a warning depends on it."""
        from pipeline.execute.account.account import read_account  # noqa: PLC0415 (when all is done)
        from pipeline.report.write import PAGE, write_report  # noqa: PLC0415 (the same)

        run = self.config.run
        try:
            account = read_account(self.store, self.id, log=log)
            write_report(account, self.store, copy=run.report_dir, plots=run.plot)
        except (GroundswellError, OSError) as error:
            self.say(f"warning: no report was written, `groundswell report` tries again: {error}")
            return None
        return f"{self.store.uri}/runs/{self.id}/report/{PAGE}"
