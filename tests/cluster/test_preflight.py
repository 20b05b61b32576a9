"""Client, scheduler and workers run the same versions, those that join later too; otherwise it says what differs."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from distributed import Client, LocalCluster, Scheduler, Security

from cluster import preflight as module
from cluster import tls, versions
from cluster.backend import ClusterError
from cluster.preflight import await_workers, check_versions, connected, leave
from cluster.spec import ClusterSpec, ExistingSpec
from cluster.tls import Credentials, issue, security_of
from cluster.versions import MISSING, PACKAGES, differences, versions_here
from tests.cluster.processes import Processes

OWN = ClusterSpec("test-here", "kubernetes", "here", 2, 1, 2**28, start_timeout_s=60.0)
OTHERS = ExistingSpec("test-here", "existing", "here", 2, 1, 2**28, start_timeout_s=60.0)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": "tcp://"}
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **where) as cluster:
        yield cluster


def test_versions_are_those_that_are_installed() -> None:
    """Every package that is looked at is there: a name that nobody installs would never differ."""
    here = versions_here()
    assert {name: here[name] for name in PACKAGES} == {name: version(name) for name in PACKAGES}
    assert here["python"].count(".") == 1


def test_a_changed_line_of_this_project_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a module more, or the same lines under another name."""
    before = versions._code()
    modules = dict(versions._modules())
    assert {"cluster/versions.py", "pipeline/session.py"} <= {*modules}
    changed = tmp_path / "spec.py"
    changed.write_bytes(modules["cluster/spec.py"].read_bytes() + b"#\n")
    others: list[dict[str, Path]] = [
        {**modules, "cluster/spec.py": changed},
        {**modules, "cluster/more.py": changed},
        {name.replace("spec", "special"): path for name, path in modules.items()},
    ]
    digests = {before}
    for other in others:
        monkeypatch.setattr(versions, "_modules", other.items)
        digests.add(versions._code())
    assert len(digests) == 4


def test_differences_are_told_by_name() -> None:
    wanted = {"numpy": "2.3.1", "zarr": "3.1.3", "dask": "1"}
    assert differences(wanted, {"numpy": "2.2.0", "dask": "1", "other": "7"}) == [
        "numpy 2.2.0 instead of 2.3.1",
        f"zarr {MISSING} instead of 3.1.3",
    ]


def test_a_scheduler_of_other_versions_is_refused_before_it_runs_code(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = versions_here()
    monkeypatch.setattr(module, "versions_here", lambda: {**here, "distributed": "2031.1.0", "python": "3.99"})
    message = (
        f"region here: versions on kubernetes cluster test-here differ from this machine's: distributed "
        f"{here['distributed']} instead of 2031.1.0 on the scheduler; python {here['python']} instead of 3.99 on the"
    )
    with pytest.raises(ClusterError) as raised, connected(cluster.scheduler_address, None, OWN, threading.Event()):
        pass
    assert message in str(raised.value)


def test_what_is_put_on_a_cluster_is_taken_off(cluster: LocalCluster) -> None:
    """On one of somebody else's nothing is put; and a cluster that is lost is left without a word."""
    scheduler: Any = cluster.scheduler
    before = {*scheduler.worker_plugins}
    with connected(cluster.scheduler_address, None, OWN, threading.Event(), dashboard="http://there") as client:
        assert client.dashboard_link == "http://there"
        assert await_workers(client, OWN, threading.Event()) == 1
        check_versions(client, OTHERS)
        assert {*scheduler.worker_plugins} == before
        check_versions(client, OWN)
        assert len(scheduler.worker_plugins) == len(before) + 1
    assert {*scheduler.worker_plugins} == before
    leave(client)


def test_too_few_workers_are_counted_and_explained(cluster: LocalCluster) -> None:
    asked = replace(OWN, start_timeout_s=0.1)
    with Client(cluster, set_as_default=False) as client:  # noqa: SIM117 (one law a line)
        with pytest.raises(ClusterError, match="1 of 3 workers joined after 0 s; 2 Pending: Unschedulable"):
            await_workers(client, asked, threading.Event(), lambda: "2 Pending: Unschedulable", count=3)


def test_another_authority_is_refused_at_once_and_a_hang_up_is_not(tmp_path: Path) -> None:
    """Whatever time there is: who is not trusted now never will be. Behind a port-forward all hang up at first."""
    own, other = issue("own", ["127.0.0.1"]), issue("other")
    members = Security(
        require_encryption=True,
        tls_ca_file=own.ca,
        tls_scheduler_cert=own.scheduler.cert,
        tls_scheduler_key=own.scheduler.key,
        tls_client_cert=own.client.cert,
        tls_client_key=own.client.key,
    )
    where: dict[str, Any] = {"protocol": "tls://", "dashboard_address": "127.0.0.1:0", "security": members}
    patient = replace(OTHERS, start_timeout_s=30)
    unsigned = security_of(own.ca, other.client.cert, other.client.key)
    with LocalCluster(n_workers=0, host="127.0.0.1", processes=False, **where) as cluster:
        for security in (other.security(), unsigned):
            with pytest.raises(ClusterError, match=r"do not accept each other's certificates, .*(FAILED|CA)"):
                connected(cluster.scheduler_address, security, patient, threading.Event()).__enter__()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up, args=[listener, 3], daemon=True).start()
        hasty = replace(OTHERS, start_timeout_s=1.0)
        with pytest.raises(ClusterError, match=r"no scheduler at tls://.* after 1 s"):
            connected(
                f"tls://127.0.0.1:{listener.getsockname()[1]}", other.security(), hasty, threading.Event()
            ).__enter__()


