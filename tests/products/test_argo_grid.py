"""Laws of Argo grids: every cell is what a loop over its profiles gives, and nothing else is in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gsw
import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import PchipInterpolator

from pipeline.errors import MissingAssetsError, StoreError
from pipeline.products._argo_grid_config import region_tile
from pipeline.products._base import Context
from pipeline.products.argo_grid import PRODUCT, ArgoGridConfig
from pipeline.read.access import Access
from pipeline.types import Asset, Item, Job, Made, MemoryPlan, Period, Upstream
from pipeline.write.stac import render_item
from pipeline.write.tile import WriteOptions
from tests.argo_partitions import Cast, water, write_partition

LEVELS = (5.0, 10.0, 25.0, 100.0, 400.0, 900.0)
SUMMER = Period("2024-06-10_2024-08-01", datetime(2024, 6, 10, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC))
EVER = datetime(1950, 1, 1, tzinfo=UTC)
BOX = {"bbox": [60.0, 10.0, 66.0, 14.0]}
ALL = {"variables": ["ct", "sa", "sigma0"], "mixed_layer": {}, "heat_content": [[0, 100]]}


def entry(**changes: Any) -> ArgoGridConfig:
    said = {"product": "argo_grid", "inputs": ["argo"], "regions": {"sea": BOX}, "cell_deg": 2, "levels_dbar": LEVELS}
    said |= {"variables": ["ct"], "mixed_layer": None, "heat_content": [], "max_gap_dbar": 300}
    return ArgoGridConfig.model_validate({**said, **changes}, strict=False)


def random_casts(count: int = 60, seed: int = 5) -> list[Cast]:
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        pressure = np.unique(np.round(random.uniform(2, 950, int(random.integers(2, 40))), 1))
        moment = datetime(2024, int(random.integers(6, 9)), int(random.integers(1, 29)), tzinfo=UTC)
        values: dict[str, Any] = dict(water(pressure, moment.day))
        values["TEMP"] = [None if random.random() < 0.1 else float(np.float32(each)) for each in values["TEMP"]]
        place = random.uniform([9, 59], [15, 67])
        made.append(Cast(2900000 + number % 7, number, place[0], place[1], moment, values))
    return made


def write(root: Path, casts: Sequence[Cast]) -> list[Item]:
    """Casts in buckets, and the items that a job gets of them."""
    buckets: dict[str, list[Cast]] = defaultdict(list)
    for cast in casts:
        buckets[f"{cast.wmo // 10}x"].append(cast)
    return [item_of(bucket, write_partition(root, bucket, each)) for bucket, each in sorted(buckets.items())]


def item_of(bucket: str, levels: Path, updated: str | None = None) -> Item:
    assets = {"levels": Asset("levels", str(levels))}
    return Item(bucket, "argo", "argo", EVER, EVER.date(), None, assets, updated or f"{bucket}-1")


def job_of(config: ArgoGridConfig, items: Sequence[Item], period: Period = SUMMER) -> Job:
    name, region = next(iter(config.regions.items()))
    tile = region_tile(name, region, config.cell_deg)
    static = Period("static", None, None)
    upstream = tuple(Upstream("argo", "argo", item.id, static, item.updated or "", afloat=True) for item in items)
    memory = MemoryPlan(4, 2**30)
    return Job("argo_grid", "argo_grid", tile, period, "default", tuple(items), "0" * 64, memory, 0, upstream)


def make(config: ArgoGridConfig, items: Sequence[Item], folder: Path, period: Period = SUMMER) -> Made:
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(Access(), WriteOptions(None), skip_missing=True, max_missing_fraction=0.5, threads=2)
    job = job_of(config, items, period)
    return PRODUCT.make([job], config, context, [folder], job.memory)[0]


def opened(made: Made) -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(made.files[0].path)
    return found.load()


def plain_cells(casts: Sequence[Cast]) -> Mapping[tuple[int, int, int], list[dict[str, Any]]]:
    """What each profile gives, one at a time, by (month, row, column)."""
    found = defaultdict(list)
    for cast in casts:
        assert cast.time and cast.latitude is not None and cast.longitude is not None
        row, column = int((cast.latitude - 10) // 2), int((cast.longitude - 60) // 2)
        inside = 10 <= cast.latitude <= 14 and 60 <= cast.longitude <= 66 and row < 2 and column < 3
        if inside and datetime(2024, 6, 10, tzinfo=UTC) <= cast.time < datetime(2024, 8, 1, tzinfo=UTC):
            found[cast.time.month - 6, row, column].append(plain_profile(cast))
    return found


def plain_profile(cast: Cast) -> dict[str, Any]:
    p, t, s = (np.array(cast.values[name], np.float32).astype(float) for name in ("PRES", "TEMP", "PSAL"))
    sa = gsw.SA_from_SP(s, p, cast.longitude, cast.latitude)
    ct = gsw.CT_from_t(sa, t, p)
    numbers = {"ct": ct, "sa": sa, "sigma0": gsw.sigma0(sa, ct)}
    return {"wmo": cast.wmo, **{name: plain_levels(p, values) for name, values in numbers.items()}}


def plain_levels(p: np.ndarray, values: np.ndarray) -> np.ndarray:
    p, values = p[np.isfinite(values)], values[np.isfinite(values)]
    found = np.full(len(LEVELS), np.nan)
    for number, target in enumerate(LEVELS):
        if len(p) < 2 or target < p[0] or target > p[-1]:
            continue
        at = np.searchsorted(p, target, "right") - 1
        if p[at] == target or p[at + 1] - p[at] <= max(300, 0.2 * target):
            found[number] = PchipInterpolator(p, values)(target)
    return found


def test_every_cell_is_what_its_profiles_give_one_by_one(tmp_path: Path) -> None:
    casts = random_casts()
    grid = opened(make(entry(**ALL), write(tmp_path, casts), tmp_path / "made"))
    assert dict(grid.sizes) == {"time": 2, "pressure": 6, "latitude": 2, "longitude": 3, "bnds": 2}
    expected = plain_cells(casts)
    assert len(expected) > 6
    for place in np.ndindex(2, 2, 3):
        profiles = expected.get(place, [])
        assert int(grid.profiles[place]) == len(profiles)
        assert int(grid.floats[place]) == len({one["wmo"] for one in profiles})
        for name in ("ct", "sa", "sigma0"):
            values = np.array([one[name] for one in profiles]).reshape(-1, len(LEVELS))
            for level in range(len(LEVELS)):
                at = (place[0], level, *place[1:])
                mine = values[:, level][np.isfinite(values[:, level])]
                assert int(grid[f"{name}_count"][at]) == len(mine)
                mean = mine.mean() if len(mine) else np.nan
                spread = mine.std(ddof=1) if len(mine) > 1 else np.nan
                np.testing.assert_allclose(grid[name][at], mean, rtol=1e-6)
                np.testing.assert_allclose(grid[f"{name}_std"][at], spread, rtol=1e-4, atol=1e-6)
                np.testing.assert_allclose(
                    grid[f"{name}_sem"][at], spread / max(1, len(mine)) ** 0.5, rtol=1e-4, atol=1e-6
                )


def test_the_store_says_what_its_numbers_are(tmp_path: Path) -> None:
    made = make(entry(**ALL), write(tmp_path, random_casts()), tmp_path / "made")
    grid = opened(made)
    assert grid.attrs["Conventions"] == "CF-1.11" and "doi.org/10.17882/42182" in grid.attrs["attribution"]
    assert grid.ct.attrs["standard_name"] == "sea_water_conservative_temperature"
    assert "0.03 kg m-3" in grid.mld.attrs["comment"] and "10 dbar" in grid.mld.attrs["comment"]
    assert "0 to 100 dbar" in grid.ohc_0_100.attrs["long_name"]
    assert grid.pressure.attrs["positive"] == "down" and grid.pressure.values.tolist() == list(LEVELS)
    assert grid.time.values.astype("datetime64[D]").astype(str).tolist() == ["2024-06-10", "2024-07-01"]
    assert grid.latitude.values.tolist() == [11, 13] and grid.longitude.values.tolist() == [61, 63, 65]
    assert made.properties["groundswell:profiles_gridded"] == int(grid.profiles.sum())
    made_item = render_item(
        job_of(entry(), []), Made((*made.files, inputs(tmp_path)), made.properties, made.rights), created=EVER
    )
    assert made_item["assets"]["zarr"]["href"].endswith(".zarr")


def inputs(folder: Path) -> Any:
    from pipeline.write.files import write_json_file  # noqa: PLC0415 (only here)

    return write_json_file({}, folder / "inputs.json", "inputs", title="Inputs")


def test_the_same_partitions_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    casts = [*random_casts(), Cast(3900001, 1, 12.0, 62.0, values=water(np.arange(5.0, 500, 20)))]
    items = write(tmp_path, casts)
    assert len(items) == 2
    one, other = (make(entry(), each, tmp_path / f"made{n}") for n, each in enumerate((items, items[::-1])))
    assert one.files[0].sha256 == other.files[0].sha256


def test_the_lazy_grid_is_the_committed_one(tmp_path: Path) -> None:
    config, items = entry(), write(tmp_path, random_casts())
    committed = opened(make(config, items, tmp_path / "made"))
    lazy = PRODUCT.composite(job_of(config, items), config, Access())
    assert lazy.ct.chunks is not None
    xr.testing.assert_equal(lazy.compute().drop_attrs(), committed.drop_attrs())


def test_open_shows_the_profiles_that_the_grid_is_made_from(tmp_path: Path) -> None:
    config, items = entry(), write(tmp_path, random_casts())
    profiles = PRODUCT.open(job_of(config, items), config, Access())
    assert profiles.sizes["profile"] == int(opened(make(config, items, tmp_path / "made")).profiles.sum())


def test_profiles_count_once_and_only_where_time_and_place_are_good(tmp_path: Path) -> None:
    column = water(np.arange(5.0, 100, 10))
    good = Cast(2900001, 1, 11.0, 61.0, values=column)
    bad = [
        Cast(2900001, 1, 11.0, 61.0, values=column, kind="synthetic"),
        Cast(2900001, 1, 11.0, 61.0, values=column, profile_index=1),
        Cast(2900001, 2, None, None, values=column, position_qc=9),
        Cast(2900001, 3, 11.0, 61.0, None, values=column),
        Cast(2900001, 4, 11.0, 61.0, values=column, position_qc=4),
        Cast(2900001, 5, 11.0, 61.0, values=column, time_qc=3),
    ]
    estimated = Cast(2900001, 6, 11.0, 61.0, values=column, time_qc=8, position_qc=8)
    made = make(entry(), write(tmp_path, [good, *bad, estimated]), tmp_path / "made")
    assert int(opened(made).profiles.sum()) == 2
    assert made.properties["groundswell:profiles_without_cell"] == {
        "position_bad": 1,
        "position_missing": 1,
        "time_bad": 1,
        "time_missing": 1,
    }
    both = make(entry(profiles="all"), write(tmp_path, [good, *bad]), tmp_path / "all")
    assert int(opened(both).profiles.sum()) == 2


def test_a_polygon_holds_only_what_lies_in_it(tmp_path: Path) -> None:
    column = water(np.arange(5.0, 100, 10))
    casts = [Cast(2900001, n, 10 + n, 60.5 + n, values=column) for n in range(4)]
    casts += [Cast(2900002, n, 13.5 - n, 61.0 + n, values=column) for n in range(3)]
    triangle = {"sea": {"polygon": [[60, 10], [66, 10], [66, 14]]}}
    grid = opened(make(entry(regions=triangle), write(tmp_path, casts), tmp_path / "made"))
    inside = [one for one in casts if (one.latitude or 0) <= 10 + ((one.longitude or 0) - 60) * 4 / 6]
    assert 0 < int(grid.profiles.sum()) == len(inside) < len(casts)


def test_a_region_over_the_antimeridian_is_one_grid(tmp_path: Path) -> None:
    column = water(np.arange(5.0, 100, 10))
    casts = [Cast(2900001, n, 11.0, lon, values=column) for n, lon in enumerate((177.0, 179.9, -180.0, -179.0, -170.0))]
    region = {"sea": {"bbox": [176.0, 10.0, -178.0, 12.0]}}
    made = make(entry(regions=region), write(tmp_path, casts), tmp_path / "made")
    grid = opened(made)
    assert grid.longitude.values.tolist() == [177, 179, 181]
    assert grid.profiles.sum(["time", "latitude"]).values.tolist() == [1, 1, 2]


def test_months_are_made_a_few_at_a_time_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.products import _argo_grid_fill as module  # noqa: PLC0415 (to be patched)

    items = write(tmp_path, random_casts())
    whole = opened(make(entry(), items, tmp_path / "whole"))
    monkeypatch.setattr("pipeline.products._argo_grid_store.CHUNK_NUMBERS", 1)
    monkeypatch.setattr(module, "months_at_once", lambda _, cells, __: ((n, n + 1) for n in range(cells.months)))
    monkeypatch.setattr("pipeline.products._argo_grid_gather.BATCH_LEVELS", 50)
    parts = opened(make(entry(), items, tmp_path / "parts"))
    xr.testing.assert_allclose(whole, parts, rtol=1e-5)
    for name in ("ct_count", "profiles", "floats"):
        xr.testing.assert_identical(whole[name], parts[name])


def test_nothing_in_the_region_gives_an_empty_grid_and_says_so(tmp_path: Path) -> None:
    made = make(
        entry(regions={"sea": {"bbox": [0.0, -10.0, 2.0, -8.0]}}), write(tmp_path, random_casts()), tmp_path / "m"
    )
    assert int(opened(made).profiles.sum()) == 0
    assert made.warnings == ("no core profile lies in sea in 2024-06-10_2024-08-01: the grid is empty",)


def test_a_parameter_that_no_partition_has_is_told(tmp_path: Path) -> None:
    made = make(entry(variables=["temp", "doxy"]), write(tmp_path, random_casts()), tmp_path / "made")
    grid = opened(made)
    assert np.isnan(grid.doxy).all() and np.isfinite(grid.temp).any()
    assert any("no partition has doxy" in text for text in made.warnings)


def test_a_partition_that_is_not_the_planned_one_refuses_the_grid(tmp_path: Path) -> None:
    write(tmp_path, random_casts())
    levels = tmp_path / "data/argo/290000x/static/levels.parquet"
    with pytest.raises(StoreError, match=r"expected planned-then as planned: .* run the config again"):
        make(entry(), [item_of("290000x", levels, "planned-then")], tmp_path / "made")


def test_a_partition_that_cannot_be_read_is_a_loss_by_name(tmp_path: Path) -> None:
    items = [*write(tmp_path, random_casts()), item_of("490000x", tmp_path / "gone.parquet")]
    made = make(entry(), items, tmp_path / "made")
    assert [(loss.item, loss.asset) for loss in made.losses] == [("490000x", "levels")]
    with pytest.raises(MissingAssetsError, match="490000x/levels"):
        make(entry(), items[1:], tmp_path / "none")


def test_one_profile_gives_its_own_mixed_layer_and_heat(tmp_path: Path) -> None:
    """Twenty metres of one density above another, and one temperature down to the limit."""
    pressure = np.array([5.0, 10.0, 20.0, 30.0, 60.0, 120.0])
    column = {"PRES": pressure.tolist(), "TEMP": [20.0] * 6, "PSAL": [35.0, 35.0, 35.0, 36.0, 36.0, 36.0]}
    made = make(entry(**ALL), write(tmp_path, [Cast(2900001, 1, 11.0, 61.0, values=column)]), tmp_path / "made")
    grid = opened(made).isel(time=0, latitude=0, longitude=0)
    sa = gsw.SA_from_SP(np.array(column["PSAL"]), pressure, 61.0, 11.0)
    ct = gsw.CT_from_t(sa, 20.0, pressure)
    sigma0 = gsw.sigma0(sa, ct)
    share = (sigma0[1] + 0.03 - sigma0[2]) / (sigma0[3] - sigma0[2])
    assert float(grid.mld) == pytest.approx(-gsw.z_from_p(20 + 10 * share, 11.0), rel=1e-6)
    area = np.trapezoid(np.interp(np.linspace(0, 100, 10001), pressure, ct), np.linspace(0, 100, 10001))
    assert float(grid.ohc_0_100) == pytest.approx(area * 1e4 * 3991.86795711963 / gsw.grav(11.0, 50.0), rel=1e-6)
    assert int(grid.mld_count) == int(grid.ohc_0_100_count) == 1
    assert np.isnan(grid.mld_std) and np.isnan(grid.mld_sem)
