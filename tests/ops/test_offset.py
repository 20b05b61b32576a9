"""Laws of Sentinel-2's offset: baseline and flags decide, never the date; pixels overturn only what they disprove."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ops.offset import OffsetDecision, check_offset, decide_offset, processing_baseline

ES = "earthsearch:boa_offset_applied"
PB = "s2:processing_baseline"

# (properties, declared offset of the band, what is added, whether pixels must be asked)
ROWS: dict[str, tuple[dict[str, Any], float | None, int, bool]] = {
    "Planetary Computer, old": ({PB: "02.12"}, None, 0, False),
    "Planetary Computer, 04.00": ({PB: "04.00"}, None, -1000, False),
    "Planetary Computer, 05.11": ({PB: "05.11"}, None, -1000, False),
    "Earth Search c1": ({PB: "05.10"}, -0.1, -1000, False),
    "Earth Search c1, reprocessed 2019": ({PB: "05.00", "datetime": "2019-01-01T00:00:00Z"}, -0.1, -1000, False),
    "Earth Search v1, applied": ({PB: "05.09", ES: True}, 0.0, 0, False),
    "Earth Search v1, applied, stale raster:bands": ({PB: "05.09", ES: True}, -0.1, 0, True),
    "Earth Search v1, not applied": ({PB: "05.09", ES: False}, -0.1, -1000, True),
    "Earth Search v1, not applied, undeclared": ({PB: "04.00", ES: False}, None, -1000, True),
    "Earth Search v1, old": ({PB: "02.14", ES: False}, 0.0, 0, False),
    "Earth Search v1, old, declared": ({PB: "02.14", ES: False}, -0.1, 0, True),
    "Earth Search v1, flag absent, old": ({PB: "03.01"}, None, 0, False),
    "Earth Search v1, flag absent, new": ({PB: "05.09"}, -0.1, -1000, False),
    "Earth Search v1, flag absent, says no offset": ({PB: "05.09"}, 0.0, -1000, True),
    "Earth Search v0, applied": (
        {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": True},
        None,
        0,
        False,
    ),
    "flag without a baseline": ({ES: False}, None, -1000, True),
    "flag that is no boolean": ({PB: "02.14", ES: "false"}, None, 0, False),
    "CDSE": ({"processing:version": "05.10"}, -0.1, -1000, False),
    "old, but an offset is declared": ({PB: "02.14"}, -0.1, 0, True),
    "declared offset, baseline unknown": ({}, -0.1, -1000, True),
    "nothing known": ({}, None, 0, False),
}


@pytest.mark.parametrize("row", ROWS)
def test_every_convention_in_use(row: str) -> None:
    properties, declared, shift, doubtful = ROWS[row]
    found = decide_offset("scene", properties, declared)
    assert (found.shift, found.doubtful) == (shift, doubtful)
    assert found.reason


@given(st.sampled_from(list(ROWS)), st.datetimes())
def test_the_date_decides_nothing(row: str, time: Any) -> None:
    """Older scenes are reprocessed with newer baselines."""
    properties, declared, *_ = ROWS[row]
    dated = {**properties, "datetime": f"{time.isoformat()}Z", "created": f"{time.isoformat()}Z"}
    assert decide_offset("scene", dated, declared) == decide_offset("scene", properties, declared)


@pytest.mark.parametrize(
    ("item_id", "properties", "baseline"),
    [
        ("x", {PB: "05.10"}, 5.10),
        ("x", {"processing:version": "02.14"}, 2.14),
        ("x", {"sentinel2:processing_baseline": "05.09"}, 5.09),
        ("x", {"sentinel:processing_baseline": "05.11"}, 5.11),
        ("x", {"s2:product_uri": "S2A_MSIL2A_20240422T173911_N0510_R098_T13TDE_20240423T004950.SAFE"}, 5.10),
        ("x", {"sentinel:product_id": "S2A_MSIL2A_20190524T101031_N0212_R022_T31NBJ_20190524T130304"}, 2.12),
        ("S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126", {}, 4.00),
        ("S2A_33TWL_20230815_0_L2A", {}, None),
        ("S2A_MSIL2A_20230216T235751_R087_T52CEB_20230217T134604", {}, None),
    ],
)
def test_the_baseline_is_found_in_fields_and_names(
    item_id: str, properties: dict[str, Any], baseline: float | None
) -> None:
    assert processing_baseline(item_id, properties) == baseline


SHIFTED = OffsetDecision(-1000, "catalogue: offset not applied", doubtful=True)
APPLIED = OffsetDecision(0, "catalogue: offset already applied", doubtful=True)


def sample(dark_share: float, size: int = 10_000) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Numbers of a scene of which a share lies below 800, the rest at 2000."""
    dark = round(dark_share * size)
    return np.concatenate([np.full(dark, 300), np.full(size - dark, 2000)]).astype(np.uint16)


