"""Laws of the bytes of a file: ranges are whole and of one version, requests are few and bounded."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.read import fetch, flight
from pipeline.read.access import Access
from pipeline.read.fetch import GAP_BYTES, HEAD_BYTES, PIECE_BYTES, open_source, plan_pieces
from tests.read.fetching import ACCESS, CONTENT, FILES, PATIENCE_S, SPANS, asked, expected, fresh, read
from tests.servers.faulty import Answer, Request, always, run_faulty

__all__ = ["fresh"]


# --- what is read


def test_pieces_cover_their_spans_and_little_else() -> None:
    """Any spans: every one lies in its piece; a piece has no gap beyond the bound; what was merged stays small."""
    random = np.random.default_rng(3)
    for scale in (1000, 100_000, 10_000_000):
        starts = random.integers(0, 50 * scale, 60)
        spans = [(int(start), int(length)) for start, length in zip(starts, random.integers(0, scale, 60), strict=True)]
        pieces, places = plan_pieces(spans)
        for (start, length), (piece, first, last) in zip(spans, places, strict=True):
            assert last - first == length
            assert not length or (pieces[piece][0] + first == start and start + length <= pieces[piece][1])
        for start, stop in pieces:
            inside = sorted((a, a + n) for a, n in spans if n and start <= a and a + n <= stop)
            assert inside[0][0] == start and max(last for _, last in inside) == stop
            assert stop - start <= max(PIECE_BYTES, *(last - first for first, last in inside))
            reach = start
            for first, last in inside:
                assert first - reach <= GAP_BYTES
                reach = max(reach, last)


def test_blocks_side_by_side_are_one_request_and_far_ones_are_not() -> None:
    """Blocks of a COG are eight bytes apart."""
    assert plan_pieces([(1000, 500), (1508, 500), (1508 + 500 + GAP_BYTES + 1, 10)])[0] == [
        (1000, 2008),
        (2009 + GAP_BYTES, 2019 + GAP_BYTES),
    ]


def test_ranges_of_a_file_on_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    path.write_bytes(CONTENT)
    with open_source(str(path), Access()) as source:
        assert source.head == CONTENT[:HEAD_BYTES] and source.version.size == len(CONTENT)
        assert source.ranges(SPANS) == expected(SPANS)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda at: source.ranges([(at, 1000)]), range(0, 2_000_000, 20_000)))
        assert answers == [[CONTENT[at : at + 1000]] for at in range(0, 2_000_000, 20_000)]


def test_ranges_of_a_file_on_a_server() -> None:
    with run_faulty(FILES, etags=True) as server:
        assert read(server, SPANS) == expected(SPANS)
    # One for the head, and one for each place that is read; none asks for the head alone.
    assert asked(server) == [
        "bytes=0-16383",
        "bytes=100-20009",
        "bytes=2000000-2301007",
        "bytes=2999999-2999999",
    ]
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize("size", [1, 100, HEAD_BYTES, HEAD_BYTES + 1])
def test_the_head_of_a_small_file_is_all_of_it(tmp_path: Path, size: int) -> None:
    (tmp_path / "b.tif").write_bytes(CONTENT[:size])
    with run_faulty({"/a/b.tif": CONTENT[:size]}) as server:
        for href in (str(tmp_path / "b.tif"), f"{server.address}/a/b.tif"):
            with open_source(href, Access()) as source:
                assert source.head == CONTENT[: min(size, HEAD_BYTES)]
                assert source.version.size == size
                assert source.ranges([(0, size)]) == [CONTENT[:size]]


def test_spans_outside_the_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.tif").write_bytes(CONTENT[:5000])
    with open_source(str(tmp_path / "b.tif"), Access()) as source:
        for span in ((4999, 2), (6000, 1), (-1, 5), (5, -1)):
            with pytest.raises(OSError, match=rf"^{span[1]} bytes at {span[0]} expected; the file ends at 5000$"):
                source.ranges([span])


def test_nothing_is_asked_for_nothing() -> None:
    with run_faulty(FILES) as server:
        assert read(server, []) == [] and read(server, [(5, 0), (9, 0)]) == [b"", b""]
    assert len(server.requests) == 1


# --- one version


def test_a_file_that_changes_on_a_disk_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    path.write_bytes(CONTENT)
    with open_source(str(path), Access()) as source:
        os.truncate(path, 1_000_000)
        with pytest.raises(OSError, match=r"^0 bytes found at 2000000, 10 expected$"):
            source.ranges([(2_000_000, 10)])
        with pytest.raises(OSError, match=r"^the file changed while it was read: .*size=1000000.*size=3000000"):
            source.ranges([(0, 10)])


@pytest.mark.parametrize("etags", [True, False])
def test_a_file_that_changes_on_a_server_is_an_error_and_then_new(etags: bool) -> None:
    """By its ETag, or by its size; nothing that was kept of the old one is used again."""
    files = dict(FILES)
    newer = CONTENT[::-1] if etags else CONTENT[::-1][:-1]
    with run_faulty(files, etags=etags) as server:
        with open_source(f"{server.address}/a/b.tif", ACCESS) as source:
            files["/a/b.tif"] = newer
            with pytest.raises(OSError, match=r"^the file changed while it was read"):
                source.ranges(SPANS[:1])
        assert read(server, SPANS[:2]) == expected(SPANS[:2], newer)


# --- requests


def test_the_head_is_asked_for_once_in_a_worker() -> None:
    with run_faulty(FILES) as server:
        for _ in range(3):
            read(server, [(2_000_000, 10)])
    assert asked(server) == ["bytes=0-16383", *["bytes=2000000-2000009"] * 3]


def test_threads_that_open_one_file_share_its_head() -> None:
    with run_faulty(FILES, always(Answer(delay_s=0.2))) as server, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: read(server, [(2_000_000, 10)]), range(8)))
    assert answers == [expected([(2_000_000, 10)])] * 8
    assert asked(server).count("bytes=0-16383") == 1


def test_heads_that_are_not_used_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "KEPT_HEADS", 2)
    with run_faulty({f"/{name}": CONTENT for name in "abc"}) as server:
        for name in "abacab":
            with open_source(f"{server.address}/{name}", ACCESS):
                pass
    # b is the one used least when c comes, a is when b comes back.
    assert [request.path for request in server.requests] == ["/a", "/b", "/c", "/b"]


def test_other_ways_in_do_not_share_a_head() -> None:
    with run_faulty(FILES) as server:
        read(server, [], ACCESS)
        read(server, [], Access(local=False, timeout_s=21))
    assert len(server.requests) == 2


def test_more_requests_are_in_flight_than_there_are_threads() -> None:
    """Thirty ranges far apart, each held back until all of them have come: one thread would wait for ever."""
    spans = [(100_000 * number, 10) for number in range(30)]
    everybody = threading.Event()

    def rule(_request: Request, earlier: int) -> Answer | None:
        if earlier == 30:
            everybody.set()
        assert earlier == 0 or everybody.wait(PATIENCE_S)
        return None

    with run_faulty(FILES, rule) as server:
        assert read(server, spans) == expected(spans)
    assert server.most_busy == 30


def test_what_is_in_flight_stays_under_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads, pieces of up to 150 KB, a budget of 200 KB: never more, and one that is larger goes alone."""
    monkeypatch.setattr(flight, "BUDGET_BYTES", 200_000)
    fetch._FLIGHT.room.limit_bytes = 200_000
    sizes: list[int] = []

    def rule(request: Request, _earlier: int) -> Answer | None:
        start, stop = (int(number) for number in request.headers["Range"].removeprefix("bytes=").split("-"))
        if stop - start + 1 != HEAD_BYTES:
            with server.lock:
                sizes.append(stop - start + 1)
                most.append(sum(sizes))
            threading.Event().wait(0.01)
            with server.lock:
                sizes.remove(stop - start + 1)
        return None

    most: list[int] = []
    spans = [(250_000 * number, 15_000 * (number + 1)) for number in range(10)] + [(2_600_000, 390_000)]
    with run_faulty(FILES, rule) as server, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: read(server, spans), range(8)))
    assert answers == [expected(spans)] * 8
    # The largest alone, and beside it nothing; the server lets go of a request a little before its client has it all.
    assert max(most) == 390_000
    assert fetch._FLIGHT.room.used_bytes == fetch._FLIGHT.room.requests == 0


def test_requests_in_flight_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "MAX_REQUESTS", 4)
    spans = [(100_000 * number, 10) for number in range(30)]
    with run_faulty(FILES, always(Answer(delay_s=0.01))) as server, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: read(server, spans), range(4))) == [expected(spans)] * 4
    assert 1 < server.most_busy <= 4
