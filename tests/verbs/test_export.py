"""Laws of `export`: the folders of the glacier flow hold the committed bytes under the names that its scripts parse."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipeline import cli
from pipeline.errors import EXIT_BAD_CONFIG, EXIT_DONE
from tests.products.landsat_scenes import CRS, LandsatScenes
from tests.products.regions import Regions
from tests.products.test_glaciers import file_of, make
from tests.products.test_glaciers_landsat import REGION, SETS
from tests.worlds import SmallWorld

NAME = "134_Nunatak"


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallWorld, Path]:
    """An output of one region and month, and its export."""
    folder = tmp_path_factory.mktemp("flow")
    world = Regions(folder).month().world()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        make(world, "products.glaciers.bands=[nir]")
        world.session("products.glaciers.bands=[nir]").run()
        assert cli.main(["export", str(world.output), "--to", str(folder / "old")]) == EXIT_DONE
    return world, folder / "old" / "sentinel2" / NAME


def committed(world: SmallWorld) -> tuple[Path, dict[str, dict[str, dict[str, str]]]]:
    (path,) = world.output.glob("items/*/*.json")
    return path, json.loads(path.read_text())


def test_clipped_pictures_are_the_committed_ones(flow: tuple[SmallWorld, Path]) -> None:
    """Called by satellite, time, baseline and orbit: 37 letters, of which the third word is a time."""
    world, folder = flow
    made = committed(world)
    names = sorted(path.stem for path in (folder / "clipped").iterdir())
    assert names == [f"S2A_MSIL2A_202407{day}T150911_N0214_R025" for day in ("03", "08", "13", "18")]
    assert {len(name) for name in names} == {37}
    for name in names:
        assert date.fromisoformat(name.split("_")[2][:8])
        picture = Path(file_of(made, f"bands-{name[11:19]}")).read_bytes()
        assert (folder / "clipped" / f"{name}.tif").read_bytes() == picture


def test_template_metadata_and_download(flow: tuple[SmallWorld, Path]) -> None:
    """The template has the grid of every picture; the tables name the tiles in each, the day's first one first."""
    world, folder = flow
    with rasterio.open(folder / "template" / f"{NAME}.tif") as template:
        for picture in (folder / "clipped").iterdir():
            with rasterio.open(picture) as source:
                assert (source.transform, source.shape, source.crs) == (
                    template.transform,
                    template.shape,
                    template.crs,
                )
                assert not (source.read(1) * (template.read(1) == 0)).any()
    tiles = "S2A_MSIL2A_202407{}T150911_N0214_R025_{}_20240801T000000"
    name = "S2A_MSIL2A_20240713T150911_N0214_R025"
    row = [name, *(f"{tiles.format(13, tile)}_B08.tif" for tile in ("T24WVD", "T24WVC", "T23WPU"))]
    alone = folder / "metadata" / "individual_csv" / f"{name}.csv"
    ((first, *files),) = csv.reader(alone.read_text().splitlines())
    assert first == name and sorted(files) == sorted(row[1:]) and "T23WPU" in files[-1]
    rows = list(csv.reader((folder / "metadata" / "combined_csv" / f"{NAME}.csv").read_text().splitlines()))
    assert rows[0] == ["0", "1", "2", "3"] and [each[0][11:19] for each in rows[1:]] == [
        f"202407{day}" for day in ("03", "08", "13", "18")
    ]
    downloads = sorted(path.stem for path in (folder / "download" / "2024").iterdir())
    assert len(downloads) == 7 and tiles.format("03", "T24WVD") in downloads
    assert json.loads((folder / "download" / "2024" / f"{downloads[0]}.json").read_text())["type"] == "Feature"
    assert world.output.is_dir()


