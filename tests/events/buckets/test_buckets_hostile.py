"""Names in a bucket that would lead out of it, and links in a folder that stands in for one, lead nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.events.buckets.buckets import LOCAL_ROOT, Buckets, open_buckets
from tests.events.buckets.test_buckets import config
from tests.servers.weed import S3Server


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LOCAL_ROOT, str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.mark.parametrize("far", [False, True])
def test_a_link_in_a_folder_is_no_object(tmp_path: Path, root: Path, far: bool) -> None:
    """It may lead to any file of this machine, or round in circles; the whole folder may be one."""
    folder = tmp_path / "real"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.csv").write_bytes(b"x")
    (root / "arrivals").symlink_to(folder)
    buckets = open_buckets(config("arrivals"))
    assert [one.key for one in buckets.entries("arrivals")] == ["in/a.csv"]
    assert buckets.read("arrivals", "in/a.csv") == b"x"
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "in" / "link").symlink_to(tmp_path if far else "..")
    key = "in/link/secret" if far else "in/link/in/a.csv"
    for ask in (
        lambda: buckets.state("arrivals", key),
        lambda: buckets.read("arrivals", key),
        lambda: buckets.fetch("arrivals", key, tmp_path),
        lambda: buckets.lazy("arrivals", key),
        lambda: list(buckets.entries("arrivals", "in/link/")),
        lambda: list(buckets.entries("arrivals")),
    ):
        with pytest.raises(StoreError, match="found a link in place of an object"):
            ask()


def test_a_prefix_and_a_name_that_no_key_has_lead_nowhere(root: Path) -> None:
    (root / "arrivals").mkdir()
    (root / "arrivals" / os.fsdecode(b"\xff.csv")).write_bytes(b"no name of S3")
    buckets = open_buckets(config("arrivals"))
    assert [list(buckets.entries("arrivals", prefix)) for prefix in ("", "/", "/etc/")] == [[], [], []]
    with pytest.raises(StoreError, match="it leads out of the folder"):
        list(buckets.entries("arrivals", "../"))


@pytest.mark.long
def test_a_zarr_store_is_written_below_its_own_folder_alone(s3_environment: S3Server, tmp_path: Path) -> None:
    """Of moto, which takes the keys that AWS takes: of `a.zarr//etc/x` the name below `a.zarr/` is `/etc/x`."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 (starts Flask)

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        moto = S3Server(f"http://{host}:{port}", s3_environment.key, s3_environment.secret)
        name = moto.make_bucket("hostile")
        for key in (f"a.zarr/{tmp_path}/evil", "b.zarr/x", "b.zarr/x/y/z", f"c.zarr/{'n' * 300}"):
            moto.client().call_s3("put_object", Bucket=name, Key=key, Body=b"x")
        buckets = open_buckets(config(name, endpoint=moto.endpoint))
        check_refused(buckets, name, tmp_path / "scratch")
    finally:
        server.stop()
    assert not (tmp_path / "evil").exists()


def check_refused(buckets: Buckets, bucket: str, folder: Path) -> None:
    folder.mkdir()
    stores = {
        "a.zarr": "an empty name in its key",
        "b.zarr": "an object that is also a folder",
        "c.zarr": "a name that is too long for a file",
    }
    for store, match in stores.items():
        with pytest.raises(StoreError, match=match):
            buckets.fetch(bucket, store, folder)
