"""An index is taken whole or not at all; a bad row costs itself, by name."""

from __future__ import annotations

import csv
import gzip
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import CatalogError
from pipeline.plan.argo_index import INDEX_SCHEMA, index_date, parse_index
from tests.argo_indices import index_text, profile, row

GOOD = profile(2902269, 1)


def parsed(*rows: str) -> pa.Table:
    return parse_index(index_text(rows), "here").table


def test_every_real_index_is_read_as_a_plain_reader_reads_it(shared_data: Path) -> None:
    """Row by row against the standard library's csv; the 73 and 7 rows without time and position among them."""
    for file in sorted((shared_data / "argo" / "index_full").glob("*prof*.gz")):
        found = parse_index(file.read_bytes(), file.name)
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        plain = {one["file"]: one for one in csv.DictReader(line for line in lines if not line.startswith("#"))}
        assert found.table.schema.equals(INDEX_SCHEMA)
        assert found.table["path"].to_pylist() == sorted(plain)
        assert (found.notes, found.project) == ((), "ARGO")
        assert found.updated == index_date(file.read_bytes()) != ""
        for one in found.table.to_pylist():
            said = plain[one["path"]]
            assert one["version"] == said["date_update"]
            assert (one["time"].strftime("%Y%m%d%H%M%S") if one["time"] else "") == said["date"]
            if one["latitude"] is None:
                assert said["latitude"] in {"", "-99.999", "99999.000"}
            else:
                assert (one["latitude"], one["longitude"]) == (float(said["latitude"]), float(said["longitude"]))
            assert one["parameters"] == said.get("parameters")
    assert found.table.num_rows == 904


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("10.5", "70.25"), (10.5, 70.25)),
        (("-10", "190"), (-10.0, -170.0)),
        (("99999.000", "99999.000"), (None, None)),
        (("-99.999", "-999.999"), (None, None)),
        (("45.0", "99999"), (None, None)),
        (("", ""), (None, None)),
        (("nan", "12"), (None, None)),
        ((" 10.5 ", " 70.25"), (10.5, 70.25)),
    ],
)
def test_a_position_is_a_place_on_earth_or_none(place: tuple[str, str], expected: tuple[object, object]) -> None:
    found = parsed(row(GOOD, place=place)).to_pylist()[0]
    assert (found["latitude"], found["longitude"]) == expected


@pytest.mark.parametrize("date", ["", "20200230000000", "2020", "99999999999999", "2020010100000x"])
def test_a_time_that_no_calendar_has_is_none(date: str) -> None:
    assert parsed(row(GOOD, date=date))["time"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (row("../../etc/passwd"), "name no profile file"),
        (row("incois/2902268/profiles/R2902269_001.nc"), "name no profile file"),
        (row(profile(2902269, 2), version="2021"), "no date_update"),
        ("only,three,values", "lines without 8 values"),
        (row(profile(2902269, 2)) + ",more", "lines without 8 values"),
    ],
)
def test_a_bad_row_costs_itself_and_is_named(bad: str, words: str) -> None:
    found = parse_index(index_text([row(GOOD), bad, row(profile(2902269, 3))]), "here")
    assert found.table["path"].to_pylist() == [GOOD, profile(2902269, 3)]
    assert len(found.notes) == 1
    assert words in found.notes[0]
    assert "here" in found.notes[0]


def test_of_rows_that_stand_there_twice_the_newest_counts() -> None:
    rows = [row(GOOD, f"2021010100000{second}") for second in (2, 5, 3)]
    found = parse_index(index_text(rows), "here")
    assert found.table["version"].to_pylist() == ["20210101000005"]
    assert "more than once" in found.notes[0]


def test_letters_of_other_alphabets_do_no_harm() -> None:
    data = index_text([row(GOOD)]).replace(b",IN,", b",\xe9\xff,")
    assert parse_index(data, "here").table["institution"].to_pylist() == ["\xe9\xff"]


def test_an_index_without_rows_is_an_empty_one() -> None:
    assert parsed().num_rows == 0


WHOLE = index_text([row(profile(2902269, number)) for number in range(50)])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no index"),
        (b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>\n", "no column file"),
        (WHOLE[:-1], "its last line has no end"),
        (WHOLE[:-40], "its last line has no end"),
        (WHOLE[:100], "no index"),
        (b"# Project : ARGO\nfile,institution,date_update\n", "no column date, latitude, longitude"),
        (gzip.compress(WHOLE)[:-9], "cut gzip"),
        (gzip.compress(WHOLE)[:-1], "cut gzip"),
        (gzip.compress(WHOLE)[:-8] + b"\x00" * 8, "damaged gzip"),
    ],
)
def test_what_is_no_whole_index_is_refused_by_its_fault(data: bytes, words: str) -> None:
    with pytest.raises(CatalogError, match=words) as error:
        parse_index(data, "https://here/index")
    assert "https://here/index" in str(error.value)


def test_a_gzip_file_that_swells_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one member or of several; what is whole below the bound is read."""
    text = index_text([row(GOOD)] * 200)
    monkeypatch.setattr("pipeline.plan.argo_index.MOST_BYTES", len(text))
    assert parse_index(gzip.compress(text), "here").table.num_rows == 1
    half = len(text) // 2
    for data in (gzip.compress(text + b"\n"), gzip.compress(text[:half]) + gzip.compress(text[half:] + b"\n")):
        with pytest.raises(CatalogError, match="more than"):
            parse_index(data, "here")


def test_gzip_of_several_members_is_one_text() -> None:
    half = len(WHOLE) // 2
    assert parse_index(gzip.compress(WHOLE[:half]) + gzip.compress(WHOLE[half:]), "here").table.num_rows == 50


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=12), st.booleans())
def test_noise_in_an_index_is_an_error_or_a_row_less_and_nothing_worse(at: int, noise: bytes, packed: bool) -> None:
    data = WHOLE[:at] + noise + WHOLE[at + len(noise) :]
    if packed:
        whole = zlib.compress(WHOLE, wbits=31)
        data = whole[: at % len(whole)] + noise + whole[at % len(whole) + len(noise) :]
    try:
        table = parse_index(data, "here").table
    except CatalogError:
        return
    assert table.schema.equals(INDEX_SCHEMA)
    assert len(set(table["path"].to_pylist())) == len(table)
    assert table.num_rows <= 51
