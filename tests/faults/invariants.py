"""What must hold after every fault, whatever it was: seven laws, each a function, and all of them at once.

(a) what is committed is what was asked for, minus what the run itself names as not made;
(b) every committed object has the bytes that a run never disturbed gives it;
(c) no pending upload, no temporary file is left;
(d) no item without its data, nothing in catalogue or records that no item stands for;
(e) the exit code says what happened, and one line says why, naming tile, file or object;
(f) no process of the run is left;
(g) it took no longer than it may, which `Running.wait` sees to.

Everything is read from the files as a stranger would, without the project's code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from tests.faults._runs import Case, Finished, Tree, check_items, items, products, session_of

NOT_MADE = ("failed", "blocked", "cancelled", "claimed")
"""Last words on a job that is not committed."""


@dataclass(frozen=True)
class Expected:
    """How a run under a fault must end."""

    code: int = 0
    cause: tuple[str, ...] = ()
    """Words that stand together in one line of what it printed."""
    not_made: int | None = 0
    """How many jobs it must name as not made; None: however many, at least one."""
    started: bool = True
    """False: refused before any job began, so nothing at all may be committed."""
    loud: bool = False
    """Whether a process that was broken may say so in its own words on its way out."""
    killed: bool = False
    """A worker was killed: what it was at lies on its scratch disk, and a vacuum removes it."""


Records = Mapping[str, Mapping[str, Any]]
"""Job → its last record."""


def check_invariants(
    case: Case, calm: Tree, finished: Finished, expected: Expected, told: Records | None = None
) -> Records:
    """All seven, after one run that was begun and ended. Returns the last record of each job of the run.

    told: those records, where this machine's own journal does not have them.
    """
    told = last_records(case) if told is None else told
    check_code_and_cause(finished, expected)
    if expected.killed:
        swept = case.verb("vacuum", "--older-than", "0")
        assert swept.code == 0, swept.text
    tree = case.tree()
    if expected.started:
        check_committed(tree, calm, told, expected)
    else:
        assert not [key for key in tree if key.startswith(("items/", "data/"))]
    check_bytes(tree, calm)
    check_nothing_unfinished(case)
    check_nothing_without_data(tree, told)
    check_no_process(finished)
    return told


def last_records(case: Case) -> Records:
    """Job → its last record in this machine's journal of the newest run, which is whole lines only; {} without one."""
    journals = sorted(Path(case.state, "groundswell", "runs").glob("*.jsonl"))
    return _last(journals[-1].read_text(encoding="utf-8")) if journals else {}


def last_records_beside_output(case: Case) -> Records:
    """The same from the newest run's segments at the output, as other machines see it."""
    newest = max(key.split("/")[1] for key in case.keys("runs"))
    segments = sorted(key for key in case.keys(f"runs/{newest}") if "/journal-" in key)
    return _last("".join(case.read(key).decode() for key in segments))


def check_committed(tree: Tree, calm: Tree, told: Records, expected: Expected) -> None:
    """(a): every job of a calm run is committed, once, or named as not made, never both."""
    every, found = {job_of(key) for key in items(calm)}, sorted(map(job_of, items(tree)))
    assert found == sorted(set(found)), "a job was committed twice"
    not_made = {job_id for job_id, record in told.items() if record["status"] in NOT_MADE}
    assert set(found) == every - not_made, f"missing and not named: {sorted(every - not_made - set(found))}"
    assert expected.not_made is None or len(not_made) == expected.not_made, sorted(not_made)
    assert not_made or expected.not_made is not None, "some were to be named as not made"


def check_bytes(tree: Tree, calm: Tree) -> None:
    """(b): whatever is committed equals what the calm run committed, key by key."""
    found, right = products(tree), products(calm)
    committed = {job_of(key) for key in items(tree)}
    mine = {key for key in found if key.startswith("items/") or _job_of_data(key) in committed}
    assert mine <= right.keys(), f"other keys than a calm run: {sorted(mine - right.keys())}"
    assert [key for key in sorted(mine) if found[key] != right[key]] == []


def check_nothing_unfinished(case: Case) -> None:
    """(c): no pending upload at the output, no temporary file there or on the scratch disk."""
    assert case.unfinished() == []


def check_nothing_without_data(tree: Tree, told: Records) -> None:
    """(d): items name whole files; catalogue, table and records name only items that are there."""
    check_items(tree)
    keys = items(tree).keys()
    for page in (key for key in tree if key.startswith("collections/")):
        links = json.loads(tree[page])["links"]
        shown = {link["href"].removeprefix("../../") for link in links if link["rel"] == "item"}
        assert shown <= keys, f"{page} names items that are not there: {sorted(shown - keys)}"
    if "items.parquet" in tree:
        listed = set(pq.read_table(io.BytesIO(tree["items.parquet"]), columns=["id"])["id"].to_pylist())
        assert listed <= {job_of(key).replace("/", "_") for key in keys}, "items.parquet names items that are not there"
    done = {job_id: record["item_key"] for job_id, record in told.items() if record["status"] == "done"}
    gone = {job_id: key for job_id, key in done.items() if key not in keys}
    assert not gone, f"told as done, and not there: {gone}"


def check_code_and_cause(finished: Finished, expected: Expected) -> None:
    """(e): the code, and one line with everything that somebody needs to act."""
    assert finished.code == expected.code, finished.text
    if expected.cause:
        lines = [line for line in finished.text.splitlines() if all(word in line for word in expected.cause)]
        assert lines, f"no line with all of {expected.cause} in:\n{finished.text}"
    assert expected.loud or "Traceback" not in finished.text, finished.text


def check_no_process(finished: Finished) -> None:
    """(f): its workers, schedulers and helpers have ended with it."""
    left = [process for process in psutil.process_iter() if session_of(process) == finished.session]
    assert left == []


def job_of(key: str) -> str:
    """`items/product/tile_period_fingerprint.json` → `product/tile/period`."""
    _, product, name = key.split("/")
    return "/".join((product, *name.split("_")[:2]))


def _job_of_data(key: str) -> str:
    """`data/product/tile/period/file` → `product/tile/period`."""
    return "/".join(key.split("/")[1:4])


def _last(text: str) -> Records:
    records = [json.loads(line) for line in text.splitlines()]
    return {record["job_id"]: record for record in records if record["event"] == "job"}
