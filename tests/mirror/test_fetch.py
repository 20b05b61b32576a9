"""What holds of fetching whatever the mirror: disks, early ends, folders."""

from __future__ import annotations

import asyncio
import gzip
import os
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from pipeline.errors import CatalogError, ConfigError, PermanentAssetError, PreflightError
from pipeline.mirror.check import check_file, date_update
from pipeline.mirror.fetch import Want, open_mirrors
from pipeline.mirror.transports import Gdac, check_address
from tests.mirror.ftpd import run_ftp
from tests.mirror.gdacs import fetch_all, files_below, gdac_of, path_of, profile_bytes, read_one
from tests.servers.faulty import Answer, always, run_faulty


def made(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def test_a_folder_is_a_mirror_like_others(tmp_path: Path) -> None:
    files = {path_of(k): profile_bytes(k, levels=1000 * k + 1) for k in range(5)}
    remote = made(tmp_path / "remote", files)
    for number, address in enumerate((str(remote), f"file://{remote}")):
        got = fetch_all(gdac_of(address), [*files, path_of(9)], tmp_path / f"{number}")
        assert files_below(tmp_path / f"{number}") == files
        assert got[path_of(9)].state == "vanished"


def test_a_folder_in_the_place_of_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / path_of(1)).mkdir(parents=True)
    assert fetch_all(gdac_of(str(tmp_path)), [path_of(1)], tmp_path / "to")[path_of(1)].state == "failed"


def test_a_disk_that_is_full_stops_everything_by_name(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, which is always full")
    files = {path_of(k): profile_bytes(k) for k in range(4)}
    full = tmp_path / "to" / f"{path_of(2)}.part"
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    with run_faulty({f"/{path}": data for path, data in files.items()}) as server:
        with pytest.raises(PreflightError, match=r"R2902269_002\.nc: cannot be written: No space left"):
            fetch_all(gdac_of(server.address), files, tmp_path / "to")
        assert path_of(2) not in files_below(tmp_path / "to")


@pytest.mark.parametrize("kind", ["http", "ftp", "folder"])
def test_who_has_had_enough_ends_all_that_is_on_its_way(tmp_path: Path, kind: str) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(20)}
    remote = made(tmp_path / "remote", files)

    async def first_of(address: str) -> str:
        async with (
            open_mirrors(gdac_of(address)) as mirrors,
            aclosing(mirrors.fetch(map(Want, files), tmp_path / "to")) as results,
        ):
            async for got in results:
                return got.state
        return "none"

    slow = always(Answer(delay_s=0.01))
    with run_faulty({f"/{path}": data for path, data in files.items()}, slow) as web, run_ftp(remote) as ftp:
        address = {"http": web.address, "ftp": ftp.address, "folder": str(remote)}[kind]
        assert asyncio.run(first_of(address)) == "fetched"
    here = files_below(tmp_path / "to")
    assert {path: data for path, data in here.items() if path.endswith(".nc")}.items() <= files.items()


