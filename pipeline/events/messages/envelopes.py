"""What a delivery says, in whatever it is wrapped: the events of an SNS, SQS, EventBridge or catalogue message.

Nothing here proves who sent it; over HTTPS that was done before (`pipeline.events.proof.sns`), and from a queue its
policy does it. A message that is understood in part is refused as a whole, so that no part of it is lost unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pipeline.events.event import Event, Message, ObjectEvent, SceneEvent
from pipeline.events.messages.jsontext import MAX_BYTES, read_json
from pipeline.events.messages.keys import checked_bucket, checked_key, decode_key
from pipeline.events.messages.scenes import copernicus_event, landsat_event, sentinel2_event, stac_event
from pipeline.events.refusals import MessageError
from pipeline.types import Json

__all__ = ["MAX_BYTES", "MessageError", "message_of", "read_message"]

Via = Literal["sns", "sqs", "hand", "sweep"]
Fields = Mapping[str, Any]

_WRAPS = 4
"""Messages inside each other at most: S3 in SNS in SQS, and once more as Lambda gets it."""
_SHOWN = 120
_LONGEST = 1024
_KNOWN = (
    "an S3 notification, an SNS message, an S3 event of EventBridge, a STAC item, or a message of public-c2-notify, "
    "NewSentinel2Product or the Copernicus Data Space"
)


def read_message(body: bytes, *, via: Via, max_bytes: int = MAX_BYTES) -> Message:
    """The events of a message, and its sender's id of it.

    via: how it came; over `sns` only a Notification in its envelope is taken, for nothing else was signed.
    Raises MessageError for what is no message, or tells of what no object can be called.
    """
    return message_of(read_json(body, max_bytes=max_bytes), via=via, digest=hashlib.sha256(body).hexdigest())


def message_of(document: Json, *, via: Via, digest: str = "") -> Message:
    """The same, of a body that `read_json` has read. digest: of the body, as the id of what has none of its own."""
    if via == "sns" and not (isinstance(document, dict) and document.get("Type") == "Notification"):
        raise MessageError(
            "found a body without the envelope of SNS (Type: Notification), as raw message delivery sends it, which is "
            "not signed; expected the envelope: turn raw message delivery off, or let SNS send to a queue"
        )
    message = _read(document, 0)
    return message if message.id else replace(message, id=f"sha256:{digest}")


def _read(document: Json, wraps: int) -> Message:
    if not isinstance(document, dict):
        raise MessageError(f"found {repr(document)[:_SHOWN]}; expected {_KNOWN}")
    if wraps > _WRAPS:
        raise MessageError(f"found more than {_WRAPS} messages inside each other; that is the limit")
    for fits, read in _SHAPES:
        if fits(document):
            return read(document, wraps)
    raise MessageError(f"found an object with the keys {repr(sorted(document)[:8])[:_SHOWN]}; expected {_KNOWN}")


def _envelope(fields: Fields, wraps: int) -> Message:
    """SNS: https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html."""
    kind, name = fields["Type"], _text(fields, "MessageId", "an SNS message")
    where = f"SNS message {name!r}"
    topic = _text(fields, "TopicArn", where)
    if kind == "UnsubscribeConfirmation":
        return Message(name, topic, note=f"{topic} was unsubscribed from")
    if kind != "Notification":
        raise MessageError(f"{where} of {topic!r}: found Type {repr(kind)[:_SHOWN]}; expected Notification")
    try:
        inner = _read(read_json(_text(fields, "Message", where, longest=MAX_BYTES)), wraps + 1)
    except MessageError as error:
        raise MessageError(f"{where} of {topic!r}: {error}") from None
    return replace(inner, id=name, topic=topic)


def _records(fields: Fields, wraps: int) -> Message:
    """S3 notifications, or what Lambda gets of SNS and SQS: all of one message, whatever their number."""
    records = fields["Records"]
    if not isinstance(records, list) or not records:
        raise MessageError(f"Records: found {repr(records)[:_SHOWN]}; expected a list that is not empty")
    return _joined([_record(record, wraps) for record in records])


def _record(record: Json, wraps: int) -> Message:
    if isinstance(record, dict):
        if isinstance(record.get("s3"), dict):
            return _s3_record(record)
        if isinstance(record.get("Sns"), dict):
            return _lambda_sns(record["Sns"], wraps + 1)
        if isinstance(record.get("body"), str):
            inner = _read(read_json(record["body"]), wraps + 1)
            return inner if inner.id else replace(inner, id=_text(record, "messageId", "a record of SQS"))
    raise MessageError(f"Records: found {repr(record)[:_SHOWN]}; expected a record of S3, SNS or SQS")


def _lambda_sns(fields: Fields, wraps: int) -> Message:
    """Has no Type where it was made by hand, nor then an id and a topic."""
    if "TopicArn" in fields:
        return _read({"Type": "Notification", **fields}, wraps)
    return _read(read_json(_text(fields, "Message", "a record of SNS", longest=MAX_BYTES)), wraps)


def _s3_record(record: Fields) -> Message:
    """Versions 2.0 and later: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html."""
    major, _, minor = str(record.get("eventVersion")).partition(".")
    if major != "2" or not minor.isdecimal():
        raise MessageError(f"eventVersion: found {repr(record.get('eventVersion'))[:_SHOWN]}; expected 2.0 to 2.x")
    name = _text(record, "eventName", "a record of S3").removeprefix("s3:")
    kind, _, how = name.partition(":")
    thing = _part(_part(record, "s3"), "object")
    version = _optional(thing, "versionId")
    bucket = checked_bucket(_text(_part(record["s3"], "bucket"), "name", "the bucket of an S3 record"))
    key = decode_key(_text(thing, "key", f"an object of bucket {bucket}", longest=3 * _LONGEST))
    created = kind == "ObjectCreated"
    if not created and (kind not in {"ObjectRemoved", "LifecycleExpiration"} or how not in _REMOVALS):
        return Message("", note=f"S3 event {name[:_SHOWN]!r} of {bucket}/{key!r} starts nothing")
    return _told(
        ObjectEvent(bucket, key, created, _size(thing), _etag(thing, "eTag"), version, _optional(thing, "sequencer")),
        old=kind == "LifecycleExpiration" and how == "Delete" and bool(version),
    )


_REMOVALS = {"Delete", "DeleteMarkerCreated"}


def _eventbridge(fields: Fields, _wraps: int) -> Message:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: keys are not encoded there."""
    name = _text(fields, "id", "an event of EventBridge")
    kind = _text(fields, "detail-type", "an event of EventBridge")
    if fields["source"] != "aws.s3" or kind not in {"Object Created", "Object Deleted"}:
        return Message(name, note=f"EventBridge event {kind!r} of {repr(fields['source'])[:_SHOWN]} starts nothing")
    detail = _part(fields, "detail")
    thing = _part(detail, "object")
    bucket = checked_bucket(_text(_part(detail, "bucket"), "name", "the bucket of an S3 event"))
    key = checked_key(_text(thing, "key", f"an object of bucket {bucket}"))
    version = _optional(thing, "version-id")
    etag = _etag(thing, "etag") or _etag(thing, "eTag")
    created = kind == "Object Created"
    event = ObjectEvent(bucket, key, created, _size(thing), etag, version, _optional(thing, "sequencer"))
    expired = (detail.get("reason"), detail.get("deletion-type")) == ("Lifecycle Expiration", "Permanently Deleted")
    return replace(_told(event, old=expired and bool(version)), id=name)


