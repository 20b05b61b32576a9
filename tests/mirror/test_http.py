"""Fetching over HTTP from a server that has a bad day: what comes is whole, or is not there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.mirror.transports import MissingFileError
from tests.mirror.gdacs import (
    QUICK,
    closed_port,
    fetch_all,
    files_below,
    gdac_of,
    path_of,
    profile_bytes,
    read_one,
)
from tests.servers.faulty import Answer, Request, Rule, always, first, run_faulty

LARGE = profile_bytes(levels=100_000)
"""Large enough to be worth resuming."""


def served(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"/pub/{path}": data for path, data in files.items()}


def test_every_wanted_file_comes_whole_over_no_more_connections_than_allowed(tmp_path: Path) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(40)}
    with run_faulty(served(files), always(Answer(delay_s=0.005)), etags=True) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub/"), files, tmp_path)
        assert files_below(tmp_path) == files
        assert {each.state for each in got.values()} == {"fetched"}
        assert sum(each.received_bytes for each in got.values()) == sum(map(len, files.values()))
        assert 1 < server.most_busy <= QUICK.connections


def test_a_cut_answer_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    with run_faulty(served({path_of(1): LARGE}), first(2, Answer(cut_bytes=150_000)), etags=True) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)[path_of(1)]
        asked = [request.headers.get("Range") for request in server.requests]
    assert files_below(tmp_path) == {path_of(1): LARGE}
    assert asked == [None, "bytes=150000-", "bytes=300000-"]
    assert (got.attempts, got.received_bytes, got.resumed_bytes) == (3, len(LARGE), 300_000)


def test_a_later_process_goes_on_with_the_part_of_an_earlier_one(tmp_path: Path) -> None:
    once = replace(QUICK, retries=0)
    with run_faulty(served({path_of(1): LARGE}), first(1, Answer(cut_bytes=200_000)), etags=True) as server:
        gdac = gdac_of(f"{server.address}/pub", patience=once)
        assert fetch_all(gdac, [path_of(1)], tmp_path)[path_of(1)].state == "failed"
        assert path_of(1) not in files_below(tmp_path)
        got = fetch_all(gdac, [path_of(1)], tmp_path)[path_of(1)]
    assert got.received_bytes == len(LARGE) - 200_000
    assert files_below(tmp_path) == {path_of(1): LARGE}


@pytest.mark.parametrize("etags", [True, False], ids=["other ETag", "no ETag"])
def test_parts_of_different_contents_are_never_joined(tmp_path: Path, etags: bool) -> None:
    newer = profile_bytes(7, levels=100_000)
    files = served({path_of(1): LARGE})

    def replaced(_request: Request, earlier: int) -> Answer | None:
        if earlier == 0:
            return Answer(cut_bytes=150_000)
        files[f"/pub/{path_of(1)}"] = newer
        return None

    with run_faulty(files, replaced, etags=etags) as server:
        assert fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)[path_of(1)].state == "fetched"
    assert files_below(tmp_path) == {path_of(1): newer}


def test_a_server_without_ranges_is_asked_for_the_whole_file_again(tmp_path: Path) -> None:
    rule = first(1, Answer(cut_bytes=150_000))
    with run_faulty(served({path_of(1): LARGE}), rule, etags=True, ranges=False) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)[path_of(1)]
    assert files_below(tmp_path) == {path_of(1): LARGE}
    assert (got.resumed_bytes, got.received_bytes) == (0, 150_000 + len(LARGE))


def test_a_server_that_begins_where_nobody_asked_is_left(tmp_path: Path) -> None:
    answer = Answer(206, LARGE[5:], headers={"Content-Range": f"bytes 5-{len(LARGE) - 1}/{len(LARGE)}"})
    with run_faulty({}, always(answer)) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)[path_of(1)]
    assert got.state == "failed" and "begins at byte 5, 0 asked for" in got.cause


def test_a_part_that_is_longer_than_the_file_is_begun_anew(tmp_path: Path) -> None:
    files = served({path_of(1): LARGE})

    def shrunk(_request: Request, earlier: int) -> Answer | None:
        if earlier == 0:
            return Answer(cut_bytes=350_000)
        files[f"/pub/{path_of(1)}"] = profile_bytes(3)
        return None

    with run_faulty(files, shrunk, etags=True) as server:
        fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)
    assert files_below(tmp_path) == {path_of(1): profile_bytes(3)}


PAGE = b"<!DOCTYPE html><html><body>We are doing maintenance</body></html>"
REFUSED = {
    "an HTML page": (PAGE, "HTML"),
    "nothing": (b"", "empty"),
    "half a file": (profile_bytes()[:-100], "cut"),
    "half a header": (profile_bytes()[:60], "cut"),
    "something else": (b"PK\x03\x04" + bytes(100), "ZIP"),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_whole_netcdf_is_refused_by_name_and_another_mirror_is_asked(
    tmp_path: Path, body: bytes, words: str
) -> None:
    files = {path_of(1): profile_bytes(1)}
    with run_faulty({f"/pub/{path_of(1)}": body}) as bad, run_faulty(served(files)) as good:
        alone = fetch_all(gdac_of(f"{bad.address}/pub"), files, tmp_path)[path_of(1)]
        assert (alone.state, alone.attempts) == ("failed", 1)
        assert words in alone.cause
        assert files_below(tmp_path) == {}
        got = fetch_all(gdac_of(f"{bad.address}/pub", f"{good.address}/pub"), files, tmp_path)[path_of(1)]
    assert (got.state, got.mirror) == ("fetched", f"{good.address}/pub")
    assert files_below(tmp_path) == files


OUTCOMES: dict[str, tuple[Rule, str, int]] = {
    "404": (always(Answer(404)), "vanished", 1),
    "410": (always(Answer(410)), "vanished", 1),
    "403": (always(Answer(403)), "failed", 1),
    "503 for a while": (first(2, Answer(503, headers={"Retry-After": "0"})), "fetched", 3),
    "429 for ever": (always(Answer(429)), "failed", 3),
    "cut for ever": (always(Answer(cut_bytes=100)), "failed", 3),
}


@pytest.mark.parametrize(("rule", "state", "requests"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_may_pass_is_tried_again_and_nothing_else(tmp_path: Path, rule: Rule, state: str, requests: int) -> None:
    files = {path_of(1): profile_bytes(1)}
    with run_faulty(served(files), rule) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), files, tmp_path)[path_of(1)]
        assert (got.state, len(server.requests)) == (state, requests)
    assert files_below(tmp_path) == (files if state == "fetched" else {})
    assert bool(got.cause) == (state != "fetched")


SLOW: dict[str, tuple[Answer, float, str]] = {
    "stalled": (Answer(delay_s=4), 1, "nothing came for 1 s"),
    "trickling": (Answer(trickle_s=0.02), 3, "less than 1000 bytes a second"),
}
"""What it does, the time that it has, and what is told of it."""


@pytest.mark.parametrize(("answer", "timeout_s", "words"), SLOW.values(), ids=SLOW)
def test_a_mirror_that_stalls_or_trickles_is_left(tmp_path: Path, answer: Answer, timeout_s: float, words: str) -> None:
    """The other mirror is a folder, so that on a busy machine no time is too short for it."""
    patience = replace(QUICK, timeout_s=timeout_s, retries=0)
    files = {path_of(1): profile_bytes(1)}
    folder = tmp_path / "good"
    (folder / path_of(1)).parent.mkdir(parents=True)
    (folder / path_of(1)).write_bytes(files[path_of(1)])
    with run_faulty(served(files), always(answer)) as slow:
        alone = fetch_all(gdac_of(f"{slow.address}/pub", patience=patience), files, tmp_path / "to")[path_of(1)]
        assert alone.state == "failed" and words in alone.cause
        both = replace(gdac_of(f"{slow.address}/pub", str(folder), patience=patience), folder=QUICK)
        got = fetch_all(both, files, tmp_path / "to")[path_of(1)]
    assert (got.state, got.mirror) == ("fetched", str(folder))


@pytest.mark.parametrize("word", ["nan", "-inf", "Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1e-3"])
def test_a_pause_that_is_no_number_of_seconds_is_our_own(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept, sleep = list[float](), asyncio.sleep

    async def noted(delay_s: float) -> None:
        slept.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    rule = first(1, Answer(503, headers={"Retry-After": word}))
    with run_faulty(served({path_of(1): profile_bytes(1)}), rule) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)[path_of(1)]
    assert (got.state, got.attempts) == ("fetched", 2)
    assert [0 < one <= QUICK.delay_s for one in slept] == [True]


def test_a_mirror_that_fails_file_after_file_is_asked_last(tmp_path: Path) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(30)}
    with run_faulty(served(files), always(Answer(500))) as bad, run_faulty(served(files)) as good:
        gdac = gdac_of(f"{bad.address}/pub", f"{good.address}/pub", in_flight=2)
        assert {each.state for each in fetch_all(gdac, files, tmp_path).values()} == {"fetched"}
        assert len(bad.requests) < 10


def test_without_any_mirror_the_rest_is_not_tried(tmp_path: Path) -> None:
    patience = replace(QUICK, retries=0)
    got = fetch_all(
        gdac_of(f"http://127.0.0.1:{closed_port()}", patience=patience), (path_of(k) for k in range(99)), tmp_path
    )
    causes = [each.cause for each in got.values()]
    assert {each.state for each in got.values()} == {"failed"}
    assert 10 < sum(cause.startswith("not tried") for cause in causes) < 70
    assert "Connect" in causes[0]


def test_a_file_counts_as_vanished_only_where_every_mirror_says_so(tmp_path: Path) -> None:
    files = {path_of(1): profile_bytes(1)}
    with run_faulty({}) as empty, run_faulty(served(files), always(Answer(500))) as broken:
        both = fetch_all(gdac_of(f"{empty.address}/pub", f"{broken.address}/pub"), files, tmp_path)[path_of(1)]
        assert both.state == "failed" and "HTTP 404" in both.cause and "HTTP 500" in both.cause
        assert len(empty.requests) == 1
        assert fetch_all(gdac_of(f"{empty.address}/pub"), files, tmp_path)[path_of(1)].state == "vanished"


def test_nothing_shows_the_credentials_of_an_address(tmp_path: Path) -> None:
    files = {path_of(1): profile_bytes(1)}
    with run_faulty(served(files), first(1, Answer(403))) as server:
        address = server.address.replace("http://", "http://me:hush@") + "/pub?token=hush"
        gdac = gdac_of(address)
        refused = fetch_all(gdac, files, tmp_path)[path_of(1)]
        taken = fetch_all(gdac, files, tmp_path)[path_of(1)]
        assert [request.query for request in server.requests] == ["token=hush"] * 2
        assert "Authorization" in server.requests[0].headers
    assert "hush" not in f"{refused} {taken} {gdac}"
    assert taken.state == "fetched"


READS: dict[str, tuple[Rule, type[Exception]]] = {
    "missing": (always(Answer(404)), MissingFileError),
    "refused": (always(Answer(403)), PermanentAssetError),
    "down": (always(Answer(500)), TransientAssetError),
}


@pytest.mark.parametrize(("rule", "kind"), READS.values(), ids=READS)
def test_reading_says_whether_another_day_may_be_better(rule: Rule, kind: type[Exception]) -> None:
    with run_faulty(served({path_of(1): LARGE}), rule) as server, pytest.raises(kind) as raised:
        read_one(gdac_of(f"{server.address}/pub"), path_of(1))
    assert type(raised.value) is kind


def test_reading_resumes_and_checks_as_fetching_does() -> None:
    with run_faulty(served({path_of(1): LARGE}), first(1, Answer(cut_bytes=150_000)), etags=True) as server:
        assert read_one(gdac_of(f"{server.address}/pub"), path_of(1)) == LARGE
        assert server.requests[1].headers["Range"] == "bytes=150000-"


NAMES = [
    "../passwd",
    "/etc/passwd",
    "dac//x.nc",
    "dac/a b.nc",
    "dac/x.nc\r\nDELE y",
    "dac/..",
    ".ssh/id",
    "",
    "a?b",
    "%2e%2e/x",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_gdac_has_are_never_asked_for(tmp_path: Path, name: str) -> None:
    with run_faulty({}) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), [name], tmp_path)[name]
        assert (got.state, server.requests) == ("failed", [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_asked_for_once_however_often_it_is_wanted(tmp_path: Path) -> None:
    with run_faulty(served({path_of(1): profile_bytes()})) as server:
        fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)] * 5, tmp_path)
        assert len(server.requests) == 1


def test_an_answer_that_is_compressed_on_the_way_is_refused(tmp_path: Path) -> None:
    answer = Answer(200, profile_bytes(), headers={"Content-Encoding": "gzip"})
    with run_faulty({}, always(answer)) as server:
        got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], tmp_path)[path_of(1)]
    assert got.state == "failed" and "compressed" in got.cause
