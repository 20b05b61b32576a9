"""Two runs on one output share the work, and leave what one run alone leaves."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import EXIT_CLAIMED
from tests.faults._runs import JOBS, Case, Finished, Tree, check_clean, check_items, check_same
from tests.faults.invariants import Expected, check_invariants
from tests.servers.weed import S3Server


def run_both(case: Case, step: str, *options: str) -> tuple[list[Finished], Counter[str]]:
    """Two runs of one config; the first of each to come to `step` waits there for the other's. And all their steps."""
    other = replace(case, folder=case.folder.with_name("other"))
    books = [case.folder / f"run-{number}" for number in range(2)]
    runs = []
    for started, book in zip((case, other), books, strict=True):
        order = {"action": "meet", "step": step, "number": 1, "book": str(book)}
        runs.append(started.start(str(started.config), *options, order=order))
    try:
        ended = [running.wait() for running in runs]
    finally:
        for running in runs:
            running.end()
    assert len(list(case.folder.glob("*.met"))) == 2, "both runs were at this step at one time"
    return ended, Counter(step for book in books for step in book.read_text().splitlines())


def check_shared(ended: list[Finished], steps: Counter[str]) -> None:
    """Each job was made by one of them; whoever ends while the other is at the last ones says so."""
    assert steps["item_put"] == JOBS, "no job was made twice"
    assert min(finished.code for finished in ended) == 0, ended
    assert {finished.code for finished in ended} <= {0, EXIT_CLAIMED}, ended


@pytest.mark.full
@pytest.mark.parametrize("step", ["data_put:red", "item_put"])
def test_two_runs_at_once(case: Case, calm: Tree, step: str) -> None:
    check_shared(*run_both(case, step))
    check_same(case, calm)


@pytest.mark.long
def test_two_runs_at_once_on_s3(
    faults_world: Path, tmp_path: Path, calm: Tree, s3_server: S3Server, s3_bucket: str
) -> None:
    """The same on a bucket, where put-if-absent decides."""
    case = Case(tmp_path / "case", faults_world, s3_server, f"s3://{s3_bucket}/both")
    check_shared(*run_both(case, "item_put"))
    check_same(case, calm)
    assert s3_server.pending_uploads(s3_bucket) == []


@pytest.mark.full
@pytest.mark.parametrize("step", ["data_put:red", "item_put"])
def test_two_runs_that_claim_nothing(case: Case, calm: Tree, step: str) -> None:
    """Work may be wasted, none is lost: whoever puts an item second finds the same one there."""
    ended, steps = run_both(case, step, "--set", "run.claims=false")
    assert [finished.code for finished in ended] == [0, 0], ended
    assert steps["item_put"] > JOBS
    check_same(case, calm)


@pytest.mark.full
def test_f11_a_job_that_another_run_holds_is_left_to_it_while_it_lives(case: Case, calm: Tree) -> None:
    """Exit 4 names that run and its age; once it is killed, its claim counts no more and the job is made."""
    holding = case.start(str(case.config), order={"action": "hold", "step": "item_put", "number": 1})
    holding.until(lambda: len(case.keys("items")) == JOBS - 1, "the others were not made")
    other = replace(case, folder=case.folder.with_name("other"))
    second = other.run()
    holding.interrupt(signal.SIGKILL, group=False)
    held = Path(case.output, "runs").glob("*/lease.json")
    (run_id,) = (path.parent.name for path in held)
    assert holding.wait().code == -signal.SIGKILL
    assert check_items(case.tree()) == JOBS - 1
    expected = Expected(EXIT_CLAIMED, (f"run {run_id}", "has been making it", " s"), not_made=1)
    check_invariants(other, calm, second, expected)
    third = case.run()
    assert (third.code, third.counts()["done"]) == (0, 1), third.text
    check_clean(case, calm)
