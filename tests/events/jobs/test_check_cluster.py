"""Checks on a Dask cluster: the same results as in this process, committed by its workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import PreflightError
from pipeline.events.event import Ended
from pipeline.events.jobs.checking import check_objects
from tests.events.jobs.test_checking import BAD, GOOD, Arrivals

pytestmark = pytest.mark.long


def test_a_cluster_commits_the_same_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_S3_ROOT", str(tmp_path / "s3"))
    arrivals = Arrivals(tmp_path, "cluster: {backend: local, workers: 1, threads: 1}")
    targets = [arrivals.put("good.csv", GOOD), arrivals.put("bad.csv", BAD), "object/arrivals/gone.csv", "object/x"]
    ended = arrivals.check(*targets)
    assert ended[targets[1]].note.startswith("fail: temp") and ended[targets[2]].note.startswith("withdrawn")
    assert ended["object/x"].failed
    there = arrivals.objects()
    for key in there:
        arrivals.store.delete(key)
    arrivals.config = arrivals.config.model_copy(update={"cluster": None})
    arrivals.check(*targets)
    assert arrivals.objects() == there


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path, "cluster: {backend: existing, address: 'tcp://127.0.0.1:9', start_timeout_s: 1}")
    ended: list[Ended] = []
    with pytest.raises(PreflightError, match="no cluster came up"):
        check_objects(arrivals.config, "buoys", ["object/arrivals/a.csv"], ended.append)
    assert ended == []
