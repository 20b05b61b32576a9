"""An inbound request becomes the list of tiles of a run: every id is in it, or named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.plan.tiles import plan_tiles
from pipeline.search.area import read_area
from tests.verbs.making import groundswell

HEADER = ["Year", "X", "Y", "Y_tile", "X_tile"]
PROJECT, OTHER = "4f0b3c9e-0b0e-4d5c-8a55-6a2f8a1d7c11", "b1f1d8f0-2f3b-4f0a-9d0e-2d3c4b5a6978"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twenty by twenty tiles around 6.5 E, 0.3 N, numbered from 1030, 720; some are below zero in a corner of it."""
    rows = [
        {"X": round((110 + i + 0.5) / 18, 4), "Y": round((j + 0.5) / 18, 4), "X_tile": 1030 + i, "Y_tile": 720 + j}
        for i in range(20)
        for j in range(20)
    ]
    rows.append({"X": -0.0278, "Y": -0.0278, "X_tile": -3, "Y_tile": -5})
    path = tmp_path / "tiledb.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def save(folder: Path, document: Any) -> Path:
    path = folder / "request.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def listed(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == HEADER
    return rows


def missing(*ids: Any) -> dict[str, Any]:
    return {"all_tiles": ["1030X720Y", "nonsense"], "missing_tiles": list(ids)}


