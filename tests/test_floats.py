"""What a run knows of floats: found by index, replayed from its own records, read where the config says they lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import shapely

from pipeline.config import SourceConfig
from pipeline.errors import CatalogError
from pipeline.floats import FLOATS, GREYLIST, Afloat, find_floats, write_floats
from pipeline.prepare import access_of
from pipeline.session import Options, Session, open_session

CONFIG = """\
name: floats
output: {output}
period: {{start: 2024-01-01, end: 2025-01-01, every: span}}
{area}
sources:
  argo: {{gdac: {gdac}}}
products:
  - {{product: argo, source: argo}}
"""


def planned(gdac: Path, folder: Path, area: str = "") -> Session:
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(output=folder / "out", gdac=gdac, area=area))
    return open_session(Options(path))


def test_the_config_says_where_floats_lie() -> None:
    """So a copy in a folder may be read, whatever the GDAC is; a catalogue read over a network names no folder."""
    assert access_of(SourceConfig(gdac=("https://host",), mirror="/copy")).local
    assert not access_of(SourceConfig(items="https://host/items.json")).local


def test_an_area_chooses_floats_as_it_chooses_tiles(demo_world: Path, tmp_path: Path) -> None:
    """A box far from all of them has none."""
    everywhere = planned(demo_world / "argo", tmp_path).prepared.afloat
    assert [item.id for item in everywhere.items] == ["9900101", "9900102", "9900215", "9900216"]
    here = planned(demo_world / "argo", tmp_path, "area: {bbox: [11.9, 44.8, 12.1, 45.0]}").prepared.afloat
    assert [item.id for item in here.items] == [item.id for item in everywhere.items]
    assert len(here.items[3].assets) == len(everywhere.items[3].assets) - 1, "one profile was made elsewhere"
    assert planned(demo_world / "argo", tmp_path, "area: {bbox: [100, -10, 101, -9]}").prepared.afloat.items == ()


def test_floats_are_searched_again_where_the_file_of_the_area_says_something_else(
    demo_world: Path, tmp_path: Path
) -> None:
    """And not where it says the same: the index is gone by then."""
    index = tmp_path / "argo"
    shutil.copytree(demo_world / "argo", index)
    area = tmp_path / "area.geojson"
    area.write_text(shapely.to_geojson(shapely.box(100, -10, 101, -9)))
    first = planned(index, tmp_path, "area: {vector: area.geojson}")
    area.write_text(shapely.to_geojson(shapely.box(11.9, 44.8, 12.1, 45.0)))
    second = first.with_sets({"run.retries": 5})
    assert (len(first.prepared.afloat.items), len(second.prepared.afloat.items)) == (0, 4)
    index.rename(tmp_path / "away")
    assert second.with_sets({"run.retries": 4}).prepared.afloat == second.prepared.afloat


def test_the_greylist_goes_with_its_floats(demo_world: Path, tmp_path: Path) -> None:
    items = {item.id: item for item in planned(demo_world / "argo", tmp_path).prepared.afloat.items}
    for wmo, line in (("9900215", "9900215,PSAL,20240712"), ("9900101", "9900101,TEMP,20200101")):
        assert [one[: len(line)] for one in items[wmo].properties[GREYLIST]] == [line]
    assert items["9900102"].properties[GREYLIST] == []


def test_records_of_a_run_give_the_same_plan_again(demo_world: Path, tmp_path: Path) -> None:
    """Without any index: the GDAC may be gone by then."""
    session = planned(demo_world / "argo", tmp_path)
    assert write_floats(session.prepared.afloat, tmp_path / FLOATS)
    config = session.config.model_copy(update={"sources": {"argo": SourceConfig(gdac=("/gone",))}})
    again = find_floats(config, tmp_path / "items.parquet")
    assert again == Afloat(session.prepared.afloat.items)


def test_a_run_of_floats_alone_is_replayed_though_it_has_no_record_of_scenes(demo_world: Path, tmp_path: Path) -> None:
    """Its folder holds no `items.parquet`; the option names it all the same, as for every run."""
    session = planned(demo_world / "argo", tmp_path)
    write_floats(session.prepared.afloat, tmp_path / FLOATS)
    again = open_session(Options(tmp_path / "run.yaml", snapshot=tmp_path / "items.parquet"))
    assert [job.fingerprint for job in again.plan.jobs] == [job.fingerprint for job in session.plan.jobs] != []


def test_a_run_without_floats_has_no_records_of_them(tmp_path: Path) -> None:
    assert not write_floats(Afloat(), tmp_path / FLOATS)
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_missing_are_named(demo_world: Path, tmp_path: Path) -> None:
    session = planned(demo_world / "argo", tmp_path)
    with pytest.raises(CatalogError, match=r"floats\.parquet: no record of a run's floats beside its snapshot"):
        find_floats(session.config, tmp_path / "items.parquet")


def test_nothing_of_all_floats_is_made_of_a_choice_of_them(demo_world: Path, tmp_path: Path) -> None:
    """`--float-id` is for a look at one float: a grid of it would take the place of that of all."""
    path = tmp_path / "run.yaml"
    grid = "  - {product: argo_grid, inputs: [argo], regions: {lake: {bbox: [11, 44, 13, 46]}}}\n"
    text = CONFIG.format(output=tmp_path / "out", gdac=demo_world / "argo", area="") + grid
    path.write_text(text.replace("every: span", "every: year"))
    everything = open_session(Options(path)).plan
    assert {job.product for job in everything.jobs} == {"argo", "argo_grid"}
    chosen = open_session(Options(path, floats=["9900101"])).plan
    assert {job.product for job in chosen.jobs} == {"argo"}
    assert "argo_grid: not made from a choice of floats" in chosen.notes