def _hang_up(listener: socket.socket, times: int) -> None:
    for _ in range(times):
        listener.accept()[0].close()
    listener.close()


@pytest.mark.parametrize("outdated", ["scheduler", "client"])
def test_certificates_that_ran_out_are_named_at_once(outdated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever side's it is: time will not heal them."""
    old = _issue_with_one_outdated(outdated, monkeypatch)
    where: dict[str, Any] = {"protocol": "tls://", "host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    members = Security(
        require_encryption=True,
        tls_ca_file=old.ca,
        tls_scheduler_cert=old.scheduler.cert,
        tls_scheduler_key=old.scheduler.key,
    )

    async def knocked() -> None:
        async with Scheduler(dashboard=False, security=members, **where) as scheduler:
            patient = replace(OTHERS, start_timeout_s=30)
            opening = connected(scheduler.address, old.security(), patient, threading.Event())
            await asyncio.to_thread(opening.__enter__)

    with pytest.raises(ClusterError, match=r"must be of one authority and valid today: .*expired"):
        asyncio.run(knocked())


def _issue_with_one_outdated(role: str, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    made = tls._builder

    def builder(subject: x509.Name, key: Any, days: int) -> x509.CertificateBuilder:
        [name] = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return made(subject, key, 0 if str(name.value).startswith(role) else days)

    monkeypatch.setattr(tls, "_builder", builder)
    return issue("old", ["127.0.0.1"])


def test_a_scheduler_or_worker_that_hangs_is_no_wait_without_end(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while its versions are asked for nor when the cluster is left."""
    hung = asyncio.Event()
    with connected(cluster.scheduler_address, None, OWN, threading.Event()) as client:
        check_versions(client, OWN)
        for name in ("_TRY_S", "_WORKERS_S"):
            monkeypatch.setattr(module, name, 0.5)
        scheduler: Any = cluster.scheduler
        with monkeypatch.context() as patch:
            patch.setitem(scheduler.handlers, "broadcast", lambda **_: hung.wait())
            with pytest.raises(ClusterError, match="it or one of its workers did not answer: "):
                check_versions(client, OTHERS)
        with monkeypatch.context() as patch:
            patch.setattr(scheduler, "broadcast", lambda **_: hung.wait())
            with pytest.raises(ClusterError, match="it or one of its workers did not answer: "):
                check_versions(client, OWN)
            leave(client)
        monkeypatch.setitem(scheduler.handlers, "identity", lambda **_: hung.wait())
        asked = replace(OWN, start_timeout_s=0.1)
        with pytest.raises(ClusterError, match=r"0 of 2 workers .*the scheduler does not answer any more: Timeout"):
            await_workers(client, asked, threading.Event(), count=2)


def test_a_scheduler_that_is_lost_again_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time, whatever time the start may take."""
    monkeypatch.setattr(module, "_ANSWER_S", 3.0)
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0") as cluster,
        connected(cluster.scheduler_address, None, OWN, threading.Event()) as client,
    ):
        cluster.close()
        with pytest.raises(ClusterError, match=r"kubernetes cluster test-here: its scheduler was reached, and lost"):
            check_versions(client, OWN)


@pytest.mark.long
def test_a_worker_of_other_versions_does_no_work(
    processes: Processes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One with another line of code is named where it was there before; where it joins later, it leaves by itself.

    One that is started again, as a pod is, leaves again, and is told of once.
    """
    for package in ("cluster", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / "old" / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "old" / "cluster" / "spec.py").open("a") as file:
        file.write("# a line less\n")
    old = {"PYTHONPATH": str(tmp_path / "old")}
    credentials = issue("test", ["127.0.0.1"])
    address, _ = processes.scheduler(environ=processes.tls(credentials, "scheduler"))
    members = processes.tls(credentials, "worker")
    stop = threading.Event()
    with connected(address, credentials.security(), OWN, stop) as client:
        processes.worker(address, "new", environ=members)
        await_workers(client, OWN, stop)
        check_versions(client, OWN)
        for _ in range(2):
            processes.worker(address, "late", environ={**members, **old}).wait(60)
        _until(lambda: "worker late left: its versions differ: groundswell code" in caplog.text)
        assert len(caplog.messages) == 1
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
        leave(client)
        processes.worker(address, "late", environ={**members, **old})
        await_workers(client, OTHERS, stop, count=2)
        with pytest.raises(
            ClusterError, match=r"groundswell code \w+ instead of code \w+ on tls://127.0.0.1:\d+: inst"
        ):
            check_versions(client, OTHERS)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
