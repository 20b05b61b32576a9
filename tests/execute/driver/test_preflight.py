"""Before its first job it is known whether a region's workers write where everybody looks, and if not, why."""

from __future__ import annotations

import errno
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.driver import preflight
from pipeline.execute.driver.preflight import check_output, check_store
from pipeline.execute.worker import scratch
from pipeline.write.s3 import S3Store
from pipeline.write.store import FolderStore
from tests.servers.proxy import Fault, Spoil, run_proxy
from tests.servers.weed import S3Server


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One worker, in this process."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as found,
    ):
        yield found


_GO_ON = threading.Event()


def _work() -> None:
    _GO_ON.wait(60)


def check(client: Client, store: FolderStore, stop: threading.Event | None = None) -> None:
    check_output(client, "here", store, "run-1", stop or threading.Event(), claims=True)


@dataclass(frozen=True)
class FarStore(FolderStore):
    """A folder of the same name on another machine's disk."""

    def put_bytes(self, data: bytes, key: str) -> None:
        FolderStore(f"{self.root}-there").put_bytes(data, key)


@dataclass(frozen=True)
class KeepingStore(FolderStore):
    """Of somebody who may write and read, and not delete."""

    def delete(self, key: str) -> None:
        self.get_bytes(f"{key}-that-is-not-there")


@dataclass(frozen=True)
class AlienStore(FolderStore):
    """Made by a package that the workers lack."""

    def put_bytes(self, data: bytes, key: str) -> None:
        raise ModuleNotFoundError(f"no package to put {len(data)} bytes at {key}", name="pipeline")


def test_a_good_output_is_left_as_it_was(client: Client, tmp_path: Path) -> None:
    check(client, FolderStore(str(tmp_path)))
    assert list(FolderStore(str(tmp_path)).list_objects()) == []


def test_who_may_not_delete_may_run(client: Client, tmp_path: Path) -> None:
    check(client, KeepingStore(str(tmp_path)))
    assert [key for key, _ in FolderStore(str(tmp_path)).list_objects()] == ["runs/run-1/probe-here"]


