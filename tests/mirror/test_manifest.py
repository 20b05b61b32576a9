"""The manifest of a local copy: what it was told it knows, whatever became of the process, or of its own files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import PreflightError
from pipeline.mirror.disk import reconcile, remove_file, sweep_parts
from pipeline.mirror.fetch import Fetched
from pipeline.mirror.manifest import FOLDER, LOG, SCHEMA, SNAPSHOT, Manifest, open_manifest, read_manifest
from tests.mirror.gdacs import path_of, profile_bytes


def got(number: int, version: str = "20240102030405", size: int = 7) -> Fetched:
    digest = hashlib.sha256(f"{number}".encode()).hexdigest()
    return Fetched(path_of(number), version, "fetched", size, digest, mirror="https://here")


def known(root: Path) -> dict[str, str]:
    return {row["path"]: row["version"] for row in read_manifest(root).to_pylist()}


def put(root: Path, number: int, updated: str = "20240102030405") -> bytes:
    data = profile_bytes(number, updated=updated)
    (root / path_of(number)).parent.mkdir(parents=True, exist_ok=True)
    (root / path_of(number)).write_bytes(data)
    return data


def test_what_was_recorded_is_known_though_nothing_was_closed(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    manifest = Manifest(tmp_path)
    for number in (3, 1, 2):
        manifest.record(got(number))
    manifest.record(got(2, "20250101000000"))
    manifest.forget(path_of(3))
    expected = {path_of(1): "20240102030405", path_of(2): "20250101000000"}
    assert known(tmp_path) == expected
    assert manifest.table().equals(read_manifest(tmp_path))
    manifest.close()
    assert known(tmp_path) == expected


def test_a_row_holds_what_was_fetched(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        manifest.record(got(5))
        (row,) = manifest.table().to_pylist()
        assert manifest.table().schema == SCHEMA
    assert row.pop("time").tzinfo is not None
    assert row == {
        "path": path_of(5),
        "version": "20240102030405",
        "size_bytes": 7,
        "sha256": hashlib.sha256(b"5").digest(),
        "mirror": "https://here",
    }


@pytest.mark.parametrize("compacted", [0, 2, 4])
def test_wherever_a_log_is_torn_all_lines_before_it_count(tmp_path: Path, compacted: int) -> None:
    with open_manifest(tmp_path) as manifest:
        for number in range(4):
            manifest.record(got(number))
            if number + 1 == compacted:
                manifest.compact()
    log = tmp_path / FOLDER / LOG
    whole = log.read_bytes()
    for length in range(0, len(whole), 7):
        log.write_bytes(whole[:length])
        # A line whose last byte alone is missing, its end of line, is whole.
        lines = sum(len(line) > 9 and line in whole.split(b"\n") for line in whole[:length].split(b"\n"))
        assert list(known(tmp_path)) == [path_of(k) for k in range(compacted + lines)]


@pytest.mark.parametrize("torn_bytes", [1, 30])
def test_after_a_torn_line_more_can_be_recorded(tmp_path: Path, torn_bytes: int) -> None:
    with open_manifest(tmp_path) as manifest:
        manifest.record(got(1))
        manifest.record(got(2))
    log = tmp_path / FOLDER / LOG
    log.write_bytes(log.read_bytes()[:-torn_bytes])
    with open_manifest(tmp_path) as manifest:
        assert ["line 2: damaged" in note for note in manifest.notes] == [True] * (torn_bytes > 1)
        manifest.record(got(3))
    assert set(known(tmp_path)) == {path_of(1), path_of(3)} | ({path_of(2)} if torn_bytes == 1 else set())
    with open_manifest(tmp_path) as manifest:
        assert manifest.notes == ()


def test_a_damaged_line_costs_itself(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        for number in range(3):
            manifest.record(got(number))
    log = tmp_path / FOLDER / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[1].replace(b"R2902269_001", b"R2902269_009") + lines[2])
    assert set(known(tmp_path)) == {path_of(0), path_of(2)}


def test_a_kill_between_the_two_steps_of_compacting_changes_nothing(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        manifest.record(got(1))
        manifest.record(got(2))
        manifest.forget(path_of(1))
        log = (tmp_path / FOLDER / LOG).read_bytes()
        manifest.compact()
        assert (tmp_path / FOLDER / LOG).read_bytes() == b""
    (tmp_path / FOLDER / LOG).write_bytes(log)
    assert set(known(tmp_path)) == {path_of(2)}


def test_a_long_log_becomes_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.mirror.manifest.LONG_LOG", 3)
    with open_manifest(tmp_path) as manifest:
        for number in range(7):
            manifest.record(got(number))
    assert (tmp_path / FOLDER / LOG).read_bytes().count(b"\n") == 1
    assert len(known(tmp_path)) == 7


def test_a_second_writer_is_refused_and_told_who_is_at_work(tmp_path: Path) -> None:
    with open_manifest(tmp_path):
        with pytest.raises(PreflightError, match=r"process [0-9]+ on"), open_manifest(tmp_path):
            pass
        assert read_manifest(tmp_path).num_rows == 0
    with open_manifest(tmp_path):
        pass


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PreflightError, match="cannot be written"), open_manifest(tmp_path / "file" / "gdac"):
        pass


@pytest.mark.parametrize("damage", ["lost", "snapshot damaged"])
def test_a_lost_manifest_is_made_anew_from_the_files_themselves(tmp_path: Path, damage: str) -> None:
    data = {path_of(k): put(tmp_path, k, f"2024010203040{k}") for k in range(4)}
    with open_manifest(tmp_path) as manifest:
        reconcile(manifest)
        manifest.compact()
    if damage == "lost":
        (tmp_path / FOLDER / SNAPSHOT).unlink()
    else:
        (tmp_path / FOLDER / SNAPSHOT).write_bytes(b"PAR1 or so")
    with open_manifest(tmp_path) as manifest:
        assert bool(manifest.notes) == (damage != "lost")
        disk = reconcile(manifest)
        rows = manifest.table().to_pylist()
    assert disk.adopted == tuple(sorted(data))
    assert {row["path"]: row["version"] for row in rows} == {path_of(k): f"2024010203040{k}" for k in range(4)}
    assert {row["path"]: row["sha256"] for row in rows} == {k: hashlib.sha256(v).digest() for k, v in data.items()}


def test_what_is_gone_or_of_another_size_is_no_longer_held(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path, number)
    with open_manifest(tmp_path) as manifest:
        reconcile(manifest)
        manifest.record(Fetched("ar_greylist.txt", "", "fetched", 3, "00" * 32))
        remove_file(tmp_path, path_of(0))
        remove_file(tmp_path, path_of(0))
        newer = profile_bytes(1, updated="20260101000000", levels=99)
        (tmp_path / path_of(1)).write_bytes(newer)
        (tmp_path / path_of(2)).write_bytes(newer[:-5])
        disk = reconcile(manifest)
        assert disk.lost == ("ar_greylist.txt", path_of(0), path_of(1), path_of(2))
        assert disk.adopted == (path_of(1),)
        assert [path for path, cause in disk.damaged if "cut" in cause] == [path_of(2)]
    assert known(tmp_path) == {path_of(1): "20260101000000", path_of(3): "20240102030405"}


def test_a_second_look_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path, 1)
    (tmp_path / "dac" / "README.txt").write_text("of the GDAC")
    with open_manifest(tmp_path) as manifest:
        first = reconcile(manifest)
        table, log = manifest.table(), (tmp_path / FOLDER / LOG).read_bytes()
        second = reconcile(manifest)
        assert (second.adopted, second.lost, second.damaged) == ((), (), ())
        assert second.files.equals(first.files)
        assert manifest.table().equals(table)
        assert (tmp_path / FOLDER / LOG).read_bytes() == log
    assert first.files["path"].to_pylist() == ["dac/README.txt", path_of(1)]


def test_parts_are_told_apart_and_swept_but_for_those_still_wanted(tmp_path: Path) -> None:
    put(tmp_path, 1)
    for number in (2, 3):
        for suffix in (".part", ".part.from"):
            (tmp_path / (path_of(number) + suffix)).write_text("x")
    with open_manifest(tmp_path) as manifest:
        disk = reconcile(manifest)
    assert disk.parts == (path_of(2), path_of(3))
    assert disk.files["path"].to_pylist() == [path_of(1)]
    assert sweep_parts(tmp_path, {path_of(3)}) == 1
    names = sorted(path.name for path in (tmp_path / path_of(1)).parent.iterdir())
    assert names == ["R2902269_001.nc", "R2902269_003.nc.part", "R2902269_003.nc.part.from"]


def test_a_link_that_leads_around_in_a_circle_is_no_place_of_files(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        put(tmp_path, 1)
        (tmp_path / "dac" / "around").symlink_to("..")
        assert reconcile(manifest).adopted == (path_of(1),)
        assert sweep_parts(tmp_path) == 0


def test_an_empty_place_holds_nothing(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "not there").schema == SCHEMA
    with open_manifest(tmp_path / "new") as manifest:
        disk = reconcile(manifest)
    assert (disk.files.num_rows, disk.adopted, disk.lost) == (0, (), ())
