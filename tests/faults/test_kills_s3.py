"""A run to a bucket that is killed and started again ends as one never killed, and leaves no upload pending."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults._runs import JOBS, Case, Tree, check_clean, check_items
from tests.faults.invariants import Expected, check_invariants
from tests.servers.weed import S3Server

pytestmark = pytest.mark.full


@pytest.fixture
def bucket_case(
    faults_world: Path, tmp_path: Path, s3_server: S3Server, s3_bucket: str, request: pytest.FixtureRequest
) -> Case:
    """A config whose output is an empty prefix of one's own."""
    prefix = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return Case(tmp_path / "case", faults_world, s3_server, f"s3://{s3_bucket}/{prefix}")


@pytest.mark.parametrize("point", ["data_put:red#3", "data_put_done:count#5", "item_put#2", "item_put_done#6"])
def test_a_run_to_s3_killed_at_a_commit_step_resumes(
    bucket_case: Case, calm: Tree, s3_server: S3Server, s3_bucket: str, point: str
) -> None:
    case, (step, number) = bucket_case, point.split("#")
    order = {"action": "run", "step": step, "number": int(number)}
    killed = case.start(str(case.config), order=order).wait()
    assert killed.code == -signal.SIGKILL, killed.text
    committed = check_items(case.tree())
    assert committed < JOBS
    finished = case.run()
    assert finished.code == 0, finished.text
    assert finished.counts() == {"done": JOBS - committed, "skipped": committed, "failed": 0, "not started": 0}
    assert s3_server.pending_uploads(s3_bucket) == []
    check_clean(case, calm)
    check_invariants(case, calm, finished, Expected())
    verified = case.verb("verify")
    assert verified.code == 0, verified.text


@pytest.mark.parametrize("where", ["case", "bucket_case"])
def test_the_independent_check_finds_no_fault(
    request: pytest.FixtureRequest, shared_data: Path, s3_server: S3Server, where: str
) -> None:
    """A checker that shares no code with the project, on what a killed and a second run made."""
    case: Case = request.getfixturevalue(where)
    killed = case.start(str(case.config), order={"action": "run", "step": "item_put", "number": 4}).wait()
    assert killed.code == -signal.SIGKILL, killed.text
    assert case.run().code == 0
    checked = subprocess.run(
        [sys.executable, shared_data.parent / "tools" / "check_output.py", case.output],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **s3_server.environment},
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
