"""Servers that break off, or whose answers are no HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.mirror import http
from tests.mirror.gdacs import QUICK, fetch_all, files_below, gdac_of, path_of, profile_bytes
from tests.mirror.rawhttp import RESET, run_raw
from tests.servers.faulty import run_faulty

BODY = profile_bytes(1)
WHOLE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (len(BODY), BODY)
PASSING = {
    "reset": WHOLE[:-200] + RESET,
    "closed unanswered": b"",
    "no HTTP": b"\0\1\2\r\n\r\n",
    "cut without a length": b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:-50],
    "cut before the last chunk": CHUNKED,
    "another length": WHOLE.replace(b"Length: ", b"Length: 1"),
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
def test_whatever_a_broken_connection_brings_is_asked_for_again(tmp_path: Path, answer: bytes) -> None:
    with run_raw([answer, answer, WHOLE]) as address:
        got = fetch_all(gdac_of(address), [path_of(1)], tmp_path)[path_of(1)]
    # Where nothing at all was said, the client itself asks once more.
    assert (got.state, got.attempts) == ("fetched", 3 if answer else 2)
    assert files_below(tmp_path) == {path_of(1): BODY}


NEVER = {
    "redirects without end": b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    "redirects to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "headers without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    "a range without one": b"HTTP/1.1 206 Partial\r\nContent-Length: 0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
}


@pytest.mark.parametrize("answer", NEVER.values(), ids=NEVER)
def test_a_hostile_server_costs_its_own_files_only(tmp_path: Path, answer: bytes) -> None:
    files = {path_of(1): profile_bytes(1)}
    with run_raw([answer]) as hostile, run_faulty({f"/{path}": data for path, data in files.items()}) as good:
        assert fetch_all(gdac_of(hostile), files, tmp_path)[path_of(1)].state == "failed"
        assert files_below(tmp_path) == {}
        assert fetch_all(gdac_of(hostile, good.address), files, tmp_path)[path_of(1)].state == "fetched"


def test_headers_that_trickle_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no byte is late: the answer would take ten seconds, where a mirror has three."""
    monkeypatch.setattr(http, "ANSWER_TIMES", 1)
    patience = replace(QUICK, timeout_s=3, retries=0)
    with run_raw([b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500 + WHOLE[15:]], byte_s=0.02) as address:
        got = fetch_all(gdac_of(address, patience=patience), [path_of(1)], tmp_path)[path_of(1)]
    assert got.state == "failed" and "no answer within 3 s" in got.cause
