"""The API answers what rasterio reads, shows nothing but the output's own files, and refuses what is no question."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from pipeline.browse.app import POLICY, STAC_BROWSER
from tests.browse.conftest import MATMUL, Client
from tests.faults._worlds import GRID

pytestmark = [pytest.mark.long, MATMUL]
PRODUCT = "sentinel2"
INSIDE = (256.5, 411.5)
"""Metres east and south of the tile's corner."""


def degrees(east_m: float, south_m: float) -> tuple[float, float]:
    """Longitude and latitude of a place by its distance from the tile's corner."""
    corner = GRID.transform
    return Transformer.from_crs(GRID.crs, 4326, always_xy=True).transform(corner.c + east_m, corner.f - south_m)


def cog(output: Path, band: str, period: str = "2024-06") -> Path:
    (found,) = (output / "data" / PRODUCT).glob(f"*/{period}/{band}_*.tif")
    return found


def tile_at(longitude: float, latitude: float, zoom: int) -> tuple[int, int]:
    """Column and row of the map tile that holds a place."""
    y = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return int((longitude + 180) / 360 * 2**zoom), int(y * 2**zoom)


def picture(data: bytes) -> Any:
    """(band, y, x) of a PNG."""
    with rasterio.MemoryFile(data) as memory, memory.open() as source:
        return source.read()


def test_products_periods_and_layers_are_those_that_are_current(tiny_client: Client) -> None:
    said = tiny_client.json("/api/products")
    (product,) = said["products"]
    assert product["name"] == PRODUCT and product["items"] == 2
    assert [(one["id"], one["start"], one["items"]) for one in product["periods"]] == [
        ("2024-06", "2024-06-01T00:00:00Z", 1),
        ("2024-07", "2024-07-01T00:00:00Z", 1),
    ]
    layers = tiny_client.json("/api/layers", product=PRODUCT, period="2024-07")
    assert layers["kind"] == "pixels" and [one["name"] for one in layers["layers"]] == ["red", "count", "qa"]
    red, count, qa = layers["layers"]
    assert (red["dtype"], red["nodata"], red["scale"], red["unit"]) == ("uint16", 0, 1e-4, "")
    assert 0.03 <= red["low"] < red["high"] <= 0.13 and len(red["colours"]) == 16
    assert (count["low"], [shade["text"] for shade in qa["shades"]]) == (0, ["nothing noted", "empty", "input lost"])


