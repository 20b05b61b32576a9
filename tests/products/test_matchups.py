"""Laws of match-ups: every number is what rasterio reads at that place, and no profile or scene goes missing unsaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pydantic import ValidationError
from pyproj import Transformer

from pipeline.errors import MissingAssetsError, StoreError
from pipeline.products._base import Context
from pipeline.products._matchups_config import MatchupsConfig
from pipeline.products.matchups import PRODUCT, output_access
from pipeline.read.access import Access
from pipeline.types import Asset, Item, Job, Made, MemoryPlan, Period, Upstream
from pipeline.write.s3 import S3Store
from pipeline.write.stac import render_item
from pipeline.write.store import FolderStore
from pipeline.write.tile import WriteOptions
from tests.argo_partitions import Cast, write_partition
from tests.products.plain import plain_clear
from tests.products.scenes import CRS, DEFAULT_MASK, TILE, Scenes

JUNE = Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
EVER = datetime(1950, 1, 1, tzinfo=UTC)
NOON = datetime(2024, 6, 10, 12, tzinfo=UTC)
REGION = {"bbox": [15.0, 44.0, 18.0, 46.0]}
TO_DEGREES = Transformer.from_crs(CRS, 4326, always_xy=True)
TO_GRID = Transformer.from_crs(4326, CRS, always_xy=True)


def entry(**changes: Any) -> MatchupsConfig:
    said: dict[str, Any] = {
        "product": "matchups",
        "inputs": ["argo"],
        "source": "s2",
        "sensor": "sentinel2",
        "bands": ["red", "swir16"],
    }
    said |= {"regions": {"here": REGION}, "tolerance_hours": 36, "window_px": 3}
    return MatchupsConfig.model_validate({**said, **changes}, strict=False)


def cast_at(x: float, y: float, cycle: int, moment: datetime = NOON, **more: Any) -> Cast:
    """A profile at a place of the grid, metres from the tile's corner."""
    lon, lat = TO_DEGREES.transform(TILE.c + x, TILE.f - y)
    values = {"PRES": [1.0, 9.0, 11.0, 50.0], "TEMP": [20.0, None, 15.0, 10.0], "PSAL": [36.0, 37.0, 38.0, 39.0]}
    return Cast(2900000 + cycle % 3, cycle, lat, lon, moment, **{"values": values, **more})


def random_casts(count: int) -> list[Cast]:
    """Some on the scenes, some beside them; the times over three days."""
    random = np.random.default_rng(11)
    made = []
    for number in range(count):
        x, y, hours = random.uniform([-400, -400, -40], [1700, 1700, 40])
        made.append(cast_at(x, y, number, NOON + timedelta(hours=hours)))
    return made


def asset_of(key: str, raw: Mapping[str, Any]) -> Asset:
    return Asset(key, raw["href"])


def scene_items(scenes: Scenes) -> list[Item]:
    """As the planner hands them over."""
    return [
        Item(
            raw["id"],
            raw["collection"],
            "s2",
            datetime.fromisoformat(raw["properties"]["datetime"]),
            date.fromisoformat(raw["properties"]["datetime"][:10]),
            raw["geometry"],
            {key: asset_of(key, value) for key, value in raw["assets"].items()},
            properties=raw["properties"],
        )
        for raw in scenes.items
    ]


def floats_in(output: Path, casts: Sequence[Cast], updated: str | None = None) -> Item:
    levels = write_partition(output, "290000x", casts)
    return Item("290000x", "argo", "argo", EVER, EVER.date(), None, {"levels": Asset("levels", str(levels))},
                updated or "290000x-1")  # fmt: skip


def made_of(config: MatchupsConfig, items: Sequence[Item], folder: Path, **context: Any) -> tuple[Job, Made]:
    folder.mkdir(parents=True, exist_ok=True)
    upstream = Upstream("argo", "argo", "290000x", Period("static", None, None), "290000x-1", afloat=True)
    plan = MemoryPlan(1, 2**30, reads=4)
    job = Job("matchups", "matchups", config.tiles[0], JUNE, "default", tuple(items), "0" * 32, plan, 0, (upstream,))
    said = {"skip_missing": True, "max_missing_fraction": 0.9, "threads": 2, "store": FolderStore(str(folder / "out"))}
    made = PRODUCT.make([job], config, Context(Access(), WriteOptions(None), **{**said, **context}), [folder], plan)
    return job, made[0]


