"""A server's file and what is read of it, for the laws of fetching."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.read import fetch, flight
from pipeline.read.access import Access
from pipeline.read.fetch import open_source
from tests.servers.faulty import Answer, FaultyServer, Rule

ACCESS = Access(local=False, timeout_s=20)
CONTENT = np.random.default_rng(7).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
FILES = {"/a/b.tif": CONTENT}
SPANS = [(2_000_000, 300_000), (100, 50), (700_000, 0), (2_300_008, 1000), (20_000, 10), (2_999_999, 1), (100, 50)]
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is a new worker: nothing is known, nothing has been slow."""
    monkeypatch.setattr(fetch, "_HEADS", fetch._Heads())
    monkeypatch.setattr(fetch, "_FLIGHT", flight.Flight())


def expected(spans: list[tuple[int, int]], content: bytes = CONTENT) -> list[bytes]:
    return [content[start : start + length] for start, length in spans]


def read(server: FaultyServer, spans: list[tuple[int, int]], access: Access = ACCESS) -> list[bytes]:
    with open_source(f"{server.address}/a/b.tif", access) as source:
        return [bytes(view) for view in source.ranges(spans)]


def asked(server: FaultyServer) -> list[str]:
    return sorted(request.headers.get("Range", "") for request in server.requests)


def spoil(number: int, answer: Answer) -> Rule:
    """The request of that number, counted from one, gets that answer."""
    return lambda _request, earlier: answer if earlier == number - 1 else None
