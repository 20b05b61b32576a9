"""One rule of the best value: what is opened by a rule is what a run by that rule commits, number by number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline.demo.argo_file import FILL
from pipeline.results.profiles import open_profiles
from pipeline.write.store import FolderStore
from tests.products.argo_world import Listed, cast, config_of, core, publish

VERSION = "20240101000000"
RULES: list[dict[str, Any]] = [
    {"quality": "standard"},
    {"quality": "research"},
    {"quality": "research", "flags": [1, 2]},
    {"flags": [3, 4]},
]


def opened(listed: Listed, folder: Path, run: dict[str, Any], **wanted: Any) -> xr.Dataset:
    """The profiles that a run with these keys makes."""
    publish(listed, FolderStore(str(folder)), config_of(parameters=["PRES", "TEMP", "PSAL", "DOXY"], **run))
    return open_profiles(str(folder), **wanted).compute()


def both(listed: Listed, folder: Path, rule: dict[str, Any]) -> tuple[xr.Dataset, xr.Dataset]:
    """By a rule when it is opened, and when it is made."""
    keys = {"qc_level": rule.get("quality", "standard"), **{k: v for k, v in rule.items() if k == "flags"}}
    return opened(listed, folder / "all", {"qc_level": "expert"}, **rule), opened(listed, folder / "some", keys)


def test_a_pressure_that_is_not_well_known_goes_with_its_depth_and_error(tmp_path: Path) -> None:
    known = cast(1, "D")
    pressure = replace(known.columns["PRES"], error=np.array([2.4, 19.9, 20.0, FILL, 0.1], np.float32))
    file = core("D9900101_001.nc", VERSION, replace(known, columns={**known.columns, "PRES": pressure}))
    by_rule, made = both(Listed(tmp_path / "gdac").with_file(*file), tmp_path, {"quality": "research"})
    xr.testing.assert_identical(by_rule, made)
    for name in ("PRES", "PRES_ERROR", "DEPTH"):
        assert np.isfinite(by_rule[name].values).tolist() == [[True, True, False, False, True]], name
    assert np.isfinite(by_rule.TEMP.values).all() and np.isfinite(by_rule.TEMP_ERROR.values).all()


def test_a_value_that_is_not_taken_has_no_error_and_no_depth(tmp_path: Path) -> None:
    file = core("R9900101_001.nc", VERSION, cast(1, "A"))
    by_rule, made = both(Listed(tmp_path / "gdac").with_file(*file), tmp_path, {"quality": "research"})
    xr.testing.assert_identical(by_rule, made)
    for name in ("TEMP", "TEMP_ERROR", "PRES", "DEPTH"):
        assert np.isnan(by_rule[name].values).all(), name


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("bucket", ["690324", "590607", "290174"])
def test_real_floats_are_opened_by_a_rule_as_they_are_made_by_it(
    shared_data: Path, tmp_path: Path, bucket: str, rule: dict[str, Any]
) -> None:
    gdac = shared_data / "argo" / "gdac"
    files = sorted(path.relative_to(gdac / "dac").as_posix() for path in gdac.glob(f"dac/*/{bucket}?/profiles/*.nc"))
    if not files:
        pytest.skip(f"needs the real Argo files in {gdac}")
    greylist = tuple((gdac / "ar_greylist.txt").read_text(encoding="latin-1").splitlines())
    listed = Listed(gdac, dict.fromkeys(files, VERSION), greylist=greylist)
    by_rule, made = both(listed, tmp_path, rule)
    assert by_rule.data_vars.keys() == made.data_vars.keys()
    xr.testing.assert_identical(by_rule, made)
