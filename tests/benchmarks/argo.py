"""`python -m tests.benchmarks.argo`: single-cycle Argo files to one table of levels, by us, netCDF4 and plain xarray.

Everybody is asked in turn, round after round, for the same files in the page cache, on one core, and pays in seconds of
CPU; a ratio is of one round, so that what else the machine does meets all alike. Two processes at once are timed by the
clock. The files: those below ARGO_DATA, else the real ones beside the checkout, else generated ones. We read more than
the others do: texts, history, the modes of parameters.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import xarray as xr

from pipeline.read.argo import read_profiles
from pipeline.read.levels import flatten
from pipeline.types.levels import MISSING, Levels
from tests.argo_files import argo_file, single

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY", "CHLA")
PARTS = ("", "_QC", "_ADJUSTED", "_ADJUSTED_QC", "_ADJUSTED_ERROR")
MEASURED = tuple(name + part for name in PARAMETERS for part in PARTS)
OF_PROFILES = (
    "PLATFORM_NUMBER",
    "CYCLE_NUMBER",
    "DIRECTION",
    "DATA_MODE",
    "JULD",
    "JULD_QC",
    "LATITUDE",
    "LONGITUDE",
    "POSITION_QC",
)
OF_SLOTS = ("STATION_PARAMETERS", "PARAMETER_DATA_MODE")
"""Needed for the mode of each parameter; read by the library, and no more made of them."""
FILL = 99999.0
SHORTEST_S = 0.25
"""A round of one contender goes through the files again until so much time has passed."""
Run = Callable[[Sequence[Path]], Any]


def ours(paths: Sequence[Path]) -> pa.Table:
    """Bytes, arrays, flat columns, Arrow."""
    return table_of(flatten([read_profiles(path.read_bytes(), path.name, PARAMETERS) for path in paths], PARAMETERS))


def table_of(levels: Levels) -> pa.Table:
    """One row a level; each profile's values beside it, as the others have them."""
    columns: dict[str, pa.Array] = {}
    for name in ("wmo", "cycle", "juld", "juld_qc", "latitude", "longitude", "position_qc"):
        columns[name] = pa.array(getattr(levels, name)[levels.profile])
    for name in ("direction", "data_mode"):
        columns[name] = pa.array(getattr(levels, name)[levels.profile])
    for name, each in levels.values.items():  # noqa: PD011 (no frame)
        for part, of in zip(PARTS, ("raw", "raw_qc", "adjusted", "adjusted_qc", "adjusted_error"), strict=True):
            array = getattr(each, of)
            missing = array < 0 if array.dtype == np.int8 else array == MISSING
            columns[name + part] = pa.array(array, mask=missing)
    return pa.table(columns)


def by_netcdf4(paths: Sequence[Path]) -> pa.Table:
    """The library without masks and scales, its arrays joined as ours are."""
    parts: dict[str, list[Any]] = {name: [] for name in (*OF_PROFILES, *MEASURED)}
    for path in paths:
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            file.set_auto_chartostring(False)
            variables = file.variables
            profiles, levels = variables["PRES"].shape
            for name in OF_SLOTS:
                if name in variables:
                    variables[name][:]
            for name in OF_PROFILES:
                values = variables[name][:] if name in variables else np.full(profiles, b" ")
                each = np.array([row.tobytes() for row in values]) if name == "PLATFORM_NUMBER" else values
                parts[name].append(np.repeat(each, levels))
            for name in MEASURED:
                blank = np.array(b" " if name.endswith("_QC") else FILL, "S1" if name.endswith("_QC") else "f4")
                found = variables[name][:].reshape(-1) if name in variables else None
                parts[name].append(np.broadcast_to(blank, profiles * levels) if found is None else found)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    return pa.table(
        {
            name: pa.array(values, mask=values == FILL)
            if name in MEASURED and values.dtype.kind == "f"
            else pa.array(values)
            for name, values in joined.items()
        }
    )


def by_xarray(paths: Sequence[Path]) -> pd.DataFrame:
    """What a user writes: a Dataset a file, its frame, one frame of all."""
    frames = []
    for path in paths:
        with xr.open_dataset(path) as file:
            frames.append(file[[name for name in (*OF_PROFILES, *MEASURED) if name in file]].to_dataframe())
    return pd.concat(frames)


CONTENDERS: Mapping[str, Run] = {"ours": ours, "netCDF4": by_netcdf4, "xarray": by_xarray}


