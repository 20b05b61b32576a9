"""The contenders of `make bench-argo` make the same table of the same files, so their rates can be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.argo import (
    CONTENDERS,
    MEASURED,
    by_netcdf4,
    by_xarray,
    chosen_files,
    generated,
    ours,
    rate,
    render,
)

pytestmark = pytest.mark.long


def check_same(paths: list[Path]) -> None:
    """Every number of every parameter, counted and added up."""
    one, two, three = ours(paths), by_netcdf4(paths), by_xarray(paths)
    for name in (name for name in MEASURED if not name.endswith("_QC")):
        numbers = [table[name].drop_null().to_numpy().astype("f8") for table in (one, two)]
        assert numbers[0].tolist() == numbers[1].tolist(), name
        if name in three:
            assert three[name].dropna().to_numpy().astype("f8").tolist() == numbers[0].tolist(), name
        else:
            assert numbers[0].size == 0


def test_contenders_agree_on_generated_files(tmp_path: Path) -> None:
    check_same(generated(tmp_path, 6))


def test_contenders_agree_on_real_files(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGO_DATA", str(shared_data / "argo/gdac"))
    with chosen_files() as (_, paths):
        assert len(paths) == 50
        check_same(paths)


def test_rates_and_ratios_are_told_for_all(tmp_path: Path) -> None:
    paths = generated(tmp_path, 2)
    ticks = iter(range(100))
    assert rate(len, paths, lambda: float(next(ticks))) == 2.0  # one pass over two files, in one tick
    told = render([{name: 10.0 / (k + 1) for k, name in enumerate(CONTENDERS)}], dict.fromkeys(CONTENDERS, 7.0))
    assert [line.split()[1:] for line in told.splitlines()[1:]] == [
        ["10", "1.0x", "(1.0-1.0)", "7"],
        ["5", "2.0x", "(2.0-2.0)", "7"],
        ["3", "3.0x", "(3.0-3.0)", "7"],
    ]
