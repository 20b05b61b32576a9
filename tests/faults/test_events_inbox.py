"""F41 and F46 of the inbox: events in any order, and a database that is down while they come."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import TransientStoreError
from pipeline.events.event import ObjectEvent, Verdict
from pipeline.events.inbox.inbox import Arrival, Inbox, open_inbox
from tests.events.conftest import postgres
from tests.servers.databases import Postgres

__all__ = ["postgres"]

ANSWER_S = 15
"""After which SNS takes a delivery for lost."""

History = tuple[list[ObjectEvent], list[list[ObjectEvent]]]

# Digits after a point, in lengths that S3 mixes for one key; of each pair with one value only one is used.
sequencers = st.text("0123456789ABCDEFabcdef", min_size=1, max_size=20)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """The events of a few keys as they happened, and how they arrive: in any order, several times, by batches."""
    happened = [
        ObjectEvent("data", key, draw(st.booleans()), 1, f"e{place}", "", sequencer)
        for key in ("a", "b")
        for place, sequencer in enumerate(
            sorted(
                draw(st.lists(sequencers, min_size=1, max_size=5, unique_by=in_full)),
                key=in_full,
            )
        )
    ]
    arriving = draw(st.permutations(happened + draw(st.lists(st.sampled_from(happened), max_size=6))))
    batches: list[list[ObjectEvent]] = [[]]
    for event in arriving:
        batches[-1].append(event)
        if draw(st.booleans()):
            batches.append([])
    return happened, batches


def in_full(sequencer: str) -> str:
    """Equally long for all, so that their order as text is that of the events."""
    return sequencer.upper().ljust(20, "0")


def arrives(inbox: Inbox, happened: list[ObjectEvent], batches: list[list[ObjectEvent]]) -> None:
    news = []
    for batch in batches:
        verdicts = inbox.put([Arrival(event) for event in batch])
        news += [event for event, verdict in zip(batch, verdicts, strict=True) if verdict is Verdict.NEW]
    last = {event.key: event for event in happened}
    assert {event.key: event for event in inbox.objects("data")} == last
    # The last of each key, and none twice, start what they start; of each key in the order in which it happened.
    assert set(last.values()) <= set(news)
    assert len(news) == len(set(news))
    for key in last:
        told = [in_full(event.sequencer) for event in news if event.key == key]
        assert told == sorted(told)
    assert [filed.arrival.event for filed in inbox.unrouted(100)] == news


@settings(max_examples=15, deadline=None)
@given(histories())
def test_f41_the_greatest_sequencer_wins_in_any_order(
    history: History,
) -> None:
    with tempfile.TemporaryDirectory() as folder, open_inbox(str(Path(folder, "inbox.db"))) as inbox:
        arrives(inbox, *history)


def test_f41_delete_put_put_with_sequencers_of_unequal_length(tmp_path: Path) -> None:
    put = ObjectEvent("data", "a", etag="x", sequencer="0A")
    again = ObjectEvent("data", "a", etag="y", sequencer="0A1")
    delete = ObjectEvent("data", "a", created=False, sequencer="0A000F")
    with open_inbox(str(tmp_path / "inbox.db")) as inbox:
        verdicts = inbox.put([Arrival(event) for event in (delete, again, put)])
        assert inbox.object_state("data", "a") == again
    assert list(verdicts) == [Verdict.NEW, Verdict.NEW, Verdict.STALE]


@pytest.mark.long
def test_f41_in_postgresql(postgres: Postgres) -> None:
    with open_inbox(postgres.dsn) as inbox:

        @settings(max_examples=25, deadline=None)
        @given(histories())
        def law(history: History) -> None:
            with psycopg.connect(postgres.dsn) as connection:
                connection.execute("TRUNCATE groundswell_events.events, groundswell_events.objects")
            arrives(inbox, *history)

        law()


@pytest.mark.long
def test_f46_a_database_that_goes_down_and_comes_back_has_every_event_once(postgres: Postgres) -> None:
    with open_inbox(postgres.dsn), psycopg.connect(postgres.dsn) as connection:
        connection.execute("TRUNCATE groundswell_events.events, groundswell_events.objects")
    events = [ObjectEvent("data", f"{number}", etag="x", sequencer=f"{number:04X}") for number in range(60)]
    stored: list[ObjectEvent] = []
    refused = 0
    with open_inbox(postgres.dsn) as inbox:
        for number, event in enumerate(events):
            if number == 20:
                postgres.stop(signal.SIGQUIT)
            if number == 40:
                postgres.start()
            begun = time.monotonic()
            try:
                inbox.put([Arrival(event, "message", "arn", "sns", 5.0)])
            except TransientStoreError:
                refused += 1
                with pytest.raises(TransientStoreError, match=r"^PostgreSQL, inbox: (?!.*postgresql://)"):
                    inbox.check()
            else:
                stored.append(event)
            assert time.monotonic() - begun < ANSWER_S
        assert (refused, len(stored)) == (20, 40)
        # What was refused is delivered again, and so is what was stored where the answer did not get through.
        verdicts = inbox.put([Arrival(event) for event in events])
        assert [verdict is Verdict.NEW for verdict in verdicts] == [event not in stored for event in events]
        assert sorted(filed.arrival.event.identity for filed in inbox.unrouted(1000)) == sorted(
            event.identity for event in events
        )
