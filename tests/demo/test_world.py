"""Laws of the demo world on disk: same bytes, touched only when incomplete, readable STAC, one fault and no other."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import yaml
from rasterio.errors import RasterioIOError
from rio_cogeo.cogeo import cog_validate

from pipeline.demo import World, build_world
from pipeline.demo.__main__ import main
from pipeline.demo.catalog import BROKEN_BECAUSE
from pipeline.demo.world import STAMP, VERSION
from pipeline.errors import EXIT_PREFLIGHT, PreflightError

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
BROKEN = "s2/S2A_33TTK_20240706_0_L2A/red.tif"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def _items(world: World, *collections: str) -> list[pystac.Item]:
    """Of some collections; of all where none is named."""
    items = pystac.Catalog.from_file(world.folder / "catalog.json").get_items(recursive=True)
    return [item for item in items if not collections or item.collection_id in collections]


OPTICAL = ("sentinel-2-l2a", "sentinel-2-c1-l2a")


def test_two_builds_are_equal_byte_for_byte(spare: World, tmp_path: Path) -> None:
    other = build_world(tmp_path / "other" / "world", px=64)
    assert other.made and spare.made
    assert other.digest == spare.digest
    assert _bytes(other.folder) == _bytes(spare.folder)


def test_a_whole_world_is_left_untouched(spare: World) -> None:
    (spare.folder / "note.txt").write_text("a user's own file does not matter")
    before = _times(spare.folder)
    again = build_world(spare.folder, px=64)
    assert not again.made
    assert (again.digest, again.items, again.files, again.size_bytes) == (
        spare.digest, spare.items, spare.files, spare.size_bytes,
    )  # fmt: skip
    assert _times(spare.folder) == before


@pytest.mark.parametrize("damage", ["missing", "short", "unfinished", "stamp"])
def test_a_world_with_a_hole_is_made_again(spare: World, damage: str) -> None:
    victim = spare.folder / "s2" / "S2B_32TQQ_20240601_0_L2A" / "nir.tif"
    before = _bytes(spare.folder)
    if damage == "missing":
        victim.unlink()
    elif damage == "short":
        victim.write_bytes(victim.read_bytes()[:100])
    else:
        unfinished = json.dumps({"version": VERSION, "px": 64, "files": {}})
        (spare.folder / STAMP).write_text("{" if damage == "stamp" else unfinished)
    assert build_world(spare.folder, px=64).made
    assert _bytes(spare.folder) == before


def test_files_of_another_version_are_replaced(spare: World) -> None:
    before = _bytes(spare.folder)
    stamp = json.loads((spare.folder / STAMP).read_text())
    stamp["version"] = 0
    stamp["files"]["s2/old.tif"] = 3
    (spare.folder / "s2" / "old.tif").write_text("old")
    (spare.folder / STAMP).write_text(json.dumps(stamp))
    assert build_world(spare.folder, px=64).made
    assert _bytes(spare.folder) == before


def test_a_folder_with_other_things_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(PreflightError, match=r"no demo world either"):
        build_world(tmp_path, px=64)
    with pytest.raises(PreflightError, match=r"thesis\.txt"):
        build_world(tmp_path / "thesis.txt", px=64)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_items_open_with_pystac_and_declare_what_their_files_are(small_world: World) -> None:
    items = _items(small_world)
    assert len(items) == small_world.items == 16 + 6 + 2 + 4
    for item in _items(small_world, *OPTICAL):
        raw = json.loads(Path(item.self_href).read_text())
        code = raw["properties"].get("proj:code") or f"EPSG:{raw['properties']['proj:epsg']}"
        assert sorted(raw["assets"]) == ["blue", "green", "nir", "red", "scl"]
        for key, asset in raw["assets"].items():
            assert asset["href"] == f"./{key}.tif"
            with rasterio.open(Path(item.self_href).parent / asset["href"]) as file:
                assert file.crs.to_string() == code
                assert list(file.shape) == asset["proj:shape"]
                assert list(file.transform[:6]) == asset["proj:transform"]
                assert file.nodata == 0
                assert file.block_shapes == [(128, 128)]
                assert file.overviews(1) == ([2] if key != "scl" else [])
                assert file.dtypes[0] == ("uint8" if key == "scl" else "uint16")
                assert (file.scales, file.offsets) == ((1.0,), (0.0,)), "COG headers say nothing of the offset"


def test_both_stac_versions_and_all_offset_conventions_are_there(small_world: World) -> None:
    facts = set()
    for path in small_world.folder.glob("s2*/*/*.json"):
        raw = json.loads(path.read_text())
        properties, red = raw["properties"], raw["assets"]["red"]
        declared = red["raster:bands"][0]["offset"] if "raster:bands" in red else red["raster:offset"]
        baseline = properties["s2:processing_baseline"]
        assert f"_N{baseline.replace('.', '')}_" in properties["s2:product_uri"]
        assert ("proj:epsg" in properties) == (raw["stac_version"] == "1.0.0")
        assert ("bands" in red and "file:checksum" in red) == (raw["stac_version"] == "1.1.0")
        facts.add((raw["stac_version"], baseline, properties.get("earthsearch:boa_offset_applied"), declared))
    assert facts == {
        ("1.0.0", "02.14", False, 0),
        ("1.0.0", "05.10", False, -0.1),
        ("1.0.0", "05.10", True, -0.1),
        ("1.1.0", "05.10", None, -0.1),
    }


def test_percentages_are_counted_in_the_classification(small_world: World) -> None:
    for item in _items(small_world, *OPTICAL):
        with rasterio.open(Path(item.self_href).parent / "scl.tif") as file:
            scl = file.read(1)
        valid = scl[scl > 0]
        assert item.properties["eo:cloud_cover"] == pytest.approx(100 * np.isin(valid, (8, 9, 10)).mean(), abs=1e-5)
        assert item.properties["s2:nodata_pixel_percentage"] == pytest.approx(100 * (scl == 0).mean(), abs=1e-5)


def test_exactly_one_asset_is_broken_and_its_item_says_so(small_world: World) -> None:
    """It opens, and a full read fails; every other file reads whole and is a valid COG."""
    failed = []
    for path in sorted(small_world.folder.glob("*/*/*.tif")):
        with rasterio.open(path) as file:
            try:
                file.read()
            except RasterioIOError:
                failed.append(path.relative_to(small_world.folder).as_posix())
                continue
        assert cog_validate(path, strict=True, quiet=True)[0], path
    assert failed == [BROKEN]
    said = [
        f"{path.parent.relative_to(small_world.folder).as_posix()}/{key}.tif"
        for path in small_world.folder.glob("*/*/*.json")
        for key, asset in json.loads(path.read_text())["assets"].items()
        if asset.get("description") == BROKEN_BECAUSE
    ]
    assert said == [BROKEN]
    assert BROKEN in (small_world.folder / "README.md").read_text()


def test_checksums_are_those_of_the_files(small_world: World) -> None:
    for path in small_world.folder.glob("s2_c1/*/*.json"):
        for asset in json.loads(path.read_text())["assets"].values():
            content = (path.parent / asset["href"]).read_bytes()
            assert asset["file:size"] == len(content)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_config_points_at_the_world_and_asks_for_what_is_there() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    assert {name: source.get("items") or source["gdac"] for name, source in config["sources"].items()} == {
        **{name: f"../demo-world/{name}/collection.json" for name in ("s2", "s1", "dem", "landsat", "s2_c1")},
        "argo": "../demo-world/argo",
    }
    regions = {name: source["region"] for name, source in config["sources"].items()}
    assert regions["s2"] == regions["s1"] == regions["dem"] != regions["landsat"] == regions["s2_c1"]
    kinds = [product["product"] for product in config["products"]]
    assert {"sentinel2", "sentinel1", "dem", "landsat", "stack", "argo", "matchups"} == {*kinds}
    assert config["period"] == {"start": date(2024, 6, 1), "end": date(2024, 8, 1), "every": "month"}
    west, _, east, _ = config["area"]["bbox"]
    assert west < 12 < east, "the area crosses the edge of the zones"


def test_command_refuses_a_folder_with_other_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.txt").touch()
    assert main([str(tmp_path)]) == EXIT_PREFLIGHT
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.long
def test_the_whole_world_is_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "world"
    assert main([str(folder)]) == 0
    assert f"Demo world in {folder}: made in" in capsys.readouterr().out
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 80e6
    with rasterio.open(folder / BROKEN) as file:
        assert file.read(1, window=((0, 512), (0, 512))).all(), "part of the broken file reads"
        with pytest.raises(RasterioIOError):
            file.read(1, window=((512, 768), (0, 512)))
    assert main([str(folder)]) == 0
    assert "already there, left as it is" in capsys.readouterr().out
