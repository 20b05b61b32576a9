"""From which orbit a scene is told to be, and which scenes are one observation and one layer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.products._sentinel1_orbits import Orbit, groups_of, orbit_of, passes_of, placeless, polarisations_of
from pipeline.search.canonical import canonical
from pipeline.search.normalise import to_item
from pipeline.types import Item

BOX = {"type": "Polygon", "coordinates": [[[4, 43], [5, 43], [5, 44], [4, 44], [4, 43]]]}


def item(name: str = "x", hour: int = 12, day: int = 1, **stated: Any) -> Item:
    time = datetime(2024, 6, day, hour, tzinfo=UTC)
    return Item(name, "c", "s1", time, date(2024, 6, day), BOX, {}, None, {f"sat:{k}": v for k, v in stated.items()})


def entry(**keys: Any) -> Sentinel1Config:
    return Sentinel1Config.model_validate_json(json.dumps({"product": "sentinel1", "source": "s1", **keys}))


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (item(orbit_state="Descending", relative_orbit=66), Orbit("descending", 66)),
        (item("S1A_IW_GRDH_1SDV_20240419T045904_20240419T045916_053498_067DF2_rtc", 5), Orbit("descending", 51)),
        (item("S1A_IW_GRDH_1SDH_20191215T034818_20191215T034847_030353_0378EA", 18), Orbit("ascending", 6)),
        (item("S1C_IW_GRDH_1SDV_20250331T045904_20250331T045916_001681_067DF2", 5), Orbit("descending", 110)),
        (item("S1C_IW_GRDH_1SDV_20260624T045904_20260624T045916_008019_067DF2", 5), Orbit("descending", 46)),
        (item("S1D_IW_GRDH_1SDV_20260313T045904_20260313T045916_002389_067DF2", 5), Orbit("descending", 73)),
        (item("OPERA_L2_RTC-S1_T124-264301-IW1_20231101T140652Z", 17), Orbit("ascending", 124)),
        (item("S1A_20200103_17RMJ_ASC", 12, relative_orbit=121), Orbit("ascending", 121)),
        (item("S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db", 12), Orbit("ascending", 0)),
        (item("nameless", 12), Orbit("", 0)),
        (item(relative_orbit=176, orbit_state="sideways"), Orbit("", 0)),
    ],
)
def test_an_orbit_is_what_is_stated_else_what_the_name_else_what_the_hour_tells(scene: Item, expected: Orbit) -> None:
    assert orbit_of(scene) == expected


def test_names_and_hours_tell_what_real_catalogues_state(shared_data: Path) -> None:
    """Absolute orbit, local time and polarisations against `sat:*` and `sar:*` of every recorded Sentinel-1 item."""
    seen = 0
    for path in sorted((shared_data / "raster" / "stac").rglob("*.json")):
        document = json.loads(path.read_text())
        listed = document if isinstance(document, list) else document.get("features") or [document]
        for raw in listed:
            stated = raw.get("properties") or {} if isinstance(raw, dict) else {}
            if "sat:relative_orbit" not in stated or not str(raw.get("id")).startswith("S1"):
                continue
            if abs(raw["bbox"][0]) > 180:
                continue  # one whose footprint is in metres
            found = to_item(canonical({**raw, "collection": raw.get("collection") or "s1"}, "s1")[0], {})
            polarisations = {one.lower() for one in stated["sar:polarizations"]}
            assert polarisations_of(found) == frozenset(polarisations)
            silent = replace(found, properties={})
            told = orbit_of(silent)
            assert told.direction == stated["sat:orbit_state"], raw["id"]
            if "_GRD" in raw["id"]:
                assert told.number == stated["sat:relative_orbit"], raw["id"]
                assert polarisations_of(silent) == frozenset(polarisations)
            seen += 1
    assert seen >= 10


def test_slices_of_one_pass_are_one_observation_and_orbits_of_one_day_are_not() -> None:
    scenes = [
        item("a", 5, 1, orbit_state="descending", relative_orbit=66),
        item("b", 5, 1, orbit_state="descending", relative_orbit=66),
        item("c", 17, 1, orbit_state="ascending", relative_orbit=117),
        item("d", 5, 2, orbit_state="descending", relative_orbit=66),
    ]
    passes = passes_of(scenes, entry())
    assert [one.scenes for one in passes] == [(2,), (0, 1), (3,)]
    assert [group.suffix for group in groups_of(scenes, entry())] == ["-ascending-117", "-descending-66"]
    assert [one.scenes for one in passes_of(scenes, entry(direction="descending"))] == [(0, 1), (3,)]
    assert [one.scenes for one in passes_of(scenes, entry(relative_orbits=[117]))] == [(2,)]


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"orbits": "together"}, [""]),
        ({"orbits": "direction"}, ["-ascending", "-descending"]),
        ({"orbits": "direction", "direction": "ascending"}, ["-ascending"]),
        ({"direction": "ascending", "relative_orbits": [117, 44]}, ["-ascending-117", "-ascending-44"]),
        ({}, []),
    ],
)
def test_names_that_an_entry_fixes_are_there_without_any_scene(keys: dict[str, Any], names: list[str]) -> None:
    assert [group.suffix for group in groups_of([], entry(**keys))] == names


def test_a_scene_without_orbit_serves_only_where_orbits_do_not_matter() -> None:
    lost = item("nameless", 12)
    assert placeless(entry(orbits="together"), lost) is None
    for keys in ({}, {"orbits": "together", "prefer": "ascending"}, {"orbits": "together", "direction": "ascending"}):
        said = placeless(entry(**keys), lost)
        assert said is not None
        assert "its orbit direction is not known" in said
        assert passes_of([lost], entry(**keys)) == []
    numberless = item("nameless", 5)
    assert "its relative orbit is not known" in str(placeless(entry(), numberless))
    assert placeless(entry(orbits="direction"), numberless) is None
