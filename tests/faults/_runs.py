"""Runs of the real command on local clusters, ended by tests; and what they leave, read without the project's code."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.servers.weed import S3Server
from tests.timeless import timeless

CHECKOUT = Path(__file__).resolve().parents[2]
RUN_TIMEOUT_S = 240  # under any fault, on a busy machine too
ENDED_TIMEOUT_S = 30
CONFIG = """\
name: faults
output: {output}
area: {{bbox: [11.998, 44.880, 12.002, 44.8835]}}
grid: {{tile_px: 128, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-08-01, every: month}}
sources:
  s2: {{items: {world}/s2/collection.json}}
products:
  - {{product: sentinel2, source: s2, bands: [red]}}
run: {{super_tile: 1, missing_assets: {{max_fraction: 0.5}}}}
"""
JOBS = 8
"""Four tiles around the edge of two UTM zones, in each of two months."""
FILES = ("red", "count", "qa", "thumbnail", "inputs")
"""Data files of a job, in the order in which they are put."""

Tree = Mapping[str, bytes]  # contents by key


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    code: int
    text: str
    seconds: float
    session: int = 0
    """That all its processes were in."""

    def counts(self) -> dict[str, int]:
        """The summary line as numbers: done, skipped, failed, not started."""
        line = re.search(r"^(\d+) done, (\d+) skipped, (\d+) failed, (\d+) not started;", self.text, re.MULTILINE)
        assert line, self.text
        return dict(zip(("done", "skipped", "failed", "not started"), map(int, line.groups()), strict=True))


@dataclass
class Running:
    """A run in a session of its own, so that its processes are known by it even when they are orphans."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float = field(default_factory=time.monotonic)

    def kin(self) -> list[psutil.Process]:
        """Every process of the run that is there now, the client included."""
        return [process for process in psutil.process_iter() if session_of(process) == self.process.pid]

    def interrupt(self, number: signal.Signals, *, group: bool) -> None:
        """A signal to the client, or to its group as a terminal sends it."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def until(self, condition: Callable[[], object], problem: str) -> None:
        """Wait for something that the run does; ends it and fails when it does not come, or the run ends before."""
        try:
            within(RUN_TIMEOUT_S, lambda: condition() or self.process.poll() is not None, problem)
            assert condition(), f"{problem}: the run ended before, with code {self.process.returncode}"
        except AssertionError as error:
            self.end()
            error.add_note(self.log.read_text(errors="replace"))
            raise

    def wait(self, timeout: float = RUN_TIMEOUT_S) -> Finished:
        """How it ended; fails when it takes longer, or leaves a process behind."""
        try:
            code = self.process.wait(timeout)
            seconds = time.monotonic() - self.started
            within(ENDED_TIMEOUT_S, lambda: not self.kin(), "processes of the run are left")
        finally:
            self.end()
        return Finished(code, self.log.read_text(errors="replace"), seconds, self.process.pid)

    def end(self) -> None:
        """Kill whatever of the run is left."""
        for process in self.kin():
            process.kill()
        self.process.wait(ENDED_TIMEOUT_S)


@dataclass
class Case:
    """A config and an output of its own; every file of its runs lies in `folder`."""

    folder: Path
    world: Path
    server: S3Server | None = None
    output: str = ""
    """Default: a folder."""
    via: str = ""
    """Endpoint that runs are told of, such as a proxy's; default: the server's own."""
    runs: int = 0

    def __post_init__(self) -> None:
        self.output = self.output or str(self.folder / "output")
        text = CONFIG.format(output=self.output, world=self.world)
        if self.server:
            text += f"storage: {{endpoint: {self.via or self.server.endpoint}}}\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir()
        self.config.write_text(text)

    @property
    def config(self) -> Path:
        return self.folder / "run.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def scratch(self) -> Path:
        """Where runs keep unfinished work."""
        return self.folder / "tmp"

    def steps(self) -> list[str]:
        """The commit steps so far of the last run, which was started with an order."""
        book = self.folder / f"steps-{self.runs}"
        return book.read_text().splitlines() if book.exists() else []

    def start(
        self,
        *options: str,
        module: str = "pipeline.run",
        order: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Start the command; order: `action`, `step` and `number` (counted from 1) for `stopper/sitecustomize.py`."""
        self.runs += 1
        log = self.folder / f"log-{self.runs}.txt"
        credentials = self.server.environment if self.server else {}
        environ = {
            **os.environ,
            **{name: value for name, value in credentials.items() if name != "AWS_ENDPOINT_URL"},  # the config has it
            "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self.scratch),
            "PYTHONUNBUFFERED": "1",
            **self.ordered(order),
            **(environment or {}),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                cwd=self.folder,
                start_new_session=True,
            )
        return Running(process, log)

    def ordered(self, order: Mapping[str, Any] | None) -> dict[str, str]:
        """The environment by which processes of the last run that was started, or of none, follow an order."""
        book = str(self.folder / f"steps-{self.runs}")
        path = f"{CHECKOUT / 'tests/faults/stopper'}{os.pathsep}{CHECKOUT}"
        return {"PYTHONPATH": path} | ({"GROUNDSWELL_TEST_STEP": json.dumps({"book": book, **order})} if order else {})

    def run(self, *options: str, module: str = "pipeline.run") -> Finished:
        """The command from start to end."""
        return self.start(str(self.config), *options, module=module).wait()

    def verb(self, verb: str, *options: str) -> Finished:
        """`groundswell VERB` on the output, from start to end."""
        return self.start(verb, str(self.config), *options, module="pipeline.cli").wait()

    def unfinished(self) -> list[str]:
        """What puts, uploads and jobs that never ended have left."""
        scratch = [str(path) for path in self.scratch.glob("groundswell-*")]
        if self.server:
            return scratch + list(self.server.pending_uploads(self.output.removeprefix("s3://").partition("/")[0]))
        return scratch + [str(path) for path in Path(self.output).rglob(".tmp-*")]

    def tree(self) -> Tree:
        """Everything at the output under a key; unfinished files of a killed put have none."""
        return {key: self.read(key) for key in self.keys()}

    def keys(self, folder: str = "") -> list[str]:
        """What `tree` has, or what of it lies below one folder."""
        if self.server:
            root = self.output.removeprefix("s3://")
            place = f"{root}/{folder}".rstrip("/")
            # This server keeps a folder for a moment after its last file, and lists it.
            return [path.removeprefix(f"{root}/") for path in self.server.client().find(place) if path != place]
        paths = [path for path in Path(self.output, folder).rglob("*") if not path.name.startswith(".tmp-")]
        return [path.relative_to(self.output).as_posix() for path in paths if path.is_file()]

    def read(self, key: str) -> bytes:
        """One object."""
        if self.server:
            data: bytes = self.server.client().cat_file(f"{self.output.removeprefix('s3://')}/{key}")
            return data
        return Path(self.output, key).read_bytes()


