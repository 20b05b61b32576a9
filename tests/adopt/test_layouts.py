"""Laws of layouts: where each system keeps its files, found for a job and for no other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import ConfigError
from pipeline.products._promise import Promise, single
from pipeline.types import Band, Job, MemoryPlan, Period, Tile
from pipeline.verbs._adopt_layouts import Keys, finder

RED, NIR, COUNT = Band("red", "uint16", 0), Band("nir", "uint16", 0), Band("count", "uint16", None)
YEAR = Period("2021", datetime(2021, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC))
PLAIN = Promise(single(RED, NIR), single(COUNT), None)
SERIES = Promise(single(RED, NIR), single(COUNT), None, frozenset({"red", "nir"}))
PICTURES = Promise({"bands": (NIR,)}, single(Band("template", "uint8", None)), None, frozenset({"bands"}))


def job(kind: str, tile: str = "1036X724Y", lon: float = 6.5) -> Job:
    box = GeoBox((8, 8), Affine(1e-3, 0, lon, 0, -1e-3, 0.25), "EPSG:4326")
    return Job(kind, kind, Tile(tile, box), YEAR, "default", (), "0" * 32, MemoryPlan(8, 1), 0)


def keys(*names: str) -> Keys:
    return Keys(dict.fromkeys(names, 1))


def paths(layout: str | None, template: str | None, of: Job, promise: Promise, *names: str) -> dict[str, str]:
    """What is found, by asset; nothing may be lacking."""
    found = finder(layout, template, lambda _: "sentinel2")(of, promise, keys(*names))
    assert found.lacking == []
    return found.paths


def test_a_template_names_each_layer_and_what_lies_beside() -> None:
    names = ("t/2021_red.tif", "t/2021_nir.tif", "t/2021_count.tif", "t/2020_red.tif")
    found = paths(None, "t/{year}_{layer}.tif", job("sentinel2"), PLAIN, *names)
    assert found == {"red": names[0], "nir": names[1], "count": names[2]}
    assert paths(None, "{tile}/{period}/{x}-{y}.tif", job("sentinel2"), PLAIN, "1036X724Y/2021/1036-724.tif") == {
        "bands": "1036X724Y/2021/1036-724.tif"
    }
    assert paths(None, "{x}/{layer}.tif", job("sentinel2", "33N-1-2"), PLAIN, "33N-1-2/red.tif") == {}


def test_of_a_series_every_day_is_found_and_has_all_of_its_layers() -> None:
    names = [f"{band}/a-{band}-2021{day}.tif" for band in ("red", "nir") for day in ("0601", "0709")]
    find = finder(None, "{layer}/a-{layer}.tif", lambda _: None)
    plain = [name.replace("red/", "red-2021{}/") for name in names]
    assert find(job("sentinel2"), SERIES, keys(*plain)).paths == {}
    template = "a-{layer}.tif"
    flat = [name.partition("/")[2] for name in names]
    found = finder(None, template, lambda _: None)(job("sentinel2"), SERIES, keys(*flat))
    assert found.paths == {name.removeprefix("a-").removesuffix(".tif"): name for name in flat}
    assert found.days["red-20210601"] == "2021-06-01" and found.lacking == []
    found = finder(None, template, lambda _: None)(job("sentinel2"), SERIES, keys(*flat[:-1], "a-count.tif"))
    assert found.lacking == ["a-nir-20210709.tif"]
    other = [name.replace("-2021", "-2020") for name in flat]
    assert finder(None, template, lambda _: None)(job("sentinel2"), SERIES, keys(*other)).paths == {}


def test_eight_digits_are_a_day_where_there_is_one_and_it_is_of_the_period() -> None:
    """Whatever folder the file lies in; what else has digits is no file of the series."""
    days = ("20210601", "20210631", "00000000", "20200601")
    names = [f"2021/a-{band}-{day}.tif" for band in ("red", "nir") for day in days]
    for template in ("{period}/a-{layer}.tif", "2021/a-{layer}.tif"):
        found = paths(None, template, job("sentinel2"), SERIES, *names)
        assert {*found} == {"red-20210601", "nir-20210601"}


def test_tree_cover_folders_are_by_kind() -> None:
    final, ard = "2021/tiles/1036/724/1036X724Y_FINAL.tif", "2021/ard/1036/724/1036X724Y_ard.tif"
    layers = [f"2021/ard/1036/724/1036X724Y_{band}.tif" for band in ("red", "nir")]
    one = Promise(single(RED), {}, None)
    assert paths("ttc", None, job("predict"), one, final, ard) == {"red": final}
    assert paths("ttc", None, job("ttc_ard"), PLAIN, final, ard) == {"bands": ard}
    assert paths("ttc", None, job("ttc_ard"), PLAIN, ard, *layers) == {"red": layers[0], "nir": layers[1]}
    assert paths("ttc", None, job("landsat"), PLAIN, final, ard, *layers) == {}


@pytest.mark.parametrize("folder", ["sentinel2/134_Arsuk/clipped/", "sentinel2/clipped/134_Arsuk/"])
def test_pictures_of_the_glacier_flow_are_of_their_solar_day_and_period(folder: str) -> None:
    """45 W is three hours behind UTC, so a picture at 02:00 is of the day before; what is of other years stays."""
    names = [f"{folder}S2A_MSIL2A_{time}_N0300_R111.tif" for time in ("20210519T152911", "20210601T020000")]
    names_of = f"{folder}S2A_MSIL2A_{{}}T152911_N0300_R111.tif".format
    others = (names_of("20220519"), names_of("20219919"), f"{folder}notes.txt", f"{folder}x/{names[0][-41:]}")
    template = "sentinel2/134_Arsuk/template/134_Arsuk.tif"
    of = job("glaciers", "134_Arsuk", lon=-45.0)
    found = paths("glacier-flow", None, of, PICTURES, *names, *others, template)
    assert found == {"bands-20210519": names[0], "bands-20210531": names[1], "template": template}


def test_two_pictures_of_a_day_are_told() -> None:
    folder = "sentinel2/134_Arsuk/clipped/"
    names = [f"{folder}S2{one}_MSIL2A_20210519T152911_N0300_R111.tif" for one in "AB"]
    find = finder("glacier-flow", None, lambda _: "sentinel2")
    (said,) = find(job("glaciers", "134_Arsuk", lon=-45.0), PICTURES, keys(*names)).lacking
    assert said == f"one file of 2021-05-19, but at {names[0]} and {names[1]}"


@pytest.mark.parametrize(
    "template", ["{tile}/{band}.tif", "../{layer}.tif", "/{layer}.tif", "{layer:>3}.tif", "{layer", "{}.tif"]
)
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="--template"):
        finder(None, template, lambda _: None)


@pytest.mark.parametrize("both", [(None, None), ("ttc", "{layer}.tif")])
def test_one_way_must_be_said(both: tuple[str | None, str | None]) -> None:
    with pytest.raises(ConfigError, match="one of them"):
        finder(*both, lambda _: None)
