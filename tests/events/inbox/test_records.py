"""Events as text, and the order of the events of one key."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.event import Event, ObjectEvent
from pipeline.events.inbox.records import digest, from_text, is_later, to_text
from tests.events.laws import events

sequencers = st.text("0123456789abcdefABCDEF", min_size=1, max_size=24)


@given(events)
def test_what_is_read_is_what_was_written(event: Event) -> None:
    text = to_text(event)
    assert text.isascii()
    assert "\0" not in text
    assert from_text(text) == event


@given(sequencers, sequencers)
def test_sequencers_are_digits_after_a_point(one: str, other: str) -> None:
    value, than = (int(each.ljust(24, "0"), 16) for each in (one, other))
    assert is_later(one, other) == (value > than)


@given(events, events)
def test_a_digest_tells_events_apart_as_their_identity_does(one: Event, other: Event) -> None:
    if digest(one) is not None and digest(other) is not None:
        assert (digest(one) == digest(other)) == (one.identity == other.identity)
    for event in (one, other):
        assert (digest(event) is None) == (isinstance(event, ObjectEvent) and not event.sequencer)


def test_a_size_does_not_tell_deliveries_apart() -> None:
    one = ObjectEvent("data", "a", size_bytes=1, etag="x", sequencer="0a")
    assert digest(one) == digest(ObjectEvent("data", "a", size_bytes=None, etag="x", sequencer="0A"))
    assert json.loads(to_text(one))["object"]["size_bytes"] == 1
