"""Names of objects that a form, an address or a file system could take for something else (F48)."""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from pipeline.config.events import EventsConfig
from pipeline.errors import StoreError
from pipeline.events.buckets.buckets import Buckets, open_buckets
from pipeline.events.event import ObjectEvent
from pipeline.events.inbox.inbox import Arrival, open_inbox
from pipeline.events.messages.envelopes import MessageError, read_message
from pipeline.events.proof.admit import check_admitted

pytestmark = pytest.mark.long

REGION = "eu-central-1"
KEYS = (
    "red flower.csv",
    "red+flower.csv",
    "red%20flower.csv",
    "red%2Bflower.csv",
    "100%.csv",
    "é/ü 中😀.csv",
    "e\N{COMBINING ACUTE ACCENT}.csv",
    "%2e%2e/x.csv",
    "%252e%252e/x.csv",
    "a/..b/c...csv",
    "a//b.csv",
    "a&b=c;d?e#f.csv",
    "quotes'\"`$(x).csv",
    "-rf",
    "~/x.csv",
    "é" * 120 + ".csv",
)
"""Each is another object; several are the same once something decodes, encodes or cleans them once too often."""
HOSTILE = ("../secret.csv", "in/../../secret.csv", "in/./x.csv", "/etc/passwd", "in/..", "..\\secret.csv")
FORGED = ("in%2F..%2F..%2Fsecret.csv", "%2e%2e/secret.csv", "in/nul%00.csv", "nul\0.csv", "", "%FF%FE.csv", "a" * 1025)
"""As a message could have them, encoded; no server of S3 takes these keys."""


@dataclass(frozen=True)
class Wired:
    """A bucket of moto that announces its objects in a queue."""

    endpoint: str
    s3: Any
    sqs: Any
    queue: str
    bucket: str

    def config(self) -> EventsConfig:
        document = {
            "name": "keys",
            "inbox": "inbox.sqlite",
            "output": "out",
            "buckets": {self.bucket: {"endpoint": self.endpoint}},
            "rules": {"any": {"match": {"bucket": self.bucket}, "check": {}}},
        }
        return EventsConfig.model_validate_json(json.dumps(document), context={"folder": Path.cwd()})

    def received(self) -> list[bytes]:
        """Bodies of the messages that came, each taken from the queue."""
        bodies: list[bytes] = []
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for one in found:
                bodies.append(one["Body"].encode())
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return bodies


@pytest.fixture(scope="module")
def wired() -> Iterator[Wired]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.delenv("LOCAL_S3_ROOT", raising=False)
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        plain = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        with contextlib.ExitStack() as stack:
            s3, sqs = (
                stack.enter_context(
                    contextlib.closing(
                        botocore.session.get_session().create_client(
                            service, region_name=REGION, endpoint_url=endpoint, config=plain
                        )
                    )
                )
                for service in ("s3", "sqs")
            )
            bucket, queue = f"b{uuid.uuid4().hex}", sqs.create_queue(QueueName="keys")["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            notice = {"QueueArn": attributes["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [notice]}
            )
            try:
                yield Wired(endpoint, s3, sqs, queue, bucket)
            finally:
                server.stop()


def test_f48_every_key_leads_from_its_event_to_its_own_bytes(wired: Wired, tmp_path: Path) -> None:
    """Through the queue, the inbox and back to the bucket; the test event that comes first is none."""
    for key in KEYS:
        wired.s3.put_object(Bucket=wired.bucket, Key=key, Body=key.encode())
    config = wired.config()
    messages = [read_message(body, via="sqs") for body in wired.received()]
    assert [message.note for message in messages if message.note] == [f"test event of S3 for bucket {wired.bucket!r}"]
    with open_inbox(str(tmp_path / "inbox.sqlite")) as inbox:
        for message in messages:
            check_admitted(message, config)
            inbox.put([Arrival(event, message.id, via="sqs") for event in message.events])
        events = [filed.arrival.event for filed in inbox.unrouted(1000)]
    found = {event.key: event for event in events if isinstance(event, ObjectEvent)}
    assert sorted(found) == sorted(KEYS)
    buckets = open_buckets(config)
    for number, (key, event) in enumerate(found.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        fetched = buckets.fetch(event.bucket, event.key, folder)
        assert fetched.path.read_bytes() == key.encode()
        assert fetched.path.parent == folder
        assert fetched.etag == event.etag
        assert fetched.size_bytes == event.size_bytes


def test_f48_a_key_that_leads_out_of_its_folder_is_refused_though_the_bucket_has_it(
    wired: Wired, tmp_path: Path
) -> None:
    """As an event, as a key of EventBridge, and as what is asked of the bucket; nothing is written, nothing read."""
    put = []
    for key in HOSTILE:
        with contextlib.suppress(wired.s3.exceptions.ClientError):
            wired.s3.put_object(Bucket=wired.bucket, Key=key, Body=b"secret")
            put.append(key)
    assert put, "the server takes some of them, as AWS does"
    for body in wired.received():
        document = json.loads(body)
        if "Records" in document:
            with pytest.raises(MessageError, match="expected the key of an object"):
                read_message(body, via="sqs")
    buckets: Buckets = open_buckets(wired.config())
    for key in HOSTILE:
        with pytest.raises(MessageError, match="expected the key of an object"):
            read_message(_eventbridge(wired.bucket, key), via="sqs")
        with pytest.raises(StoreError, match="found the key"):
            buckets.fetch(wired.bucket, key, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoded", FORGED)
def test_f48_a_key_that_no_object_has_is_refused_with_its_message(encoded: str) -> None:
    thing = {"key": encoded, "size": 1, "eTag": "x", "sequencer": "00"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "arrivals"}, "object": thing},
    }
    with pytest.raises(MessageError, match=r"key|U\+0000"):
        read_message(json.dumps({"Records": [record]}).encode(), via="sqs")


def _eventbridge(bucket: str, key: str) -> bytes:
    """EventBridge does not encode keys."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "size": 6, "etag": "x", "sequencer": "00"}}
    document = {"id": "1", "detail-type": "Object Created", "source": "aws.s3", "detail": detail}
    return json.dumps(document).encode()
