"""Events as text in a database, and which of two events of one object is the later one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import StoreError
from pipeline.events.event import Event, ObjectEvent, SceneEvent, Verdict


def to_text(event: Event) -> str:
    """An event as JSON, in ASCII: no database refuses it, whatever is in its fields."""
    if isinstance(event, ObjectEvent):
        return json.dumps({"object": vars(event)})
    return json.dumps({"scene": vars(event) | {"time": event.time and event.time.isoformat()}})


def from_text(text: str) -> Event:
    """What `to_text` wrote."""
    kinds = json.loads(text)
    if "object" in kinds:
        return ObjectEvent(**kinds["object"])
    fields = kinds["scene"]
    fields["time"] = fields["time"] and datetime.fromisoformat(fields["time"])
    return SceneEvent(**fields)


def digest(event: Event) -> str | None:
    """Equal for every delivery of one event; None where only what is known of the object can tell (see `judge`)."""
    if isinstance(event, ObjectEvent) and not event.sequencer:
        return None
    return hashlib.sha256(event.identity.encode()).hexdigest()


def storable(*texts: str) -> None:
    """Raise StoreError for text that a database cannot hold: with a NUL, or half of a surrogate pair."""
    for text in texts:
        try:
            stored = text.encode()
        except UnicodeEncodeError:
            stored = b"\0"
        if b"\0" in stored:
            raise StoreError(f"inbox: found {text[:200]!a}, expected text without NUL and without halves of surrogates")


def is_later(sequencer: str, than: str) -> bool:
    """Whether an event of a key came after another one of the same key; both have a sequencer.

    Source: "right pad the shorter value with zeros and then do a string comparison"
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    size = max(len(sequencer), len(than))
    return sequencer.upper().ljust(size, "0") > than.upper().ljust(size, "0")


@dataclass(frozen=True)
class Known:
    """What an inbox knows of an object."""

    state: ObjectEvent
    sequencer: str
    """The greatest that was seen, which is not the state's own where a sweep, which has none, saw a newer state."""


def judge(event: ObjectEvent, known: Known | None) -> tuple[Verdict, Known]:
    """What an event of an object is, beside what is known of it, and what is known from then on."""
    if known is None:
        return Verdict.NEW, Known(event, event.sequencer)
    same = _same_state(event, known.state)
    if not event.sequencer:
        return (Verdict.DUPLICATE, known) if same else (Verdict.NEW, Known(event, known.sequencer))
    if known.sequencer and not is_later(event.sequencer, known.sequencer):
        tie = not is_later(known.sequencer, event.sequencer)
        # Two that no sequencer tells apart, as no S3 sends them: the work is done once more, rather than not.
        if tie and not same and known.state.sequencer:
            return Verdict.NEW, Known(event, event.sequencer)
        return Verdict.DUPLICATE if tie and same else Verdict.STALE, known
    # Of a state that a sweep saw, here is the event.
    told = same and not known.state.sequencer
    return Verdict.DUPLICATE if told else Verdict.NEW, Known(event, event.sequencer)


def _same_state(event: ObjectEvent, known: ObjectEvent) -> bool:
    """Whether both leave the object as it is in the other: removed, or with the same version, or else the same ETag."""
    if not (event.created and known.created):
        return event.created == known.created
    if event.version and known.version:
        return event.version == known.version
    return bool(event.etag) and event.etag == known.etag
