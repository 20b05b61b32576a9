"""Before its first job it is known whether a region's workers write where everybody looks, and if not, why."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from pipeline.errors import PreflightError
from pipeline.execute import preflight
from pipeline.execute.preflight import check_output
from pipeline.write.store import FolderStore


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
    check_output(client, "here", store, "run-1", stop or threading.Event())


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
