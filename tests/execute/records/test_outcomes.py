"""The last word on each job is kept once, and adds up."""

from __future__ import annotations

from pipeline.execute.records.outcomes import Outcomes
from pipeline.types import Outcome, Quality, Status


def ended(job_id: str, status: Status, quality: str | None = None) -> Outcome:
    return Outcome(job_id, "eu", "0", status, quality=None if quality is None else Quality(quality))


def test_each_job_is_kept_once_by_its_last_word() -> None:
    kept = Outcomes()
    for outcome in (
        ended("a/1/m", Status.RETRY),
        ended("a/1/m", Status.DONE, "pass"),
        ended("a/2/m", Status.CLAIMED),
        ended("a/2/m", Status.DONE, "warn"),
        ended("b/1/m", Status.CLAIMED),
        ended("b/1/m", Status.CLAIMED),
        ended("c/1/m", Status.FAILED),
    ):
        kept.ended(outcome)
    assert [(one.job_id, one.status) for one in kept.all()] == [
        ("a/1/m", Status.DONE),
        ("a/2/m", Status.DONE),
        ("c/1/m", Status.FAILED),
        ("b/1/m", Status.CLAIMED),
    ]
    assert kept.counts == {Status.DONE: 2, Status.FAILED: 1, Status.CLAIMED: 1}
    assert (kept.quality, kept.made) == ({"pass": 1, "warn": 1}, {"a"})