def _told(event: ObjectEvent, *, old: bool) -> Message:
    """An object's event, unless it says nothing about what the bucket now holds under that key.

    old: a life cycle ended a version that was no longer the object's own. Where somebody deletes a version, it may have
    been the newest: the object is then gone, or an older one again.
    """
    where = f"{event.bucket}/{event.key!r}"
    if event.key.endswith("/"):
        return Message("", note=f"{where} is the mark of a folder and starts nothing")
    if not event.created and old:
        return Message("", note=f"an old version of {where} came to its end, which starts nothing")
    return Message("", events=(event,))


def _test_event(fields: Fields, _wraps: int) -> Message:
    return Message("", note=f"test event of S3 for bucket {repr(fields.get('Bucket'))[:_SHOWN]}")


def _features(fields: Fields, wraps: int) -> Message:
    features = fields.get("features")
    if not isinstance(features, list) or not features:
        raise MessageError(f"features: found {repr(features)[:_SHOWN]}; expected a list of STAC items")
    return _joined([_read(feature, wraps + 1) for feature in features])


def _scene(read: Callable[[Fields], SceneEvent | None]) -> Callable[[Fields, int], Message]:
    def reader(fields: Fields, _wraps: int) -> Message:
        event = read(fields)
        name = next((fields[key] for key in _NAMES if key in fields), "")
        return Message("", note=f"product {repr(name)[:_SHOWN]} starts nothing") if event is None else _one(event)

    return reader