def test_a_folder_of_the_workers_own_is_not_the_output(client: Client, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"region here: output /.*is not there for .*one disk.*s3://"):
        check(client, FarStore(str(tmp_path / "out")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_missing_rights_are_the_workers_own_words(client: Client, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(PreflightError, match=r"region here: .*cannot write there: StoreError: .*Permission denied"):
        check(client, FolderStore(str(tmp_path)))


def test_a_place_that_is_no_folder_is_the_workers_own_words(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PreflightError, match=r"region here: .*cannot write there: StoreError: folder .*put failed"):
        check(client, FolderStore(str(tmp_path / "file")))


def test_workers_without_the_package_are_told_so(client: Client, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="its workers have no pipeline"):
        check(client, AlienStore(str(tmp_path)))


def test_a_cluster_whose_workers_are_busy_is_not_waited_for_without_end(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor at all once the run was asked to end."""
    stop = threading.Event()
    busy = client.submit(_work)
    try:
        monkeypatch.setattr(preflight, "PROBE_TIMEOUT_S", 0.2)
        with pytest.raises(PreflightError, match="no worker answered for"):
            check(client, FolderStore(str(tmp_path)))
        stop.set()
        with pytest.raises(PreflightError, match="asked to end"):
            check(client, FolderStore(str(tmp_path)), stop)
    finally:
        _GO_ON.set()
        busy.result(timeout=30)


def test_workers_without_room_for_unfinished_files_are_named(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "LEAST_BYTES", 2**60)
    with pytest.raises(PreflightError, match=r"region here: .*workers cannot be used: scratch folder .* is too small"):
        check(client, FolderStore(str(tmp_path)))
    with pytest.raises(PreflightError, match=r"^scratch folder .* is too small"):
        check_store(FolderStore(str(tmp_path)), "run-1", [], pytest.fail)


@pytest.fixture
def bucket(s3_environment: S3Server, s3_bucket: str) -> S3Store:
    return S3Store(s3_bucket, f"preflight-{uuid.uuid4().hex}", s3_environment.endpoint)


@pytest.mark.parametrize(
    "prefix", ["data", *(pytest.param(one, marks=pytest.mark.long) for one in ("items", "claims"))]
)
def test_a_prefix_that_workers_may_not_put_under_is_named(client: Client, bucket: S3Store, prefix: str) -> None:
    """Though nothing is ever left there by asking."""
    assert bucket.endpoint
    rule = Spoil(Fault("refuse", 403, "AccessDenied"), ("PUT",), f"/{prefix}/")
    with run_proxy(bucket.endpoint, rule) as address:
        store = replace(bucket, endpoint=address)
        with pytest.raises(
            PreflightError, match=rf"here: .*cannot write there: .*key \S+/{prefix}/\S+: put.*AccessDenied"
        ):
            check_output(client, "here", store, "run-1", threading.Event(), claims=True)
    assert [key for key, _ in bucket.list_objects()] == ["runs/run-1/probe-here"]


def test_who_claims_nothing_needs_no_right_to(client: Client, bucket: S3Store) -> None:
    """Such as a role of before there were claims, with `run.claims: false`."""
    assert bucket.endpoint
    rule = Spoil(Fault("refuse", 403, "AccessDenied"), ("PUT",), "/claims/")
    with run_proxy(bucket.endpoint, rule) as address:
        store = replace(bucket, endpoint=address)
        check_output(client, "here", store, "run-1", threading.Event(), claims=False)


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.long)])
def test_a_store_that_is_as_it_must_be_is_left_as_it_was(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = FolderStore(str(tmp_path)) if kind == "folder" else request.getfixturevalue("bucket")
    assert check_store(store, "run-1", ["argo"], pytest.fail) is True
    assert list(store.list_objects()) == []


@dataclass(frozen=True)
class Careless(FolderStore):
    """Takes every put, whatever it is only for."""

    new: bool = True
    version: bool = True

    def put_new(self, data: bytes, key: str) -> bool:
        if not self.new:
            return super().put_new(data, key)
        self.put_bytes(data, key)
        return True

    def put_if(self, path: Path, key: str, version: str | None) -> str | None:
        if not self.version:
            return super().put_if(path, key, version)
        self.put_file(path, key)
        return self.version_of(key)


@pytest.mark.parametrize(("new", "version"), [(True, True), (True, False), (False, True)])
def test_a_store_that_ignores_conditions_is_named(tmp_path: Path, *, new: bool, version: bool) -> None:
    """Nothing is claimed there, and nothing replaced in place."""
    store, told = Careless(str(tmp_path), new, version), list[str]()
    assert check_store(store, "run-1", [], told.append) is False
    assert len(told) == 1 and told[0].startswith(f"warning: output {tmp_path}: this store ignores the conditions")
    with pytest.raises(PreflightError, match=r"ignores the conditions .*argo, floats replaces tables in place"):
        check_store(store, "run-2", ["argo", "floats"], told.append)
    assert [key for key, _ in store.list_objects() if "run-1" in key] == []


def test_a_file_system_without_locks_is_named_and_used(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but what is replaced in place can do without."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    store, told = FolderStore(str(tmp_path)), list[str]()
    assert check_store(store, "run-1", [], told.append) is False
    assert len(told) == 1 and "this file system has no locks (flock: Function not implemented)" in told[0]
    with pytest.raises(PreflightError, match=r"no locks .*argo replaces tables in place"):
        check_store(store, "run-2", ["argo"], pytest.fail)
    check(client, store)


def test_who_may_not_delete_claims_nothing_and_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    assert check_store(KeepingStore(str(tmp_path)), "run-1", [], told.append) is False
    assert "warning: nothing can be deleted" in told[0]


@pytest.mark.parametrize("part", ["/collections/", pytest.param("/runs/", marks=pytest.mark.long)])
def test_a_prefix_that_this_machine_may_not_put_under_is_named(bucket: S3Store, part: str) -> None:
    assert bucket.endpoint
    rule = Spoil(Fault("refuse", 403, "AccessDenied"), ("PUT",), part)
    said = rf"output: s3://\S+, key \S+{part}\S+: put_object failed: .*AccessDenied"
    with run_proxy(bucket.endpoint, rule) as address, pytest.raises(PreflightError, match=said):
        check_store(replace(bucket, endpoint=address), "run-1", [], pytest.fail)


class Forgetful(FolderStore):
    """Lists nothing."""

    def list_objects(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        if prefix != "runs/run-1/":
            raise StoreError(prefix)
        return iter(())


def test_a_listing_that_lacks_what_was_put_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="a listing of runs/run-1/ lacks what was put"):
        check_store(Forgetful(str(tmp_path)), "run-1", [], pytest.fail)
