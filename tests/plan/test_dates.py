"""Laws of the days that are taken: good ones of a box wider than the tile, the same for neighbours, few a month."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.area import GridConfig
from pipeline.plan.areas import Area, box_region
from pipeline.plan.dates import CLOUD, DateChoice, DateChooser, cell_of, good_days, take_days
from pipeline.plan.tiles import plan_tiles, tile_of
from pipeline.types import Item, Period, Tile

GRID = GridConfig(kind="ttc")
YEAR = Period("2021", datetime(2020, 11, 15, tzinfo=UTC), datetime(2022, 2, 16, tzinfo=UTC))
CHOICE = DateChoice(30, 2)
WHOLE = (6.0, 0.0, 7.5, 1.5)


def scene(day: date, cloud: float | None, box: tuple[float, float, float, float] = WHOLE, name: str = "s") -> Item:
    said: dict[str, Any] = {} if cloud is None else {CLOUD: cloud}
    time = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    geometry = shapely.geometry.mapping(shapely.box(*box))
    return Item(f"{name}-{day}", "c", "s2", time, day, geometry, {}, properties=said)


def neighbours() -> list[Tile]:
    """All tiles of one cell, which begins at 5/6 degrees of both."""
    tiles = plan_tiles(Area((box_region((40 / 6 + 0.001, 0.001, 45 / 6 - 0.001, 5 / 6 - 0.001)),)), GRID)
    assert len(tiles) == 225
    return list(tiles)


def test_a_cell_is_fifteen_by_fifteen_tiles() -> None:
    """The box of +/- 150/360 degrees around its middle, for all its tiles and none of its neighbours."""
    cells = {cell_of(tile) for tile in neighbours()}
    (cell,) = cells
    assert cell.geobox.boundingbox.bbox == pytest.approx((40 / 6, 0.0, 45 / 6, 5 / 6), abs=1e-9)
    beside = tile_of("13764X11635Y", GRID)
    assert cell_of(beside) != cell and cell_of(tile_of("13735X11620Y", GRID)) not in cells


def test_good_days_are_of_the_mean_of_the_cell() -> None:
    """By the area that scenes share with it: one half at 50 and one at 5 percent are 27.5; unknown is not good."""
    (cell,) = {cell_of(tile) for tile in neighbours()}
    middle = (40 + 45) / 12
    left, right = (6.0, -0.5, middle, 1.5), (middle, -0.5, 8.0, 1.5)
    first = date(2021, 3, 1)
    days = [first + timedelta(days=number) for number in range(6)]
    items = [
        scene(days[0], 50, left, "l"),
        scene(days[0], 5, right, "r"),
        scene(days[1], 58, left, "l"),
        scene(days[1], 5, right, "r"),
        scene(days[2], 29.9),
        scene(days[3], 30),
        scene(days[4], None),
        scene(days[5], 3, (20, 20, 21, 21)),
        scene(date(2022, 2, 16), 3),
    ]
    found = good_days(CHOICE, cell, items, YEAR)
    assert found == {f"c/l-{days[0]}": days[0], f"c/r-{days[0]}": days[0], f"c/s-{days[2]}": days[2]}


@given(st.dictionaries(st.dates(date(2020, 11, 15), date(2022, 2, 15)), st.floats(0.01, 1.0), max_size=60))
def test_at_most_two_a_month_and_the_nearest_ones(shown: dict[date, float]) -> None:
    taken = take_days(2, shown)
    each = Counter((day.year, day.month) for day in taken)
    there = Counter((day.year, day.month) for day in shown)
    assert taken <= {*shown} and each == {month: min(2, count) for month, count in there.items()}
    for year, month in there:
        full = [day for day in shown if (day.year, day.month) == (year, month) and shown[day] >= 0.5]
        if full:
            assert min(full, key=lambda day: (day.day, day)) in taken


def test_scenes_of_unknown_cloud_are_told() -> None:
    items = [scene(date(2021, 3, 1), None), scene(date(2021, 3, 2), 5), scene(date(2019, 3, 2), None)]
    chooser = DateChooser(CHOICE, lambda _: items)
    (tile, *_) = neighbours()
    assert chooser.of(tile, YEAR, items[:2]) == items[1:2]
    assert chooser.notes == ["1 scenes do not say their eo:cloud_cover: none of them is taken, such as s-2021-03-01"]


@pytest.mark.parametrize("cloud", [float("nan"), float("inf"), -1, 101, "5", True])
def test_what_is_no_share_of_cloud_is_unknown(cloud: Any) -> None:
    """And costs itself, not the other scenes of its day."""
    day = date(2021, 3, 2)
    odd, good = scene(day, cloud, name="odd"), scene(day, 5)
    chooser = DateChooser(CHOICE, lambda _: [odd, good])
    (tile, *_) = neighbours()
    assert chooser.of(tile, YEAR, [odd, good]) == [good]
    assert "odd-2021-03-02" in chooser.notes[0]


def test_all_tiles_of_a_cell_take_the_same_days() -> None:
    """Where the scenes of a day end, and only there, a tile takes another one of the good days."""
    (cell,) = {cell_of(tile) for tile in neighbours()}
    start = date(2020, 11, 20)
    everywhere = [scene(start + timedelta(days=5 * number), number * 7 % 45) for number in range(88)]
    half = [scene(start + timedelta(days=2 + 5 * n), 1, (7.0, -0.5, 9.0, 1.5), "half") for n in range(88)]
    items = everywhere + half
    chooser = DateChooser(CHOICE, lambda _: items)
    taken = {}
    for tile in neighbours():
        box = shapely.box(*tile.geobox.boundingbox.bbox)
        near = [item for item in items if item.time in YEAR and shapely.geometry.shape(item.geometry).intersects(box)]
        chosen = chooser.of(tile, YEAR, near)
        taken[tile.id] = frozenset(item.solar_day for item in chosen), box.bounds
        assert max(Counter((item.solar_day.year, item.solar_day.month) for item in chosen).values()) == 2
    west = {days for days, box in taken.values() if box[2] <= 7.0}
    east = {days for days, box in taken.values() if box[0] >= 7.0 - 1e-9}
    assert len(west) == len(east) == 1 and west != east
    assert len({days for days, _ in taken.values()}) == 2
    assert cell.id.startswith("cell")
