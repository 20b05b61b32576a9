"""Match-ups from files to one table: floats of a mirror and scenes of a catalogue, planned, made and read together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from pipeline.demo.argo_file import Cast, Column, profile_file
from pipeline.demo.argo_index import Listed, index_files
from pipeline.errors import ConfigError, NothingToDoError
from pipeline.results.matchups import read_matchups
from pipeline.types import Status
from tests.products.scenes import CRS, TILE, Scenes
from tests.results.made import finish
from tests.worlds import SmallWorld

CONFIG = """\
name: together
output: {folder}/output
area: {{bbox: [15, 44, 18, 46]}}
period: {{start: 2024-06-01, end: 2024-08-01, every: month}}
sources:
  s2: {{items: {folder}/items.json}}
  argo: {{gdac: {folder}/gdac}}
products:
  - {{product: argo, source: argo, parameters: [PRES, TEMP]}}
  - product: matchups
    inputs: [argo]
    source: s2
    sensor: sentinel2
    clear: false
    bands: [red]
    tolerance_hours: 30
    regions: {{here: {{bbox: [15, 44, 18, 46]}}}}
run: {{retries: 0}}
"""


def write_mirror(root: Path, casts: Sequence[Cast], letter: str = "R") -> None:
    """A GDAC of single-cycle files."""
    listed = []
    for cast in casts:
        path = f"incois/{cast.wmo}/profiles/{letter}{cast.wmo}_{cast.cycle:03d}.nc"
        (root / "dac" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "dac" / path).write_bytes(profile_file([cast], updated="20240801000000"))
        listed.append(Listed(path, "core", cast, "20240801000000"))
    for name, content in index_files(listed).items():
        (root / name).write_bytes(content)


def cast(cycle: int, moment: datetime) -> Cast:
    """A profile in the middle of the scenes."""
    lon, lat = Transformer.from_crs(CRS, 4326, always_xy=True).transform(TILE.c + 640, TILE.f - 640)
    pressure = np.array([2.0, 6.0, 30.0])
    columns = {"PRES": Column(pressure), "TEMP": Column(20 - pressure / 10)}
    return Cast(2900001, cycle, moment, round(lat, 5), round(lon, 5), columns)


def run(small: SmallWorld) -> list[str]:
    """Plan and make everything; ids of what was made."""
    session = small.session()
    made = []
    for job in session.plan.jobs:
        outcome = small.run(session, job)
        assert outcome.status is Status.DONE, outcome.cause
        made.append(outcome.job_id)
    finish(session.prepared.store, session.plan, pages=False)
    return made


def test_a_new_scene_makes_its_months_table_anew_and_nothing_else(tmp_path: Path) -> None:
    """Also: a scene just beyond a month is matched to a profile of that month, and only there."""
    scenes = Scenes(tmp_path)
    scenes.add(date(2024, 6, 10))
    scenes.add(date(2024, 7, 1))
    small = replace(scenes.world(), config=tmp_path / "together.yaml")
    small.config.write_text(CONFIG.format(folder=tmp_path))
    late = datetime(2024, 6, 30, 20, tzinfo=UTC)
    write_mirror(tmp_path / "gdac", [cast(1, datetime(2024, 6, 10, 3, tzinfo=UTC)), cast(2, late)])
    with pytest.raises(NothingToDoError, match="found nothing"):
        read_matchups(str(small.output))
    assert run(small) == ["argo/290000x/static", "matchups/here/2024-06", "matchups/here/2024-07"]
    rows = read_matchups(str(small.output)).to_pylist()
    assert [(row["period"], row["cycle"], row["scene"], row["hours"]) for row in rows] == [
        ("2024-06", 1, "scene-00-0", 7.0),
        ("2024-06", 2, "scene-07-1", 14.0),
    ]
    assert [row["temp"] for row in rows] == pytest.approx([19.6, 19.6], abs=1e-5)
    assert run(small) == []
    scenes.add(date(2024, 7, 20))
    scenes.world()
    assert run(small) == ["matchups/here/2024-07"]
    write_mirror(tmp_path / "gdac", [cast(1, late), cast(2, late + timedelta(days=20))], "D")
    run(small)
    rows = read_matchups(str(small.output)).to_pylist()
    assert [(row["period"], row["cycle"], row["scene"]) for row in rows] == [
        ("2024-06", 1, "scene-07-1"),
        ("2024-07", 2, "scene-14-2"),
    ]
    with pytest.raises(ConfigError, match="expected a matchups entry"):
        read_matchups(str(small.output), "argo")
