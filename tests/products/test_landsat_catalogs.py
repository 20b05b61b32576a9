"""Landsat's bands in real catalogues: by common name, and never by a number that is another sensor's band."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config import SourceConfig, load_config
from pipeline.errors import ConfigError
from pipeline.products import product_models
from pipeline.products.landsat import PRODUCT, LandsatConfig
from pipeline.search.canonical import canonical
from pipeline.search.normalise import to_item
from pipeline.types import Item, Status
from tests.products.landsat_scenes import LandsatScenes

Json = Any
OLI = {"coastal": 1, "blue": 2, "green": 3, "red": 4, "nir08": 5, "swir16": 6, "swir22": 7}
TM = {"blue": 1, "green": 2, "red": 3, "nir08": 4, "swir16": 5, "swir22": 7}
CATALOGS = [
    ("stactools/landsat_LC08_L2SP_047027_20201204_02_T1.json", OLI, 10),
    ("stactools/landsat_LC09_L2SP_010065_20220129_02_T1.json", OLI, 10),
    ("stactools/landsat_LE07_L2SP_021030_20100109_02_T1.json", TM, 6),
    ("stactools/landsat_LT05_L2SP_010067_19860424_02_T2.json", TM, 6),
    ("odc/LC08_L2SP_028030_20200114_20200824_02_T1_SR.json", OLI, None),
    ("odc/LC08_L2SR_081119_20200101_20200823_02_T2.json", OLI, None),
    ("odc/LE07_L2SP_044033_20210329_20210424_02_T1_SR.json", TM, None),
    ("planetary-computer/items_landsat-c2-l2-pc.json", OLI, 10),
    ("recorded/pc_items_landsat-c2-l2_10.json", OLI, None),
    ("recorded/es_v1_search_s2-l2a+landsat-c2-l2_p1.json", OLI, 10),
]
"""File, band → number, that of the temperature: USGS, Earth Search, Planetary Computer, stactools."""


def config(**entry: Json) -> LandsatConfig:
    bands = [*OLI, "lwir"]
    return LandsatConfig.model_validate({"product": "landsat", "source": "ls", "bands": bands, **entry})


def item_of(raw: Json, entry: LandsatConfig | None = None) -> Item:
    return to_item(canonical(raw, "ls")[0], PRODUCT.aliases(entry or config()), None)


def landsat_items(shared_data: Path, name: str) -> list[Json]:
    document = json.loads((shared_data / "raster/stac" / name).read_text())
    items = document if isinstance(document, list) else document.get("features", [document])
    return [item for item in items if str(item["id"]).startswith("L")]


@pytest.mark.parametrize(
    ("name", "numbers", "thermal"), CATALOGS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_bands_of_real_catalogs_are_those_of_their_files(
    shared_data: Path, name: str, numbers: dict[str, int], thermal: int | None
) -> None:
    raw = landsat_items(shared_data, name)[0]
    item = item_of(raw)
    found = {band: re.sub(r"^.*_T[12]_|(_small)?\.TIF.*$", "", asset.href) for band, asset in item.assets.items()}
    expected = {band: f"SR_B{number}" for band, number in numbers.items()}
    expected |= {"qa_pixel": "QA_PIXEL", "qa_radsat": "QA_RADSAT"} | ({"lwir": f"ST_B{thermal}"} if thermal else {})
    assert found == expected
    for band, asset in item.assets.items():
        if band in numbers or band == "lwir":
            PRODUCT.sensor.accept(item, band)
            assert asset.scale in {None, 2.75e-5, 0.00341802}


@pytest.mark.parametrize(
    ("platform", "red", "nir"),
    [("LANDSAT_5", 3, 4), ("landsat-7", 3, 4), ("Landsat 8", 4, 5), ("landsat-9", 4, 5), (None, None, None)],
)
@pytest.mark.parametrize("ending", ["", ".TIF"])
def test_a_bare_number_means_what_its_platform_says(
    platform: str | None, red: int | None, nir: int | None, ending: str
) -> None:
    """SR_B4 is red on OLI and near infrared on TM; where nobody says which sensor it was, it is neither."""
    raw = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene",
        "geometry": {"type": "Point", "coordinates": [12.0, 45.0]},
        "properties": {"datetime": "2003-06-01T10:00:00Z", "platform": platform},
        "assets": {f"SR_B{n}{ending}": {"href": f"/data/SR_B{n}.TIF"} for n in range(1, 8)},
    }
    found = item_of(raw).assets
    for band, number in (("red", red), ("nir08", nir)):
        assert (band in found) == (number is not None)
        if number is not None:
            assert found[band].href == f"/data/SR_B{number}.TIF"


def test_a_common_name_comes_before_a_number() -> None:
    raw = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene",
        "geometry": {"type": "Point", "coordinates": [12.0, 45.0]},
        "properties": {"datetime": "2003-06-01T10:00:00Z", "platform": "landsat-8"},
        "assets": {"SR_B4": {"href": "/data/other.tif"}, "red": {"href": "/data/red.tif"}},
    }
    assert item_of(raw).assets["red"].href == "/data/red.tif"


def test_the_real_item_of_1_0_beta_keeps_its_polar_grid(shared_data: Path) -> None:
    (raw,) = landsat_items(shared_data, "odc/LC08_L2SR_081119_20200101_20200823_02_T2.json")
    grid = item_of(raw).assets["red"].grid
    assert grid is not None
    assert grid.crs == "EPSG:3031"
    assert grid.transform == (1164.15, 0.0, 857085.0, 0.0, -1150.6499999999999, -127485.0)


def test_each_mask_asks_for_its_own_files() -> None:
    masks = {"qa_pixel", "qa_radsat"}
    assert masks <= PRODUCT.aliases(config()).keys()
    assert PRODUCT.aliases(config(mask={"saturated": "keep"})).keys() & masks == {"qa_pixel"}
    assert not PRODUCT.aliases(config(mask=None)).keys() & masks


def test_two_sensors_cannot_share_a_source(tmp_path: Path) -> None:
    """One band name would mean two things: to Sentinel-2 nir08 is B8A, which no Landsat scene has, and nir another."""
    scenes = LandsatScenes(tmp_path)
    scenes.add(date(2003, 6, 2))
    world = scenes.world()
    both = "products=[{product: landsat, source: ls, bands: [red, nir08]}, %s]"
    with pytest.raises(ConfigError, match=r"landsat and sentinel2 both read source ls, .* by nir08; .* of its own"):
        world.session(both % "{product: sentinel2, source: ls, bands: [nir08, blue]}")
    other = "{product: landsat, name: warm, source: ls, bands: [red, lwir], mask: null}"
    assert len(world.session(both % other).plan.jobs) == 2


def test_nir_is_another_name_of_nir08() -> None:
    assert config(bands=["red", "nir"]).bands == ("red", "nir08")
    with pytest.raises(ValidationError, match="every name once in bands"):
        config(bands=["nir", "nir08"])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"composite": "geomedian"}, "geomedian of reflectances alone"),
        ({"indices": ["ndvi"], "bands": ["red"]}, "only where bands has nir08 and red"),
        ({"mask": {"drop": ["fog"]}}, "drop"),
        ({"harmonise": {"landsat-7": {}, "LANDSAT_7": {}}}, "every name once in harmonise"),
    ],
)
def test_entries_that_mean_nothing_are_refused(entry: Json, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**entry)


def test_the_bucket_whose_requester_pays_is_read_where_the_source_pays(shared_data: Path) -> None:
    (raw,) = landsat_items(shared_data, "odc/LE07_L2SP_044033_20210329_20210424_02_T1_SR.json")
    source = SourceConfig.model_validate({"items": "x.json", "sign": "requester-pays", "prefer": "s3"})
    item = to_item(canonical(raw, "ls")[0], PRODUCT.aliases(config()), source)
    assert item.assets and all(asset.href.startswith("s3://usgs-landsat/") for asset in item.assets.values())


def test_the_example_config_is_understood() -> None:
    path = Path(__file__).parents[2] / "configs" / "landsat.yaml"
    (entry,) = load_config(path, product_models()).products
    assert isinstance(entry, LandsatConfig)
    assert "lwir" in entry.bands


@pytest.mark.parametrize(
    "fact", [{"platform": "landsat-9"}, {"landsat:collection_number": "2"}, {"eo:cloud_cover": 7.0}]
)
def test_what_decides_the_numbers_stands_in_the_fingerprint(tmp_path: Path, fact: Json) -> None:
    """The platform says which band a number is; cloud cover decides nothing."""
    scenes = LandsatScenes(tmp_path)
    item = scenes.add(date(2003, 6, 2))
    before = [job.fingerprint for job in scenes.world().session().plan.jobs]
    item["properties"].update(fact)
    after = [job.fingerprint for job in scenes.world().session().plan.jobs]
    assert (before == after) == ("eo:cloud_cover" in fact)


def test_twelve_months_with_two_empty_ones_are_ten_tiles(tmp_path: Path) -> None:
    """A month without a scene is told, and is no failure."""
    scenes = LandsatScenes(tmp_path)
    for month in set(range(1, 13)) - {2, 11}:
        scenes.add(date(2003, month, 9), "LE07" if month > 6 else "LC08")
    session = scenes.world().session("period={start: 2003-01-01, end: 2004-01-01, every: month}")
    jobs = session.plan.jobs
    assert [job.period.id for job in jobs] == [f"2003-{month:02d}" for month in (1, *range(3, 11), 12)]
    assert any("2 of 12 tile-periods have no scene" in note for note in session.plan.notes)
    for job in (jobs[0], jobs[-1]):
        assert scenes.world().run(session, job).status is Status.DONE
