"""Verify finds no fault in a sound output, and some fault after any one object of it was lost or changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.verbs import verify as module
from pipeline.verbs.verify import Scope, verify
from pipeline.write.sound import Listing
from pipeline.write.store import FolderStore
from tests.verbs.making import files, groundswell, make_output, make_world, put


def faults(output: Path, scope: Scope | None = None) -> list[str]:
    return [str(fault) for fault in verify(FolderStore(str(output)), scope or Scope())[1]]


def committed(output: Path) -> dict[str, bytes]:
    """All but the report of a run, which is drawn anew from its records."""
    return {key: content for key, content in files(output).items() if "/report/" not in key}


@pytest.mark.parametrize("scope", [Scope(), Scope(everything=True), Scope(quick=True), Scope(product="sentinel2")])
def test_a_sound_output_has_no_fault(output: Path, scope: Scope) -> None:
    assert verify(FolderStore(str(output)), scope) == (2, [])


@pytest.mark.long
def test_no_object_is_lost_unseen(output: Path) -> None:
    """Every object of the output in turn: data, chunks, items, pages, table, and what runs recorded."""
    unseen = []
    for key, content in committed(output).items():
        (output / key).unlink()
        if not faults(output):
            unseen.append(key)
        (output / key).write_bytes(content)
    assert unseen == []
    assert faults(output) == []


@pytest.mark.long
@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_no_byte_is_changed_unseen(output: Path, place: float) -> None:
    """One bit of every object in turn, near its begin, in its middle, at its end; its size stays."""
    unseen = []
    for key, content in committed(output).items():
        changed = bytearray(content)
        changed[int(place * len(content))] ^= 1
        (output / key).write_bytes(changed)
        if not faults(output):
            unseen.append(key)
        (output / key).write_bytes(content)
    assert unseen == []
    assert faults(output) == []


def test_a_quick_look_sees_what_is_lost_or_cut_and_reads_no_data(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderStore, "digest", lambda *_: pytest.fail("data was read"))
    unseen = []
    for key, content in files(output).items():
        if not key.startswith(("data/", "items/")) or not content:
            continue
        for less in (None, content[:-1]):
            (output / key).unlink() if less is None else (output / key).write_bytes(less)
            if not faults(output, Scope(quick=True)):
                unseen.append(key)
            (output / key).write_bytes(content)
    assert unseen == []


def test_a_chunk_that_nobody_lists_is_a_fault(output: Path) -> None:
    """A reader would take it for data."""
    (array,) = output.glob("data/*/*/2024-06/*.zarr/red/c/0")
    (array / "9").write_bytes(b"x")
    (fault,) = faults(output)
    assert "red/c/0/9: found 1 bytes, expected nothing: the manifest does not list it" in fault


def test_a_plain_mosaic_is_what_its_manifest_lists(output: Path) -> None:
    name, chunk = "mosaics/sentinel2/EPSG-32633-0123456789ab", b"pixels"
    put(output, f"{name}.zarr/red/c/0/0", chunk)
    listed = {"key": "red/c/0/0", "size": len(chunk), "sha256": hashlib.sha256(chunk).hexdigest()}
    manifest = put(output, f"{name}-manifest.json", json.dumps({"format": 1, "objects": [listed]}).encode())
    assert faults(output) == []
    put(output, f"{name}.zarr/red/c/0/0", b"PIXELS")
    assert len(faults(output)) == 1 and faults(output, Scope(quick=True)) == []
    (output / f"{name}.zarr/red/c/0/0").unlink()
    assert "red/c/0/0: found nothing, expected 6 bytes" in faults(output, Scope(quick=True))[0]
    put(output, f"{name}.zarr/red/c/0/0", chunk)
    manifest.unlink()
    assert len(faults(output, Scope(product="sentinel2"))) == 1


def test_a_lost_object_of_an_icechunk_mosaic_is_a_fault(tmp_path: Path) -> None:
    """The repository opens all the same: only reading its numbers shows it. Made anew, it is sound."""
    pytest.importorskip("icechunk", reason="mosaics in Icechunk are an extra")
    _, config = make_world(tmp_path / "world", write={"cog": {}, "mosaic": {}})
    make_output(config)
    output = tmp_path / "world" / "output"
    assert faults(output) == []
    max(output.glob("mosaics/*/*/chunks/*"), key=lambda path: path.stat().st_size).unlink()
    found = faults(output)
    assert found and all(".icechunk: asset " in fault and "run the config again" in fault for fault in found)
    assert faults(output, Scope(quick=True)) == []
    shutil.rmtree(output / "mosaics")
    make_output(config)
    assert list(output.glob("mosaics/*/*/chunks/*")) and faults(output) == []


def test_a_fault_names_item_asset_key_found_and_expected(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (red,) = output.glob("data/*/*/2024-07/red_*.tif")
    (item,) = output.glob("items/*/*_2024-07_*.json")
    whole = json.loads(item.read_text())["assets"]["red"]["file:size"]
    red.write_bytes(red.read_bytes()[:-100])
    assert groundswell("verify", output) == 1
    told = capsys.readouterr().out
    assert f"fault: {item.relative_to(output)}: asset red: {red.relative_to(output)}: " in told
    assert f"found {whole - 100} bytes, expected {whole} bytes; put back the object that was there, or" in told
    assert "1 faults" in told


@pytest.mark.parametrize(
    ("part", "verb"), [("collections/sentinel2/collection.json", "catalog"), ("items.parquet", "catalog")]
)
def test_what_is_derived_is_made_again_by_the_verb_that_is_named(output: Path, part: str, verb: str) -> None:
    (output / part).write_bytes(b"{}")
    assert all(f"groundswell {verb}" in fault for fault in faults(output))
    assert groundswell(verb, output) == 0
    assert faults(output) == []


def test_a_run_that_ends_meanwhile_is_no_fault(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look lists the output before the run's last object is there, the second one sees all of it."""
    (late,) = output.glob("data/*/*/2024-06/red_*.tif")
    away = late.with_name(".tmp-" + "0" * 32)
    late.rename(away)
    looks = []

    def listing(objects: Iterable[tuple[str, int]]) -> Listing:
        found = Listing(objects)
        looks.append(found)
        if away.exists():
            away.rename(late)
        return found

    monkeypatch.setattr(module, "Listing", listing)
    assert faults(output) == []
    assert len(looks) == 2


