"""Small files: whole, understood once a version, and every failure named as that of an asset."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.read import document
from pipeline.read.access import Access
from pipeline.read.document import read_document
from pipeline.read.fetch import ByteSource, Unsupported, open_source
from pipeline.types import Asset
from tests.servers.faulty import Answer, always, first, run_faulty

CALLS: list[bytes] = []
REMOTE = Access(local=False, timeout_s=5)


def upper(data: bytes) -> str:
    CALLS.append(data)
    if data == b"bad":
        raise ValueError("found bad, expected good")
    return data.decode().upper()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between attempts; nothing is waited here, and nothing was parsed yet."""
    CALLS.clear()
    waited: list[float] = []
    monkeypatch.setattr(document, "time", SimpleNamespace(sleep=waited.append, monotonic=time.monotonic))
    return waited


def test_it_is_understood_once_a_version(tmp_path: Path) -> None:
    """A file that is read again is not parsed again; one that has changed is."""
    path = tmp_path / "a.xml"
    path.write_text("one")
    asset = Asset("a", str(path))
    assert [read_document(asset, Access(), "item", upper) for _ in range(3)] == ["ONE"] * 3
    assert CALLS == [b"one"]
    path.write_text("other")
    os.utime(path, ns=(1, 1))
    assert read_document(asset, Access(), "item", upper) == "OTHER"


def test_those_of_a_year_of_scenes_are_all_kept(tmp_path: Path) -> None:
    """Strips ask for all of them in turn, again and again: none is parsed twice."""
    paths = [tmp_path / f"{number}.xml" for number in range(120)]
    for path in paths:
        path.write_text(path.name)
    for _ in range(3):
        for path in paths:
            read_document(Asset("a", str(path)), Access(), "item", upper)
    assert len(CALLS) == len(paths)


def test_a_large_file_is_whole(tmp_path: Path) -> None:
    """Also beyond the head that is read first."""
    path = tmp_path / "large.xml"
    path.write_bytes(b"x" * 3_000_001)
    assert read_document(Asset("a", str(path)), Access(), "item", len) == 3_000_001


def test_failures_name_item_asset_and_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, of the wrong kind, too large, or not allowed: the asset is lost for good, and why is said."""
    bad = tmp_path / "bad.xml"
    bad.write_text("bad")
    with pytest.raises(PermanentAssetError, match=r"item x, asset noise: .*not as expected: found bad, expected good"):
        read_document(Asset("noise", str(bad)), Access(), "x", upper)
    with pytest.raises(PermanentAssetError, match="no such file"):
        read_document(Asset("noise", str(tmp_path / "none.xml")), Access(), "x", upper)
    with pytest.raises(PermanentAssetError, match="href refused"):
        read_document(Asset("noise", "/vsicurl/http://x/y.xml"), Access(), "x", upper)
    monkeypatch.setattr(document, "MOST_BYTES", 2)
    with pytest.raises(PermanentAssetError, match="3 bytes; at most 2"):
        read_document(Asset("noise", str(bad)), Access(), "x", upper)


def test_over_http_it_is_the_same(pauses: list[float]) -> None:
    """Larger than a head, in few requests; known the second time."""
    body = b"ab" * 20_000
    with run_faulty({"/n.xml": body}) as server:
        asset = Asset("noise", f"{server.address}/n.xml")
        assert [read_document(asset, REMOTE, "x", upper) for _ in range(2)] == ["AB" * 20_000] * 2
        assert server.count("/n.xml") == 2
    assert (len(CALLS), pauses) == (1, [])


def test_a_busy_server_is_asked_again(pauses: list[float]) -> None:
    """What passes costs a pause, and no asset."""
    with run_faulty({"/n.xml": b"fine"}, first(2, Answer(503))) as server:
        assert read_document(Asset("noise", f"{server.address}/n.xml"), REMOTE, "x", upper) == "FINE"
    assert pauses


def test_a_connection_that_fails_once_costs_an_attempt(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the client had no word of the file, and the server is there when it is asked why."""
    path = tmp_path / "n.xml"
    path.write_text("fine")
    blips = [Unsupported("no word of it", passing=True)]

    def open_once_more(href: str, access: Access, newer_than: float = 0.0) -> AbstractContextManager[ByteSource]:
        if blips:
            raise blips.pop()
        return open_source(href, access, newer_than)

    monkeypatch.setattr(document, "open_source", open_once_more)
    assert read_document(Asset("noise", str(path)), Access(), "x", upper) == "FINE"
    assert len(pauses) == 1


@pytest.mark.parametrize(("status", "kind", "attempts"), [(404, PermanentAssetError, 1), (503, TransientAssetError, 4)])
def test_a_servers_refusal_is_named(status: int, kind: type[Exception], attempts: int) -> None:
    """What stays is permanent at once; what may pass is transient after all attempts."""
    with run_faulty({}, always(Answer(status))) as server:
        asset = Asset("noise", f"{server.address}/n.xml")
        with pytest.raises(kind, match=f"item x, asset noise: .*HTTP {status}") as caught:
            read_document(asset, REMOTE, "x", upper)
    assert caught.value.attempts == attempts  # type: ignore[attr-defined]
