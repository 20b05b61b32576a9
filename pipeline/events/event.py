"""The values that cross the stages of events; all are frozen and have no behaviour beyond their own identity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from pipeline.types import Json


@dataclass(frozen=True)
class ObjectEvent:
    """An object was put into a bucket, or removed from it.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """

    bucket: str
    key: str
    """As it is in the bucket: decoded, once."""
    created: bool = True
    size_bytes: int | None = None
    etag: str = ""
    """Without quotes."""
    version: str = ""
    sequencer: str = ""
    """Hexadecimal; orders the events of one key, and no others. Empty where nobody gave one, as in a sweep."""

    @property
    def identity(self) -> str:
        """Equal for every delivery of one event, and for no other event."""
        state = self.version or self.etag
        return json.dumps(["object", self.bucket, self.key, self.created, state, self.sequencer.upper()])


@dataclass(frozen=True)
class SceneEvent:
    """A scene is new in a catalogue, was made anew, or was withdrawn."""

    collection: str
    """Of STAC; of public topics without STAC the name that `pipeline.events.messages.scenes` gives it."""
    id: str
    time: datetime | None = None
    """When it was taken, in UTC."""
    geometry: Json = None
    """GeoJSON of its footprint in degrees, or of an area that holds it; None: anywhere."""
    updated: str = ""
    """What tells this edition of it from others: `updated` of the item, or the product's own time of making."""
    removed: bool = False
    item: Json = None
    """The STAC item, where the message held one."""

    @property
    def identity(self) -> str:
        """Equal for every delivery of one event, and for no other event."""
        return json.dumps(["scene", self.collection, self.id, self.updated, self.removed])


Event = ObjectEvent | SceneEvent


@dataclass(frozen=True)
class Message:
    """What one delivery said."""

    id: str
    """Of the sender: MessageId of SNS or SQS, the id of EventBridge; of what has none, a digest of its bytes."""
    topic: str = ""
    """ARN of the SNS topic; empty where there was no envelope."""
    events: tuple[Event, ...] = ()
    note: str = ""
    """What there was besides, for the log: a test event, an event of a kind that starts nothing."""


class Verdict(Enum):
    """What an inbox says of an event that it was given."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """It has the same one."""
    STALE = "stale"
    """It has a later one of the same object."""


@dataclass(frozen=True)
class Order:
    """Work that an event asks for: one target of one rule, whatever the number of events that ask for it."""

    rule: str
    target: str
    """`product/tile/period` of a run's job, `float/WMO`, or `object/BUCKET/KEY`."""
    due_s: float
    """Unix time before which it is not begun."""
    latest_s: float
    """Unix time after which no further event puts it off; at least `due_s`."""


class State(Enum):
    """Where an order stands."""

    WAITING = "waiting"
    """For its time, for the day's budget, for a free consumer."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """After all its attempts; a new event, or `redrive`, begins anew."""


@dataclass(frozen=True)
class Taken:
    """An order in the hands of one consumer, until its lease ends."""

    order: Order
    revision: int
    """Counts the events that asked for it; where a further one came meanwhile, it is done again."""
    attempt: int
    """From 1."""
    token: str
    """Of this taking: whoever lost the lease cannot end it."""


@dataclass(frozen=True)
class Ended:
    """What became of one order of a batch."""

    target: str
    failed: bool = False
    cause: str = ""
    """Of a failure: one line."""
    note: str = ""
    """Of a success, for people: the verdict of a check, "skipped" where all was committed already."""
    passing: bool = True
    """Of a failure: whether another attempt may succeed."""
