"""Tables: each rule finds what breaks it and nothing else, in CSV and Parquet, however rows are cut into batches."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checks import tables
from pipeline.types import Json
from tests.checks.objects import checked, column, only, told


def csv(folder: Path, *values: str, header: str = "a") -> Path:
    (path := folder / "t.csv").write_text("\n".join([header, *values]) + "\n")
    return path


@pytest.mark.parametrize(
    ("rule", "values", "bad"),
    [
        ({"type": "integer"}, ["1", " 2 ", "-3", "4.0", "x", "1e3"], 3),
        ({"type": "int8"}, ["127", "128"], 1),
        ({"type": "number"}, ["1", "2.5e3", "NaN", "x"], 1),
        ({"type": "boolean"}, ["true", "F", "yes", "0", "maybe"], 1),
        ({"type": "date"}, ["2024-02-29", "2023-02-29", "29/02/2024"], 2),
        ({"type": "date", "format": "%d/%m/%Y"}, ["29/02/2024", "2024-02-29"], 1),
        (
            {"type": "time"},
            ["2024-01-01", "2024-01-01T05:06Z", "2024-01-01 05:06:07.5+02:00", "2024-01-01T05:06:07+0200", "noon"],
            1,
        ),
    ],
)
def test_text_that_cannot_be_read_as_its_type_is_counted(
    tmp_path: Path, rule: Json, values: list[str], bad: int
) -> None:
    result = checked(csv(tmp_path, *values), column(**rule))
    assert told(result) == [("type", "a", "fail", bad)]
    assert only(result).text.startswith(f"a: found {bad} of {len(values)} values, expected {rule['type']}")


@pytest.mark.parametrize(
    ("rule", "values", "check", "bad"),
    [
        ({"type": "number", "range": [0, 10]}, ["0", "10", "-1", "11", ""], "range", 2),
        ({"type": "number", "range": [None, 10]}, ["-1e9", "10.5"], "range", 1),
        ({"type": "integer", "range": [5, None]}, ["4", "5"], "range", 1),
        ({"type": "time", "range": ["2024-01-01", None]}, ["2023-12-31T23:59:59Z", "2024-01-01"], "range", 1),
        ({"type": "date", "range": [None, "2024-01-01"]}, ["2024-01-01", "2024-01-02"], "range", 1),
        ({"values": ["x", "y"]}, ["x", "z", ""], "values", 1),
        ({"type": "integer", "values": [1, 2]}, ["1", "3"], "values", 1),
        ({"pattern": "[A-Z]{2}"}, ["AB", "ABC", "xAB", ""], "pattern", 2),
        ({"unique": True}, ["1", "2", "1", "", ""], "unique", 1),
    ],
)
def test_values_that_break_a_rule_are_counted_and_the_first_are_shown(
    tmp_path: Path, rule: Json, values: list[str], check: str, bad: int
) -> None:
    path = csv(tmp_path, *(f"{value}," for value in values), header="a,b")
    assert told(checked(path, column(**rule))) == [(check, "a", "fail", bad)]
    finding = only(checked(path, {**column(severity="warn", **rule), "examples": 1}))
    assert finding.severity == "warn" and len(finding.examples) == 1 and finding.examples[0].at.startswith("row ")


def test_a_range_may_warn_before_it_fails(tmp_path: Path) -> None:
    rule = column(type="number", range={"warn": [0, 10], "fail": [0, 100]})
    assert told(checked(csv(tmp_path, "5"), rule)) == []
    assert told(checked(csv(tmp_path, "50"), rule)) == [("range", "a", "warn", 1)]
    result = checked(csv(tmp_path, "500", "50"), rule)
    assert told(result) == [("range", "a", "fail", 1), ("range", "a", "warn", 2)] and result.verdict == "fail"


@pytest.mark.parametrize(("nulls", "verdict"), [(0, "fail"), (0.4, "pass"), ({"warn": 0.1, "fail": 0.5}, "warn")])
def test_the_share_of_missing_values_has_its_limit(tmp_path: Path, nulls: Json, verdict: str) -> None:
    path = csv(tmp_path, "1,x", "2,x", ",x", "n/a,x", "5,x", header="a,b")
    said = {"table": {"missing": ["", "n/a"], "columns": {"a": {"type": "integer", "nulls": nulls}}}}
    result = checked(path, said)
    assert result.verdict == verdict and result.facts["of_columns"][0]["nulls"] == 2


@pytest.mark.parametrize(
    ("table", "findings"),
    [
        ({"columns": {"z": {}}}, [("column", "z", "fail", 1)]),
        ({"columns": {"z": {"severity": "warn"}}}, [("column", "z", "warn", 1)]),
        ({"columns": {"z": {"required": False}}}, []),
        ({"columns": {"a": {}}, "others": "warn"}, [("others", "b", "warn", 1)]),
        ({"columns": {"b": {}, "a": {}}}, []),
        ({"columns": {"b": {}, "a": {}}, "ordered": True}, [("order", "", "fail", 1)]),
        ({"rows": [3, None]}, [("rows", "", "fail", 1)]),
        ({"rows": {"warn": [None, 1], "fail": [1, 2]}}, [("rows", "", "warn", 1)]),
        ({"key": ["a", "b"]}, [("key", "a, b", "fail", 1)]),
        ({"key": "b"}, [("key", "b", "fail", 1)]),
        ({"key": "a"}, []),
        ({"key": "z"}, [("key", "", "fail", 1)]),
    ],
)
def test_columns_rows_and_keys(tmp_path: Path, table: Json, findings: list[tuple[str, str, str, int]]) -> None:
    path = csv(tmp_path, "1,x", "2,x", header="a,b")
    if table.get("key") == ["a", "b"]:
        path = csv(tmp_path, "1,x", "1,x", header="a,b")
    assert told(checked(path, {"table": table})) == findings


def test_a_key_must_have_a_value_in_every_row(tmp_path: Path) -> None:
    result = checked(csv(tmp_path, "1,x", ",y", ",y", header="a,b"), {"table": {"key": ["a", "b"]}})
    assert told(result) == [("key", "a, b", "fail", 2)] and "without it" in only(result).found


def test_rows_of_another_length_are_findings_and_the_rest_is_read(tmp_path: Path) -> None:
    result = checked(csv(tmp_path, "1,x", "2", "3,y,z", header="a,b"), {})
    assert told(result) == [("shape", "", "fail", 2)] and result.facts["rows"] == 1
    assert only(result).found == "2 of 3 rows with more or fewer values"
    assert [example.at for example in only(result).examples] == ["line 3", "line 4"]


def test_a_second_column_of_one_name_is_a_finding(tmp_path: Path) -> None:
    assert told(checked(csv(tmp_path, "1,2", header="a,a"), {})) == [("column", "a", "fail", 1)]


@pytest.mark.parametrize(
    "data",
    [b"a,b\n1,\xff\xfe\n", b"\n\n", b"a,b\n" + b"1,2\n" * 9 + b"1," + b"x" * (9 << 20) + b"\n", b"caf\xe9,b\n1,2\n"],
    ids=["bytes that are no UTF-8", "no header", "a row without end", "a header that is no UTF-8"],
)
def test_csv_that_cannot_be_read_is_a_verdict(tmp_path: Path, data: bytes) -> None:
    (path := tmp_path / "t.csv").write_bytes(data)
    result = checked(path, {})
    assert told(result) == [("readable", "", "fail", 1)] and str(tmp_path) not in only(result).text


def test_separator_quotes_and_line_breaks_within_values(tmp_path: Path) -> None:
    (path := tmp_path / "t.tsv").write_text("a\tb\n'x\ty'\t'1\n2'\n")
    result = checked(path, {"table": {"separator": "\t", "quote": "'", "columns": {"a": {"values": ["x\ty"]}}}})
    assert result.verdict == "pass" and result.facts["rows"] == 1


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b'\xef\xbb\xbf"a","b"\r\n', b"a,b\r"])
def test_a_header_alone_is_a_table_without_rows(tmp_path: Path, data: bytes) -> None:
    (path := tmp_path / "t.csv").write_bytes(data)
    assert told(checked(path, {"table": {"columns": {"a": {"type": "integer"}, "b": {}}, "others": "fail"}})) == []
    assert told(checked(path, {"table": {"rows": [1, None]}})) == [("rows", "", "fail", 1)]


@pytest.mark.parametrize("data", [b",a\n0,5\n1,6", b",a,\r\n0,5,\r\n1,6,\r\n", b'"",a\n0,5\n1,6\n'])
def test_columns_without_a_name_are_known_by_their_place(tmp_path: Path, data: bytes) -> None:
    (path := tmp_path / "t.csv").write_bytes(data)
    rule = {"type": "integer", "range": [5, 6]}
    assert told(checked(path, {"table": {"key": "(column 1)", "rows": [2, 2], "columns": {"a": rule}}})) == []
    assert ("others", "(column 1)", "warn", 1) in told(
        checked(path, {"table": {"columns": {"a": {}}, "others": "warn"}})
    )


@pytest.mark.parametrize(
    "rows",
    [
        '1,"x',
        '1,"x\n2,y\n3,z\n',
        '1,"x\r\n2,"y"\r\n3,z',
        '1,"he said ""hi""',
        '1,"é\n',
        '1,"',
    ],
)
def test_csv_of_which_rows_are_lost_within_quotes_is_a_verdict(tmp_path: Path, rows: str) -> None:
    (path := tmp_path / "t.csv").write_bytes(f"a,b\n0,w\n{rows}".encode())
    assert told(checked(path, {})) == [("readable", "", "fail", 1)]


LAST = st.text('"\n\r,x é', max_size=6)


@given(LAST, st.sampled_from(["", "\n", "\r\n", "\n\n"]))
def test_csv_with_whole_quotes_is_read(last: str, end: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        quoted = last.replace('"', '""')
        (path := Path(folder, "t.csv")).write_bytes(f'a,b\n0,5" pipe\n1,"{quoted}"{end}'.encode())
        assert told(checked(path, {"table": {"rows": [2, 2]}})) == []


def parquet(folder: Path, **columns: Any) -> Path:
    pl.DataFrame(columns).write_parquet(path := folder / "t.parquet")
    return path


TIMES = [datetime(2024, 1, 1), datetime(2024, 6, 1)]  # noqa: DTZ001 (of a file that says nothing of zones)


@pytest.mark.parametrize(
    ("rule", "values", "findings"),
    [
        ({"type": "integer"}, [1, 2], []),
        ({"type": "integer"}, [1.5], [("type", "a", "fail", 1)]),
        ({"type": "int32"}, [1], [("type", "a", "fail", 1)]),
        ({"type": "number", "range": [0, 1]}, [0.5, float("nan"), None, 7.0], [("range", "a", "fail", 1)]),
        ({"type": "number", "nulls": 0}, [0.5, float("nan")], [("nulls", "a", "fail", 1)]),
        ({"type": "text", "pattern": "x+"}, ["xx", "y"], [("pattern", "a", "fail", 1)]),
        ({"type": "time", "range": [None, "2024-03-01"]}, TIMES, [("range", "a", "fail", 1)]),
        ({"type": "time"}, [each.replace(tzinfo=UTC) for each in TIMES], []),
        ({"type": "date"}, TIMES, [("type", "a", "fail", 1)]),
        ({"unique": True}, ["x", "x", "x"], [("unique", "a", "fail", 2)]),
    ],
)
def test_parquet_has_types_of_its_own(
    tmp_path: Path, rule: Json, values: list[Any], findings: list[tuple[str, str, str, int]]
) -> None:
    assert told(checked(parquet(tmp_path, a=values), column(**rule))) == findings


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_parquet_that_is_cut_short_is_a_verdict(tmp_path: Path, share: float) -> None:
    path = parquet(tmp_path, a=np.arange(1000))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert told(checked(path, {})) == [("readable", "", "fail", 1)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.none() | st.integers(-5, 15), max_size=40), st.integers(1, 9))
def test_the_size_of_batches_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, values: list[int | None], rows: int
) -> None:
    path = parquet(tmp_path_factory.mktemp("t"), a=pl.Series(values, dtype=pl.Int64))
    said = column(type="integer", range=[0, 10], unique=True, nulls=0.3)
    whole = checked(path, said)
    before, tables.BATCH_ROWS = tables.BATCH_ROWS, rows
    try:
        assert checked(path, said) == whole
    finally:
        tables.BATCH_ROWS = before
    known = [value for value in values if value is not None]
    counts = {(check): count for check, _, _, count in told(whole)}
    assert counts.get("range", 0) == sum(not 0 <= value <= 10 for value in known)
    assert counts.get("unique", 0) == len(known) - len(set(known))
    assert ("nulls" in counts) == (bool(values) and (len(values) - len(known)) / len(values) > 0.3)


@pytest.mark.parametrize(
    ("kind", "rule", "findings"),
    [
        (pa.int64(), {"values": [1.5, 1]}, [("values", "a", "fail", 1)]),
        (pa.decimal128(9, 2), {"type": "number", "values": [1, 2]}, []),
        (pa.int64(), {"values": ["x"]}, [("values", "a", "fail", 2)]),
        (pa.int64(), {"pattern": "1"}, [("pattern", "a", "fail", 1)]),
        (pa.float16(), {"type": "number", "range": [0, 1]}, [("range", "a", "fail", 1)]),
        (pa.timestamp("us", "+05:30"), {"type": "time", "range": ["2000-01-01", None]}, [("range", "a", "fail", 2)]),
        (pa.dictionary(pa.int32(), pa.string()), {"type": "text", "pattern": "1"}, [("pattern", "a", "fail", 1)]),
    ],
)
def test_every_type_of_parquet_is_compared_or_said_to_be_another(
    tmp_path: Path, kind: Any, rule: Json, findings: list[tuple[str, str, str, int]]
) -> None:
    values: list[Any] = ["1", "2"] if pa.types.is_dictionary(kind) else [1, 2]
    if pa.types.is_float16(kind):
        values = [np.float16(1), np.float16(2)]
    pq.write_table(pa.table({"a": pa.array(values, kind)}), tmp_path / "t.parquet")
    assert told(checked(tmp_path / "t.parquet", column(**rule))) == findings