_NAMES = ("landsat_product_id", "ProductName", "name")


def _one(event: Event) -> Message:
    return Message("", events=(event,))


def _joined(messages: Iterable[Message]) -> Message:
    """Several as one; it has an id and a topic where they agree on them."""
    parts = list(messages)
    names, topics = {part.id for part in parts}, {part.topic for part in parts}
    return Message(
        id=names.pop() if len(names) == 1 else "",
        topic=topics.pop() if len(topics) == 1 else "",
        events=tuple(event for part in parts for event in part.events),
        note="; ".join(dict.fromkeys(part.note for part in parts if part.note)),
    )


_SHAPES: tuple[tuple[Callable[[Fields], bool], Callable[[Fields, int], Message]], ...] = (
    (lambda one: "Type" in one and "TopicArn" in one, _envelope),
    (lambda one: "Records" in one, _records),
    (lambda one: one.get("Event") == "s3:TestEvent", _test_event),
    (lambda one: "detail-type" in one and "source" in one, _eventbridge),
    (lambda one: one.get("type") == "FeatureCollection", _features),
    (lambda one: one.get("type") == "Feature" and "stac_version" in one, _scene(stac_event)),
    (lambda one: "landsat_product_id" in one, _scene(landsat_event)),
    (lambda one: "SubscriptionEvent" in one and "ProductName" in one, _scene(copernicus_event)),
    (lambda one: "name" in one and "tiles" in one, _scene(sentinel2_event)),
)
"""How each kind is told from the others, and what reads it."""


def _part(fields: Fields, key: str) -> Fields:
    found = fields.get(key)
    if not isinstance(found, dict):
        raise MessageError(f"{key}: found {repr(found)[:_SHOWN]}; expected an object")
    return found


def _text(fields: Fields, key: str, where: str, *, longest: int = _LONGEST) -> str:
    found = fields.get(key)
    if not isinstance(found, str) or not 0 < len(found) <= longest:
        raise MessageError(
            f"{where}: {key}: found {repr(found)[:_SHOWN]}; expected a text of up to {longest} characters"
        )
    return found


def _optional(fields: Fields, key: str) -> str:
    """Empty where it is missing, null or "null", as buckets without versions say it."""
    found = fields.get(key)
    return "" if found is None or found in ("", "null") else _text(fields, key, "an object")


def _etag(fields: Fields, key: str) -> str:
    return _optional(fields, key).strip('"')


def _size(fields: Fields) -> int | None:
    found = fields.get("size")
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise MessageError(f"size of an object: found {repr(found)[:_SHOWN]}; expected a number of bytes")
    return found