def rows_of(made: Made) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(made.files[0].path).to_pylist()
    return found


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """Four random scenes: two offsets, swath edges, clouds."""
    found = Scenes(tmp_path_factory.mktemp("scenes"))
    for day in (9, 10, 10, 12):
        found.add(date(2024, 6, day))
    return found


def plain_window(raw: Mapping[str, Any], band: str, cast: Cast, *, masked: bool = True) -> NDArray[np.float64] | None:
    """(3, 3) reflectance around a profile, by rasterio alone; None where the profile is not on the scene."""
    x, y = TO_GRID.transform(cast.longitude, cast.latitude)
    with rasterio.open(raw["assets"]["red"]["href"]) as red:
        row, col = red.index(x, y)
        if not (0 <= row < red.height and 0 <= col < red.width):
            return None
        middles = [red.xy(row + dy, col + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    clear = plain_clear(raw["assets"]["scl"]["href"], *DEFAULT_MASK) if masked else None
    shift = -1000 if raw["properties"]["s2:processing_baseline"] == "05.10" else 0
    with rasterio.open(raw["assets"][band]["href"]) as file, rasterio.open(raw["assets"]["scl"]["href"]) as scl:
        stored, values = file.read(1), []
        for place in middles:
            (at_row, at_col), (scl_row, scl_col) = file.index(*place), scl.index(*place)
            inside = 0 <= at_row < file.height and 0 <= at_col < file.width
            number = int(stored[at_row, at_col]) if inside else 0
            kept = number > 0 and (clear is None or clear[scl_row, scl_col] == 1)
            values.append(min(max(number + shift, 1), 65_534) * 1e-4 if kept else np.nan)
    return np.array(values).reshape(3, 3)


def test_every_number_is_what_rasterio_reads(scenes: Scenes, tmp_path: Path) -> None:
    """Pairs, windows of two resolutions, masks, offsets and statistics, one at a time."""
    casts, config = random_casts(60), entry()
    _, made = made_of(config, [*scene_items(scenes), floats_in(tmp_path / "out", casts)], tmp_path)
    rows = {(row["cycle"], row["scene"]): row for row in rows_of(made)}
    expected, counted = set[tuple[int, str]](), set[tuple[str, int]]()
    for cast in casts:
        for raw in scenes.items:
            assert cast.time is not None
            hours = (datetime.fromisoformat(raw["properties"]["datetime"]) - cast.time).total_seconds() / 3600
            if abs(hours) > 36 or (red := plain_window(raw, "red", cast)) is None:
                continue
            expected.add((cast.cycle, raw["id"]))
            row = rows[cast.cycle, raw["id"]]
            assert row["hours"] == pytest.approx(hours, abs=1e-9) and row["wmo"] == cast.wmo
            for band, window in (("red", red), ("swir16", plain_window(raw, "swir16", cast))):
                assert window is not None
                stored = np.array([np.nan if one is None else one for one in row[f"s2_{band}_window"]])
                np.testing.assert_allclose(stored, window.ravel(), rtol=1e-6)
                there = window[np.isfinite(window)]
                counted.add((band, len(there)))
                assert row[f"s2_{band}_count"] == len(there)
                mean, deviation = (there.mean(), there.std()) if len(there) else (np.nan, np.nan)
                for name, value in (("", window[1, 1]), ("_mean", mean), ("_std", deviation)):
                    found = row[f"s2_{band}{name}"]
                    assert found is None if np.isnan(value) else found == pytest.approx(value, rel=1e-4, abs=1e-7)
    assert {*rows} == expected and len(expected) > 30
    assert {("red", 0), ("red", 9), ("swir16", 9)} < counted, "cloudy, clear, and on a coarser grid"


def test_the_surface_is_the_mean_of_best_values_above_the_limit(scenes: Scenes, tmp_path: Path) -> None:
    items = [*scene_items(scenes), floats_in(tmp_path / "out", [cast_at(640, 640, 1)])]
    _, made = made_of(entry(surface_dbar=11), items, tmp_path)
    row = rows_of(made)[0]
    assert (row["temp"], row["temp_levels"]) == (17.5, 2), "a null in between is no number"
    assert (row["psal"], row["psal_levels"]) == (37.0, 3), "11 dbar is still within 11 dbar"
    _, made = made_of(entry(surface_dbar=0.5), items, tmp_path)
    assert (rows_of(made)[0]["temp"], rows_of(made)[0]["temp_levels"]) == (None, 0)


def test_what_cannot_be_matched_is_counted(scenes: Scenes, tmp_path: Path) -> None:
    casts = [
        cast_at(640, 640, 1),
        replace(cast_at(640, 640, 4), latitude=None, longitude=None),
        replace(cast_at(640, 640, 7), time=None),
        cast_at(640, 640, 10, time_qc=4),
        cast_at(640, 640, 13, position_qc=3),
        cast_at(640, 640, 16, NOON + timedelta(days=40)),
        cast_at(300_000, 640, 19),
        cast_at(300_000, 640, 20, time_qc=4),
        cast_at(640, 640, 22, kind="bgc"),
    ]
    job, made = made_of(entry(kinds=["core"]), [*scene_items(scenes), floats_in(tmp_path / "out", casts)], tmp_path)
    assert {row["cycle"] for row in rows_of(made)} == {1}
    said = made.properties
    assert said["groundswell:left_out"] == [
        f"{what}: 1" for what in ("position flagged bad", "position missing", "time flagged bad", "time missing")
    ]
    assert (said["groundswell:profiles"], said["groundswell:profiles_matched"]) == (1, 1), "others are of elsewhere"
    assert "Argo" in made.rights.attribution and "Copernicus" in made.rights.attribution
    assert pq.read_schema(made.files[0].path).metadata.keys() == {b"groundswell"}
    document = replace(made, files=(*made.files, replace(made.files[0], key="inputs")))
    assert render_item(job, document, created=NOON)["properties"]["groundswell:rows"] == len(rows_of(made))


def test_without_a_match_the_table_is_empty_and_has_its_columns(scenes: Scenes, tmp_path: Path) -> None:
    for casts in ([cast_at(640, 640, 1, NOON + timedelta(days=15))], [cast_at(300_000, 640, 1)]):
        _, made = made_of(entry(), [*scene_items(scenes), floats_in(tmp_path / "out", casts)], tmp_path)
        table = pq.read_table(made.files[0].path)
        assert table.num_rows == 0 and {"wmo", "scene", "s2_red_window"} < {*table.column_names}


def test_order_of_inputs_changes_no_byte(scenes: Scenes, tmp_path: Path) -> None:
    casts, items = random_casts(20), scene_items(scenes)
    floats = floats_in(tmp_path / "a" / "out", casts)
    _, one = made_of(entry(), [*items, floats], tmp_path / "a")
    floats_in(tmp_path / "b" / "out", casts[::-1])
    _, other = made_of(entry(), [floats, *items[::-1]], tmp_path / "b")
    assert one.files[0].sha256 == other.files[0].sha256


def test_a_lost_band_costs_itself_and_a_lost_mask_its_scene(scenes: Scenes, tmp_path: Path) -> None:
    items = scene_items(scenes)
    nowhere = str(tmp_path / "nowhere.tif")
    for number, lost in ((0, "swir16"), (1, "scl")):
        assets = {**items[number].assets, lost: Asset(lost, nowhere)}
        items[number] = replace(items[number], assets=assets)
    items.append(floats_in(tmp_path / "out", [cast_at(640, 640, 1)]))
    _, made = made_of(entry(clear=True), items, tmp_path)
    rows = {row["scene"]: row for row in rows_of(made)}
    assert {(loss.item, loss.asset) for loss in made.losses} == {(items[0].id, "swir16"), (items[1].id, "scl")}
    assert rows[items[0].id]["s2_swir16_count"] == 0 and items[1].id not in rows
    with pytest.raises(MissingAssetsError, match=items[0].id):
        made_of(entry(), items, tmp_path, skip_missing=False)
    with pytest.raises(MissingAssetsError, match="assets lost"):
        made_of(entry(), items, tmp_path, max_missing_fraction=0.1)


def test_numbers_without_a_sensor_are_as_the_catalogue_scales_them(tmp_path: Path) -> None:
    """A float raster in degrees, its nodata, its NaN, and a window that reaches over its edge."""
    values = np.arange(30, dtype=np.float32).reshape(5, 6)
    values[2, 2], values[1, 1] = -9999, np.nan
    path = tmp_path / "sst.tif"
    transform = Affine(0.1, 0, 16.0, 0, -0.1, 45.0)
    profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:4326", "dtype": "float32", "nodata": -9999}
    with rasterio.open(path, "w", height=5, width=6, transform=transform, **profile) as target:
        target.write(values, 1)
    ring = [[16, 44.5], [16.6, 44.5], [16.6, 45], [16, 45], [16, 44.5]]
    asset = Asset("sst", str(path), nodata=-9999, scale=0.5, offset=-1.0)
    item = Item("sst-1", "sst", "s2", NOON, NOON.date(), {"type": "Polygon", "coordinates": [ring]}, {"sst": asset})
    casts = [Cast(2900001, 1, 44.75, 16.25, NOON), Cast(2900001, 2, 44.99, 16.01, NOON)]
    config = entry(sensor=None, bands=["sst"])
    _, made = made_of(config, [item, floats_in(tmp_path / "out", casts)], tmp_path)
    inner, corner = rows_of(made)
    assert inner["s2_sst"] is None and inner["s2_sst_count"] == 7
    assert inner["s2_sst_window"] == [None, 3.0, 3.5, 5.5, None, 6.5, 8.5, 9.0, 9.5]
    assert corner["s2_sst"] == -1.0 and corner["s2_sst_window"] == [None, None, None, None, -1.0, -0.5, None, 2.0, None]
    assert made.rights.attribution == (
        "Argo (2000), https://doi.org/10.17882/42182 | Made of items that state no attribution"
    )


def test_a_partition_that_was_replaced_is_refused(scenes: Scenes, tmp_path: Path) -> None:
    floats = floats_in(tmp_path / "out", [cast_at(640, 640, 1)], updated="older")
    with pytest.raises(StoreError, match=r"found fingerprint 290000x-1, expected older as planned"):
        made_of(entry(), [*scene_items(scenes), floats], tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window_px": 4}, "an odd window_px"),
        ({"bands": ["red", "red"]}, "every band once"),
        ({"bands": ["sst"]}, "bands of sentinel2"),
        ({"regions": {"x": {}}}, "exactly one of bbox and polygon"),
    ],
)
def test_a_config_that_cannot_work_is_refused(changes: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        entry(**changes)


def test_the_plan_reads_what_the_sensor_reads(scenes: Scenes) -> None:
    plan = PRODUCT.plan(entry(), "default", WriteOptions(None), {})
    assert plan.bands == ("red", "swir16", "scl") and plan.whole and plan.around == timedelta(hours=36)
    assert plan.tiles is not None and plan.tiles[0].outline is not None
    assert PRODUCT.plan(entry(clear=False), "default", WriteOptions(None), {}).bands == ("red", "swir16")
    other = PRODUCT.plan(entry(source="other"), "default", WriteOptions(None), {})
    assert other.parameters != plan.parameters, "columns have the source's name"
    lacking = replace(scene_items(scenes)[0], assets={})
    assert PRODUCT.notes(entry(clear=False), [lacking])[0].endswith(f"have no red, as {lacking.id}")


def test_partitions_are_opened_as_the_output_is_and_not_as_the_scenes_are() -> None:
    """An anonymous source must not make a private output anonymous."""
    found = output_access(S3Store("bucket", "prefix", "http://127.0.0.1:9000", "mine"))
    assert found == Access(endpoint="http://127.0.0.1:9000", profile="mine", local=False)
    assert output_access(FolderStore("/nowhere")) == Access()
