"""Syncs over real servers that have a bad day, and of processes that are killed: what is there at last is the GDAC."""

from __future__ import annotations

import gzip
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import SourceConfig
from pipeline.config.source import StorageConfig
from pipeline.errors import CatalogError
from pipeline.mirror.manifest import read_manifest
from pipeline.mirror.report import SyncReport
from pipeline.mirror.sync import SyncOptions, sync
from pipeline.mirror.transports import Patience
from pipeline.search.argo import selection_of
from tests.argo_indices import CORE, GdacFolder, index_text, profile, row
from tests.mirror.ftpd import run_ftp
from tests.mirror.gdacs import closed_port, files_below, profile_bytes
from tests.servers.faulty import Answer, FaultyServer, Request, run_faulty, truly
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long

OLD, NEW = "20210101000000", "20220101000000"
QUICK = Patience(timeout_s=5, retries=3, delay_s=0.01, connections=4)
OPTIONS = SyncOptions(http=QUICK, ftp=QUICK, in_flight=8)
FILES = 60


@pytest.fixture
def gdac(tmp_path: Path) -> GdacFolder:
    """Sixty cycles of one float."""
    made = GdacFolder(tmp_path / "gdac")
    for cycle in range(FILES):
        made.add(profile(2902269, cycle), OLD)
    made.publish()
    return made


def synced(gdac: str | tuple[str, ...], copy: Path, options: SyncOptions = OPTIONS, **keys: object) -> SyncReport:
    source = SourceConfig(gdac=gdac, mirror=str(copy), **keys)  # type: ignore[arg-type] # as a config has them
    return sync("argo", source, selection_of(source), options)


def served(gdac: GdacFolder, prefix: str = "/pub/") -> dict[str, bytes]:
    return {prefix + name: data for name, data in files_below(gdac.root).items()}


def same(gdac: GdacFolder, copy: Path) -> None:
    """Every listed file is there as it is on the GDAC, and nothing else."""
    wanted = {name: data for name, data in files_below(gdac.root).items() if name.removeprefix("dac/") in gdac.rows}
    assert {name: data for name, data in files_below(copy).items() if name.startswith("dac/")} == wanted


def counted(report: SyncReport) -> tuple[int, int, int]:
    document = report.document()
    return document["files_downloaded"], document["files_skipped"], len(document["errors"])


def test_over_http_cut_connections_errors_and_error_pages_cost_attempts_only(gdac: GdacFolder, tmp_path: Path) -> None:
    faults = [
        Answer(cut_bytes=300),
        Answer(status=503),
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(cut_bytes=0),
        None,
    ]
    chance = random.Random(7)  # noqa: S311 (no secret)
    bad = {path: chance.choice(faults) for path in served(gdac)}
    page = f"/pub/dac/{profile(2902269, 7)}"

    def rule(request: Request, earlier: int) -> Answer | None:
        if request.path == page:
            return Answer(body=b"<!DOCTYPE html><html>maintenance</html>")
        return bad.get(request.path) if earlier == 0 else None

    copy = tmp_path / "copy"
    with run_faulty(served(gdac), rule, etags=True) as server:
        first = synced(f"{server.address}/pub", copy)
        assert counted(first) == (FILES - 1, 0, 1)
        assert "HTML" in first.document()["errors"][0]["cause"]
        server.rule = truly
        assert counted(synced(f"{server.address}/pub", copy)) == (1, FILES - 1, 0)
        same(gdac, copy)
        before = len(server.requests)
        assert counted(synced(f"{server.address}/pub", copy)) == (0, FILES, 0)
        assert not [one.path for one in server.requests[before:] if "/dac/" in one.path]