def test_items_that_are_not_current_are_looked_at_when_asked(tmp_path: Path) -> None:
    """A newer run with other parameters supersedes an item; its loss is no fault of what readers see."""
    _, config = make_world(tmp_path / "world")
    make_output(config)
    make_output(config, "products.0.composite=mean")
    output = tmp_path / "world" / "output"
    assert verify(FolderStore(str(output)), Scope())[0] == 2
    assert verify(FolderStore(str(output)), Scope(everything=True)) == (4, [])
    current = {path.name.split("_")[1] for path in output.glob("data/*/*/2024-06/red_*")}
    table = json.loads((output / "collections/sentinel2/collection.json").read_text())
    shown = {link["href"].rpartition("_")[2][:12] for link in table["links"] if link["rel"] == "item"}
    (old,) = [path for path in output.glob("data/*/*/2024-06/red_*") if path.name.split("_")[1] in current - shown]
    old.unlink()
    assert faults(output) == []
    assert len(faults(output, Scope(everything=True))) == 1


def test_lost_runs_are_no_reason_to_write_an_empty_catalogue(output: Path) -> None:
    """Items without the run that made them current: the run is asked for again, not the pages."""
    shutil.rmtree(output / "runs")
    (fault,) = faults(output)
    assert "found no finished run" in fault and "run its config again" in fault


def test_an_unknown_product_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert groundswell("verify", output, "--product", "sentinel3") == 2
    assert "products: sentinel2" in capsys.readouterr().err


def test_a_table_of_other_rows_is_a_fault_whatever_the_root_page_says(output: Path) -> None:
    """The table is compared with the items, not only with the digest that is kept of it."""
    table = pq.read_table(output / "items.parquet")
    pq.write_table(table.slice(0, 1), output / "items.parquet")
    root = json.loads((output / "catalog.json").read_text())
    root["groundswell:table"] = hashlib.sha256((output / "items.parquet").read_bytes()).hexdigest()
    (output / "catalog.json").write_text(json.dumps(root, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert [fault.partition(";")[0] for fault in faults(output)] == [
        "items.parquet: found other rows, expected the current items"
    ]
