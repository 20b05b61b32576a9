"""What may come in at all: messages of the topics that are named, about the buckets that are named."""

from __future__ import annotations

from pipeline.config.events import EventsConfig
from pipeline.events.event import Message, ObjectEvent
from pipeline.events.refusals import RefusedError, StrangerError


class ForeignError(RefusedError):
    """It is of a bucket whose objects are not taken."""

    status = 403


def check_admitted(message: Message, config: EventsConfig) -> None:
    """Return where the topic that a message came by, if any, and all buckets that it tells of are in the config.

    Raises StrangerError and ForeignError, with the key that would admit it.
    """
    if message.topic and message.topic not in config.topics:
        raise StrangerError(
            f"message {message.id}: found topic {message.topic}; allowed: those of `topics`, of "
            f"{', '.join(config.topics) or 'none'}; to take it, add `topics: [{message.topic}]`"
        )
    buckets = {event.bucket for event in message.events if isinstance(event, ObjectEvent)}
    foreign = sorted(buckets - set(config.buckets))
    if foreign:
        raise ForeignError(
            f"message {message.id}: found bucket {', '.join(foreign)}; allowed: those of `buckets`, of "
            f"{', '.join(config.buckets) or 'none'}; to take it, add `buckets: {{{foreign[0]}: {{}}}}`"
        )
