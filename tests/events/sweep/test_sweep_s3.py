"""A sweep of a bucket of a real S3 server, with the results of checks on it as well."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from pipeline.checks.place import result_key
from pipeline.events.buckets.buckets import LOCAL_ROOT
from pipeline.events.consumer.routing import Router
from pipeline.events.event import Ended, ObjectEvent
from pipeline.events.inbox.inbox import Arrival
from pipeline.events.sweep.missing import Cause
from pipeline.events.sweep.objects import Window
from pipeline.events.sweep.sweep import sweep
from tests.events.by_hand import Place
from tests.servers.weed import S3Server

KEYS = ("in/a.csv", "in/deep/b c+d%20é.csv", "in/told.csv", "in/x.txt")
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.long
def test_a_bucket_of_s3_is_compared_with_inbox_and_results(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missed, rewritten, removed, and results that are gone; a bucket that is not there removes nothing."""
    monkeypatch.delenv(LOCAL_ROOT, raising=False)
    bucket, results = (s3_environment.make_bucket(f"b{uuid.uuid4().hex}") for _ in range(2))
    server = s3_environment.client()
    place = Place(tmp_path)

    def write(name: str) -> None:
        place.write(
            buckets={name: {"endpoint": s3_environment.endpoint}},
            storage={"endpoint": s3_environment.endpoint},
            rules={"tables": {"match": {"bucket": name, "prefix": "in/", "suffix": ".csv"}, "check": {}}},
            output=f"s3://{results}/out",
        )

    def put(key: str, body: bytes = b"", where: str = bucket) -> None:
        server.call_s3("put_object", Bucket=where, Key=key, Body=body)

    def look() -> dict[Cause, set[str]]:
        """By cause what is missed, and all of it is done afterwards."""
        with place.inbox() as inbox:
            found = sweep(place.config(), inbox, Window(time.time() + 60, grace_s=0))
            assert not found.faults
            Router(place.config(), inbox).run()
            for one in inbox.take(time.time() + 5, 60, 100, {"tables": None}):
                key = one.order.target.removeprefix(f"object/{bucket}/")
                put(f"out/{result_key('tables', bucket, key)}", b"{}", results)
                inbox.finish(one, Ended(one.order.target), time.time())
        causes: dict[Cause, set[str]] = {}
        for missed in found.named:
            causes.setdefault(missed.cause, set()).add(missed.what.partition(bucket)[2])
        return causes

    write(bucket)
    for key in KEYS:
        put(key)
    with place.inbox() as inbox:
        inbox.put([Arrival(ObjectEvent(bucket, "in/told.csv", etag=EMPTY, sequencer="01"))])
    assert look() == {Cause.EVENT: {f"/{key}" for key in KEYS[:2]}}
    assert look() == {}
    put("in/told.csv", b"rewritten")
    server.call_s3("delete_object", Bucket=bucket, Key="in/a.csv")
    gone = f"out/{result_key('tables', bucket, KEYS[1])}"
    server.call_s3("delete_object", Bucket=results, Key=gone)
    assert look() == {Cause.EVENT: {"/in/told.csv"}, Cause.REMOVAL: {"/in/a.csv"}, Cause.RESULT: {f"/{KEYS[1]}"}}
    assert look() == {}
    write("never-made")
    with place.inbox() as inbox:
        found = sweep(place.config(), inbox, Window(time.time() + 60, grace_s=0))
    assert not found.counts and len(found.faults) == 1
