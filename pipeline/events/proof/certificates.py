"""The certificates that SNS signs by: each is fetched once, from the topic's own SNS, and proven before it is used."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from pipeline.config.events import SnsConfig
from pipeline.errors import ConfigError
from pipeline.events.proof import chains
from pipeline.events.proof.addresses import Topic, certificate_path, issuer_path
from pipeline.events.proof.bounded import AnswerError, UnreachableError, read
from pipeline.events.proof.chains import Proven
from pipeline.events.refusals import ForgedError, UnprovenError

SECONDS: Final = 5.0
"""For each certificate."""
MOST_BYTES: Final = 16 * 1024
_KEPT: Final = 64
"""Certificates: SNS has one in each region at a time, and a new one each year."""
_REFUSED_KEPT: Final = 256
_REFUSED_S: Final = 60.0
"""For so long an address that gave no certificate of SNS is not asked again."""
_AT_ONCE: Final = 4
"""Addresses that are asked at a time: who makes up addresses keeps no more threads than that."""


class CertificateStore:
    """What is known of addresses of certificates; for any number of threads.

    seconds: that one answer may take.
    """

    def __init__(
        self, config: SnsConfig, *, seconds: float = SECONDS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._seconds, self._monotonic = config, seconds, monotonic
        self._lock = threading.Lock()
        self._proven: OrderedDict[str, Proven] = OrderedDict()
        self._refused: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._flights: dict[str, Future[Proven]] = {}
        self._pinned = None if config.certificate is None else _only(Path(config.certificate))
        # Read now, so that a file that cannot be read is told of at the start.
        self._trust = None if config.trust is None else chains.read_pem_file(Path(config.trust))

    def known(self, url: str, topic: Topic, now: datetime) -> Proven | None:
        """As `proven`, without any request; None where it would take one."""
        certificate_path(url, topic)
        with self._lock:
            proven = self._pinned or self._kept(url)
        if proven is not None:
            proven.check(now)
        return proven

    def proven(self, url: str, topic: Topic, now: datetime) -> Proven:
        """The certificate at an address, which is proven to be SNS's own for this topic, and valid now.

        Raises ForgedError, before any request where the address alone shows it; UnprovenError where it could not be
        read now.
        """
        path = certificate_path(url, topic)
        proven = self._pinned or self._found(url, path, topic, now)
        proven.check(now)
        return proven

    def _found(self, url: str, path: str, topic: Topic, now: datetime) -> Proven:
        """What is known, or is asked for: one request for each address, however many want it."""
        with self._lock:
            known, flight = self._kept(url), self._flights.get(url)
            if known is not None:
                return known
            if flight is None and len(self._flights) >= _AT_ONCE:
                raise UnprovenError(f"{url}: {_AT_ONCE} other certificates are being read at this moment")
            mine = self._flights.setdefault(url, Future())
        return flight.result() if flight is not None else self._asked(mine, url, path, topic, now)

    def _kept(self, url: str) -> Proven | None:
        """What was found at an address; raises ForgedError where that was nothing, a short time ago."""
        until_s, cause = self._refused.get(url, (0.0, ""))
        if self._monotonic() < until_s:
            raise ForgedError(cause)
        proven = self._proven.get(url)
        if proven is not None:
            self._proven.move_to_end(url)
        return proven

    def _asked(self, flight: Future[Proven], url: str, path: str, topic: Topic, now: datetime) -> Proven:
        try:
            proven = self._fetched(url, path, topic, now)
        except BaseException as error:
            with self._lock:
                self._note_refusal(url, error)
            flight.set_exception(error)
            raise
        with self._lock:
            self._proven[url] = proven
            if len(self._proven) > _KEPT:
                self._proven.popitem(last=False)
            del self._flights[url]
        flight.set_result(proven)
        return proven

    def _note_refusal(self, url: str, error: BaseException) -> None:
        del self._flights[url]
        if isinstance(error, ForgedError):
            self._refused[url] = (self._monotonic() + _REFUSED_S, str(error))
            self._refused.move_to_end(url)
            if len(self._refused) > _REFUSED_KEPT:
                self._refused.popitem(last=False)

    def _fetched(self, url: str, path: str, topic: Topic, now: datetime) -> Proven:
        data = self._read(url, path)
        try:
            given = chains.read_pem(data)
        except ValueError as error:
            raise ForgedError(f"{url}: found {len(data)} bytes that are no certificate in PEM form: {error}") from error
        return chains.prove_chain(given, topic, self._anchors, now, self._authority)

    def _authority(self, url: str) -> bytes:
        path = issuer_path(url)
        if path is None:
            raise ForgedError(
                f"found a certificate whose authority is at {url!r}; allowed: http://crt.<name>.amazontrust.com/; "
                "where its authority is another, give all of its authorities as sns.trust"
            )
        return self._read(url, path)

    def _read(self, url: str, path: str) -> bytes:
        """What is at an address that was checked; of the tests' own server where the config names one."""
        place = url if self._config.endpoint is None else self._config.endpoint.rstrip("/") + path
        try:
            return read(place, self._seconds, MOST_BYTES)
        except UnreachableError as error:
            raise UnprovenError(str(error)) from error
        except AnswerError as error:
            raise ForgedError(str(error)) from error

    @cached_property
    def _anchors(self) -> chains.Certificates:
        return chains.amazon_roots() if self._trust is None else self._trust


def _only(path: Path) -> Proven:
    given = chains.read_pem_file(path)
    if len(given) != 1:
        raise ConfigError(f"{path}: found {len(given)} certificates; required: the one that SNS signs by")
    try:
        return chains.pinned(given[0])
    except ForgedError as error:
        raise ConfigError(f"{path}: {error}") from error
