"""A replay plans the jobs that it names, and no other, as the whole plan has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import PlanRefusedError
from pipeline.session import Options, Session, open_session
from tests.worlds import SmallWorld


def replayed(world: SmallWorld, folder: Path, *ids: str) -> Session:
    path = folder / "replay.jsonl"
    path.write_text("".join(json.dumps({"job": job}) + "\n" for job in ids))
    return open_session(Options(world.config, replay=str(path)))


def test_only_the_named_jobs_are_planned_and_they_are_the_same(world: SmallWorld, tmp_path: Path) -> None:
    whole = world.session().plan
    wanted = [job for job in whole.jobs if job.period.id == "2024-07"][:2]
    some = replayed(world, tmp_path, *(job.id for job in wanted)).plan
    assert list(some.jobs) == wanted and not len(some.skipped)
    assert len(some.jobs) < len(whole.jobs)


def test_what_the_config_does_not_have_is_told(world: SmallWorld, tmp_path: Path) -> None:
    job = world.session().plan.jobs[0]
    plan = replayed(world, tmp_path, job.id, "sentinel2/nowhere/2024-06").plan
    assert [one.id for one in plan.jobs] == [job.id]
    assert "1 jobs to replay are not in this plan: sentinel2/nowhere/2024-06" in plan.notes
    with pytest.raises(PlanRefusedError, match=r"of the 1 jobs to replay \(sentinel2/nowhere/2024-06"):
        replayed(world, tmp_path, "sentinel2/nowhere/2024-06")


def test_a_job_that_was_committed_meanwhile_is_skipped(world: SmallWorld, tmp_path: Path) -> None:
    session = world.session()
    job = session.plan.jobs[0]
    assert world.run(session, job).item_key
    plan = replayed(world, tmp_path, job.id).plan
    assert not len(plan.jobs) and [skip.job_id for skip in plan.skipped] == [job.id]
