"""The table of match-ups: one row for each profile and scene that meet, and the Parquet file that holds it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.ops.matchups import window_statistics
from pipeline.plan.argo_columns import UNITS, described
from pipeline.plan.argo_schema import WHERE, WHO
from pipeline.products._matchups_config import SENSORS, MatchupsConfig
from pipeline.products._matchups_floats import Floats
from pipeline.products._matchups_pixels import Sampled
from pipeline.types import DataFile, Job, Rights
from pipeline.write.files import finished_file

FORMAT = 1
FOOTER = b"groundswell"
"""Key of the file's own document among its Parquet metadata."""
PARQUET_TYPE = "application/vnd.apache.parquet"
_PROFILE: tuple[tuple[str, pa.DataType], ...] = (*WHO, *WHERE, ("file", pa.string()))
_SCENE: tuple[tuple[str, pa.DataType], ...] = (
    ("collection", pa.string()),
    ("scene", pa.string()),
    ("scene_time", pa.timestamp("us", tz="UTC")),
    ("hours", pa.float64()),
)
_OF_SCENE = {
    "collection": ("collection of the scene",),
    "scene": ("item of the scene in its collection",),
    "scene_time": ("time of the scene, UTC", "", "time"),
    "hours": ("time from the profile to the scene; negative: the scene was first", "h"),
}
_ORDER = ("wmo", "cycle", "direction", "kind", "profile_index", "scene_time", "collection", "scene")


def match_table(floats: Floats, pairs: Iterable[tuple[Sampled, NDArray[np.int64]]], config: MatchupsConfig) -> pa.Table:
    """Rows of all pairs, by profile, then by the scene's time. pairs: (a scene's windows, the profile of each).

    `hours` is from the profile to the scene. Of each band: the middle pixel, mean, standard deviation and count of the
    pixels that count, and all of them row by row.
    """
    schema = _schema(floats, config)
    parts = [_rows(floats, sampled, number, config) for sampled, number in pairs if len(number)]
    whole = pa.concat_tables([part.cast(schema) for part in parts]) if parts else schema.empty_table()
    return whole.sort_by([(name, "ascending") for name in _ORDER])


def _schema(floats: Floats, config: MatchupsConfig) -> pa.Schema:
    known = {name for name, _ in _PROFILE}
    water = [name for name in floats.table.column_names if name not in known]
    of_water = [(name, pa.int32() if name.endswith("_levels") else pa.float32()) for name in water]
    window = pa.list_(pa.float32(), config.window_px**2)
    of_bands: list[tuple[str, pa.DataType]] = []
    for band in config.bands:
        name = f"{config.prefix}_{band}"
        of_bands += [(name, pa.float32()), (f"{name}_mean", pa.float32()), (f"{name}_std", pa.float32())]
        of_bands += [(f"{name}_count", pa.int32()), (f"{name}_window", window)]
    return described(pa.schema([*_PROFILE, *of_water, *_SCENE, *of_bands]), (), _meanings(water, config))


def _meanings(water: Iterable[str], config: MatchupsConfig) -> dict[str, tuple[str, ...]]:
    """Long name, unit and standard name of the columns that a table of profiles does not have."""
    said: dict[str, tuple[str, ...]] = dict(_OF_SCENE)
    for column in water:
        name = column.removesuffix("_levels").upper()
        surface = f"best values of {name} down to {config.surface_dbar:g} dbar"
        said[column] = (f"mean of {surface}", *UNITS.get(name, ()))
        if column.endswith("_levels"):
            said[column] = (f"number of {surface}",)
    place = f"the {config.window_px} x {config.window_px} pixels around the profile"
    for band in config.bands:
        known = SENSORS[config.sensor].band(band) if config.sensor else None
        text, unit = (known.description, known.unit) if known else (f"{band}, as its catalogue scales it", "")
        name = f"{config.prefix}_{band}"
        said[name] = (f"{text}: the pixel at the profile", unit)
        said[f"{name}_mean"] = (f"{text}: mean of {place}", unit)
        said[f"{name}_std"] = (f"{text}: standard deviation of {place}", unit)
        said[f"{name}_count"] = (f"{text}: number of values among {place}",)
        said[f"{name}_window"] = (f"{text}: {place}, row by row from the upper left one", unit)
    return said


def _rows(floats: Floats, sampled: Sampled, number: NDArray[np.int64], config: MatchupsConfig) -> pa.Table:
    """The rows of one scene."""
    table, scene, rows = floats.table.take(number), sampled.scene, len(number)
    moment = np.datetime64(scene.time.replace(tzinfo=None), "us")
    hours = (moment - floats.times[number]) / np.timedelta64(1, "h")
    columns = {
        "collection": pa.array([scene.collection] * rows, pa.string()),
        "scene": pa.array([scene.id] * rows, pa.string()),
        "scene_time": pa.array([scene.time] * rows, pa.timestamp("us", tz="UTC")),
        "hours": pa.array(hours),
    }
    for band, windows in sampled.bands.items():
        name, found = f"{config.prefix}_{band}", window_statistics(windows)
        columns[name] = _numbers(found.middle)
        columns[f"{name}_mean"] = _numbers(found.mean)
        columns[f"{name}_std"] = _numbers(found.deviation)
        columns[f"{name}_count"] = pa.array(found.count)
        columns[f"{name}_window"] = pa.FixedSizeListArray.from_arrays(_numbers(windows.ravel()), config.window_px**2)
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _numbers(values: NDArray[np.floating]) -> pa.Array:
    """With null for NaN."""
    return pa.array(values, pa.float32(), from_pandas=True)


def write_matchups(table: pa.Table, job: Job, config: MatchupsConfig, rights: Rights, folder: Path) -> DataFile:
    """The table as Parquet: zstd, sorted, with a document of what it is. Raises OutputError for what cannot be read."""
    about = {
        "format": FORMAT,
        "product": job.product,
        "region": job.tile.id,
        "period": job.period.id,
        "fingerprint": job.fingerprint,
        "license": rights.license,
        "attribution": rights.attribution,
        **config.model_dump(mode="json", include={"sensor", "tolerance_hours", "window_px", "surface_dbar"}),
    }
    path = folder / "matchups.parquet"
    text = json.dumps(about, sort_keys=True, ensure_ascii=False)
    order = [pq.SortingColumn(table.column_names.index(name)) for name in _ORDER]
    pq.write_table(
        table.replace_schema_metadata({FOOTER: text.encode()}),
        path,
        compression="zstd",
        sorting_columns=order,
        write_page_checksum=True,
    )
    back = pq.read_table(path, page_checksum_verification=True)
    if not back.equals(table):
        raise OutputError(f"{job.id}: found other rows in {path} than were written; expected {table.num_rows} rows")
    return finished_file(path, "matchups", PARQUET_TYPE, ("data",), "Match-ups", _columns(table.column_names))


def _columns(names: Sequence[str]) -> dict[str, list[str]]:
    return {"groundswell:columns": list(names)}