def test_a_second_export_changes_nothing(
    flow: tuple[SmallWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But mends what was changed, and leaves what is not its own."""
    world, folder = flow
    copy = tmp_path / "old"
    shutil.copytree(folder.parents[1], copy)
    (copy / "notes.txt").write_text("mine")
    spoiled = next((copy / "sentinel2" / NAME / "clipped").iterdir())
    spoiled.write_bytes(b"other")
    assert cli.main(["export", str(world.output), "--to", str(copy)]) == EXIT_DONE
    assert "1 files copied, 4 as they were" in capsys.readouterr().out
    assert spoiled.read_bytes() == (folder / "clipped" / spoiled.name).read_bytes()
    assert (copy / "notes.txt").read_text() == "mine"


def test_landsat_has_its_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scenes = LandsatScenes(tmp_path)
    item = scenes.add(date(2003, 7, 9), "LC08")
    item["properties"] |= {"landsat:scene_id": "LC81900282003190LGN00", "eo:cloud_cover": 3}
    world = Regions(tmp_path, metres=30, items=scenes.items).world({"alpine": REGION}, CRS)
    sets = (*SETS, "period.start=2003-07-01", "period.end=2003-08-01")
    made = make(world, *sets)
    world.session(*sets).run()
    assert cli.main(["export", str(world.output), "--to", str(tmp_path / "old")]) == EXIT_DONE
    folder = tmp_path / "old" / "landsat"
    picture = folder / "alpine" / f"20030709100000_LC81900282003190LGN00_{item['id']}_ortho.tif"
    assert [*(folder / "alpine").iterdir()] == [picture]
    assert picture.read_bytes() == Path(file_of(made, "bands-20030709")).read_bytes()
    with rasterio.open(folder / "_reference" / "alpine.tif") as template:
        assert np.isin(template.read(1), (0, 1)).all()
    (row,) = csv.DictReader((folder / "_reference" / "alpine_stac_query_results.csv").read_text().splitlines())
    assert (row["id"], row["eo:cloud_cover"], row["subset_id"]) == (item["id"], "3", picture.stem)


def test_names_of_a_catalogue_lead_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scenes = Regions(tmp_path)
    scenes.add(3)["properties"]["s2:product_uri"] = "../../../../outside"
    world = scenes.world()
    make(world)
    world.session().run()
    assert cli.main(["export", str(world.output), "--to", str(tmp_path / "old")]) == EXIT_DONE
    assert not list(tmp_path.glob("outside*")) and len(list(tmp_path.glob("old/sentinel2/*/clipped/*.tif"))) == 1


def exported(scenes: Regions, folder: Path, *sets: str) -> int:
    """The exit code of an export of all that a fresh run of some scenes makes, to the folder `old`."""
    world = scenes.world()
    world.session(*sets).run()
    return cli.main(["export", str(world.output), "--to", str(folder / "old")])


def test_dates_of_which_the_catalogue_says_no_usable_name_are_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of 2016 are called by when they were processed, and an orbit may be no number."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scenes = Regions(tmp_path)
    old = "S2A_OPER_PRD_MSIL2A_PDMC_20160910T174323_R025_V20160909T150911_20160909T150911.SAFE"
    for day in (3, 8):
        scenes.add(day)["properties"] |= {"s2:product_uri": old, "sat:relative_orbit": "none"}
    assert exported(scenes, tmp_path) == EXIT_DONE
    names = sorted(path.name for path in tmp_path.glob("old/sentinel2/*/clipped/*.tif"))
    assert [name[:26] for name in names] == [
        f"S2A_MSIL2A_202407{day}T150{number}00" for number, day in enumerate(("03", "08"))
    ]


@pytest.mark.long
def test_a_date_of_two_periods_is_copied_once_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layout knows no periods: equal pictures are one, and of two others none is put over the other."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scenes = Regions(tmp_path)
    scenes.add(3)
    assert exported(scenes, tmp_path) == EXIT_DONE
    year = ("period.every=year", "period.start=2024-01-01", "period.end=2025-01-01")
    assert exported(scenes, tmp_path, *year) == EXIT_DONE
    assert "1 pictures of 1 regions" in capsys.readouterr().out.splitlines()[-1]
    table = tmp_path / "old/sentinel2/134_Nunatak/metadata/combined_csv/134_Nunatak.csv"
    assert len(table.read_text().splitlines()) == 2
    assert exported(scenes, tmp_path, *year, "products.glaciers.bands=[nir]") == EXIT_BAD_CONFIG
    assert "another picture" in capsys.readouterr().err


def test_an_address_is_no_folder(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s3://bucket` would be a folder of the name `s3:`."""
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--template", "{layer}"]):
        assert cli.main(["export", str(made.parent / "output"), "--to", "s3://bucket/old", *more]) == EXIT_BAD_CONFIG
        assert "a folder of this machine" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_geotiffs_there_is_nothing_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scenes = Regions(tmp_path)
    scenes.add(3)
    assert exported(scenes, tmp_path, "write={cog: null, zarr: {}}") == EXIT_BAD_CONFIG
    assert "write.cog" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["{layer:>3}", "{year:04d}/{layer}", "{layer!r}", "{tile:.0}..{tile:.0}/{layer}"])
def test_a_field_of_a_template_has_no_format(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    """It might fail half-way, or make a path out of the folder."""
    named = ["export", str(made.parent / "output"), "--to", str(tmp_path / "old"), "--template", field]
    assert cli.main(named) == EXIT_BAD_CONFIG
    assert "a format behind" in capsys.readouterr().err


def test_other_products_are_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(made.parent / "output"), "--to", str(tmp_path / "old")]) == EXIT_BAD_CONFIG
    assert "allowed: a product of kind glaciers" in capsys.readouterr().err
    named = ["export", str(made.parent / "output"), "--to", str(tmp_path / "old"), "--product", "other"]
    assert cli.main(named) == EXIT_BAD_CONFIG
    assert "found no product other" in capsys.readouterr().err
