"""Laws of what a notebook shows of a plan: every job counted, every tile drawn where it lies, nothing loaded."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import shapely

from pipeline.plan.outlines import lonlat_bounds
from pipeline.report.plan_html import Looked, plan_html
from pipeline.report.plan_map import WIDTH, Shape, svg_map
from pipeline.report.plan_table import SCHEMA, plan_table
from pipeline.types import Estimate, Range
from tests.worlds import SmallWorld

NOTHING = Estimate((), (), Range.exact(0.0), "nothing is known")
VOID = {"br", "rect", "path"}


class Parsed(HTMLParser):
    """Elements by name and text; fails where one is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open and self.open[-1] != "style":
            self.text.append(data.strip())


def shape_of(west: float, south: float, east: float, north: float) -> Shape:
    return Shape(shapely.box(west, south, east, north), "red", "blue", "title & <more>")


def test_every_job_is_counted_and_every_tile_is_drawn(world: SmallWorld) -> None:
    session = world.session()
    jobs = session.plan.jobs
    assert world.run(session, jobs[0]).item_key
    plan = replace(world.session().plan, notes=("<b>bold</b>",))
    page = Parsed(plan_html(plan, Looked("A & B", "/out", NOTHING)))
    told = " ".join(page.text)
    assert f"{len(jobs) - 1} to run 1 committed /out" in told and "A & B" in told and "<b>bold</b>" in told
    tiles = {job.tile.id for job in jobs}
    titles = [text for text in page.text if re.match(r"[\w-]+\nsentinel2: \d+ to run, \d+ committed$", text)]
    assert {title.partition("\n")[0] for title in titles} == tiles and len(titles) == len(tiles)
    assert sum(int(number) for title in titles for number in re.findall(r"(\d+) to run", title)) == len(jobs) - 1
    assert "b" not in {tag for tag, attributes in page.found if attributes.get("class") == "bold"}
    kinds = {tag for tag, _ in page.found}
    assert not kinds & {"script", "link", "img", "iframe"}
    assert not any({"src", "href", "onclick"} & {*attributes} for _, attributes in page.found)


def test_a_table_has_a_row_a_job_with_its_place_and_time(world: SmallWorld) -> None:
    plan = world.session().plan
    table = plan_table(plan)
    assert table.schema == SCHEMA and table["job"].to_pylist() == [job.id for job in plan.jobs]
    for row, job in zip(table.to_pylist(), plan.jobs, strict=True):
        assert (row["start"], row["end"], row["scenes"]) == (job.period.start, job.period.end, len(job.items))
        box = [row[side] for side in ("west", "south", "east", "north")]
        assert box == pytest.approx(lonlat_bounds(job.tile.geobox), abs=1e-4)


def points(svg: str) -> list[list[tuple[float, float]]]:
    """Of every shape on the map, in pixels."""
    paths = re.findall(r'<path d="([^"]*)" fill="red"', svg)
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)] for path in paths]


@pytest.mark.parametrize("turn", [0.0, 170.0, 179.0])
def test_shapes_lie_side_by_side_wherever_they_are(turn: float) -> None:
    """Also across the antimeridian, where the second is on the other side."""
    lons = [(turn + step + 180) % 360 - 180 for step in (0.0, 2.0)]
    svg = svg_map([shape_of(lon, 10.0, lon + 0.5, 10.5) for lon in lons])
    first, second = points(svg)
    assert max(x for x, _ in first) < min(x for x, _ in second)
    assert all(0 <= x <= WIDTH for x, _ in first + second)
    assert "title &amp; &lt;more&gt;" in svg


def test_north_is_up_and_a_degree_is_as_long_both_ways() -> None:
    south, north = points(svg_map([shape_of(20.0, 59.0, 22.0, 60.0), shape_of(20.0, 60.5, 22.0, 61.5)]))
    assert min(y for _, y in south) > max(y for _, y in north)
    (xs, ys) = zip(*south, strict=True)
    assert (max(xs) - min(xs)) / (max(ys) - min(ys)) == pytest.approx(1.0, abs=0.02)


def test_land_is_drawn_where_the_map_is_wide_enough_for_it() -> None:
    near, far = (svg_map([shape_of(12.0, 44.0, 12.0 + size, 44.0 + size)]) for size in (0.1, 5.0))
    assert 'fill-opacity=".09"' in far and 'fill-opacity=".09"' not in near
    assert svg_map([]) == ""
    names = re.findall(r">([\d.]+)°E<", far)
    assert len(names) >= 3 and all(float(one) < float(other) for one, other in pairwise(names))
