"""Checks from a bucket to a bucket of a real S3 server."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import netCDF4
import pytest

from pipeline.checks.place import page_key, result_key
from pipeline.checks.readers import end_idle
from pipeline.checks.result import from_bytes
from pipeline.events.buckets.buckets import LOCAL_ROOT
from pipeline.events.event import Ended
from pipeline.events.jobs.checking import check_objects
from pipeline.write.store import open_store
from tests.events.by_hand import Place
from tests.servers.weed import S3Server

GOOD, BAD = b"id,temp\n1,3.5\n", b"id,temp\n1,99\n"
CHECK = {
    "checksum": {"sidecar": ".sha256"},
    "table": {"columns": {"temp": {"type": "number", "range": [-2, 40]}}},
    "array": {"variables": {"obs/temp": {"units": "K"}}},
}
ZARR = '{"zarr_format": 3, "node_type": "group", "attributes": {}}'


@pytest.mark.long
def test_results_of_a_bucket_are_committed_to_another_and_follow_its_objects(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LOCAL_ROOT, raising=False)
    bucket, results = (s3_environment.make_bucket(f"b{uuid.uuid4().hex}") for _ in range(2))
    server, place = s3_environment.client(), Place(tmp_path)
    place.write(
        buckets={bucket: {"endpoint": s3_environment.endpoint}},
        storage={"endpoint": s3_environment.endpoint},
        rules={"all": {"match": {"bucket": bucket}, "check": CHECK}},
        output=f"s3://{results}/out",
    )
    store = open_store(f"s3://{results}/out", endpoint=s3_environment.endpoint)

    def put(key: str, body: bytes) -> None:
        server.call_s3("put_object", Bucket=bucket, Key=key, Body=body)

    def check(*keys: str) -> list[str]:
        """What was told of each, by its verdict or what was done."""
        ended: list[Ended] = []
        check_objects(place.config(), "all", [f"object/{bucket}/{key}" for key in keys], ended.append)
        assert not any(each.failed for each in ended)
        by_key = {each.target.removeprefix(f"object/{bucket}/"): each.note.partition(":")[0] for each in ended}
        return [by_key[key] for key in keys]

    with netCDF4.Dataset(tmp_path / "g.nc", "w") as file:
        file.createGroup("obs").createVariable("temp", "f4", ())[...] = 280
        file["obs/temp"].units = "K"
    keys = ("in/good.csv", "in/b d+c%20é.csv", "g.nc", "s.zarr")
    for key, body in zip(keys, (GOOD, BAD, (tmp_path / "g.nc").read_bytes()), strict=False):
        put(key, body)
    put("in/good.csv.sha256", hashlib.sha256(GOOD).hexdigest().encode())
    put("s.zarr/zarr.json", ZARR.encode())
    try:
        assert check(*keys) == ["pass", "fail", "pass", "fail"]
        assert check(*keys) == ["skipped"] * 4
        committed = {made("all", bucket, key) for key in keys for made in (result_key, page_key)}
        assert set(store.list_keys()) == committed
        found = from_bytes(store.get_bytes(result_key("all", bucket, keys[1])))
        assert found.subject.etag == hashlib.md5(BAD, usedforsecurity=False).hexdigest()
        put(keys[0], BAD)
        put(keys[1], GOOD)
        server.call_s3("delete_object", Bucket=bucket, Key=keys[2])
        assert check(*keys) == ["fail", "pass", "withdrawn", "skipped"]
        assert set(store.list_keys()) == {
            made("all", bucket, key) for key in (*keys[:2], keys[3]) for made in (result_key, page_key)
        }
    finally:
        end_idle()
