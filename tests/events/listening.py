"""What tests of the listener share: a file of rules whose messages an SNS of the tests' own signs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipeline.config.events import EventsConfig
from pipeline.config.load import load_events
from pipeline.events.inbox.inbox import Filed, open_inbox
from tests.servers.listener import Answer, LocalListener, serve_listener
from tests.servers.sns import Sns, run_sns, s3_message

BUCKET = "arrivals-of-tests"


def write_rules(folder: Path, sns: Sns, listen: Mapping[str, Any] | None = None, **more: Any) -> Path:
    """The file: one topic, one bucket, one rule, an inbox in the folder; `more` replaces what is at the top."""
    rules = {
        "name": "listener-of-tests",
        "inbox": str(folder / "inbox.sqlite"),
        "topics": [sns.arn()],
        "buckets": {BUCKET: {}},
        "sns": {"endpoint": sns.endpoint, "trust": str(sns.trust)},
        "listen": {"port": 0, "work": False, **(listen or {})},
        "rules": {"all": {"match": {"bucket": BUCKET}, "check": {}}},
        "output": str(folder / "output"),
        **more,
    }
    path = folder / "events.yaml"
    path.write_text(json.dumps(rules))
    return path


def rules_of(folder: Path, sns: Sns, listen: Mapping[str, Any] | None = None, **more: Any) -> EventsConfig:
    return load_events(write_rules(folder, sns, listen, **more))


def told_of(sns: Sns, key: str, sequencer: str = "0A", **more: Any) -> dict[str, str]:
    """A signed notification of an object."""
    return sns.notification(s3_message(BUCKET, key, sequencer=sequencer, **more))


def post(listener: LocalListener, document: Mapping[str, Any]) -> Answer:
    return listener.post(json.dumps(document).encode())


def stored(config: EventsConfig) -> Sequence[Filed]:
    """What the inbox holds, seen by a connection of its own."""
    with closing(open_inbox(config.inbox.get_secret_value())) as inbox:
        return inbox.unrouted(100_000)


def keys_of(config: EventsConfig) -> list[str]:
    """Keys of the objects that the inbox holds events of, in the order of their arrival."""
    return [getattr(one.arrival.event, "key", "") for one in stored(config)]


@dataclass
class Clock:
    """Of the listener: how far it is from the clock of SNS."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> float:
        return time.time() + self.ahead.total_seconds()


@dataclass(frozen=True)
class Stage:
    """A listener, what it was started with, and its SNS."""

    sns: Sns
    listener: LocalListener
    config: EventsConfig
    clock: Clock

    def post(self, document: Mapping[str, Any]) -> Answer:
        return post(self.listener, document)

    def status(self, document: Mapping[str, Any]) -> int:
        return self.post(document).status

    def asked(self, part: str) -> list[str]:
        """What SNS was asked for."""
        return [each for each in self.sns.requests if part in each]

    def reset(self) -> None:
        """Set the clock right and count requests from here."""
        self.clock.ahead = timedelta()
        self.sns.requests.clear()


@contextmanager
def run_stage(folder: Path, listen: Mapping[str, Any] | None = None) -> Iterator[Stage]:
    """Both, for as long as it is open."""
    with run_sns(folder) as sns:
        config, clock = rules_of(folder, sns, listen), Clock()
        with serve_listener(config, now_s=clock) as listener:
            yield Stage(sns, listener, config, clock)
