"""Items are found on a round earth, counted where they are too many, and read again when a run has ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely

from pipeline.browse import shelf as shelves
from pipeline.browse.outlines import CELLS, MAX_OUTLINES, outlines
from pipeline.browse.shelf import Shelf, refuse_empty, rows_of
from pipeline.browse.table import Items, read_items
from pipeline.errors import ConfigError, NothingToDoError, StoreError
from pipeline.write.store import open_store

BOXES = [(10.0, 40.0, 11.0, 41.0), (179.5, -1.0, -179.5, 1.0), (-180.0, 5.0, -179.0, 6.0), (-10.0, -5.0, 10.0, 5.0)]


def items_at(boxes: list[tuple[float, float, float, float]]) -> Items:
    """Items of one product and period with these boxes."""
    count = len(boxes)
    geometry = shapely.to_wkb([shapely.box(*box) for box in boxes]).tolist()
    texts = {name: ["x"] * count for name in ("product", "period", "tile", "id", "key", "status")}
    numbers = dict.fromkeys(("valid_fraction", "observations_mean", "missing_fraction"), np.ones(count))
    start = pa.nulls(count, pa.timestamp("us", tz="UTC"))
    said = {"geometry": geometry, "start": start, "flags": [["dull"]] * count, "adopted": [False] * count}
    return Items(pa.table({**texts, **numbers, **said}), np.array(boxes), {("x", "x"): np.arange(count)}, "1")


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10.5, 40.5, 10.6, 40.6), [0]),
        ((-180, -90, 180, 90), [0, 1, 2, 3]),
        ((170, -10, 180, 10), [1, 2]),
        ((-180, -10, -170, 10), [1, 2]),
        ((170, -10, -170, 10), [1, 2]),
        ((180, 0, 180, 0), [1]),
        ((-180, 0, -180, 0), [1]),
        ((11.5, 40, 12, 41), []),
    ],
)
def test_boxes_meet_on_a_circle(box: tuple[float, float, float, float], expected: list[int]) -> None:
    items = items_at(BOXES)
    assert items.within(np.arange(4), box).tolist() == expected


def test_bounds_go_on_beyond_the_antimeridian() -> None:
    assert items_at(BOXES[1:2]).bounds(np.arange(1)) == (179.5, -1.0, 180.5, 1.0)
    assert items_at(BOXES[:1]).bounds(np.arange(1)) == BOXES[0]


def test_too_many_outlines_are_counted_in_cells_and_none_is_forgotten() -> None:
    many = [(x / 10, y / 10, x / 10 + 0.1, y / 10 + 0.1) for x in range(60) for y in range(50)]
    items = items_at(many)
    said = outlines(items, np.arange(3000), (-180, -90, 180, 90))
    assert said["cells"] and said["total"] == 3000 > MAX_OUTLINES
    assert sum(feature["properties"]["count"] for feature in said["features"]) == 3000
    assert len(said["features"]) <= CELLS * CELLS
    near = outlines(items, np.arange(3000), (0.01, 0.01, 0.99, 0.99))
    assert not near["cells"] and near["total"] == len(near["features"]) == 100
    assert near["features"][0]["properties"]["flags"] == ["dull"]


@pytest.mark.long
def test_without_the_table_the_same_items_come_from_the_runs(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "output"
    shutil.copytree(tiny, copy)
    with_table = read_items(open_store(str(copy)))
    (copy / "items.parquet").unlink()
    without = read_items(open_store(str(copy)))
    assert without.table.equals(with_table.table) and without.version != with_table.version
    assert without.periods_of("sentinel2") == ["2024-06", "2024-07"]


@pytest.mark.long
def test_a_run_that_ends_is_seen_without_a_new_start(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "LOOK_EVERY_S", 0.0)
    copy, aside = tmp_path / "output", tmp_path / "items.parquet"
    shutil.copytree(tiny, copy)
    (copy / "items.parquet").rename(aside)
    for finished in (copy / "runs").glob("*/finished.json"):
        finished.unlink()
    shelf = Shelf(open_store(str(copy)))
    assert shelf.items().products == ()
    with pytest.raises(NothingToDoError, match="nothing to look at: found no current item"):
        refuse_empty(shelf)
    aside.rename(copy / "items.parquet")
    assert shelf.items().products == ("sentinel2",)
    refuse_empty(shelf)
    shelf.close()


@pytest.mark.long
def test_what_there_is_not_is_refused_with_what_there_is(tiny: Path, tmp_path: Path) -> None:
    items = read_items(open_store(str(tiny)))
    with pytest.raises(ConfigError, match="no product 'landsat'; found sentinel2"):
        rows_of(items, "landsat", "2024-06")
    with pytest.raises(ConfigError, match="no period '2023-01'; found 2024-06, 2024-07"):
        rows_of(items, "sentinel2", "2023-01")
    (tmp_path / "items.parquet").write_bytes(b"no table")
    with pytest.raises(StoreError, match=r"items\.parquet: found no table .* run `groundswell catalog`"):
        read_items(open_store(str(tmp_path)))
