"""Events by hand: read, stored, routed and done as those that arrive, in one call that ends when they are done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.config.events import EventsConfig
from pipeline.errors import ConfigError, GroundswellError
from pipeline.events.consumer.batches import Where
from pipeline.events.consumer.consume import work_through
from pipeline.events.consumer.routing import Router
from pipeline.events.event import Ended, Event, Message, Order, State, Verdict
from pipeline.events.inbox.inbox import Arrival, Inbox
from pipeline.events.messages.envelopes import read_message
from pipeline.events.proof.admit import check_admitted
from pipeline.events.refusals import MessageError

MAX_BYTES = 64 * 2**20
"""Of a file of events."""
_PAGE = 500
"""Events that are stored by one transaction."""
_LOOK_S = 0.5
"""Between two looks at what a consumer beside does."""
_SHOWN = 20
"""Faults of a file that are told."""
Key = tuple[str, str]
"""Rule and target of an order."""


@dataclass(frozen=True)
class Result:
    """What became of events, and of the jobs that they ask for."""

    events: tuple[tuple[Event, Verdict], ...]
    notes: tuple[str, ...]
    """Of messages that hold no event."""
    orders: Mapping[Key, Order]
    """Of the events that are new: when each is begun."""
    states: Mapping[Key, State] = field(default_factory=dict)
    ended: Mapping[Key, Ended] = field(default_factory=dict)
    """What this call did; a consumer beside may have done others."""

    @property
    def failed(self) -> bool:
        """Whether a job failed, be it for good or until its next attempt."""
        return any(one.failed for one in self.ended.values()) or State.FAILED in self.states.values()


def read_messages(text: bytes, where: str) -> list[Message]:
    """The messages of one JSON value, of an array or a FeatureCollection of them, or of lines that are one each.

    Raises ConfigError with every message that is none, by its number.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where}: found {len(text)} bytes; allowed: at most {MAX_BYTES}")
    found: list[Message] = []
    faults: list[str] = []
    for place, document in _documents(text, where):
        try:
            found.append(read_message(document, via="hand"))
        except MessageError as error:
            faults.append(f"{where}, {place}: {error}")
    if faults:
        raise ConfigError("\n".join([*faults[:_SHOWN], *(["…"] if len(faults) > _SHOWN else [])]))
    if not found:
        raise ConfigError(f"{where}: found no event; expected a message as SNS, SQS, S3 or a catalogue sends it")
    return found


def check_messages(messages: Sequence[Message], config: EventsConfig) -> None:
    """Raise ConfigError with every topic and bucket of which nothing is taken."""
    faults: dict[str, None] = {}
    for message in messages:
        try:
            check_admitted(message, config)
        except GroundswellError as error:
            faults[str(error)] = None
    if faults:
        raise ConfigError("\n".join(list(faults)[:_SHOWN]))


def foresee(messages: Sequence[Message], config: EventsConfig, inbox: Inbox) -> Result:
    """What the events of these messages would start if they were new; nothing is stored. Raises as `Router.orders`."""
    router = Router(config, inbox)
    events = [event for message in messages for event in message.events]
    orders = {(one.rule, one.target): one for event in events for one in router.orders(event)}
    return Result(tuple((event, Verdict.NEW) for event in events), _notes(messages), orders)


def do(messages: Sequence[Message], config: EventsConfig, where: Where, inbox: Inbox, *, settled: bool) -> Result:
    """Store the events of these messages and do what the new ones ask for; nothing else that waits in the inbox.

    settled: what the rules let wait, or let begin another day, is left to a consumer; else all of it is done at once.
    Raises as an inbox and `Router.orders`.
    """
    router = Router(config, inbox)
    asked = [router.orders(event) for message in messages for event in message.events]
    verdicts = tuple(_put(messages, inbox))
    router.run()
    new = [one for one, (_, verdict) in zip(asked, verdicts, strict=True) if verdict is Verdict.NEW]
    orders = {(one.rule, one.target): one for each in new for one in each}
    if not settled:
        now_s = time.time()
        orders = {key: replace(one, due_s=now_s, latest_s=now_s) for key, one in orders.items()}
        inbox.order(list(orders.values()))
        rules = {name: rule.model_copy(update={"per_day": None}) for name, rule in config.rules.items()}
        config = config.model_copy(update={"rules": rules})
    ended: dict[Key, Ended] = {}
    while orders:
        work_through(config, where, inbox, only=orders.keys(), told=ended.__setitem__)
        if State.RUNNING not in inbox.states(list(orders)).values():
            break
        time.sleep(_LOOK_S)  # a consumer beside has taken some of them
    return Result(verdicts, _notes(messages), orders, inbox.states(list(orders)), ended)


def read_text(event_json: str | None, events_file: Path | None, stdin: bytes | None) -> tuple[bytes, str]:
    """The bytes that hold events, and what to call them. Raises ConfigError for a file that cannot be read."""
    if events_file is not None:
        try:
            return events_file.read_bytes(), str(events_file)
        except OSError as error:
            raise ConfigError(f"{events_file}: cannot be read: {error.strerror or error}") from error
    if stdin is not None:
        return stdin, "standard input"
    return (event_json or "").encode(), "--event-json"


def _documents(text: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """The bytes of each message, and its place: where one begins and ends, and no more, is told here."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) == 1:
            yield "the only line", lines[0][1]
            return
        try:
            json.loads(lines[0][1] if lines else b"{}")
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: found neither JSON nor lines of JSON: {error}") from None
        yield from ((f"line {number}", line) for number, line in lines)
        return
    if isinstance(whole, dict) and whole.get("type") == "FeatureCollection":
        whole = whole.get("features")
    if isinstance(whole, list):
        yield from ((f"message {number}", json.dumps(one).encode()) for number, one in enumerate(whole, 1))
    else:
        yield "the message", text


def _put(messages: Sequence[Message], inbox: Inbox) -> Iterator[tuple[Event, Verdict]]:
    now_s = time.time()
    arrivals = [
        Arrival(event, message.id, message.topic, "hand", now_s) for message in messages for event in message.events
    ]
    for first in range(0, len(arrivals), _PAGE):
        page = arrivals[first : first + _PAGE]
        yield from zip((one.event for one in page), inbox.put(page), strict=True)


def _notes(messages: Sequence[Message]) -> tuple[str, ...]:
    return tuple(f"message {one.id}: {one.note or 'it holds no event'}" for one in messages if not one.events)
