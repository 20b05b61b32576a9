"""What is damaged after its commit is found, withdrawn by name, and made again: that, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED
from tests.faults._runs import JOBS, Case, Tree, check_clean
from tests.faults.invariants import Expected, check_invariants, job_of

pytestmark = pytest.mark.long


def test_f37_what_is_damaged_after_its_commit_is_made_again_and_nothing_else(case: Case, calm: Tree) -> None:
    """One file is lost and another is cut; two tiles are withdrawn, and the next run makes those two."""
    assert case.run().code == EXIT_DONE
    keys = sorted(key for key in case.keys("items"))[1::4]
    assert len(keys) == 2
    lost, short = (next(Path(case.output, "data", job_of(key)).glob("red_*.tif")) for key in keys)
    lost.unlink()
    short.write_bytes(short.read_bytes()[:-100])

    found = case.verb("verify")
    assert found.code == EXIT_JOBS_FAILED
    for path in (lost, short):
        assert path.relative_to(case.output).as_posix() in found.text
    repaired = case.verb("verify", "--repair")
    assert repaired.code == EXIT_DONE, repaired.text
    assert [line.split(";")[0] for line in repaired.text.splitlines() if line.startswith("withdrawn")] == [
        f"withdrawn: {key}" for key in keys
    ]

    finished = case.run()
    told = check_invariants(case, calm, finished, Expected())
    assert finished.counts() == {"done": 2, "skipped": JOBS - 2, "failed": 0, "not started": 0}
    assert told.keys() == {job_of(key) for key in keys}
    assert case.verb("verify").code == EXIT_DONE
    check_clean(case, calm)