def rate(run: Run, paths: Sequence[Path], clock: Callable[[], float] = time.process_time) -> float:
    """Files a second."""
    began, passes, passed_s = clock(), 0, 0.0
    while passed_s < SHORTEST_S:
        run(paths)
        passes, passed_s = passes + 1, clock() - began
    return passes * len(paths) / passed_s


def rounds(paths: Sequence[Path], count: int) -> Iterator[dict[str, float]]:
    """Rates of everybody, in turn; the first go, which imports and compiles, is not counted."""
    for run in CONTENDERS.values():
        run(paths[:2])
    for _ in range(count):
        yield {name: rate(run, paths) for name, run in CONTENDERS.items()}


def together(name: str, paths: Sequence[Path], workers: int, count: int) -> float:
    """Files a second of so many processes that run at the same time, the best of so many goes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers) as pool:
        pool.map(_warm, [(name, paths)] * workers, chunksize=1)
        return max(sum(pool.map(_rate_of, [(name, paths)] * workers, chunksize=1)) for _ in range(count))


def _warm(asked: tuple[str, Sequence[Path]]) -> None:
    CONTENDERS[asked[0]](asked[1])
    time.sleep(0.2)  # so that every process gets one of these


def _rate_of(asked: tuple[str, Sequence[Path]]) -> float:
    return rate(CONTENDERS[asked[0]], asked[1], time.perf_counter)


def generated(folder: Path, count: int) -> list[Path]:
    """Files like those of data centres: most are core profiles of 50 to 1,000 levels, each fifth has oxygen."""
    rng = np.random.default_rng(0)
    paths = []
    for k in range(count):
        parameters = ("PRES", "TEMP", "PSAL", "DOXY") if k % 5 == 4 else ("PRES", "TEMP", "PSAL")
        made = replace(single(int(rng.integers(50, 1000)), seed=k, parameters=parameters), cycles=(k,))
        texts = {"PI_NAME": (64, "A. Name"), "PROJECT_NAME": (64, "Argo"), "VERTICAL_SAMPLING_SCHEME": (256, "Primary")}
        path = folder / f"R2902269_{k:03d}.nc"
        path.write_bytes(argo_file(replace(made, texts=texts)))
        paths.append(path)
    return paths


@contextmanager
def chosen_files() -> Iterator[tuple[str, list[Path]]]:
    """Where they are from, and all single-cycle files there."""
    shared = Path(os.environ.get("GROUNDSWELL_SHARED", Path(__file__).parents[3] / "shared"))
    folder = Path(os.environ.get("ARGO_DATA") or shared / "data/argo/gdac")
    paths = sorted(folder.rglob("profiles/*.nc"))
    if paths:
        yield f"below {folder}", paths
    elif os.environ.get("ARGO_DATA"):
        sys.exit(f"ARGO_DATA: {folder} holds no profiles/*.nc")
    else:
        with tempfile.TemporaryDirectory(prefix="groundswell-argo-") as made:
            yield "generated", generated(Path(made), 60)


def render(seen: Sequence[Mapping[str, float]], two: Mapping[str, float]) -> str:
    """One line a contender: the middle rate, the middle ratio of a round and its range; and of two processes."""
    lines = [f"{'':10}{'files/s':>9}{'ours is':>10}{'(lowest-highest)':>18}{'2 at once':>13}"]
    for name in CONTENDERS:
        ratios = sorted(each["ours"] / each[name] for each in seen)
        line = f"{name:10}{statistics.median(each[name] for each in seen):9.0f}{statistics.median(ratios):9.1f}x"
        between = f"({ratios[0]:.1f}-{ratios[-1]:.1f})"
        lines.append(f"{line}{between:>18}{two[name]:13.0f}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    count = int(os.environ.get("REPEAT") or 5)
    with chosen_files() as (where, paths):
        size = sum(path.stat().st_size for path in paths)
        rows = ours(paths).num_rows
        load = os.getloadavg()[0]
        sys.stdout.write(f"{len(paths)} single-cycle files {where}: {size / 1e6:.1f} MB, {rows} levels; ")
        sys.stdout.write(f"{count} rounds, load {load:.1f}\n")
        with one_core():
            seen = list(rounds(paths, count))
        two = {name: together(name, paths, 2, min(count, 3)) for name in CONTENDERS}
    sys.stdout.write(render(seen, two) + "\n")


@contextmanager
def one_core() -> Iterator[None]:
    """This process on one core, where the system lets it choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


if __name__ == "__main__":
    main()
