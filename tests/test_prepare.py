"""Workers are as the plan needs them: what was said of them stays, what was not is chosen so that every job fits."""

from __future__ import annotations

import re

import pytest

from cluster.backend import ClusterError
from cluster.sizing import check_workers, limit_bytes, task_bytes
from cluster.spec import ClusterSpec
from pipeline.errors import MemoryRefusedError
from pipeline.placement import specs_for
from pipeline.session import Session
from tests.worlds import SmallWorld

GIB = 2**30
PODS = '{"backend": "kubernetes", "image": "repo/groundswell:1", "workers": [1, 40]%s}'


def only_spec(session: Session) -> ClusterSpec:
    (spec,) = session.specs.values()
    return spec


def test_where_memory_is_short_a_worker_has_fewer_threads(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as each have what the largest job needs, and that is what the plan was made for."""
    monkeypatch.setattr("cluster.sizing.local_cores", lambda: 8)
    session = world.session("clusters.default.worker_memory=2200MiB")
    spec = only_spec(session)
    assert (spec.threads, spec.worker_memory_bytes) == (3, 2200 * 2**20)
    assert session.prepared.task_bytes == {spec.region: task_bytes(spec.worker_memory_bytes, 3)}
    peak = max(job.memory.peak_bytes for job in session.plan.jobs)
    assert task_bytes(spec.worker_memory_bytes, 4) < peak <= task_bytes(spec.worker_memory_bytes, 3)


def test_what_is_said_and_does_not_fit_is_refused_by_name(world: SmallWorld) -> None:
    """Of a job, its region, and the keys that were said; with as many bytes as would be enough."""
    with pytest.raises(MemoryRefusedError) as refusal:
        world.session("clusters.default.worker_memory=2GiB", "clusters.default.threads=4")
    found = re.match(
        r"(\S+) in region default: .* needs ([\d,]+) bytes; .*clusters\.default\.worker_memory", str(refusal.value)
    )
    assert found is not None
    enough = int(found[2].replace(",", "")) * 4 * 1.5
    session = world.session(f"clusters.default.worker_memory={enough:.0f}", "clusters.default.threads=4")
    assert found[1] in {job.id for job in session.plan.jobs}


def test_a_cloud_is_asked_for_what_the_tasks_need(world: SmallWorld) -> None:
    """Planned for the workers that clouds sell most, then no more of them, and no more memory, than is used."""
    session = world.session("clusters.default=" + PODS % "")
    planned = only_spec(session)
    assert (planned.threads, planned.worker_memory_bytes) == (4, 16 * GIB)
    groups = session.groups(session.plan.jobs)
    fitted = specs_for("run", session.config, session.specs, groups)["default"]
    assert fitted.workers == -(-len(groups) // 4) < 40
    peak = max(group.peak_bytes for group in groups)
    assert fitted.worker_memory_bytes == -(-4 * peak / 0.63 // (GIB // 4)) * (GIB // 4)
    said = f', "worker_memory": {fitted.worker_memory_bytes}, "threads": 4'
    again = world.session("clusters.default=" + PODS % said)
    assert task_bytes(limit_bytes("kubernetes", fitted.worker_memory_bytes), 4) == again.prepared.task_bytes["default"]


def test_of_a_cluster_that_is_there_no_more_is_expected_than_the_tasks_need(world: SmallWorld) -> None:
    """Workers of any size will do on which they fit."""
    session = world.session('clusters.default={"backend": "existing", "address": "tcp://127.0.0.1:1"}')
    groups = session.groups(session.plan.jobs)
    needed = specs_for("run", session.config, session.specs, groups)["default"]
    thread_bytes = needed.worker_memory_bytes // needed.threads
    assert 1 <= thread_bytes * 0.7 / max(group.peak_bytes for group in groups) < 1.15
    check_workers(needed, {"a": {"nthreads": 1, "memory_limit": thread_bytes}})
    with pytest.raises(ClusterError, match="worker a has 2 threads"):
        check_workers(needed, {"a": {"nthreads": 2, "memory_limit": thread_bytes}})


def test_what_a_cloud_is_told_to_give_it_gives(world: SmallWorld) -> None:
    session = world.session("clusters.default=" + PODS % ', "worker_memory": "24GiB", "threads": 2')
    found = specs_for("run", session.config, session.specs, session.groups(session.plan.jobs))["default"]
    assert (found.threads, found.worker_memory_bytes) == (2, 24 * GIB)
