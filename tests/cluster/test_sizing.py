"""A worker is as large as its tasks need, never larger than was said, and what was said is never changed."""

from __future__ import annotations

import math
from dataclasses import replace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.backend import ClusterError
from cluster.sizing import TASK_SHARE, Asked, Shape, check_workers, fitted, limit_bytes, local_share, shapes, task_bytes
from cluster.spec import SPECS, ClusterSpec

GIB = 2**30
backends = st.sampled_from(sorted(SPECS))
asked = st.builds(
    Asked,
    backend=backends,
    workers=st.integers(1, 40),
    threads=st.none() | st.integers(1, 64),
    memory_bytes=st.none() | st.integers(GIB, 512 * GIB),
    cores=st.none() | st.floats(0.25, 96),
    share=st.none() | st.tuples(st.integers(1, 128), st.integers(4 * GIB, 2048 * GIB)),
)


def test_shares_never_exceed_the_machine() -> None:
    total = psutil.virtual_memory().total
    for clusters in (1, 2, 5):
        threads, memory = local_share(clusters)
        assert threads >= 1
        assert memory * clusters <= total
    assert task_bytes(1000, 2) == int(1000 * TASK_SHARE) // 2


@given(asked)
def test_every_further_shape_has_more_for_a_task(one: Asked) -> None:
    """So the first that a job fits is the first in the order, and trying ends."""
    found = [shape.task_bytes for shape in shapes(one)]
    assert found
    assert found == sorted(set(found))


@given(asked)
def test_what_is_said_of_a_worker_stays(one: Asked) -> None:
    for shape in shapes(one):
        assert one.threads in {None, shape.threads}
        assert one.memory_bytes in {None, shape.memory_bytes}
        assert shape.limit_bytes == limit_bytes(one.backend, shape.memory_bytes) <= shape.memory_bytes
    if one.threads and (one.memory_bytes or one.share):
        assert len(shapes(one)) == 1


@given(st.integers(1, 64), st.integers(1, 128), st.integers(4 * GIB, 512 * GIB))
def test_local_workers_never_have_more_than_the_machine(workers: int, cores: int, memory: int) -> None:
    for shape in shapes(Asked("local", workers, share=(cores, memory))):
        assert shape.memory_bytes * workers <= memory
        assert shape.threads * workers <= max(cores, workers)


def test_on_many_cores_with_little_memory_threads_become_fewer() -> None:
    """64 threads on 32 GiB leave a task less than the libraries need; a dozen do not."""
    found = shapes(Asked("local", share=(64, 32 * GIB)))
    assert [shape.threads for shape in found] == list(range(64, 0, -1))
    assert next(shape.threads for shape in found if shape.task_bytes >= 1.5 * GIB) == 14


def test_on_a_cloud_memory_grows_before_threads_become_fewer() -> None:
    """4, then 8 GiB a core, as machines have them; then fewer tasks at once; 64 GiB for one are the end."""
    found = shapes(Asked("kubernetes", 10))
    assert [(shape.threads, shape.memory_bytes // GIB) for shape in found] == [
        (4, 16),
        (4, 32),
        (2, 32),
        (1, 32),
        (1, 64),
    ]
    assert [shape.threads for shape in shapes(Asked("kubernetes", cores=2.5))] == [2, 2, 1, 1]
    threads_said = shapes(Asked("coiled", threads=2))
    assert [shape.memory_bytes // GIB for shape in threads_said] == [8, 16, 64]


specs = st.builds(
    ClusterSpec,
    name=st.just("run-here"),
    backend=backends,
    region=st.just("here"),
    workers=st.integers(1, 200),
    threads=st.integers(1, 16),
    worker_memory_bytes=st.integers(8 * GIB, 64 * GIB),
    minimum=st.none() | st.integers(1, 200),
).filter(lambda spec: spec.least <= spec.workers)


@given(specs, st.integers(1, 10_000), st.integers(1, 2 * GIB))
def test_a_fitted_cluster_holds_its_tasks_and_no_more(spec: ClusterSpec, tasks: int, peak: int) -> None:
    """Enough workers for all of them or the maximum; enough memory for one on each thread or all that there was."""
    found = fitted(spec, tasks, peak, trim_memory=True)
    assert spec.least <= found.workers <= spec.workers
    assert found.slots >= min(tasks, spec.slots)
    if spec.adaptive:
        assert found.workers in {spec.least, math.ceil(tasks / spec.threads), spec.workers}
    else:
        assert found.workers == spec.workers
    limit = limit_bytes(spec.backend, found.worker_memory_bytes)
    assert found.worker_memory_bytes == spec.worker_memory_bytes or task_bytes(limit, spec.threads) >= peak
    assert found.worker_memory_bytes <= spec.worker_memory_bytes
    assert fitted(spec, tasks, peak, trim_memory=False) == replace(found, worker_memory_bytes=spec.worker_memory_bytes)


def test_small_tasks_get_small_workers() -> None:
    shape = shapes(Asked("kubernetes", 20))[0]
    spec = ClusterSpec("run-here", "kubernetes", "here", 20, shape.threads, shape.memory_bytes, minimum=1)
    found = fitted(spec, 10, 600 * 2**20, trim_memory=True)
    assert (found.workers, found.worker_memory_bytes) == (3, 15 * GIB // 4)


def test_a_worker_with_less_than_the_plan_counts_with_is_named() -> None:
    spec = ClusterSpec("run-here", "existing", "here", 2, 2, 8 * GIB)
    good = {"name": "a", "nthreads": 2, "memory_limit": 8 * GIB}
    check_workers(spec, {"tcp://a": good, "tcp://b": {**good, "nthreads": 1}, "tcp://c": {**good, "memory_limit": 0}})
    with pytest.raises(ClusterError, match=r"region here: worker b has 4 threads .*clusters\.here\.threads"):
        check_workers(spec, {"tcp://a": good, "tcp://b": {**good, "name": "b", "nthreads": 4}})
    pods = replace(spec, backend="kubernetes")
    check_workers(pods, {"tcp://a": {**good, "memory_limit": int(0.9 * 8 * GIB)}})
    assert Shape(2, 8 * GIB, 8 * GIB).task_bytes > Shape(2, 8 * GIB, limit_bytes("kubernetes", 8 * GIB)).task_bytes
