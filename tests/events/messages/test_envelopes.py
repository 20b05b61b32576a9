"""Every shape of message that an event comes in, as real senders write it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.event import ObjectEvent
from pipeline.events.messages.envelopes import MessageError, message_of, read_message
from pipeline.events.messages.jsontext import MAX_BYTES
from tests.events.shapes import PUT, TOPIC, envelope, lambda_sqs, read, record


@pytest.mark.parametrize(
    ("document", "name", "topic"),
    [
        ({"Records": [record()]}, "", ""),
        (envelope({"Records": [record()]}), "sns-1", TOPIC),
        (lambda_sqs({"Records": [record()]}), "sqs-0", ""),
        (lambda_sqs(envelope({"Records": [record()]})), "sns-1", TOPIC),
        ({"Records": [{"EventSource": "aws:sns", "Sns": envelope({"Records": [record()]})}]}, "sns-1", TOPIC),
    ],
    ids=["S3", "S3 in SNS", "S3 in SQS for Lambda", "S3 in SNS in SQS for Lambda", "S3 in SNS for Lambda"],
)
def test_an_object_s_event_is_the_same_in_every_wrapping(document: Any, name: str, topic: str) -> None:
    body = json.dumps(document).encode()
    message = read_message(body, via="sqs")
    assert message.events == (PUT,)
    assert message.id == (name or f"sha256:{hashlib.sha256(body).hexdigest()}")
    assert (message.topic, message.note) == (topic, "")
    assert message_of(document, via="hand", digest=hashlib.sha256(body).hexdigest()) == message


def test_over_https_only_the_envelope_is_taken() -> None:
    document = envelope({"Records": [record()]})
    assert read(document, "sns").events == (PUT,)
    for raw in ({"Records": [record()]}, lambda_sqs(document), [document], "x", {**document, "Type": "notification"}):
        with pytest.raises(MessageError, match="raw message delivery"):
            read(raw, "sns")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("powertools_s3Event", ObjectEvent("lambda-artifacts-deafc19498e3f2df", "b21b84d653bb07b05b1e6b33684dc11b")),
        ("powertools_s3EventDeleteObject", ObjectEvent("lambda-artifacts-deafc19498e3f2df", "", created=False)),
        ("powertools_s3EventDecodedKey", ObjectEvent("sourcebucket", "Happy Face.jpg")),
        ("lambda-go_s3-event", ObjectEvent("sourcebucket", "Happy Face.jpg")),
        ("lambda-go_s3-event-with-decoded", ObjectEvent("sourcebucket", "Happy Face.jpg")),
        ("powertools_s3SqsEvent", ObjectEvent("xxx", "test.pdf")),
        ("powertools_s3EventBridgeNotificationObjectCreatedEvent", ObjectEvent("example-bucket", "IMG_m7fzo3.jpg")),
        (
            "powertools_s3EventBridgeNotificationObjectDeletedEvent",
            ObjectEvent("example-bucket", "IMG_m7fzo3.jpg", created=False),
        ),
    ],
)
def test_the_samples_of_aws_are_read(shared_data: Path, name: str, expected: ObjectEvent) -> None:
    message = read_message((shared_data / f"raster/events/aws_events/{name}.json").read_bytes(), via="hand")
    (event,) = message.events
    assert isinstance(event, ObjectEvent)
    assert (event.bucket, event.created) == (expected.bucket, expected.created)
    assert event.key == (expected.key or "b21b84d653bb07b05b1e6b33684dc11b")
    assert event.sequencer
    assert bool(event.etag) == event.created


def test_a_real_notification_of_s3_is_read_whole(shared_data: Path) -> None:
    body = (shared_data / "raster/events/s3_ObjectCreated_landsat-pds_2020.json").read_bytes()
    (event,) = read_message(body, via="sqs").events
    assert event == ObjectEvent(
        "landsat-pds",
        "c1/L8/168/002/LC08_L1TP_168002_20200830_20200906_01_T1/index.html",
        size_bytes=5391,
        etag="591bb3c8e80fb33e8a415bb1b9d276bd",
        version="fgLoRSVC9ID1nU2q_s.aNKY2dsfYjmeV",
        sequencer="005F5C51B1A1359B5E",
    )


@pytest.mark.parametrize(
    "path",
    [
        "aws_events/lambda-go_sns-event.json",
        "aws_events/lambda-go_sqs-event.json",
        "aws_events/powertools_snsEvent.json",
        "aws_events/powertools_snsSqsEvent.json",
        "aws_events/powertools_snsSqsFifoEvent.json",
        "aws_events/powertools_sqsDlqTriggerEvent.json",
        "aws_events/powertools_sqsEvent.json",
        "sns_signed/notification_v1_with_subject_2026.json",
        "sns_signed/subscription-confirmation_v1_2026.json",
    ],
)
def test_samples_that_tell_of_no_event_are_refused_with_what_they_say(shared_data: Path, path: str) -> None:
    with pytest.raises(MessageError, match=r"found (no JSON|an object with the keys|Type 'SubscriptionConfirmation')"):
        read_message((shared_data / "raster/events" / path).read_bytes(), via="sqs")


@pytest.mark.parametrize(
    ("name", "created", "version", "starts"),
    [
        ("ObjectCreated:Put", True, "", True),
        ("s3:ObjectCreated:CompleteMultipartUpload", True, "v1", True),
        ("ObjectCreated:Copy", True, "v1", True),
        ("ObjectRemoved:Delete", False, "", True),
        ("ObjectRemoved:Delete", False, "null", True),
        ("ObjectRemoved:DeleteMarkerCreated", False, "v2", True),
        ("LifecycleExpiration:Delete", False, "", True),
        ("LifecycleExpiration:DeleteMarkerCreated", False, "v2", True),
        ("ObjectRemoved:Delete", False, "v1", True),
        ("LifecycleExpiration:Delete", False, "v1", False),
        ("ObjectRestore:Completed", False, "", False),
        ("ObjectTagging:Put", False, "", False),
        ("ObjectAcl:Put", False, "", False),
        ("LifecycleTransition", False, "", False),
        ("ReducedRedundancyLostObject", False, "", False),
        ("Replication:OperationFailedReplication", False, "", False),
    ],
)
def test_kinds_of_events_of_s3(name: str, created: bool, version: str, starts: bool) -> None:
    """A life cycle ends old versions only; one that somebody deletes may have been the object as it was."""
    message = read({"Records": [{**record(versionId=version), "eventName": name}]})
    assert len(message.events) == starts
    assert bool(message.note) != starts
    for event in message.events:
        assert isinstance(event, ObjectEvent)
        assert (event.created, event.version) == (created, version.replace("null", ""))


@pytest.mark.parametrize(
    ("kind", "detail", "count"),
    [
        ("Object Created", {}, 1),
        ("Object Deleted", {"deletion-type": "Delete Marker Created"}, 1),
        ("Object Deleted", {"deletion-type": "Permanently Deleted", "reason": "DeleteObject"}, 1),
        ("Object Deleted", {"deletion-type": "Permanently Deleted", "reason": "Lifecycle Expiration"}, 0),
        ("Object Deleted", {"deletion-type": "Delete Marker Created", "reason": "Lifecycle Expiration"}, 1),
        ("Object Tags Added", {}, 0),
    ],
)
def test_eventbridge_gives_keys_as_they_are(kind: str, detail: dict[str, str], count: int) -> None:
    thing = {"key": "a+b%2B.csv", "size": 3, "etag": "e", "version-id": "v", "sequencer": "0A"}
    document = {"id": "eb-1", "detail-type": kind, "source": "aws.s3"}
    message = read({**document, "detail": {"bucket": {"name": "sensor-data"}, "object": thing, **detail}})
    assert message.id == "eb-1"
    assert message.events == (ObjectEvent("sensor-data", "a+b%2B.csv", "Created" in kind, 3, "e", "v", "0A"),) * count
    assert bool(message.note) == (count == 0)


@pytest.mark.parametrize(
    ("document", "note"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "sensor-data"}, "test event"),
        (envelope({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "sensor-data"}), "test event"),
        ({"Records": [record(key="in%2Fnew/", size=0)]}, "mark of a folder"),
        ({"Records": [record(), record(key="x/")]}, "mark of a folder"),
        ({"id": "1", "source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification"}, "aws.ec2"),
        ({**envelope("gone"), "Type": "UnsubscribeConfirmation"}, "unsubscribed"),
        ({"landsat_product_id": "LC08_CU_003010_20210101_20210110_02_AR"}, "LC08_CU_003010"),
        ({"SubscriptionEvent": "created", "ProductName": "S5P_NRTI_L2__AER_AI_20240912T112541.nc"}, "S5P_NRTI"),
        ({"name": "S2A_OPER_GIP_X", "tiles": []}, "S2A_OPER_GIP_X"),
    ],
)
def test_what_starts_nothing_is_noted_and_not_refused(document: Any, note: str) -> None:
    message = read(document)
    assert note in message.note
    assert len(message.events) == (len(document.get("Records", [])) > 1)


def test_messages_inside_messages_are_read_to_a_limit() -> None:
    document: Any = {"Records": [record()]}
    for _ in range(4):
        document = envelope(document)
    assert read(document).events == (PUT,)
    with pytest.raises(MessageError, match="more than 4 messages"):
        read(envelope(document))


def test_several_messages_in_one_keep_their_order_and_have_a_name_of_their_own() -> None:
    body = json.dumps(lambda_sqs(*({"Records": [record(key=f"{n}")]} for n in range(3)))).encode()
    message = read_message(body, via="hand")
    assert [event.key for event in message.events if isinstance(event, ObjectEvent)] == ["0", "1", "2"]
    assert message.id == f"sha256:{hashlib.sha256(body).hexdigest()}"


def test_a_body_that_is_too_large_is_refused() -> None:
    body = json.dumps(envelope({"Records": [record()]}, Padding="x" * MAX_BYTES)).encode()
    with pytest.raises(MessageError, match=f"the limit is {MAX_BYTES}"):
        read_message(body, via="sns")
    assert read_message(body, via="sns", max_bytes=2 * MAX_BYTES).events == (PUT,)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_a_key_survives_the_form_encoding_of_s3_once(key: str) -> None:
    document = {"Records": [record(key=quote_plus(key))]}
    try:
        events = read(document).events
    except MessageError:
        assert key.startswith(("/", "\\")) or not {".", ".."}.isdisjoint(key.replace("\\", "/").split("/"))
    else:
        assert [event.key for event in events if isinstance(event, ObjectEvent)] == [key] * (not key.endswith("/"))
