"""The one screen on which the stages are joined.

config → snapshot → plan → clusters → jobs, each committed by its worker → journal → catalogue → summary
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from distributed import Client
from rich.console import Console

from cluster.backend import ClusterError, open_cluster
from cluster.sizing import local_cores, local_share, task_bytes
from cluster.spec import ClusterSpec
from pipeline.config import RunConfig, load_config, redacted
from pipeline.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_JOBS_FAILED,
    EXIT_TERMINATED,
    NothingToDoError,
    PreflightError,
)
from pipeline.execute.drive import drive
from pipeline.execute.journal import Journal
from pipeline.execute.progress import show_progress
from pipeline.execute.records import begin_run, current_items, finish_run, new_run_id
from pipeline.execute.task import Assignment
from pipeline.prepare import Prepared, access_of, cog_options, prepare
from pipeline.products import product_models
from pipeline.products._base import Context
from pipeline.report.text import render_plan, render_summary
from pipeline.search.snapshot import write_snapshot
from pipeline.types import Job, Outcome, Status
from pipeline.write.catalog import write_catalog


@dataclass(frozen=True)
class Options:
    """The command line of a run."""

    config: Path
    dry_run: bool = False
    yes: bool = False
    overwrite: bool = False
    sets: list[str] = field(default_factory=list)
    output: str | None = None
    snapshot: Path | None = None


def run_config(options: Options) -> int:
    """Plan, run and commit a config; prints what it does and returns the exit code."""
    console = Console(soft_wrap=True, highlight=False)
    config = load_config(options.config, product_models(), options.sets, options.output)
    specs = cluster_specs(config)
    budgets = {region: task_bytes(spec.worker_memory_bytes, spec.threads) for region, spec in specs.items()}
    prepared = prepare(config, budgets, snapshot=options.snapshot, overwrite=options.overwrite)
    say(console, render_plan(prepared.plan))
    if not prepared.plan.jobs and not prepared.plan.skipped:
        raise NothingToDoError(
            f"no scene of any source meets area {list(config.area.bbox)} and period {config.period.start:%Y-%m-%d} to "
            f"{config.period.end:%Y-%m-%d} (end excluded): check area, period and sources"
        )
    if options.dry_run:
        return EXIT_DONE
    if prepared.plan.jobs:
        agree(config, options)
    return _run(config, options, specs, prepared, console)


def _run(
    config: RunConfig, options: Options, specs: Mapping[str, ClusterSpec], prepared: Prepared, console: Console
) -> int:
    """Everything after the plan was accepted."""
    started, store, plan = time.monotonic(), prepared.store, prepared.plan
    run_id = new_run_id(datetime.now(UTC))
    with TemporaryDirectory(prefix="groundswell-") as folder:
        snapshot = Path(folder, "items.parquet")
        write_snapshot(prepared.snapshot, snapshot)
        begin_run(store, run_id, redacted(config), plan, snapshot)
    outcomes: list[Outcome] = []
    with Journal(store, run_id) as journal, interruptible(console) as interrupt:
        if plan.jobs:
            totals = {region: sum(job.region == region for job in plan.jobs) for region in specs}
            with open_clusters(specs, console) as clusters, show_progress(console, totals) as progress:

                def report(outcome: Outcome) -> None:
                    journal.write({"event": "job", **asdict(outcome)})
                    progress.update(outcome)
                    if outcome.status is not Status.RETRY:
                        outcomes.append(outcome)

                reachable = _fail_unreachable(plan.jobs, clusters, report)
                drive(reachable, _assignments(config, options, prepared, specs), clusters, report, interrupt.stop)
    if not interrupt.code:
        finish_run(store, run_id, {"run": run_id, "outcomes": _counts(outcomes), "skipped": len(plan.skipped)})
        write_catalog(store, config.name, _by_product(current_items(store)))
    say(console, render_summary(outcomes, len(plan.skipped), time.monotonic() - started))
    say(
        console, f"output: {store.uri}   run: {run_id}" + ("   interrupted: run again to resume" * bool(interrupt.code))
    )
    failed = any(outcome.status is Status.FAILED for outcome in outcomes)
    return interrupt.code or (EXIT_JOBS_FAILED if failed else EXIT_DONE)


def cluster_specs(config: RunConfig) -> dict[str, ClusterSpec]:
    """One complete spec for each region in use; local clusters without sizes share this machine evenly."""
    regions = sorted({config.region_of(entry) for entry in config.products})
    cores, memory = local_share(len(regions))
    specs = {}
    for region in regions:
        asked = config.cluster_of(region)
        workers = asked.workers[1] if asked.workers else 1
        specs[region] = ClusterSpec(
            name=f"{config.name}-{region}",
            backend=asked.backend,
            region=region,
            workers=workers,
            threads=asked.threads or max(1, cores // workers),
            worker_memory_bytes=asked.worker_memory or memory // workers,
        )
    return specs


def _assignments(
    config: RunConfig, options: Options, prepared: Prepared, specs: Mapping[str, ClusterSpec]
) -> dict[str, Assignment]:
    """What workers must know besides a job, by product name."""
    assignments = {}
    for entry, plan in zip(config.products, prepared.products, strict=True):
        missing = config.missing_assets_of(entry)
        access = access_of(config.sources[entry.source])
        context = Context(
            access=access,
            cog=cog_options(config, entry.name),
            skip_missing=missing.policy == "skip",
            max_missing_fraction=missing.max_fraction,
            # Reads from disk are decoding, so one thread a core; reads over the network are waiting.
            threads=max(1, local_cores() // specs[plan.region].slots) if access.local else 16,
        )
        assignments[plan.name] = Assignment(
            entry, context, prepared.store, plan, options.overwrite, retries=config.run.retries
        )
    return assignments


def agree(config: RunConfig, options: Options) -> None:
    """Ask once where money would be spent and somebody is there to answer. Raises PreflightError on a no."""
    paid = sorted(name for name, source in config.sources.items() if source.sign == "requester-pays")
    if not paid or options.yes or not sys.stdin.isatty():
        return
    print(f"Requests to and bytes out of {', '.join(paid)} are charged to your account (requester pays).")
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise PreflightError("not started: reading from a requester-pays source was not agreed to; --yes agrees")


@contextmanager
def open_clusters(specs: Mapping[str, ClusterSpec], console: Console) -> Iterator[dict[str, tuple[Client, int]]]:
    """Region → (client, jobs in flight); a region whose cluster fails is left out. Raises PreflightError if all fail."""
    clusters: dict[str, tuple[Client, int]] = {}
    with ExitStack() as stack:
        failures = []
        for region, spec in specs.items():
            try:
                client = stack.enter_context(open_cluster(spec))
            except ClusterError as error:
                failures.append(str(error))
                continue
            clusters[region] = client, 2 * spec.slots
            say(console, f"{region}: {spec.backend} cluster, {spec.slots} threads, dashboard {client.dashboard_link}")
        if not clusters:
            raise PreflightError("no cluster came up: " + "; ".join(failures))
        for failure in failures:
            say(console, f"warning: {failure}")
        yield clusters


def _fail_unreachable(
    jobs: tuple[Job, ...], clusters: Mapping[str, object], report: Callable[[Outcome], None]
) -> list[Job]:
    """Jobs whose region has a cluster; the others are reported as failed."""
    for job in jobs:
        if job.region not in clusters:
            cause = f"no cluster came up in region {job.region}"
            report(Outcome(job.id, job.region, job.fingerprint, Status.FAILED, error="ClusterError", cause=cause))
    return [job for job in jobs if job.region in clusters]


@dataclass
class Interrupt:
    """Whether somebody asked the run to end, and the exit code that says so."""

    stop: threading.Event = field(default_factory=threading.Event)
    code: int = 0


@contextmanager
def interruptible(console: Console) -> Iterator[Interrupt]:
    """The first Ctrl-C or SIGTERM lets jobs in flight end and starts no more; a second one ends at once."""
    state = Interrupt()

    def handle(number: int, _frame: FrameType | None) -> None:
        if state.code:
            raise KeyboardInterrupt
        state.code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED
        state.stop.set()
        say(console, "stopping: jobs in flight are finished and committed; once more ends at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(console: Console, text: str) -> None:
    """Plain text, whatever it contains."""
    console.print(text, markup=False, highlight=False)


def _counts(outcomes: list[Outcome]) -> dict[str, int]:
    return {status.value: sum(outcome.status is status for outcome in outcomes) for status in Status}


def _by_product(current: Mapping[str, str]) -> dict[str, list[str]]:
    """Item keys by product, from item keys by job id."""
    keys: dict[str, list[str]] = {}
    for job_id, key in sorted(current.items()):
        keys.setdefault(job_id.partition("/")[0], []).append(key)
    return keys
