"""F47: nobody listened for longer than SNS tries, and nothing is lost: a sweep finds what was missed."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from pipeline.events.buckets.buckets import LOCAL_ROOT
from pipeline.events.event import State
from pipeline.events.sweep.missing import Cause, Swept
from pipeline.events.sweep.objects import Window
from pipeline.events.sweep.sweep import sweep
from tests.events.by_hand import BAD, BUCKET, GOOD, Place, make_place
from tests.servers.consumer import run_consumer
from tests.servers.listener import run_listener
from tests.servers.sns import Policy, Sns, run_sns, s3_message
from tests.servers.weed import free_ports

OUTAGE = Policy(delays_s=(20, 600, 1200, 1200, 1200), speed=10_000)
"""Twenty minutes between attempts, of which the last would come after the hour that SNS tries for at most."""
PATIENT = Policy(speed=100)


def look(place: Place) -> Swept:
    with place.inbox() as inbox:
        return sweep(place.config(), inbox, Window(time.time() + 1, grace_s=0))


def tell(sns: Sns, place: Place, name: str, data: bytes, sequencer: str) -> None:
    """Put an object, and publish what S3 says of it."""
    place.put(f"in/{name}.csv", data)
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    sns.publish(s3_message(BUCKET, f"in/{name}.csv", sequencer=sequencer, size=len(data), etag=etag))


def consume(place: Place) -> None:
    """What `groundswell consume --once` does, as a process."""
    with run_consumer(place.rules, "--once", environ={LOCAL_ROOT: str(place.root)}) as consumer:
        assert consumer.process.wait(60) == 0, consumer.log()


def results(place: Place) -> dict[str, bytes]:
    folder = place.folder / "output"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.long
def test_f47_what_was_missed_in_an_outage_is_found_and_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that SNS gave up, one that it lost without a dead letter, and a removal: then all is as if told."""
    monkeypatch.setenv(LOCAL_ROOT, str(tmp_path / "root"))
    place = make_place(tmp_path)
    (port,) = free_ports(1)
    with run_sns(tmp_path) as sns:
        place.write(
            topics=[sns.arn()],
            sns={"trust": str(sns.trust), "endpoint": sns.endpoint},
            listen={"port": port, "work": False},
        )
        with run_listener(place.rules) as listener:
            before = sns.subscribe(listener.url, policy=PATIENT)
            assert before.confirmed.wait(20)
            for name in ("told", "removed", "rewritten"):
                tell(sns, place, name, GOOD, "01")
            sns.settle()
        consume(place)
        assert {place.verdict(f"in/{name}.csv") for name in ("told", "removed", "rewritten")} == {"pass"}

        before.confirmed.clear()  # that endpoint is gone; the same address counts as confirmed
        outage = sns.subscribe(listener.url, policy=OUTAGE, confirm=False)
        tell(sns, place, "missed", BAD, "02")
        tell(sns, place, "rewritten", BAD, "02")
        (place.root / BUCKET / "in/removed.csv").unlink()
        sns.publish(s3_message(BUCKET, "in/removed.csv", name="ObjectRemoved:Delete", sequencer="02"))
        place.put("in/never published.csv")
        sns.settle(60)
        assert len(outage.dead) == 3, "SNS has given up every message"
        assert [attempt.status for attempt in outage.attempts] == [0] * len(outage.attempts)
        assert len(outage.attempts) == 3 * 5, "within the hour, and not beyond it"

        found = look(place)
        assert dict(found.counts) == {Cause.EVENT: 3, Cause.REMOVAL: 1}
        consume(place)
        verdicts = {name: place.verdict(f"in/{name}.csv") for name in ("told", "missed", "rewritten", "removed")}
        assert verdicts == {"told": "pass", "missed": "fail", "rewritten": "fail", "removed": None}
        assert place.verdict("in/never published.csv") == "pass"
        assert not look(place).counts
        done = results(place)

        # The dead letters come after all: they change nothing.
        with run_listener(place.rules) as listener:
            assert [sns.post(listener.url, letter) for letter in outage.dead] == [200] * 3
        consume(place)
        assert results(place) == done
        assert not look(place).counts
        with place.inbox() as inbox:
            counts = inbox.counts()
        assert [counts[state.value] for state in State] == [0, 0, 5, 0]
