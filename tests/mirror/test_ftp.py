"""Fetching over FTP from a real server that has a bad day."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mirror.ftpd import FtpServer, run_ftp
from tests.mirror.gdacs import QUICK, closed_port, fetch_all, files_below, gdac_of, path_of, profile_bytes

LARGE = profile_bytes(levels=100_000)


def put(root: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote"
    (folder / "pub").mkdir(parents=True)
    return folder


@pytest.fixture
def server(remote: Path) -> Iterator[FtpServer]:
    with run_ftp(remote) as state:
        yield state


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "local"


def test_every_wanted_file_comes_whole_over_few_connections_that_are_kept(
    server: FtpServer, remote: Path, local: Path
) -> None:
    # Line ends of every kind: in text mode they would change.
    files = {path_of(k): profile_bytes(k) + b"\r\n\n\r" for k in range(30)}
    put(remote / "pub", files)
    got = fetch_all(gdac_of(f"{server.address}/pub"), files, local)
    assert files_below(local) == files
    assert {each.state for each in got.values()} == {"fetched"}
    assert server.logins <= QUICK.connections
    assert server.most_connections <= QUICK.connections


@pytest.mark.parametrize("code", ["426", "226"], ids=["said so", "said to be whole"])
def test_a_data_connection_that_is_cut_is_seen_and_resumed(
    server: FtpServer, remote: Path, local: Path, code: str
) -> None:
    put(remote / "pub", {path_of(1): LARGE})
    server.cut_bytes, server.cut_code = 150_000, code
    got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], local)[path_of(1)]
    assert files_below(local) == {path_of(1): LARGE}
    assert (got.resumed_bytes, got.received_bytes) == (150_000, len(LARGE))
    assert server.count("REST") == 1


def test_a_file_that_was_replaced_meanwhile_is_begun_anew(server: FtpServer, remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): LARGE})
    newer = profile_bytes(9, levels=110_000)
    server.cut_bytes = 150_000

    def replaced(_file: Path) -> None:
        if server.count("RETR") > 1:
            put(remote / "pub", {path_of(1): newer})

    server.before = replaced
    fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], local)
    assert files_below(local) == {path_of(1): newer}


def test_a_server_without_rest_gives_the_whole_file_again(server: FtpServer, remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): LARGE})
    server.cut_bytes, server.refuse = 150_000, {"REST"}
    got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], local)[path_of(1)]
    assert files_below(local) == {path_of(1): LARGE}
    assert (got.resumed_bytes, got.received_bytes) == (0, 150_000 + len(LARGE))


def test_a_server_that_tells_neither_size_nor_time_still_gives_files(
    server: FtpServer, remote: Path, local: Path
) -> None:
    put(remote / "pub", {path_of(1): profile_bytes(1), path_of(2): profile_bytes(2)})
    server.refuse, server.cut_bytes, server.cut_code = {"SIZE", "MDTM"}, 100, "226"
    got = fetch_all(gdac_of(f"{server.address}/pub", in_flight=1), [path_of(1), path_of(2)], local)
    # What was cut without a word is found by the file's own header, and is asked for again.
    assert [(got[path_of(k)].state, got[path_of(k)].attempts) for k in (1, 2)] == [("fetched", 2), ("fetched", 1)]
    assert files_below(local) == {path_of(1): profile_bytes(1), path_of(2): profile_bytes(2)}


def test_what_has_vanished_is_told_and_the_rest_is_done(server: FtpServer, remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): profile_bytes(1), path_of(3): profile_bytes(3)})
    got = fetch_all(gdac_of(f"{server.address}/pub", in_flight=1), map(path_of, (1, 2, 3)), local)
    assert [got[path_of(k)].state for k in (1, 2, 3)] == ["fetched", "vanished", "fetched"]
    assert server.logins == 1


def test_one_connection_too_many_means_fewer_connections(remote: Path, local: Path) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(20)}
    put(remote / "pub", files)
    with run_ftp(remote, most=2) as server:
        patience = replace(QUICK, connections=6, retries=4, delay_s=0.05)
        got = fetch_all(gdac_of(f"{server.address}/pub", patience=patience), files, local)
    assert files_below(local) == files
    # Of six that began at once four were too many, and that was enough to know.
    assert sum(each.attempts - 1 for each in got.values()) <= 6


def test_a_connection_that_was_ended_for_idleness_is_made_anew(server: FtpServer, remote: Path, local: Path) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(4)}
    put(remote / "pub", files)
    server.drop_idle = True
    patience = replace(QUICK, retries=0)
    got = fetch_all(gdac_of(f"{server.address}/pub", patience=patience, in_flight=1), files, local)
    assert {(each.state, each.attempts) for each in got.values()} == {("fetched", 1)}
    assert server.logins == len(files)


def test_data_that_is_complete_by_its_length_needs_no_last_word(
    server: FtpServer, remote: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.mirror.ftp.LAST_WORD_S", 0.2)
    files = {path_of(k): profile_bytes(k) for k in range(2)}
    put(remote / "pub", files)
    server.silent_end = True
    got = fetch_all(gdac_of(f"{server.address}/pub", in_flight=1), files, local)
    assert {(each.state, each.attempts) for each in got.values()} == {("fetched", 1)}


def test_a_file_that_shrinks_while_it_comes_is_never_taken(server: FtpServer, remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): profile_bytes(levels=500)})
    server.before = lambda _file: put(remote / "pub", {path_of(1): profile_bytes(server.count("RETR"))[:-8]})
    got = fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], local)[path_of(1)]
    assert got.state == "failed"
    assert files_below(local) == {}


def test_no_server_sends_us_to_another_host(remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): profile_bytes(1)})
    with run_ftp(remote, sends_to="192.0.2.1") as server:
        assert fetch_all(gdac_of(f"{server.address}/pub"), [path_of(1)], local)[path_of(1)].state == "fetched"


def test_a_server_that_stalls_is_left(server: FtpServer, remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): profile_bytes(1)})
    server.before = lambda _file: threading.Event().wait(1)
    patience = replace(QUICK, timeout_s=0.3, retries=0)
    got = fetch_all(gdac_of(f"{server.address}/pub", patience=patience), [path_of(1)], local)[path_of(1)]
    assert got.state == "failed" and "nothing came for 0.3 s" in got.cause


def test_a_user_with_a_password_is_let_in_and_neither_is_shown(remote: Path, local: Path) -> None:
    put(remote / "pub", {path_of(1): profile_bytes(1)})
    with run_ftp(remote, user=("me", "h@sh")) as server:
        address = server.address.replace("//", "//me:h%40sh@")
        got = fetch_all(gdac_of(f"{address}/pub"), [path_of(1)], local)[path_of(1)]
        assert got.state == "fetched"
        wrong = gdac_of(f"{address.replace('sh@', 'shh@')}/pub")
        refused = fetch_all(wrong, [path_of(1)], local / "not")[path_of(1)]
    assert (refused.state, refused.attempts) == ("failed", 1)
    assert "530" in refused.cause and "h%40sh" not in f"{got}{refused}{wrong}"


def test_a_server_that_is_down_is_tried_and_then_told(local: Path) -> None:
    got = fetch_all(gdac_of(f"ftp://127.0.0.1:{closed_port()}/pub"), [path_of(1)], local)[path_of(1)]
    assert (got.state, got.attempts) == ("failed", 3)
    assert "ConnectionRefused" in got.cause