@pytest.mark.parametrize("east_m", [5.0, 256.5, 1279.0])
def test_a_point_has_what_rasterio_reads_there(tiny_client: Client, tiny: Path, east_m: float) -> None:
    longitude, latitude = degrees(east_m, 411.5)
    said = tiny_client.json("/api/point", product=PRODUCT, period="2024-06", lon=longitude, lat=latitude)
    values = {one["name"]: one for one in said["layers"]}
    for band in ("red", "count", "qa"):
        with rasterio.open(cog(tiny, band)) as source:
            ((expected,),) = source.sample([(GRID.transform.c + east_m, GRID.transform.f - 411.5)])
        assert values[band]["stored"] == expected
    assert values["red"]["value"] == pytest.approx(values["red"]["stored"] * 1e-4, abs=1e-12)
    assert values["qa"]["words"] == ["nothing noted"] and values["count"]["value"] == 2
    assert (said["item"]["row"], said["item"]["column"]) == (41, int(east_m // 10))
    item = json.loads((tiny / said["item"]["href"].removeprefix("stac/")).read_text())
    assert item["id"] == said["item"]["id"] and said["item"]["status"] == "pass"


def test_quality_is_told_in_words_and_a_series_has_every_period(tiny_client: Client) -> None:
    longitude, latitude = degrees(*INSIDE)
    said = tiny_client.json("/api/point", product=PRODUCT, period="2024-07", lon=longitude, lat=latitude)
    assert {one["name"]: one["words"] for one in said["layers"]}["qa"] == ["input lost"]
    assert said["item"]["missing_fraction"] > 0
    steps = tiny_client.json("/api/series", product=PRODUCT, band="red", lon=longitude, lat=latitude)
    assert [step["period"] for step in steps] == ["2024-06", "2024-07"]
    assert steps[1]["value"] == next(one["value"] for one in said["layers"] if one["name"] == "red")


def test_nothing_is_said_of_a_place_where_nothing_lies(tiny_client: Client) -> None:
    said = tiny_client.json("/api/point", product=PRODUCT, period="2024-06", lon=-60.0, lat=10.0)
    assert said == {"item": None, "layers": [], "others": []}
    assert tiny_client.json("/api/series", product=PRODUCT, band="red", lon=-60.0, lat=10.0) == []


@pytest.mark.parametrize("size", [256, 512])
def test_a_map_tile_shows_the_stored_numbers_and_is_clear_outside(tiny_client: Client, tiny: Path, size: int) -> None:
    longitude, latitude = degrees(*INSIDE)
    zoom = 14
    column, row = tile_at(longitude, latitude, zoom)
    address = f"/tiles/{PRODUCT}/2024-06/red/{zoom}/{column}/{row}.png"
    answer = tiny_client.ask(address, size=size)
    assert answer.headers["content-type"] == "image/png" and answer.headers["x-items"] == "1"
    drawn = picture(answer.content)
    assert drawn.shape[1:] == (size, size)
    (red,) = (
        one
        for one in tiny_client.json("/api/layers", product=PRODUCT, period="2024-06")["layers"]
        if one["name"] == "red"
    )
    side = 2 * 20037508.342789244 / 2**zoom
    y, x = np.mgrid[:size, :size] + 0.5
    map_x = column * side - 20037508.342789244 + x * side / size
    map_y = 20037508.342789244 - row * side - y * side / size
    east, north = Transformer.from_crs(3857, GRID.crs, always_xy=True).transform(map_x, map_y)
    columns, rows = (east - GRID.transform.c) / 10, (GRID.transform.f - north) / 10
    near_edge = np.minimum.reduce([columns, rows, 128 - columns, 128 - rows])
    assert (drawn[-1][near_edge < -1] == 0).all() and (drawn[-1][near_edge > 1] == 255).all()
    with rasterio.open(cog(tiny, "red")) as source:
        stored = source.read(1)
    # GDAL's warp approximates places within an eighth of a pixel: those in the middle of a pixel are beyond doubt.
    middle = (near_edge > 1) & (np.abs(columns % 1 - 0.5) < 0.3) & (np.abs(rows % 1 - 0.5) < 0.3)
    values = stored[rows[middle].astype(int), columns[middle].astype(int)] * red["scale"]
    expected = np.clip((values - red["low"]) / (red["high"] - red["low"]), 0, 1) * 255
    assert middle.sum() > 1000
    assert np.abs(drawn[0][middle].astype(float) - expected).max() < 2  # the next pixel differs by three


def test_a_map_tile_beside_everything_is_clear(tiny_client: Client) -> None:
    answer = tiny_client.ask(f"/tiles/{PRODUCT}/2024-06/red/10/3/3.png")
    assert answer.status_code == 200 and answer.headers["x-items"] == "0"
    assert picture(answer.content)[-1].max() == 0


HOSTILE = [
    ("/api/point", {"lon": "nan", "lat": "0"}),
    ("/api/point", {"lon": "inf", "lat": "0"}),
    ("/api/point", {"lon": "181", "lat": "0"}),
    ("/api/point", {"lon": "x", "lat": "0"}),
    ("/api/point", {}),
    ("/api/point", {"lon": "1", "lat": "1", "layer": "../../etc/passwd"}),
    ("/api/items", {"west": "nan"}),
    ("/api/items", {"south": "20", "north": "10"}),
    ("/api/floats", {"east": "1e999"}),
    ("/api/floats/0", {}),
    ("/api/floats/123", {}),
    ("/api/profile", {"wmo": "1 OR 1=1", "cycle": "1"}),
    ("/api/profile", {"wmo": "2900001", "cycle": "-1"}),
    ("/api/profile", {"wmo": "2900001", "cycle": "1", "kind": "../levels"}),
]


@pytest.mark.parametrize(("path", "asked"), HOSTILE)
def test_numbers_out_of_bounds_are_refused(tiny_client: Client, path: str, asked: dict[str, Any]) -> None:
    answer = tiny_client.ask(path, product=PRODUCT, period="2024-06", **asked)
    assert answer.status_code in {404, 422}, (answer.status_code, answer.text)


@pytest.mark.parametrize("name", ["..", "../../..", "%2e%2e%2fitems", "/etc", "data", "", "x" * 1000, "\x00", "*"])
def test_names_are_looked_up_and_never_opened(tiny_client: Client, name: str) -> None:
    for path in ("/api/layers", "/api/items"):
        assert tiny_client.ask(path, product=name, period="2024-06").status_code in {404, 422}
        assert tiny_client.ask(path, product=PRODUCT, period=name).status_code in {404, 422}
    assert tiny_client.ask("/api/profile", product=name, wmo=2900001, cycle=1).status_code in {404, 422}
    assert tiny_client.ask("/api/floats", product=name).status_code in {404, 422}


TILES = ["99/0/0", "-1/0/0", "2/4/0", "2/0/4", "23/0/0", "1e3/0/0", "2/nan/0", "99999999999999999999/0/0", "2/-1/0"]


@pytest.mark.parametrize("place", TILES)
def test_map_tiles_that_are_none_are_refused(tiny_client: Client, place: str) -> None:
    assert tiny_client.ask(f"/tiles/{PRODUCT}/2024-06/red/{place}.png").status_code in {404, 422}
    assert tiny_client.ask(f"/tiles/{PRODUCT}/2024-06/red/2/1/1.png", size=100_000).status_code == 422
    assert tiny_client.ask(f"/tiles/{quote('../x', safe='')}/2024-06/red/2/1/1.png").status_code == 404


def test_writing_is_not_offered(tiny_client: Client) -> None:
    for path in ("/api/products", "/stac/catalog.json", "/"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert tiny_client.ask(path, method).status_code == 405


def test_every_answer_forbids_what_lies_elsewhere_and_foreign_pages_read_nothing(tiny_client: Client) -> None:
    for path in ("/", "/api/products", "/stac/catalog.json", "/assets/page.js", "/nothing"):
        answer = tiny_client.ask(path, headers={"Origin": "https://evil.example"})
        assert answer.headers["content-security-policy"] == POLICY
        assert "access-control-allow-origin" not in answer.headers
    for origin in (STAC_BROWSER, "http://localhost:8085", "http://127.0.0.1:3000"):
        answer = tiny_client.ask("/stac/catalog.json", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
    # A name of somebody else's that was given this machine's address.
    assert tiny_client.ask("/api/products", headers={"Host": "evil.example"}).status_code == 400


def test_the_catalogue_is_served_whole_with_its_links(tiny_client: Client, tiny: Path) -> None:
    seen, left = set(), [f"{tiny_client.address}/stac/catalog.json"]
    while left:
        address = left.pop()
        if address in seen:
            continue
        seen.add(address)
        path = address.removeprefix(tiny_client.address)
        answer = tiny_client.ask(path)
        assert answer.content == (tiny / path.removeprefix("/stac/")).read_bytes()
        document = answer.json()
        links = [link["href"] for link in document["links"] if link["rel"] in {"root", "parent", "child", "item"}]
        left += [urljoin(address, href) for href in links]
        for asset in document.get("assets", {}).values():
            place = urljoin(address, asset["href"]).removeprefix(tiny_client.address)
            if not place.endswith(".zarr"):
                whole = (tiny / place.removeprefix("/stac/")).read_bytes()
                part = tiny_client.ask(place, headers={"Range": "bytes=3-9"})
                assert (part.status_code, part.content) == (206, whole[3:10])
                assert tiny_client.ask(place).content == whole
    assert len(seen) == 4  # the root, a collection, two items


def test_ranges_are_cut_at_the_end_and_refused_beyond_it(tiny_client: Client, tiny: Path) -> None:
    whole = (tiny / "items.parquet").read_bytes()
    for asked, expected in {"bytes=-4": whole[-4:], f"bytes={len(whole) - 2}-": whole[-2:], "bytes=0-": whole}.items():
        assert tiny_client.ask("/stac/items.parquet", headers={"Range": asked}).content == expected
    beyond = tiny_client.ask("/stac/items.parquet", headers={"Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    head = tiny_client.ask("/stac/items.parquet", "HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole)))


KEYS = [
    "..%2fbrowsed.yaml",
    "..%2f..%2f..%2fetc%2fpasswd",
    "data%2f..%2f..%2frun.yaml",
    "%2fetc%2fpasswd",
    "runs/",
    "x",
]


@pytest.mark.parametrize("key", [*KEYS, "data", "data/", "items/%00", "data\\x", "collections/../runs/x"])
def test_only_the_catalogue_and_its_files_are_served(tiny_client: Client, key: str) -> None:
    assert tiny_client.ask(f"/stac/{key}").status_code == 404


def test_neither_records_of_runs_nor_links_out_of_the_output_are_served(tiny_client: Client, tiny: Path) -> None:
    (config,) = (tiny / "runs").glob("*/plan.jsonl")
    assert tiny_client.ask(f"/stac/{config.relative_to(tiny)}").status_code == 404
    link = tiny / "data" / "link.tif"
    link.symlink_to(tiny.parent / "run.yaml")
    try:
        assert tiny_client.ask("/stac/data/link.tif").status_code == 404
    finally:
        link.unlink()


def test_a_damaged_file_is_named_and_not_drawn_as_nothing(tiny_client: Client, tiny: Path) -> None:
    longitude, latitude = degrees(*INSIDE)
    column, row = tile_at(longitude, latitude, 14)
    path = cog(tiny, "red", "2024-07")
    whole = path.read_bytes()
    path.write_bytes(b"no picture")
    try:
        answer = tiny_client.ask(f"/tiles/{PRODUCT}/2024-07/red/14/{column}/{row}.png")
    finally:
        path.write_bytes(whole)
    assert answer.status_code == 502 and path.name in answer.json()["detail"]
