"""Messages that are not understood: refused with a reason, whatever is wrong with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.event import ObjectEvent, SceneEvent
from pipeline.events.messages.envelopes import MessageError, message_of
from tests.events.shapes import TOPIC, envelope, read, record

Edit = Callable[[Any], object]


def _set(*path: str | int, value: object) -> Edit:
    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return edit


IN_OBJECT = ("Records", 0, "s3", "object")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_set("Records", value=[]), "not empty"),
        (_set("Records", value={}), "not empty"),
        (_set("Records", 0, value="x"), "a record of S3, SNS or SQS"),
        (_set("Records", 0, value={}), "a record of S3, SNS or SQS"),
        (_set("Records", 0, "eventVersion", value="3.0"), "eventVersion: found '3.0'"),
        (_set("Records", 0, "eventVersion", value="1.9"), "eventVersion"),
        (_set("Records", 0, "eventVersion", value=None), "eventVersion"),
        (_set("Records", 0, "eventVersion", value="2"), "eventVersion"),
        (_set("Records", 0, "eventVersion", value=["2.1"]), "eventVersion"),
        (_set("Records", 0, "eventName", value=None), "eventName"),
        (_set("Records", 0, "s3", "bucket", value="sensor-data"), "bucket: found 'sensor-data'"),
        (_set("Records", 0, "s3", "bucket", "name", value="../x"), "the bucket '../x'"),
        (_set("Records", 0, "s3", "bucket", "name", value=7), "name: found 7"),
        (_set("Records", 0, "s3", "object", value=[]), "object: found"),
        (_set(*IN_OBJECT, "key", value=""), "key: found ''"),
        (_set(*IN_OBJECT, "key", value="a/%2e%2e/b"), "out of its folder"),
        (_set(*IN_OBJECT, "key", value=["a"]), "key: found"),
        (_set(*IN_OBJECT, "size", value="7"), "size"),
        (_set(*IN_OBJECT, "size", value=-1), "size"),
        (_set(*IN_OBJECT, "size", value=True), "size"),
        (_set(*IN_OBJECT, "eTag", value=[]), "eTag"),
        (_set(*IN_OBJECT, "versionId", value={}), "versionId"),
        (_set(*IN_OBJECT, "sequencer", value=5), "sequencer"),
    ],
)
def test_a_record_that_is_not_understood_refuses_the_message(edit: Edit, reason: str) -> None:
    document = {"Records": [record(), record(key="other.csv")]}
    assert len(read(document).events) == 2
    edit(document)
    for wrapped in (document, envelope(document)):
        with pytest.raises(MessageError) as caught:
            read(wrapped)
        assert reason in str(caught.value)
    assert str(caught.value).startswith(f"SNS message 'sns-1' of '{TOPIC}': ")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "expected an S3 notification"),
        ("text", "expected an S3 notification"),
        (None, "expected an S3 notification"),
        ({}, "with the keys []"),
        ({"message": "hello world"}, "with the keys ['message']"),
        ({"Type": "Notification", "TopicArn": TOPIC}, "MessageId: found None"),
        (envelope({}), "with the keys []"),
        (envelope("{"), "found no JSON"),
        (envelope("1" * 30), "30 digits"),
        (envelope('{"a": 1, "a": 2}'), "'a' twice"),
        (envelope("[" * 100), "inside each other"),
        ({**envelope("x"), "Type": "SubscriptionConfirmation"}, "expected Notification"),
        ({**envelope("x"), "Type": 7}, "found Type 7"),
        ({"type": "FeatureCollection", "features": []}, "a list of STAC items"),
        ({"type": "FeatureCollection", "features": [1]}, "expected an S3 notification"),
        (envelope({"Records": [record(key="x" * 3100)]}), "up to 3072"),
    ],
)
def test_what_is_no_message_is_refused(document: object, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        read(document)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 600


def _mutations(document: Any) -> list[tuple[str | int, ...]]:
    """The path of every value inside a document."""
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [(), *((step, *path) for step, value in steps for path in _mutations(value))]


@pytest.mark.parametrize("value", [None, [], {}, "x", -1.5, True], ids=repr)
def test_whatever_one_value_becomes_the_answer_is_a_message_or_a_reason(shared_data: Path, value: Any) -> None:
    """No sender's mistake ends a process: nothing but MessageError comes out."""
    answers = 0
    for path in sorted((shared_data / "raster/events").rglob("*.json")):
        document = json.loads(path.read_bytes())
        if "Message" in document and document["Message"].startswith("{"):
            document = json.loads(document["Message"])
        for place in _mutations(document)[:150]:
            changed = copy.deepcopy(document)
            if place:
                _set(*place, value=value)(changed)
            try:
                message = message_of(changed if place else value, via="sqs", digest="0")
            except MessageError:
                continue
            assert message.events or message.note
            for event in message.events:
                assert isinstance(event, ObjectEvent | SceneEvent)
                assert event.identity
            answers += 1
    assert answers > 200