def within(seconds: float, condition: Callable[[], object], problem: str) -> None:
    """Wait until the condition holds; fails with the problem when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{problem} after {seconds} s"
        time.sleep(0.02)


def products(tree: Tree) -> dict[str, Any]:
    """What runs must agree on: data as bytes, items as timeless documents."""
    data = {key: content for key, content in tree.items() if key.startswith("data/")}
    return data | {key: timeless(json.loads(content)) for key, content in tree.items() if key.startswith("items/")}


def objects(tree: Tree) -> set[str]:
    """Keys of a tree but the mark of a clean-up; runs have other ids each time, journals any number of segments."""
    return {re.sub(r"^runs/[^/]+/(journal-)?[0-9]*", r"runs/ID/\1", key) for key in tree if key != "removals.json"}


def items(tree: Tree) -> dict[str, Any]:
    """The items by key, and nothing but items lies there."""
    return {key: json.loads(content) for key, content in tree.items() if key.startswith("items/")}


def check_items(tree: Tree) -> int:
    """Every item names only files that are there, whole: by size and SHA-256. Returns how many items there are."""
    for key, item in items(tree).items():
        assert item["assets"].keys() == set(FILES), key
        for name, asset in item["assets"].items():
            target = posixpath.normpath(posixpath.join(posixpath.dirname(key), asset["href"]))
            assert target in tree, f"{key}: {name} names {target}, which is missing"
            assert len(tree[target]) == asset["file:size"], f"{key}: {name} is short"
            assert f"1220{hashlib.sha256(tree[target]).hexdigest()}" == asset["file:checksum"], f"{key}: {name}"
    return len(items(tree))


def check_same(case: Case, calm: Tree) -> None:
    """The output equals that of a run never disturbed, key by key, and its catalogue leads to every item."""
    tree = case.tree()
    found, expected = products(tree), products(calm)
    assert found.keys() == expected.keys()
    assert [key for key in found if found[key] != expected[key]] == []
    assert check_items(tree) == JOBS
    page = json.loads(tree["collections/sentinel2/collection.json"])
    linked = {link["href"].removeprefix("../../") for link in page["links"] if link["rel"] == "item"}
    assert linked == items(tree).keys()
    assert tree["items.parquet"].endswith(b"PAR1")


def check_clean(case: Case, calm: Tree) -> None:
    """After a vacuum there is exactly what a calm run leaves, and nothing else of the project."""
    cleaned = case.verb("vacuum", "--older-than", "0")
    assert cleaned.code == 0, cleaned.text
    assert objects(case.tree()) == objects(calm)
    assert case.unfinished() == []
    check_same(case, calm)


def session_of(process: psutil.Process) -> int | None:
    """The session that a process is in; None for one that has ended."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None
