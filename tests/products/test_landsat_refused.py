"""What only looks like Landsat Collection 2 Level 2 is refused by name, and costs no other scene anything."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.products.landsat_scenes import LandsatScenes, plain_days, plain_scene
from tests.products.test_landsat import DROP, GRID, make, median


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"id": "LC08_L1TP_190028_20030602_02_T1"}, "this is level L1TP"),
        ({"landsat:correction": "L1GT"}, "this is level L1GT"),
        ({"landsat:collection_number": "01"}, "this is Collection 1"),
        ({"id": "LC08_L2SP_190028_20030602_20180101_01_T1"}, "this is Collection 1"),
        ({"scale": 0.0001}, "the catalogue declares scale 0.0001; Landsat Collection 2 Level 2 has 2.75e-05"),
        ({"offset": 0.0}, "the catalogue declares offset 0; Landsat Collection 2 Level 2 has -0.2"),
    ],
)
def test_what_is_no_collection_2_level_2_is_refused_by_name(tmp_path: Path, change: dict[str, Any], cause: str) -> None:
    scenes = LandsatScenes(tmp_path)
    scenes.add(date(2003, 6, 3))
    item = scenes.add(date(2003, 6, 2))
    item["id"] = change.get("id", item["id"])
    item["properties"].update({key: value for key, value in change.items() if ":" in key})
    declared = {key: value for key, value in change.items() if key in {"scale", "offset"}}
    item["assets"]["red"]["raster:bands"] = [declared]
    _, outcome = make(scenes.world(), "bands=[red]")
    (loss,) = outcome.losses
    assert (loss.item, loss.asset) == (item["id"], "red" if declared else "qa_pixel")
    assert cause in loss.cause


def test_a_refused_scene_takes_no_pixel_from_another_of_its_day(tmp_path: Path) -> None:
    """Level 1 comes first by its id, and has the same quality files; the day is that of Level 2 all the same."""
    scenes = LandsatScenes(tmp_path)
    kept = scenes.add(date(2003, 6, 2))
    refused = scenes.add(date(2003, 6, 2))
    refused["id"] = refused["id"].replace("L2SP", "L1TP")
    made, outcome = make(scenes.world(), "bands=[red]")
    (loss,) = outcome.losses
    assert (loss.item, loss.asset) == (refused["id"], "qa_pixel")
    np.testing.assert_array_equal(made["red"], median(plain_days([plain_scene(kept, ["red"], GRID, DROP)], "red")))
