"""Two runs started at once on one output end as one run alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults._runs import JOBS, Case, Finished, Tree, check_same
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long


def run_both(case: Case, step: str) -> list[Finished]:
    """Two runs of one config; the first of each to come to `step` waits there for the other's."""
    other = replace(case, folder=case.folder.with_name("other"))
    runs = []
    for number, started in enumerate((case, other)):
        order = {"action": "meet", "step": step, "number": 1, "book": str(case.folder / f"run-{number}")}
        runs.append(started.start(str(started.config), order=order))
    try:
        ended = [running.wait() for running in runs]
    finally:
        for running in runs:
            running.end()
    assert len(list(case.folder.glob("*.met"))) == 2, "both runs were at this step at one time"
    return ended


@pytest.mark.parametrize("step", ["data_put:red", "item_put"])
def test_two_runs_at_once(case: Case, calm: Tree, step: str) -> None:
    """Work may be wasted, none is lost: whoever puts an item second finds the same one there."""
    for finished in run_both(case, step):
        assert finished.code == 0, finished.text
        assert finished.counts() == {"done": JOBS, "skipped": 0, "failed": 0, "not started": 0}
    check_same(case, calm)


def test_two_runs_at_once_on_s3(
    faults_world: Path, tmp_path: Path, calm: Tree, s3_server: S3Server, s3_bucket: str
) -> None:
    """The same on a bucket, where put-if-absent decides."""
    case = Case(tmp_path / "case", faults_world, s3_server, f"s3://{s3_bucket}/both")
    for finished in run_both(case, "item_put"):
        assert finished.code == 0, finished.text
        assert finished.counts() == {"done": JOBS, "skipped": 0, "failed": 0, "not started": 0}
    check_same(case, calm)
    assert s3_server.pending_uploads(s3_bucket) == []