def test_http_connections_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(30)}
    made_connections = []
    connect = aiohttp.TCPConnector._create_connection

    async def counted(self: aiohttp.TCPConnector, *arguments: object) -> object:
        made_connections.append(self)
        return await connect(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", counted)
    with run_faulty({f"/{path}": data for path, data in files.items()}) as server:
        fetch_all(gdac_of(server.address), files, tmp_path)
    assert 1 <= len(made_connections) <= 4


def test_a_check_of_the_readers_own_sends_it_to_the_next_mirror() -> None:
    index = "ar_index_global_prof.txt.gz"
    whole = gzip.compress(b"# Title\nfile,date\n" * 100)

    def of_this_week(data: bytes) -> None:
        if b"old" in gzip.decompress(data):
            raise CatalogError("the index is of last week")

    async def read(*addresses: str) -> bytes:
        async with open_mirrors(gdac_of(*addresses)) as mirrors:
            return await mirrors.read(index, of_this_week)

    with run_faulty({f"/{index}": gzip.compress(b"old")}) as stale, run_faulty({f"/{index}": whole}) as good:
        assert asyncio.run(read(stale.address, good.address)) == whole
        with pytest.raises(PermanentAssetError, match="of last week"):
            asyncio.run(read(stale.address))


def test_a_compressed_index_keeps_its_compression(tmp_path: Path) -> None:
    index = "ar_index_global_prof.txt.gz"
    whole = gzip.compress(b"# Title\n")
    # As Apache serves such files.
    with run_faulty({}, always(Answer(200, whole, headers={"Content-Encoding": "x-gzip"}))) as server:
        assert read_one(gdac_of(server.address), index) == whole


GZIP = gzip.compress(os.urandom(200_000))
SOUND = {
    "gzip": ("a.gz", GZIP),
    "gzip in two members": ("a.gz", GZIP + gzip.compress(b"more")),
    "gzip with zeros behind": ("a.gz", GZIP + bytes(70_000)),
    "text": ("a.txt", b"# Title : Profile directory file\n"),
    "NetCDF": ("a.nc", profile_bytes()),
}
UNSOUND = {
    "gzip cut": ("a.gz", GZIP[:-1], "does not end"),
    "gzip with its second member cut": ("a.gz", GZIP + GZIP[:-9], "does not end"),
    "gzip damaged": ("a.gz", GZIP[:999] + b"\0" + GZIP[1000:-8] + bytes(8), "no sound gzip"),
    "a page for gzip": ("a.gz", b"<!DOCTYPE html>", "no sound gzip"),
    "a page for text": ("a.txt", b"\n <html><body>", "HTML"),
    "an error of S3 for text": ("a.txt", b"<?xml version='1.0'?><Error/>", "XML"),
    "nothing": ("a.txt", b"", "empty"),
    "NetCDF cut": ("a.nc", profile_bytes()[:-5], "cut"),
}


@pytest.mark.parametrize(("name", "data"), SOUND.values(), ids=SOUND)
def test_what_is_whole_passes(name: str, data: bytes) -> None:
    check_file(name, data)


@pytest.mark.parametrize(("name", "data", "words"), UNSOUND.values(), ids=UNSOUND)
def test_what_is_not_whole_is_refused_by_its_fault(name: str, data: bytes, words: str) -> None:
    with pytest.raises(PermanentAssetError, match=words):
        check_file(name, data)


def test_all_real_files_pass_and_none_of_them_cut(shared_data: Path) -> None:
    files = sorted((shared_data / "argo").rglob("*.nc"))
    assert len(files) == 75
    for file in files:
        data = file.read_bytes()
        check_file(file.name, data)
        for length in (len(data) // 2, len(data) - 4):
            with pytest.raises(PermanentAssetError):
                check_file(file.name, data[:length])


def test_the_version_of_a_real_file_is_that_of_its_row_in_the_index(shared_data: Path) -> None:
    gdac = shared_data / "argo" / "gdac"
    rows = [
        line.split(",")
        for index in ("ar_index_global_prof.txt", "argo_bio-profile_index.txt", "argo_synthetic-profile_index.txt")
        for line in (gdac / index).read_text().splitlines()
        if line.partition(",")[0].endswith(".nc")
    ]
    assert len(rows) == 39
    assert all(date_update(row[0], (gdac / "dac" / row[0]).read_bytes()) == row[-1] for row in rows)


ADDRESSES = {
    "gopher://x/y": "gopher",
    "https:///pub": "no host",
    "s3://": "no bucket",
    "http://169.254.169.254/latest": "link-local",
}


@pytest.mark.parametrize(("address", "words"), ADDRESSES.items(), ids=ADDRESSES)
def test_an_address_of_no_mirror_is_an_error_of_the_config(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_address(address)


def test_a_gdac_shows_no_address() -> None:
    assert "hush" not in repr(Gdac(("ftp://me:hush@host/pub",)))
