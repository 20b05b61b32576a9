"""An output made in this process: jobs one by one, then a run that records them; and records written by hand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from pipeline import cli
from pipeline.execute.records.lease import Owner, this_process
from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from pipeline.types import Json, Outcome, Status
from tests.faults._worlds import World

BOTH_STORES: Mapping[str, Json] = {"write": {"cog": {}, "zarr": {}}}


def make_world(folder: Path, **changes: Json) -> tuple[World, Path]:
    """Two scenes of June and one of July on one tile, and the config over them; one input of July is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder)
    world.add("2024-06-01")
    world.add("2024-06-09")
    world.add("2024-07-03")
    world.add("2024-07-09", {"red": str(folder / "gone.tif")})
    return world, world.config(**changes)


def make_output(config: Path, *sets: str) -> list[Outcome]:
    """Every job of the config here and now, then the run that finds them done: its end makes them current."""
    session = open_session(Options(config, sets=sets))
    assignments = session.assignments()
    outcomes = [run_job(job, assignments[job.product], 1) for job in session.plan.jobs]
    assert {outcome.status for outcome in outcomes} <= {Status.DONE}, outcomes
    assert open_session(Options(config, sets=sets)).run(()).interrupted == 0
    return outcomes


def groundswell(*arguments: object) -> int:
    """The command line, in this process."""
    return cli.main([str(argument) for argument in arguments])


def files(output: Path) -> dict[str, bytes]:
    """Everything in an output by key, unfinished files too."""
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def put(output: Path, key: str, content: bytes = b"x", age_s: float = 0.0) -> Path:
    """An object that was put so many seconds ago."""
    path = output / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    age(path, age_s)
    return path


def age(path: Path, age_s: float) -> None:
    """Let a file have been put so many seconds ago."""
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))


def lease(owner: Owner) -> bytes:
    """A lease as a run writes it."""
    return json.dumps({"format": 1, "owner": asdict(owner)}).encode()


def ended_process() -> Owner:
    """A process of this machine that is no more."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return replace(this_process(), pid=child.pid, started=this_process().started + 1)


def elsewhere() -> Owner:
    """A process that cannot be seen from here."""
    return replace(this_process(), host=f"not-{socket.gethostname()}")


def put_run(output: Path, run_id: str, owner: Owner | None, plan: Mapping[str, str], age_s: float = 0.0) -> None:
    """A run that has begun and not ended: its lease (None: it has none) and its plan, fingerprint by job."""
    lines = [{"format": 1, "job": job, "fingerprint": each, "state": "run"} for job, each in plan.items()]
    put(output, f"runs/{run_id}/config.json", b"{}", age_s)
    put(output, f"runs/{run_id}/plan.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode(), age_s)
    if owner:
        put(output, f"runs/{run_id}/lease.json", lease(owner), age_s)
