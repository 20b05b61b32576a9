"""Events by hand: what is read from a text, and what is refused before anything is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.events.byhand import check_messages, do, foresee, read_messages, read_text
from pipeline.events.consumer.batches import Where
from pipeline.events.event import ObjectEvent, State, Verdict
from tests.events.by_hand import BUCKET, RULES, Place
from tests.servers.messages import s3_message

ONE, TWO = (s3_message(BUCKET, f"in/{name}.csv", sequencer=name) for name in ("01", "02"))


def keys(text: str) -> list[str]:
    found = [event for message in read_messages(text.encode(), "it") for event in message.events]
    return [event.key for event in found if isinstance(event, ObjectEvent)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ONE, 1),
        (json.dumps(json.loads(ONE), indent=2), 1),
        (f"[{ONE}, {TWO}]", 2),
        (f"{ONE}\n{TWO}\n", 2),
        (f"{ONE}\r\n\n{TWO}", 2),
    ],
    ids=["one", "on several lines", "array", "lines", "lines of Windows"],
)
def test_a_text_holds_one_event_or_several(text: str, expected: int) -> None:
    assert keys(text) == ["in/01.csv", "in/02.csv"][:expected]


def test_a_feature_collection_is_its_items(demo_world: Path) -> None:
    paths = sorted((demo_world / "s2").glob("*/*.json"))[:2]
    items = [json.loads(path.read_text()) for path in paths]
    text = json.dumps({"type": "FeatureCollection", "features": items})
    found = [event for message in read_messages(text.encode(), "it") for event in message.events]
    assert [getattr(event, "id", None) for event in found] == [item["id"] for item in items]


def test_every_fault_of_a_file_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_messages(f'{ONE}\n{{"a": 1}}\n{TWO}\n{{"b"\n[1]'.encode(), "events.jsonl")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        f"events.jsonl, line {number}" for number in (2, 4, 5)
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found neither JSON nor lines of JSON|found no event"),
        ("[]", "found no event"),
        ("no JSON\nat all", "found neither JSON nor lines of JSON"),
        ('{"a": 1, "a": 2}', "a"),
        ("[" * 100_000, "it"),
        (f'{{"a": {"[" * 5000}{"]" * 5000}}}', "it"),
        ("\ud800", "it"),
    ],
)
def test_what_is_no_event_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_messages(text.encode("utf-8", "surrogatepass"), "it")


def test_a_test_event_of_s3_is_a_note() -> None:
    text = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET})
    (message,) = read_messages(text.encode(), "it")
    assert not message.events and message.note


def test_buckets_and_topics_of_no_rule_are_refused_together(place: Place) -> None:
    texts = [s3_message(name, "in/a.csv") for name in ("strange", BUCKET, "foreign")]
    messages = read_messages("\n".join(texts).encode(), "it")
    with pytest.raises(ConfigError, match=r"(?s)strange.*foreign"):
        check_messages(messages, place.config())
    check_messages(messages[1:2], place.config())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read: No such file"):
        read_text(None, tmp_path / "none.json", None)


def test_what_is_foreseen_is_not_stored(place: Place) -> None:
    messages = read_messages(f"{ONE}\n{TWO}".encode(), "it")
    with place.inbox() as inbox:
        found = foresee(messages, place.config(), inbox)
        assert inbox.counts()["events"] == 0
    assert list(found.orders) == [("tables", f"object/{BUCKET}/in/{name}.csv") for name in ("01", "02")]


@pytest.mark.long
def test_only_what_the_events_ask_for_is_done(place: Place) -> None:
    """Not what waits in the inbox besides; and not before its time where the rules' waiting is kept."""
    place.write(rules=RULES | {"tables": RULES["tables"] | {"settle": "6h", "per_day": 1}})
    for name in ("01", "02", "other"):
        place.put(f"in/{name}.csv")
    config, where = place.config(), Where(place.rules)
    both = read_messages(f"{ONE}\n{TWO}".encode(), "it")
    with place.inbox() as inbox:
        other = read_messages(s3_message(BUCKET, "in/other.csv").encode(), "it")
        waits = do(other, config, where, inbox, settled=True)
        assert set(waits.states.values()) == {State.WAITING} and not waits.ended
        done = do(both, config, where, inbox, settled=False)
        assert set(done.states.values()) == {State.DONE} and len(done.ended) == 2
        again = do(both, config, where, inbox, settled=False)
        assert [verdict for _, verdict in again.events] == [Verdict.DUPLICATE] * 2 and not again.orders
        assert set(inbox.states(list(waits.orders)).values()) == {State.WAITING}
    assert [place.verdict(f"in/{name}.csv") for name in ("01", "02", "other")] == ["pass", "pass", None]


@pytest.mark.long
def test_what_waited_for_its_time_is_done_at_once(place: Place) -> None:
    """An event by hand of what waits already: its job is not put off once more."""
    place.write(rules=RULES | {"tables": RULES["tables"] | {"settle": "6h"}})
    place.put("in/01.csv")
    config, where = place.config(), Where(place.rules)
    with place.inbox() as inbox:
        assert not do(read_messages(ONE.encode(), "it"), config, where, inbox, settled=True).ended
        later = read_messages(s3_message(BUCKET, "in/01.csv", sequencer="09").encode(), "it")
        done = do(later, config, where, inbox, settled=False)
        assert set(done.states.values()) == {State.DONE}
