"""Parquet tables of every product open in pandas, polars, DuckDB and pyarrow alike; profiles by argopy's names."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipeline.results import profiles
from tests.interfaces.committed import Committed

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.long
TABLES = {
    "levels": "data/argo/*/static/levels.parquet",
    "profiles": "data/argo/*/static/profiles.parquet",
    "ledger": "data/argo/*/static/ledger.parquet",
    "matchups": "data/matchups/*/*/matchups_*.parquet",
    "items": "items.parquet",
}
"""Glob below an output by what is found there."""
UNITS = {
    "pres": "decibar",
    "temp": "degree_Celsius",
    "psal": "1",
    "doxy": "micromole/kg",
    "chla": "mg/m3",
    "latitude": "degree_north",
    "longitude": "degree_east",
    "depth": "m",
    "max_depth": "m",
    "hours": "h",
}
"""Of columns that have one; and of a band of pixels, reflectance, 1."""


@pytest.fixture(params=TABLES)
def files(request: pytest.FixtureRequest, committed: Committed) -> tuple[str, list[Path]]:
    """A glob, as a person writes it, and what it finds."""
    glob = TABLES[request.param]
    output = next(one for one in committed.outputs if [*one.glob(glob)])
    return f"{output}/{glob}", sorted(output.glob(glob))


def test_every_reader_sees_the_same_table(files: tuple[str, list[Path]]) -> None:
    """Rows, columns, and of each column how many values there are: no NaN stands for a missing one."""
    glob, paths = files
    table = ds.dataset([str(path) for path in paths], format="parquet").to_table()
    there = {name: table.num_rows - table[name].null_count for name in table.column_names}
    frame = pd.read_parquet(paths)
    assert {name: int(frame[name].notna().sum()) for name in frame} == there
    found = pl.scan_parquet(glob).collect()
    assert {name: found.height - found[name].null_count() for name in found.columns} == there
    assert not [one for one in found if one.dtype.is_float() and one.is_nan().any()]
    with duckdb.connect() as connection:
        counts = ", ".join(f'count("{name}")' for name in table.column_names)
        row = connection.execute(f"SELECT {counts} FROM '{glob}'").fetchone()  # noqa: S608 (the test's own names)
    assert row is not None and dict(zip(table.column_names, row, strict=True)) == there


def test_times_are_utc_for_all(files: tuple[str, list[Path]]) -> None:
    """The same moments, whatever the zone of the machine."""
    glob, paths = files
    schema = pq.read_schema(paths[0])
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if not times:
        assert "ledger" in glob
    for name in times:
        assert schema.field(name).type == pa.timestamp("us", "UTC")
        assert str(pd.read_parquet(paths)[name].dtype) == "datetime64[us, UTC]"
        assert pl.read_parquet_schema(paths[0])[name] == pl.Datetime("us", "UTC")
        latest = pc.max(ds.dataset([str(path) for path in paths]).to_table(columns=[name])[name]).as_py()
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'America/Lima'")
            question = f"SELECT epoch_us(max(\"{name}\")) FROM '{glob}'"  # noqa: S608 (the same)
            row = connection.execute(question).fetchone()
        assert row == (None if latest is None else round(latest.timestamp() * 1e6),)


def test_columns_say_what_they_are(files: tuple[str, list[Path]]) -> None:
    """One schema in every partition, so that a glob is one table; each column has a name, and a unit that it needs."""
    glob, paths = files
    first, *others = map(pq.read_schema, paths)
    assert all(first.remove_metadata().equals(one.remove_metadata()) for one in others)
    for field in first if "items.parquet" not in glob else ():
        said = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        assert said["long_name"], field.name
        if field.name.endswith(("_std", "_window")) or (field.name in UNITS and pa.types.is_floating(field.type)):
            assert said["units"] == UNITS.get(field.name, "1"), field.name


def test_numbers_are_those_of_pyarrow(committed: Committed) -> None:
    """Mean temperature of each float below 5 dbar, four ways."""
    glob = f"{committed.outputs[0]}/{TABLES['levels']}"
    paths = sorted(committed.outputs[0].glob(TABLES["levels"]))
    table = ds.dataset([str(path) for path in paths]).to_table(
        columns={"wmo": ds.field("wmo"), "temp": ds.field("temp").cast(pa.float64())}, filter=ds.field("pres") > 5
    )
    rows = table.group_by("wmo").aggregate([("temp", "mean")]).to_pylist()
    expected = {row["wmo"]: row["temp_mean"] for row in rows}
    assert len(expected) == 4 and all(0 < value < 30 for value in expected.values())
    frame = pd.read_parquet(paths).query("pres > 5").astype({"temp": float})
    assert frame.groupby("wmo")["temp"].mean().to_dict() == pytest.approx(expected)
    lazy = pl.scan_parquet(glob).filter(pl.col("pres") > 5).group_by("wmo").agg(pl.col("temp").cast(pl.Float64).mean())
    assert dict(lazy.collect().rows()) == pytest.approx(expected)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT wmo, avg(temp::DOUBLE) FROM '{glob}' WHERE pres > 5 GROUP BY wmo"  # noqa: S608 (the same)
        ).fetchall()
    assert dict(found) == pytest.approx(expected)


def test_profiles_have_argopys_names(committed: Committed) -> None:
    """`open_profiles` speaks as argopy's point and profile Datasets do, so that its users' code goes on."""
    found = profiles.open_profiles(str(committed.outputs[0]), kinds=["core"])
    assert {"PRES", "TEMP", "PSAL", "PRES_QC", "TEMP_QC", "PSAL_QC", "PRES_ERROR", "TEMP_ERROR", "PSAL_ERROR"} <= {
        *found.data_vars
    }
    assert {"PLATFORM_NUMBER", "CYCLE_NUMBER", "DIRECTION", "DATA_MODE", "LATITUDE", "LONGITUDE", "TIME"} <= {
        *found.variables
    }
    levels = ds.dataset([str(one) for one in committed.outputs[0].glob(TABLES["levels"])]).to_table(
        columns=["temp"], filter=ds.field("kind") == "core"
    )
    assert int(np.isfinite(found.TEMP).sum()) == len(levels) - levels["temp"].null_count