def test_over_ftp_cut_data_refused_logins_and_vanished_files_are_survived(gdac: GdacFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (gdac.root / "dac" / profile(2902269, 3)).unlink()
    with run_ftp(gdac.root, most=2) as server:
        server.cut_bytes = 400
        report = synced(server.address, copy)
        assert counted(report) == (FILES - 1, 0, 0)
        assert report.document()["files_vanished"] == [f"dac/{profile(2902269, 3)}"]
        server.drop_idle = True
        gdac.add(profile(2902269, 3), OLD)
        again = synced(server.address, copy)
        assert counted(again) == (1, FILES - 1, 0)
        assert again.document()["bytes_index"] == 0
    same(gdac, copy)


def test_over_s3_with_the_index_in_its_own_folder(
    gdac: GdacFolder, tmp_path: Path, s3_environment: S3Server, s3_bucket: str
) -> None:
    client = s3_environment.client()
    for name, data in files_below(gdac.root).items():
        client.pipe_file(f"{s3_bucket}/pub/{'' if name.startswith('dac/') else 'idx/'}{name}", data)
    storage = StorageConfig(endpoint=s3_environment.endpoint)
    address = f"s3://{s3_bucket}/pub"
    assert counted(synced(address, tmp_path / "copy", storage=storage)) == (FILES, 0, 0)
    same(gdac, tmp_path / "copy")
    assert (tmp_path / "copy" / f"{CORE}.gz").exists()
    again = synced(address, tmp_path / "copy", storage=storage)
    assert counted(again) == (0, FILES, 0)
    assert again.document()["bytes_index"] == 0


def test_mirrors_are_tried_in_turn_and_each_gives_what_it_has(gdac: GdacFolder, tmp_path: Path) -> None:
    """The first is down, the second has an error page for an index, the third every second file only."""
    copy = tmp_path / "copy"
    half = {path: data for path, data in served(gdac).items() if not path.endswith(("1.nc", "3.nc", "5.nc"))}
    page = {f"/{CORE}.gz": b"<html>502</html>", f"/{CORE}": b"<html>502</html>"}
    with run_faulty(page) as broken, run_faulty(half) as partial, run_ftp(gdac.root) as whole:
        down = f"http://127.0.0.1:{closed_port()}/argo"
        report = synced((down, broken.address, f"{partial.address}/pub", whole.address), copy)
    assert counted(report) == (FILES, 0, 0)
    same(gdac, copy)


def test_a_file_that_becomes_delayed_while_the_sync_is_at_work_is_put_right_by_the_next(
    gdac: GdacFolder, tmp_path: Path
) -> None:
    """The index still lists R when it is read; on the server it is D by then."""
    copy, real, delayed = tmp_path / "copy", profile(2902269, 5), profile(2902269, 5, "D")
    with run_faulty(served(gdac)) as server:
        assert counted(synced(f"{server.address}/pub", copy)) == (FILES, 0, 0)
        gdac.add(real, NEW)
        gdac.publish("20230102000000")
        moved = served(gdac)
        moved[f"/pub/dac/{delayed}"] = profile_bytes(5, updated=NEW)
        del moved[f"/pub/dac/{real}"]
        server.files = moved
        report = synced(f"{server.address}/pub", copy)
        assert report.document()["files_vanished"] == [f"dac/{real}"]
        assert (copy / "dac" / real).exists()
        gdac.drop(real)
        gdac.add(delayed, NEW)
        gdac.publish("20230103000000")
        server.files = served(gdac)
        report = synced(f"{server.address}/pub", copy)
        assert report.document()["files_superseded"] == [real]
    same(gdac, copy)


@pytest.mark.parametrize("fault", ["connection", "file", "text"])
def test_over_http_an_index_that_is_cut_leaves_the_copy_as_it_was(gdac: GdacFolder, tmp_path: Path, fault: str) -> None:
    """Its connection is cut each time, or the file that the server has is, packed or as text."""
    copy, packed, text = tmp_path / "copy", f"/pub/{CORE}.gz", f"/pub/{CORE}"
    with run_faulty(served(gdac)) as server:
        synced(f"{server.address}/pub", copy)
        before = files_below(copy), read_manifest(copy)
        gdac.add(profile(2902269, 99), NEW)
        whole = files_below(gdac.publish("20230102000000"))[f"{CORE}.gz"]
        server.files = served(gdac)
        if fault == "connection":
            server.rule = lambda request, _: Answer(cut_bytes=len(whole) // 2) if request.path == packed else None
        elif fault == "file":
            server.files = {**server.files, packed: whole[: len(whole) // 2]}
        else:
            cut = {**server.files, text: gzip.decompress(whole)[:-30]}
            server.files = {name: data for name, data in cut.items() if name != packed}
        with pytest.raises(CatalogError, match="cut"):
            synced(f"{server.address}/pub", copy)
        assert (files_below(copy), read_manifest(copy)) == before
        server.rule, server.files = truly, served(gdac)
        assert counted(synced(f"{server.address}/pub", copy)) == (1, FILES, 0)
    same(gdac, copy)


def test_over_http_of_rows_that_stand_twice_the_newest_and_the_delayed_count(gdac: GdacFolder, tmp_path: Path) -> None:
    copy, real, delayed = tmp_path / "copy", profile(2902269, 5), profile(2902269, 5, "D")
    gdac.add(delayed, NEW)
    gdac.publish()
    lines = [*gdac.rows.values(), *(row(path, "20200101000000") for path in gdac.rows)]
    with run_faulty({**served(gdac), f"/pub/{CORE}.gz": gzip.compress(index_text(lines))}) as server:
        report = synced(f"{server.address}/pub", copy)
        assert counted(report) == (FILES, 0, 0)
        assert any("stand there more than once" in note for note in report.notes)
        assert counted(synced(f"{server.address}/pub", copy)) == (0, FILES, 0)
    there = {path.removeprefix("dac/") for path in files_below(copy) if path.endswith(".nc")}
    assert there == gdac.rows.keys() - {real}
    assert {one["version"] for one in read_manifest(copy).to_pylist()} == {OLD, NEW}


SYNC = """
import sys
from pipeline.config import SourceConfig
from pipeline.mirror.sync import SyncOptions, sync
from pipeline.search.argo import selection_of
source = SourceConfig(gdac=sys.argv[1], mirror=sys.argv[2])
sync("argo", source, selection_of(source), SyncOptions(in_flight=2))
"""


def killed(server: FaultyServer, copy: Path, after: int, chance: random.Random) -> None:
    """A sync in a process of its own that is killed a moment after it has asked for so many files."""
    arguments = [sys.executable, "-c", SYNC, f"{server.address}/pub", str(copy)]
    asked = 0
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:

        def rule(request: Request, _earlier: int) -> Answer | None:
            nonlocal asked
            asked += "/dac/" in request.path
            if asked >= after:
                time.sleep(chance.uniform(0, 0.03))
                process.send_signal(signal.SIGKILL)
            return Answer(delay_s=0.002)

        server.rule = rule
        assert process.wait(60) == -signal.SIGKILL


def test_a_process_that_is_killed_anywhere_leaves_only_whole_files_and_true_words(
    gdac: GdacFolder, tmp_path: Path
) -> None:
    """Half of the cycles have become delayed since the copy was made: at no moment is any cycle without a file."""
    copy, chance, seen = tmp_path / "copy", random.Random(3), set[int]()  # noqa: S311 (no secret)
    with run_faulty(served(gdac)) as server:
        assert counted(synced(f"{server.address}/pub", copy)) == (FILES, 0, 0)
        for cycle in range(0, FILES, 2):
            gdac.drop(profile(2902269, cycle))
            gdac.add(profile(2902269, cycle, "D"), NEW)
        gdac.publish("20230102000000")
        server.files = served(gdac)
        for _ in range(5):
            killed(server, copy, chance.randint(2, 9), chance)
            there = {path: data for path, data in files_below(copy).items() if path.endswith(".nc")}
            versions = {path: NEW if "/D" in path else OLD for path in there}
            assert there == {path: profile_bytes(len(path) - 4, updated=versions[path]) for path in there}
            assert len({path.rpartition("_")[2] for path in there}) == FILES
            rows = read_manifest(copy).to_pylist()
            assert all(one["version"] == versions[one["path"]] for one in rows if one["path"] in there)
            seen.add(sum("/D" in path for path in there))
        server.rule = truly
        assert synced(f"{server.address}/pub", copy, replace(OPTIONS, in_flight=16)).code == 0
        same(gdac, copy)
        assert counted(synced(f"{server.address}/pub", copy)) == (0, FILES, 0)
    assert any(0 < count < FILES / 2 for count in seen), f"no kill while files came: {seen}"


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(gdac: GdacFolder, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    with run_faulty(served(gdac)) as server:
        config.write_text(
            "name: floats\noutput: ./out\narea: {bbox: [60, 0, 80, 20]}\n"
            "period: {start: 2020-01-01, end: 2021-01-01}\n"
            f"sources:\n  argo: {{gdac: '{server.address}/pub', mirror: ./copy}}\n"
            "products:\n  - {product: argo, source: argo}\n"
        )
        arguments = [
            sys.executable,
            "-c",
            "from pipeline.cli import main; raise SystemExit(main())",
            "sync",
            str(config),
        ]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:

            def rule(request: Request, _earlier: int) -> Answer:
                if request.path.endswith("_030.nc"):
                    process.send_signal(signal.SIGINT)
                return Answer(delay_s=0.02)

            server.rule = rule
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted: what came is kept" in said
        came = sum(name.endswith(".nc") for name in files_below(tmp_path / "copy"))
        assert 0 < came < FILES
        server.rule = truly
        assert counted(synced(f"{server.address}/pub", tmp_path / "copy")) == (FILES - came, came, 0)
    same(gdac, tmp_path / "copy")
