"""What GRD is, is said in items, known from catalogues, and refused by products that need better."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import JobError
from pipeline.products import _sentinel1_grd as grd
from pipeline.products._sentinel1_grd import Calibration, grd_aliases, grd_state, is_grd
from pipeline.types import Item
from tests.read.grd import SCENE, item_of


@pytest.fixture
def annotated() -> Item:
    """With both annotations; nothing is read here."""
    return item_of({"vv": "a.tiff", "calibration-vv": "c.xml", "noise-vv": "n.xml"})


def without(item: Item, *keys: str) -> Item:
    return item_of({key: asset.href for key, asset in item.assets.items() if key not in keys}, item.id)


def test_what_it_is_is_said(annotated: Item) -> None:
    """Not terrain corrected, by which table, and whether the noise is gone."""
    says = {grd.NOT_TERRAIN_CORRECTED: True, grd.CALIBRATION: "gamma0", grd.NOISE_REMOVED: True}
    assert grd_state([annotated], ["vv", "vh"], Calibration()) == says
    quiet = without(annotated, "noise-vv")
    assert grd_state([quiet], ["vv"], Calibration("sigma0"))[grd.NOISE_REMOVED] is False
    plain = without(annotated, "noise-vv", "calibration-vv")
    assert grd_state([plain], ["vv"], Calibration())[grd.CALIBRATION] == "uncalibrated"


def test_calibrated_and_uncalibrated_scenes_are_not_mixed(annotated: Item) -> None:
    """A composite of both would be neither; the error names one of each."""
    plain = item_of({"vv": annotated.assets["vv"].href}, "S1A_IW_GRDH_other")
    with pytest.raises(JobError, match=rf"{SCENE} \(vv\) is gamma0.*; S1A_IW_GRDH_other \(vv\) is uncalibrated"):
        grd_state([annotated, plain], ["vv"], Calibration())


def test_catalogues_real_items_are_known(shared_data: Path) -> None:
    """Items of three catalogues: which are GRD, and that their annotations are found under the aliases."""
    folder = shared_data / "raster/stac"
    raw = json.loads((folder / "recorded/es_v1_search_cql2_p1_s1grd.json").read_text())["features"]
    raw = [item for item in raw if item["collection"] == "sentinel-1-grd"]
    raw += [json.loads((folder / "planetary-computer/pgstac_s1-grd_20220428.json").read_text())]
    assert len(raw) > 3
    for item in raw:
        assert is_grd(item_of({}, item["id"], **item["properties"]))
        each = next(key for key in ("vv", "hh") if key in item["assets"])
        aliases = grd_aliases([each])
        assert all(any(name in item["assets"] for name in names) for names in aliases.values()), item["id"]
    rtc = json.loads((folder / "planetary-computer/items_sentinel-1-rtc-pc.json").read_text())
    found = [
        is_grd(replace(item_of({}, item["id"], **item["properties"]), collection=name))
        for item in rtc
        for name in ("", item["collection"])
    ]
    assert found
    assert not any(found)
