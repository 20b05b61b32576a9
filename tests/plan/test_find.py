"""Laws of finding a job: the one that is meant, committed or not, or a message that says what there is."""

from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.plan.find import find_job, find_jobs
from tests.worlds import SmallWorld


def test_a_job_is_found_by_its_parts_and_by_its_id_and_committed_as_well(world: SmallWorld) -> None:
    session = world.session()
    first = session.plan.jobs[0]
    named = (first.product, first.tile.id, first.period.id)
    assert find_job(session.plan, *named) == find_job(session.plan, first.id) == first
    assert find_jobs(session.plan, period="2024-06") == tuple(
        job for job in session.plan.jobs if job.period.id == "2024-06"
    )
    assert world.run(session, first).item_key
    again = world.session()
    assert first.id not in {job.id for job in again.plan.jobs}
    assert find_job(again.plan, first.id) == first
    assert find_jobs(again.plan, *named) == ()
    assert len(find_jobs(again.plan)) == len(session.plan.jobs) - 1


def test_what_is_not_there_is_told_with_what_is(world: SmallWorld) -> None:
    plan = world.session().plan
    tiles = ", ".join(dict.fromkeys(job.tile.id for job in plan.jobs))
    for asked, message in (
        (
            ("sentinell2",),
            r"^no job has the product 'sentinell2' \(did you mean sentinel2\?\); the plan has sentinel2$",
        ),
        (("sentinel2", "here"), f"^no job of sentinel2 has the tile 'here'; the plan has {tiles}"),
        (("sentinel2", None, "2024-6"), r"has the period '2024-6' \(did you mean 2024-0\d\?\); the plan has 2024-06"),
        (("sentinel2/nowhere/2024-06",), "no job of sentinel2 has the tile 'nowhere'"),
    ):
        with pytest.raises(ConfigError, match=message):
            find_job(plan, *asked)
    with pytest.raises(ConfigError, match="no job has the product 'sentinell2'"):
        find_jobs(plan, "sentinell2")
    with pytest.raises(
        ConfigError, match=rf"^found {len(plan.jobs)} jobs, expected one: choose by tile= \(.*\) and per"
    ):
        find_job(plan)