def test_a_request_becomes_the_area_of_a_run(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several projects and years, duplicates merged, only missing_tiles count; the list is read back as it stands."""
    request = save(
        tmp_path,
        {
            PROJECT: {"2021": missing("1037X725Y", "-3X-5Y", "1037X725Y"), "2022": missing("1038X725Y")},
            OTHER: {"2021": missing("1037X725Y"), "2023": missing()},
        },
    )
    out = tmp_path / "tiles.csv"
    assert groundswell("request", request, "--tiles", table, "-o", out) == 0
    told = capsys.readouterr().out
    assert "tile-years: 3, of 2021, 2022" in told and "2 ids stood there more than once" in told
    assert listed(out) == [
        ["2021", "-0.0278", "-0.0278", "-5", "-3"],
        ["2021", "6.5278", "0.3056", "725", "1037"],
        ["2022", "6.5833", "0.3056", "725", "1038"],
    ]
    area = read_area(AreaConfig(tiles=str(out)), GridConfig(kind="ttc"))
    years = {"-3X-5Y": {2021}, "1037X725Y": {2021}, "1038X725Y": {2022}}
    assert area.years == {tile: frozenset(some) for tile, some in years.items()}


def test_whatever_is_left_out_is_named(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unreadable ids, years that are none, and ids that the table does not have: exit 1, the others are listed."""
    ids = ("1037X725Y", "1037x725Y", 1037, None, "9999X1Y", "13667X11625Y")
    request = save(tmp_path, {PROJECT: {"2021": missing(*ids), "20211": missing("1037X725Y")}})
    out = tmp_path / "tiles.csv"
    assert groundswell("request", request, "--tiles", table, "-o", out) == 1
    told = capsys.readouterr().out
    assert "6 left out:" in told
    for said in (
        '"1037x725Y"',
        "1037: allowed",
        "null",
        "9999X1Y is not in",
        "13667X11625Y is not in",
        '"20211": "1037X725Y"',
    ):
        assert said in told
    assert listed(out) == [["2021", "6.5278", "0.3056", "725", "1037"]]


@pytest.mark.parametrize("document", [{}, {PROJECT: {}}, {PROJECT: {"2021": {"all_tiles": ["1037X725Y"]}}}])
def test_an_empty_request_is_nothing_to_do(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Any
) -> None:
    out = tmp_path / "tiles.csv"
    assert groundswell("request", save(tmp_path, document), "--tiles", table, "-o", out) == 5
    assert "asks for no tile" in capsys.readouterr().err and not out.exists()
    assert groundswell("request") == 5
    assert groundswell("request", save(tmp_path, {}), "--year", "2021") == 5


def test_nothing_is_written_where_nothing_is_found(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiles.csv"
    request = save(tmp_path, {PROJECT: {"2021": missing("1X1Y")}})
    assert groundswell("request", request, "--tiles", table, "-o", out) == 1
    assert not out.exists()


POLYGON = {"type": "Polygon", "coordinates": [[[6.5, 0.23], [6.6, 0.23], [6.6, 0.33], [6.5, 0.33], [6.5, 0.23]]]}
INSIDE = {("6.5278", "0.25"), ("6.5833", "0.25"), ("6.5278", "0.3056"), ("6.5833", "0.3056")}


@pytest.mark.parametrize(
    ("document", "extra"),
    [
        (POLYGON, ["--year", "2021"]),
        ({"type": "Feature", "geometry": POLYGON, "properties": {"year": 2021}}, []),
        ({"type": "Feature", "geometry": POLYGON, "properties": {"year": 2021}}, ["--year", "1999"]),
        ({"bbox": [6.5, 0.23, 6.6, 0.33], "year": 2021}, []),
        ({"bbox": [6.5, 0.23, 6.6, 0.33]}, ["--year", "2021"]),
        ({"points": [[6.51, 0.24], [6.59, 0.24], [6.51, 0.32], [6.59, 0.32], [6.58, 0.31]], "year": "2021"}, []),
        (
            {"type": "MultiPoint", "coordinates": [[6.51, 0.24], [6.59, 0.24], [6.51, 0.32], [6.59, 0.32]]},
            ["--year", "2021"],
        ),
        (None, ["--bbox", "6.5", "0.23", "6.6", "0.33", "--year", "2021"]),
    ],
)
def test_an_area_or_places_with_a_year(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Any, extra: list[str]
) -> None:
    arguments = [] if document is None else [save(tmp_path, document)]
    assert groundswell("request", *arguments, *extra, "--tiles", table) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert rows[0] == HEADER and {row[0] for row in rows[1:]} == {"2021"}
    assert {(row[1], row[2]) for row in rows[1:]} == INSIDE


def test_without_a_table_tiles_have_our_own_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which the output says; a run takes them, by its CSV and by id, as the same tiles."""
    out = tmp_path / "tiles.csv"
    assert groundswell("request", save(tmp_path, POLYGON), "--year", "2021", "--year", "2020", "-o", out) == 0
    assert "tile numbers: numbered by the rule of this project" in capsys.readouterr().out
    assert {(row[1], row[2]) for row in listed(out)} == INSIDE and len(listed(out)) == 8
    grid = GridConfig(kind="ttc")
    placed = plan_tiles(read_area(AreaConfig(tiles=str(out)), grid), grid)
    ids = [f"{row[4]}X{row[3]}Y" for row in listed(out)]
    request = save(tmp_path, {PROJECT: {"2021": missing(*ids, "1037X725Y")}})
    assert groundswell("request", request, "-o", out) == 1
    assert "1037X725Y is the number of a table; give it by --tiles" in capsys.readouterr().out
    assert plan_tiles(read_area(AreaConfig(tiles=str(out)), grid), grid) == placed


def test_places_without_a_tile_are_named(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiles.csv"
    places = ("--point", "6.51", "0.24", "--point", "-100.5", "0.24")
    assert groundswell("request", *places, "--year", "2021", "--tiles", table, "-o", out) == 1
    assert "the place -100.5, 0.24: its tile is not in" in capsys.readouterr().out
    assert [row[1:3] for row in listed(out)] == [["6.5278", "0.25"]]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [1]},
        {"X": [6.53], "Y": [0.3056], "X_tile": [1], "Y_tile": [1]},
        {"X": [float("nan")], "Y": [0.3056], "X_tile": [1], "Y_tile": [1]},
        {"X": [6.5278, None], "Y": [0.3056, 0.3056], "X_tile": [1, 1], "Y_tile": [1, 1]},
        {"X": [6.5278, 6.5833], "Y": [0.3056, 0.3056], "X_tile": [1, 1], "Y_tile": [1, 1]},
        {"X": ["6.5278"], "Y": ["0.3056"], "X_tile": ["1"], "Y_tile": ["1"]},
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: dict[str, list[Any]]
) -> None:
    """Without its columns, with centres where no tile has one, or two of one number; a file that is no Parquet."""
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), path)
    request = save(tmp_path, {PROJECT: {"2021": missing("1X1Y")}})
    assert groundswell("request", request, "--tiles", path) == 2
    path.write_text("no Parquet")
    assert groundswell("request", request, "--tiles", path) == 2
    assert str(path) in capsys.readouterr().err


def test_a_tile_without_a_number_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(
        pa.table({"X": [6.5278], "Y": [0.3056], "X_tile": pa.array([None], pa.int64()), "Y_tile": [1]}), path
    )
    assert groundswell("request", "--point", "6.5278", "0.3056", "--year", "2021", "--tiles", path) == 2
    assert "X_tile" in capsys.readouterr().err


def test_ten_thousand_tiles_of_the_table_in_use(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every one of them comes back with the table's own centre, and the run's tiles are as many."""
    path = shared_data / "raster/vectors/ttc_tiledb.parquet"
    if not path.exists():
        pytest.skip(f"needs {path}")
    rows = pq.read_table(path)
    some = np.sort(np.random.default_rng(3).choice(rows.num_rows, 10_000, replace=False))
    known = {
        (row["X_tile"], row["Y_tile"]): (repr(row["X"]), repr(row["Y"]))
        for row in rows.take(pa.array(some)).to_pylist()
    }
    ids = [f"{across}X{down}Y" for across, down in known]
    request = save(tmp_path, {PROJECT: {"2021": missing(*ids, *ids[:100])}})
    out = tmp_path / "tiles.csv"
    assert groundswell("request", request, "--tiles", path, "-o", out) == 0
    assert {(int(row[4]), int(row[3])): (row[1], row[2]) for row in listed(out)} == known
    assert "tile-years: 10000, of 2021" in capsys.readouterr().out
    grid = GridConfig(kind="ttc")
    assert {tile.id for tile in plan_tiles(read_area(AreaConfig(tiles=str(out)), grid), grid)} == {*ids}


def test_an_area_of_the_table_in_use(shared_data: Path, tmp_path: Path) -> None:
    """Exactly the rows whose boxes the area touches, found without the project's code."""
    path = shared_data / "raster/vectors/ttc_tiledb.parquet"
    if not path.exists():
        pytest.skip(f"needs {path}")
    west, south, east, north = 29.02, -2.33, 29.95, -1.91
    out = tmp_path / "tiles.csv"
    box = tuple(map(str, (west, south, east, north)))
    assert groundswell("request", "--bbox", *box, "--year", "2021", "--tiles", path, "-o", out) == 0
    rows = pq.read_table(path)
    x, y, half = rows["X"].to_numpy(), rows["Y"].to_numpy(), 10 / 360
    touched = (x + half > west) & (x - half < east) & (y + half > south) & (y - half < north)
    expected = {
        *zip(rows["X_tile"].to_numpy()[touched].tolist(), rows["Y_tile"].to_numpy()[touched].tolist(), strict=True)
    }
    assert {(int(row[4]), int(row[3])) for row in listed(out)} == expected and len(expected) > 100
