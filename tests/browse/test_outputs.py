"""Two UTM zones, Zarr without COGs, floats, and an output in a bucket: the numbers are those of the files."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import zarr
from pyproj import Transformer

from pipeline.write.store import open_store
from tests.browse.conftest import MATMUL, Client, serving
from tests.browse.test_api import picture, tile_at
from tests.servers.weed import S3Server

pytestmark = [pytest.mark.long, MATMUL]
BORDER = (12.0, 44.88)
"""Where UTM zones 32 and 33 meet; a tile of each holds it."""


@pytest.fixture(scope="module", params=["folder", "s3"])
def served(request: pytest.FixtureRequest, output: Path) -> Iterator[Client]:
    """The same output in a folder and in a bucket."""
    if request.param == "folder":
        yield request.getfixturevalue("client")
        return
    server: S3Server = request.getfixturevalue("s3_server")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        store = open_store(f"s3://{server.make_bucket('browsed')}/out")  # the environment names the server
        for path in sorted(path for path in output.rglob("*") if path.is_file()):
            store.put_file(path, path.relative_to(output).as_posix())
        with serving(store) as client:
            yield client


def items_of(output: Path, product: str, period: str) -> list[Any]:
    """Item documents, by tile."""
    return [json.loads(path.read_text()) for path in sorted((output / "items" / product).glob(f"*_{period}_*.json"))]


def stored_at(output: Path, item: Any, band: str, place: tuple[float, float]) -> Any:
    """What rasterio reads of an item's COG there; None outside."""
    path = output / item["assets"][band]["href"].removeprefix("../../")
    with rasterio.open(path) as source:
        x, y = Transformer.from_crs(4326, source.crs, always_xy=True).transform(*place)
        row, column = source.index(x, y)
        inside = 0 <= row < source.height and 0 <= column < source.width
        return source.read(1)[row, column] if inside else None


@pytest.mark.parametrize("place", [(11.96, 44.875), (11.995, 44.88), (12.03, 44.87)])
def test_points_of_both_zones_are_those_of_rasterio(served: Client, output: Path, place: tuple[float, float]) -> None:
    said = served.json("/api/point", product="sentinel2", period="2024-06", lon=place[0], lat=place[1])
    values = {one["name"]: one["stored"] for one in said["layers"]}
    found = [stored_at(output, item, "ndvi", place) for item in items_of(output, "sentinel2", "2024-06")]
    there = [value for value in found if value is not None]
    expected = next((value for value in there if value != -32768), there[0])
    assert values["ndvi"] == expected
    assert len(said["others"]) == len(there) - 1


def test_a_map_tile_on_the_edge_of_two_zones_has_what_either_has(served: Client, output: Path) -> None:
    zoom, size = 13, 256
    column, row = tile_at(*BORDER, zoom)
    answer = served.ask(f"/tiles/sentinel2/2024-06/red/{zoom}/{column}/{row}.png")
    assert answer.headers["x-items"] == "2"
    drawn = picture(answer.content)[-1] == 255
    side = 2 * 20037508.342789244 / 2**zoom
    down, right = np.mgrid[2:size:4, 2:size:4]
    x = (column + (right + 0.5) / size) * side - 20037508.342789244
    y = 20037508.342789244 - (row + (down + 0.5) / size) * side
    there = [has_number(output, item, x, y) for item in items_of(output, "sentinel2", "2024-06")]
    assert min(one.sum() for one in there) > 100 and (there[0] ^ there[1]).sum() > 100
    assert ((there[0] | there[1]) == drawn[down, right]).mean() > 0.98  # but for pixels on the edges of clouds


def has_number(output: Path, item: Any, x: Any, y: Any) -> Any:
    """Whether an item's red has a number at places of EPSG:3857."""
    with rasterio.open(output / item["assets"]["red"]["href"].removeprefix("../../")) as source:
        stored = np.pad(source.read(1), 1)  # a frame without numbers, for the places outside
        east, north = Transformer.from_crs(3857, source.crs, always_xy=True).transform(x, y)
        columns, rows = ~source.transform @ (east, north)
    inside = [np.clip(np.floor(each).astype(int) + 1, 0, 513) for each in (rows, columns)]
    return stored[inside[0], inside[1]] != 0


def test_zarr_without_cogs_is_drawn_and_asked_alike(served: Client, output: Path) -> None:
    place = (12.03, 44.87)
    said = served.json("/api/point", product="dem", period="static", lon=place[0], lat=place[1])
    values = {one["name"]: one for one in said["layers"]}
    (item,) = (item for item in items_of(output, "dem", "static") if item["id"] == said["item"]["id"])
    store = output / item["assets"]["zarr"]["href"].removeprefix("../../")
    array = zarr.open_group(store, mode="r")["elevation"]
    assert isinstance(array, zarr.Array)
    stored = np.asarray(array[said["item"]["row"], said["item"]["column"]]).item()
    assert values["elevation"]["stored"] == stored and values["elevation"]["unit"] == "m"
    column, row = tile_at(*place, 14)
    drawn = picture(served.ask(f"/tiles/dem/static/elevation/14/{column}/{row}.png").content)
    assert (drawn[3] == 255).mean() > 0.5 and drawn[0][drawn[3] == 255].std() > 5


def test_profiles_are_those_of_the_tables(served: Client, output: Path) -> None:
    assert served.json("/api/layers", product="argo", period="static")["kind"] == "floats"
    floats = served.json("/api/floats", product="argo")["floats"]
    tables = [pq.read_table(path) for path in sorted((output / "data/argo").glob("*/static/levels.parquet"))]
    assert {one["wmo"] for one in floats} == {wmo for table in tables for wmo in table["wmo"].to_pylist()}
    wmo = floats[0]["wmo"]
    one = served.json(f"/api/floats/{wmo}", product="argo")[0]
    asked = {name: one[name] for name in ("cycle", "direction", "kind")}
    said = served.json("/api/profile", product="argo", wmo=wmo, index=one["profile_index"], **asked)
    rows = [
        row
        for table in tables
        for row in table.to_pylist()
        if (row["wmo"], row["profile_index"]) == (wmo, one["profile_index"])
        and all(row[name] == value for name, value in asked.items())
    ]
    for parameter in said["parameters"]:
        key = parameter["name"].lower()
        for part, column in (("best", key), ("qc", f"{key}_qc"), ("raw", f"{key}_raw")):
            assert [None if v is None else np.float32(v) for v in parameter[part]] == [
                None if row[column] is None or math.isnan(row[column]) else np.float32(row[column]) for row in rows
            ]


def test_files_come_byte_for_byte_and_in_ranges(served: Client, output: Path) -> None:
    item = items_of(output, "sentinel2", "2024-06")[0]
    key = item["assets"]["red"]["href"].removeprefix("../../")
    whole = (output / key).read_bytes()
    assert served.ask(f"/stac/{key}").content == whole
    part = served.ask(f"/stac/{key}", headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, whole[1000:2000])
    table = pq.read_table(io.BytesIO(served.ask("/stac/items.parquet").content))
    assert len(table) == len(pq.read_table(output / "items.parquet"))
