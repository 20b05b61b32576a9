"""A cluster of somebody else's is used as it is and left as it was; what does not fit is named before work begins."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster, Scheduler
from distributed.client import default_client

from cluster.backend import ClusterError, Found, backend_of, open_cluster, render
from cluster.existing import ExistingBackend
from cluster.spec import ExistingSpec, TlsFiles
from cluster.tls import issue

SPEC = ExistingSpec(
    "test-here", "existing", "here", workers=1, threads=2, worker_memory_bytes=2**28, start_timeout_s=20.0
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One worker of two threads and 512 MiB, in this process: which holds what other tests left, and may be larger."""
    where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": "tcp://"}
    arguments = {"dashboard": False}
    unwatched = {f"distributed.worker.memory.{bound}": False for bound in ("target", "spill", "pause", "terminate")}
    with (
        dask.config.set(unwatched),
        LocalCluster(
            n_workers=1, threads_per_worker=2, memory_limit=2**29, processes=False, scheduler_kwargs=arguments, **where
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def spec(cluster: LocalCluster) -> ExistingSpec:
    return replace(SPEC, address=cluster.scheduler_address)


def _scheduler(cluster: LocalCluster) -> Scheduler:
    scheduler: Any = cluster.scheduler
    assert isinstance(scheduler, Scheduler)
    return scheduler


def test_it_is_left_as_it_was(cluster: LocalCluster, spec: ExistingSpec) -> None:
    scheduler = _scheduler(cluster)
    before, plugins = {*scheduler.clients}, {*scheduler.worker_plugins}
    with open_cluster(spec) as client:
        assert client.submit(sum, [1, 2], pure=False).result(timeout=30) == 3
        with pytest.raises(ValueError, match="No clients"):
            default_client()
        assert {*scheduler.worker_plugins} == plugins
    _until_gone(scheduler, before)
    assert len(scheduler.workers) == 1
    assert scheduler.tasks == {}


def _until_gone(scheduler: Scheduler, before: set[str]) -> None:
    deadline = time.monotonic() + 30
    while {*scheduler.clients} - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_renders_what_it_was_told() -> None:
    tls = TlsFiles("ca.pem", "cert.pem", "key.pem")
    assert render(replace(SPEC, address="tls://h:8786", tls=tls)) == {
        "address": "tls://h:8786",
        "scheduler_file": None,
        "tls": {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"},
    }


def test_it_is_found_by_the_file_that_its_scheduler_writes(spec: ExistingSpec, tmp_path: Path) -> None:
    """Even when the scheduler comes up later than its user, and while it is writing."""
    file = tmp_path / "scheduler.json"
    file.write_text('{"addr')
    later = threading.Timer(0.3, lambda: file.write_text(json.dumps({"address": spec.address})))
    later.start()
    with open_cluster(replace(spec, address=None, scheduler_file=str(file))) as client:
        assert isinstance(client, Client)
    later.join()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "scheduler.json was not written after 0 s: is the scheduler started with --scheduler-file?"),
        ("{", "scheduler.json is no JSON after 0 s"),
        ("[]", "is no file of a Dask scheduler: it has no address"),
        ('{"address": "tls://h:1"}', "scheduler tls://h:1 speaks TLS only: its section under `clusters` needs tls"),
    ],
)
def test_a_file_that_leads_nowhere_is_named(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    asked = replace(SPEC, scheduler_file=str(file), start_timeout_s=0.1)
    with pytest.raises(ClusterError, match=r"region here: ") as raised, open_cluster(asked):
        pass
    assert message in str(raised.value)


def test_a_scheduler_without_tls_is_no_way_for_who_asks_for_it(tmp_path: Path) -> None:
    """The config cannot know what the scheduler's file will say."""
    good = issue("good")
    files = {"ca": good.ca, "cert": good.client.cert, "key": good.client.key}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    asked = replace(SPEC, address="tcp://127.0.0.1:9", tls=TlsFiles(**{name: str(tmp_path / name) for name in files}))
    with (
        pytest.raises(ClusterError, match=r"region here: scheduler tcp://127.0.0.1:9 speaks no TLS"),
        open_cluster(asked),
    ):
        pass


def test_a_file_that_cannot_be_read_is_named_at_once(tmp_path: Path) -> None:
    asked = replace(SPEC, scheduler_file=str(tmp_path), start_timeout_s=3600)
    with pytest.raises(ClusterError, match=r"region here: the scheduler's file cannot be read: .*directory"):  # noqa: SIM117
        with open_cluster(asked):
            pass


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    good = issue("good")
    files = {"ca": good.ca, "cert": good.client.cert, "key": good.worker.key}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = {name: str(tmp_path / name) for name in files}
    asked = replace(SPEC, address="tls://127.0.0.1:9")
    with (
        pytest.raises(ClusterError, match=r"a certificate and its key: .*mismatch"),
        open_cluster(replace(asked, tls=TlsFiles(**paths))),
    ):
        pass
    with (
        pytest.raises(ClusterError, match=r"TLS files are not there: nowhere\.pem$|nowhere\.pem: "),
        open_cluster(replace(asked, tls=TlsFiles(**{**paths, "key": "nowhere.pem"}))),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_an_error_and_no_wait() -> None:
    asked = replace(SPEC, address="tcp://127.0.0.1:9", start_timeout_s=0.2)
    with pytest.raises(ClusterError, match=r"existing cluster test-here: no scheduler at tcp://127\.0\.0\.1:9 after"):
        ExistingBackend().open(asked, threading.Event()).__enter__()


def test_whoever_asks_to_end_is_not_kept_waiting() -> None:
    stop = threading.Event()
    asked = replace(SPEC, scheduler_file="/nowhere/scheduler.json", start_timeout_s=3600)
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(ClusterError, match="the run was asked to end"), open_cluster(asked, stop):
        pass


def test_no_worker_is_an_error_and_no_wait(cluster: LocalCluster) -> None:
    with LocalCluster(n_workers=0, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0") as empty:
        asked = replace(SPEC, address=empty.scheduler_address, start_timeout_s=3)
        with pytest.raises(ClusterError, match="0 of 1 workers joined after 3 s; the scheduler is there"):  # noqa: SIM117
            with open_cluster(asked):
                pass


def test_it_needs_no_extra() -> None:
    """Whoever made the certificates needed `cryptography`; to show them, Python's own `ssl` is enough."""
    code = "import sys; sys.modules['cryptography'] = None; import cluster.existing"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_nothing_of_it_is_found_or_removed() -> None:
    backend = backend_of(SPEC)
    assert backend.find(SPEC) == ()
    with pytest.raises(ClusterError, match="belongs to whoever started it"):
        backend.remove(SPEC, Found("test-here", "existing", "", "", "", 0.0, None, None))
