"""What becomes of one body that was posted: proven, read, stored, and only then answered with success."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import TypeVar

from pipeline.config.events import EventsConfig
from pipeline.errors import StoreError
from pipeline.events.event import Verdict
from pipeline.events.inbox.inbox import Arrival
from pipeline.events.listener.seldom import Seldom
from pipeline.events.listener.sink import Proven, Sink
from pipeline.events.messages.envelopes import message_of
from pipeline.events.messages.jsontext import read_json
from pipeline.events.proof.admit import check_admitted
from pipeline.events.proof.confirm import confirm
from pipeline.events.proof.sns import Envelope, Prover, refuse_raw
from pipeline.events.refusals import MalformedError, MessageError, RefusedError, UnprovenError
from pipeline.types import Json

ANSWER_S = 12.0
"""Within which every request is answered, whatever the store does: SNS waits for 15 s."""
_THREADS = 8
_IN_LINE = 64
"""Requests that wait for certificates or confirmations, which take seconds; further ones are to come again."""

_MOST_STRINGS, _MOST_BESIDE = 5_000, 2**14
"""What an envelope may be made of: its names and values, and the characters between them. SNS sends a few dozen."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the text where it does not end."""

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class Outcome(Enum):
    """What was done with a body: the status and the text that it is answered with, which never says more."""

    STORED = 200, "stored"
    DUPLICATE = 200, "duplicate"
    STALE = 200, "stale: a later event of the object is known"
    QUEUED = 200, "queued"
    NOTHING = 200, "nothing to do"
    CONFIRMED = 200, "confirmed"
    UNCONFIRMED = 200, "not confirmed: listen.confirm is false"
    UNSUBSCRIBED = 200, "unsubscribed"
    MALFORMED = 400, "no message that is taken here"
    RAW = 400, "raw delivery has no signature: switch it off for this subscription, or deliver to a queue"
    REFUSED = 403, "refused"
    UNPROVEN = 503, "cannot be proven now: come again"
    UNSTORED = 503, "cannot be stored now: come again"

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


_BY_STATUS = {400: Outcome.MALFORMED, 403: Outcome.REFUSED, 503: Outcome.UNPROVEN}
_BY_VERDICT = (
    (Verdict.NEW, Outcome.STORED),
    (Verdict.DUPLICATE, Outcome.DUPLICATE),
    (Verdict.STALE, Outcome.STALE),
)


class Posts:
    """Takes bodies that SNS posted; called in one event loop."""

    def __init__(self, config: EventsConfig, prover: Prover, sink: Sink, now_s: Callable[[], float]) -> None:
        self._config, self._prover, self._sink, self._now_s = config, prover, sink, now_s
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="proof")
        self._in_line = 0
        self._seldom = Seldom(_LOG)

    async def take(self, headers: Mapping[str, str], body: bytes) -> tuple[Outcome, tuple[Verdict, ...]]:
        """What was done with it, and the verdict on each of its events; never raises for what came from outside."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._taken(headers, body)
        except RefusedError as error:
            outcome = _BY_STATUS[error.status]
            self._seldom.tell(outcome.name, f"{outcome.status} {error}")
        except StoreError as error:
            outcome = Outcome.UNSTORED
            self._seldom.tell(outcome.name, f"{outcome.status} {error}", logging.ERROR)
        except TimeoutError:
            outcome = Outcome.UNSTORED
            self._seldom.tell(outcome.name, f"{outcome.status} not stored within {ANSWER_S:g} s", logging.ERROR)
        return outcome, ()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _taken(self, headers: Mapping[str, str], body: bytes) -> tuple[Outcome, tuple[Verdict, ...]]:
        try:
            refuse_raw(headers)
        except MalformedError as error:
            self._seldom.tell(Outcome.RAW.name, f"{Outcome.RAW.status} {error}")
            return Outcome.RAW, ()
        _check_plain(body)
        fields = read_json(body)
        if not isinstance(fields, dict):
            raise MessageError("found JSON that is no object; expected the envelope of SNS")
        envelope = self._prover.prove_at_once(fields)
        if envelope is None:
            envelope = await self._aside(lambda: self._prover.prove(fields))
        if envelope.kind == "SubscriptionConfirmation":
            return await self._confirm(envelope), ()
        if envelope.kind == "UnsubscribeConfirmation":
            _LOG.warning("%s: this listener was unsubscribed; nothing of it comes any more", envelope.topic)
            return Outcome.UNSUBSCRIBED, ()
        return await self._store(envelope, fields)

    async def _store(self, envelope: Envelope, fields: Mapping[str, Json]) -> tuple[Outcome, tuple[Verdict, ...]]:
        message = message_of(dict(fields), via="sns")
        check_admitted(message, self._config)
        if not message.events:
            _LOG.info("%s: message %s: %s", envelope.topic, message.id, message.note or "no events")
            return Outcome.NOTHING, ()
        now_s = self._now_s()
        arrivals = tuple(Arrival(event, message.id, message.topic, "sns", now_s) for event in message.events)
        verdicts = await self._sink.put(Proven(arrivals, fields))
        _LOG.debug("%s: message %s: %s", envelope.topic, message.id, verdicts or "queued")
        if verdicts is None:
            return Outcome.QUEUED, ()
        return next(outcome for verdict, outcome in _BY_VERDICT if verdict in verdicts), tuple(verdicts)

    async def _confirm(self, envelope: Envelope) -> Outcome:
        if not self._config.listen.confirm:
            _LOG.warning("%s: asks for a confirmation, and listen.confirm is false", envelope.topic)
            return Outcome.UNCONFIRMED
        subscription = await self._aside(lambda: confirm(envelope, self._config.sns))
        _LOG.info("%s: confirmed %s", envelope.topic, subscription)
        return Outcome.CONFIRMED

    async def _aside(self, ask: Callable[[], _T]) -> _T:
        """What may take seconds, in a thread; refused for now where too many wait for theirs."""
        if self._in_line >= _IN_LINE:
            raise UnprovenError(f"{_IN_LINE} messages wait for certificates already")
        self._in_line += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, ask)
        finally:
            self._in_line -= 1


def _check_plain(body: bytes) -> None:
    """Return where a body has no more parts than an envelope may have.

    Thousands of small ones would take a hundred times the body's memory, and everybody's time to read. Raises
    MessageError.
    """
    plain = body.strip()
    if body.count(b'"') - body.count(b'\\"') > 2 * _MOST_STRINGS or len(_STRING.sub(b"", plain)) > _MOST_BESIDE:
        raise MessageError("found JSON of more parts than the envelope of SNS has")
