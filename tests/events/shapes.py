"""Messages of each shape, as tests make them."""

from __future__ import annotations

import json
from typing import Any

from pipeline.events.event import Message, ObjectEvent
from pipeline.events.messages.envelopes import read_message

TOPIC = "arn:aws:sns:us-east-1:123456789012:new-files"


def record(**changes: Any) -> dict[str, Any]:
    """A record of an S3 notification; changes of its object by name."""
    thing = {"key": "in/a+b%2Bc.csv", "size": 7, "eTag": "abc", "versionId": "v1", "sequencer": "00A0"}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "sensor-data"}, "object": {**thing, **changes}},
    }


def envelope(message: object, **changes: str) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {"Type": "Notification", "MessageId": "sns-1", "TopicArn": TOPIC, "Message": text, **changes}


def lambda_sqs(*bodies: object) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"sqs-{number}", "eventSource": "aws:sqs", "body": json.dumps(body)}
            for number, body in enumerate(bodies)
        ]
    }


def read(document: object, via: Any = "sqs") -> Message:
    return read_message(json.dumps(document).encode(), via=via)


PUT = ObjectEvent("sensor-data", "in/a b+c.csv", size_bytes=7, etag="abc", version="v1", sequencer="00A0")
