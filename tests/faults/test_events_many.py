"""10,000 deliveries, some of them twice, late or in the wrong order, while listener and consumer are killed."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.checks.place import page_key, result_key
from pipeline.config.load import load_events
from pipeline.events.event import Ended
from pipeline.events.inbox.inbox import Inbox, open_inbox
from pipeline.events.jobs.checking import check_objects
from pipeline.write.keys import TEMP_PREFIX
from tests.servers.consumer import ConsumerProcess, run_consumer
from tests.servers.listener import ListenerProcess, run_listener
from tests.servers.sns import Policy, Sns, run_sns, s3_message

BUCKET, RULE = "arrivals", "tables"
OBJECTS, CHANGES, DELIVERIES, ROUNDS = 1500, 6500, 10_000, 20
STALLED_S = 90.0
"""Without progress, after the last event was delivered; a busy machine starts everything anew in less."""


@dataclass
class World:
    """A bucket that changes, and what S3 tells of it."""

    folder: Path
    random: random.Random
    counted: int = 0
    states: dict[str, bytes | None] = field(default_factory=dict)
    """By key, the bytes of the object; None where it was removed."""

    def change(self) -> str:
        """Put, rewrite or remove an object; the message that tells of it."""
        self.counted += 1
        number = self.counted - 1 if self.counted <= OBJECTS else self.random.randrange(OBJECTS)
        key = f"day {number % 7}/é+%41={number}.csv"
        removed = self.states.get(key) is not None and self.random.random() < 0.2
        data = None if removed else self._table()
        self.states[key] = data
        path = self.folder / BUCKET / key
        if data is None:
            path.unlink()
            return s3_message(BUCKET, key, name="ObjectRemoved:Delete", sequencer=self._sequencer())
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "draft"
        draft.write_bytes(data)
        draft.replace(path)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return s3_message(BUCKET, key, size=len(data), etag=etag, sequencer=self._sequencer())

    def _table(self) -> bytes:
        good = self.random.random() < 0.5
        return f"a,b\n{self.random.randrange(10**6) if good else 'none'},{self.counted}\n".encode()

    def _sequencer(self) -> str:
        """Greater than all before; of the zeros at its end some are missing, or there are more."""
        full = f"{self.counted:06X}"
        return self.random.choice([full, full.rstrip("0"), f"{full}00", full.lower()])

    def expected(self) -> dict[str, str]:
        """Of each key whose result must be there, the verdict."""
        return {key: "fail" if b"none" in data else "pass" for key, data in self.states.items() if data is not None}


@dataclass
class Programs:
    """A listener and a consumer, each of which may be killed and started again."""

    config: Path
    stack: ExitStack
    listeners: list[ListenerProcess] = field(default_factory=list)
    """The last is at work."""
    consumers: list[ConsumerProcess] = field(default_factory=list)

    @property
    def listener(self) -> ListenerProcess:
        return self.listeners[-1]

    @property
    def consumer(self) -> ConsumerProcess:
        return self.consumers[-1]

    def listen(self) -> None:
        self.listeners.append(self.stack.enter_context(run_listener(self.config)))

    def consume(self) -> None:
        environ = {"PYTHONFAULTHANDLER": "1"}  # for `told`
        self.consumers.append(self.stack.enter_context(run_consumer(self.config, environ=environ)))

    def told(self) -> str:
        """What is not done, where each thread of consumer and batches is, and what all of them wrote."""
        if self.consumer.process.poll() is None:
            for process in self.consumer.children():
                process.send_signal(signal.SIGABRT)
            time.sleep(1)
            self.consumer.process.send_signal(signal.SIGABRT)
            self.consumer.process.wait(30)
        with closing(sqlite3.connect(self.config.parent / "inbox.db")) as inbox:
            left = inbox.execute("SELECT * FROM orders WHERE state <> 'done' LIMIT 20").fetchall()
        logs = [each.log() for each in self.listeners] + [each.log() for each in self.consumers]
        return "\n-- log --\n".join(["\n".join(map(str, left)), *(log[-12_000:] for log in logs)])

    def disturb(self, number: int) -> None:
        """What happens in this round, if anything does."""
        if number in {4, 12}:
            self.consumer.kill()
            self.consume()
        elif number in {7, 15}:
            self.listener.process.send_signal(signal.SIGKILL if number == 7 else signal.SIGTERM)
            self.listener.process.wait(30)
            self.listen()


def write_rules(folder: Path, sns: Sns) -> Path:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    check = {"table": {"columns": {"a": {"type": "integer"}}}}
    document: dict[str, Any] = {
        "name": "many",
        "inbox": str(folder / "inbox.db"),
        "topics": [sns.arn()],
        "buckets": {BUCKET: {}},
        "sns": {"endpoint": sns.endpoint, "trust": str(sns.trust)},
        "listen": {"port": port, "work": False},
        "output": str(folder / "out"),
        "rules": {RULE: {"match": {"bucket": BUCKET, "suffix": ".csv"}, "check": check, "settle": "2s"}},
        "jobs": {"parallel": 2, "batch": 250, "lease_s": 5, "back_off_s": 0.2, "grace_s": 5},
    }
    path = folder / "events.yaml"
    path.write_text(json.dumps(document))
    return path


@contextmanager
def running(folder: Path, sns: Sns) -> Iterator[Programs]:
    with ExitStack() as stack:
        programs = Programs(write_rules(folder, sns), stack)
        programs.listen()
        programs.consume()
        try:
            yield programs
        except AssertionError as error:
            error.add_note(programs.told())
            raise


def deliver(world: World, sns: Sns, programs: Programs) -> int:
    """Change the bucket and tell of it, by rounds, of which a quarter comes a round late; how many deliveries."""
    twice = (DELIVERIES - CHANGES) // ROUNDS
    late: list[tuple[str, int]] = []
    delivered = 0
    for number in range(ROUNDS):
        told = [world.change() for _ in range(CHANGES // ROUNDS)]
        # SNS delivers one message twice, or S3 sends two of the same.
        copied = set(world.random.sample(told, k=twice // 2))
        ready = late + [(message, 1 + (message in copied)) for message in told]
        ready += [(message, 1) for message in world.random.choices(told, k=twice - twice // 2)]
        world.random.shuffle(ready)
        cut = len(ready) // 4 if number < ROUNDS - 1 else 0
        late, now = ready[:cut], ready[cut:]
        with ThreadPoolExecutor(1) as beside:
            disturbed = beside.submit(programs.disturb, number)
            for message, copies in now:
                sns.publish(message, copies=copies)
                delivered += copies
            disturbed.result()
        sns.settle(120)
    return delivered


def until_done(inbox: Inbox) -> None:
    """Return when all is done; AssertionError where for too long nothing more is."""
    best, end_s = (-CHANGES - 1, 0), time.monotonic() + STALLED_S
    while (counts := inbox.counts())["unrouted"] + counts["waiting"] + counts["running"]:
        now = -counts["unrouted"], counts["done"]
        if now > best:
            best, end_s = now, time.monotonic() + STALLED_S
        assert time.monotonic() < end_s, f"for {STALLED_S:g} s nothing more was done: {counts}"
        time.sleep(0.2)


def results(folder: Path) -> dict[str, tuple[str, str]]:
    """Of each committed result, by its key: verdict and the ETag of what was checked."""
    found = {}
    for path in (folder / "checks").rglob("*.json"):
        document = json.loads(path.read_text())
        found[document["key"]] = document["verdict"], document["object"]["etag"]
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """All but what a writer that was killed left under a temporary name, which nobody takes for an object."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(TEMP_PREFIX)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_f40_f41_f49_ten_thousand_deliveries_end_in_exactly_the_right_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "s3"
    root.mkdir()
    monkeypatch.setenv("LOCAL_S3_ROOT", str(root))
    world = World(root, random.Random(9))  # noqa: S311 (no secret)
    with run_sns(tmp_path) as sns, running(tmp_path, sns) as programs, open_inbox(str(tmp_path / "inbox.db")) as inbox:
        subscription = sns.subscribe(programs.listener.url, policy=Policy(delays_s=(20.0,) * 150, speed=50))
        assert subscription.confirmed.wait(60)
        assert deliver(world, sns, programs) == DELIVERIES
        assert subscription.dead == []
        until_done(inbox)
        assert programs.consumer.stop() == 0
        assert programs.listener.stop() == 0
        counts = inbox.counts()
        known = {event.key: event.created for event in inbox.objects(BUCKET)}
    assert counts["failed"] == 0
    assert OBJECTS <= counts["events"] <= CHANGES
    assert known == {key: data is not None for key, data in world.states.items()}
    etags = {key: hashlib.md5(data, usedforsecurity=False).hexdigest() for key, data in world.states.items() if data}
    assert results(tmp_path / "out") == {key: (verdict, etags[key]) for key, verdict in world.expected().items()}
    wanted = {name(RULE, BUCKET, key) for key in etags for name in (result_key, page_key)}
    found = tree(tmp_path / "out")
    assert {name for name in found if name.startswith("checks/")} == wanted
    assert found == at_once(tmp_path, world)


def at_once(folder: Path, world: World) -> dict[str, bytes]:
    """What an output holds where each object, as it is in the end, was checked once and nothing went wrong."""
    config = load_events(folder / "events.yaml", [f"output={folder / 'once'}"])
    told: list[Ended] = []
    check_objects(config, RULE, [f"object/{BUCKET}/{key}" for key in world.states], told.append)
    assert len(told) == len(world.states)
    return tree(folder / "once")