@given(st.floats(0, 1), st.sampled_from([0, -1000]), st.booleans(), st.integers(0, 5000))
def test_pixels_overturn_only_a_shift_that_dark_numbers_disprove(
    share: float,
    shift: int,
    doubtful: bool,
    size: int,
) -> None:
    before = OffsetDecision(shift, "why", doubtful=doubtful)
    numbers = sample(share, size)
    after = check_offset(before, numbers)
    disproved = shift == -1000 and size >= 500 and np.mean(numbers < 800) > 0.01
    assert after.shift == (0 if disproved else shift)
    assert after.reason.startswith("why")


@pytest.mark.parametrize(
    ("decision", "share", "shift", "doubtful", "said"),
    [
        (SHIFTED, 0.0, -1000, False, "; pixels agree"),
        (SHIFTED, 0.009, -1000, False, "; pixels agree"),
        (SHIFTED, 0.3, 0, True, "; but 30% of the numbers are below 800"),
        (APPLIED, 0.3, 0, False, "; pixels agree"),
        (APPLIED, 0.0, 0, True, "applied"),
    ],
)
def test_a_look_at_the_pixels_is_told(
    decision: OffsetDecision,
    share: float,
    shift: int,
    doubtful: bool,
    said: str,
) -> None:
    """Bright land without the offset looks like bright land with it: then the doubt stays."""
    found = check_offset(decision, sample(share))
    assert (found.shift, found.doubtful) == (shift, doubtful)
    assert found.reason.endswith(said)


def test_a_handful_of_pixels_proves_nothing() -> None:
    assert check_offset(SHIFTED, sample(1.0, 499)) == SHIFTED
    assert check_offset(APPLIED, sample(0.0, 0)) == APPLIED


def test_real_scenes_are_already_harmonised(shared_data: Path) -> None:
    """Five Earth Search dates: flag true, raster:bands says -0.1, and the pixels bear the flag out where they can."""
    agreed = 0
    for path in sorted((shared_data / "raster/s2/e84v1_33TWL_cog").glob("*/*.json")):
        item = json.loads(path.read_text())
        declared = item["assets"]["red"]["raster:bands"][0]["offset"]
        assert declared == -0.1
        decision = decide_offset(item["id"], item["properties"], declared)
        assert (decision.shift, decision.doubtful) == (0, True)
        with rasterio.open(path.parent / item["assets"]["red"]["href"]) as source:
            numbers = source.read(1)
        checked = check_offset(decision, numbers[numbers != 0])
        assert checked.shift == 0
        agreed += not checked.doubtful
        # Had the catalogue said the opposite, the pixels would have disproved it.
        denied = decide_offset(item["id"], {**item["properties"], ES: False}, declared)
        assert check_offset(denied, numbers[numbers != 0]).shift == (0 if not checked.doubtful else -1000)
    assert agreed >= 4


@pytest.mark.parametrize(
    ("path", "shift"),
    [
        ("odc/S2A_17SPR_20221106_0_L2A.json", 0),
        ("odc/S2B_42TUM_20220107_0_L2A.json", 0),
        ("odc/S2A_28QCH_20200714_0_L2A.json", 0),
        ("odc/S2B_T37MGP_20240710T073012_L2A_C1.json", -1000),
        ("odd/sgp_sentinel-2-item.json", -1000),
        ("stactools/s2_S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE.json", -1000),
        ("stactools/s2_S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE.json", 0),
        ("stactools/s2_S2B_MSIL2A_20200914T231559_N0500_R087_T01VCG_20230315T224658.json", -1000),
    ],
)
def test_real_items_of_other_catalogues(shared_data: Path, path: str, shift: int) -> None:
    """Earth Search v0 and v1, c1, Planetary Computer, stactools; a scene of 2020 in baseline 05.00 is shifted."""
    item = json.loads((shared_data / "raster/stac" / path).read_text())
    asset = next(item["assets"][key] for key in ("red", "B04") if key in item["assets"])
    bands = asset.get("raster:bands") or asset.get("bands") or [{}]
    declared = bands[0].get("offset", bands[0].get("raster:offset"))
    assert decide_offset(item["id"], item["properties"], declared).shift == shift
