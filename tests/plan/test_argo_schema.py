"""The tables of a partition: names that every engine tells apart, and footers that say what they are."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.errors import StoreError
from pipeline.plan.argo_schema import (
    FOOTER,
    IDENTITY,
    INPUTS,
    LEDGER,
    Footer,
    Input,
    NoFooterError,
    cast_to,
    levels_schema,
    names_of,
    number_type,
    partition_key,
    profiles_schema,
    read_footer,
)

ALL = ("PRES", "TEMP", "PSAL", "DOXY", "CHLA", "BBP700", "NITRATE", "MTIME", "RAW_DOWNWELLING_PAR")
FOOT = Footer(
    "argo", "290226x", "f" * 32, ALL, 7, "20240101000000", (Input("a/1/profiles/R1_001.nc", "20240101000000", "used"),)
)


@pytest.mark.parametrize("schema", [levels_schema(ALL), profiles_schema(ALL), LEDGER])
def test_names_are_lower_case_and_differ(schema: pa.Schema) -> None:
    assert [name for name in schema.names if name != name.lower()] == []
    assert len(set(schema.names)) == len(schema.names)
    assert tuple(schema.names[:5]) == IDENTITY


def test_every_parameter_has_its_best_value_and_its_originals() -> None:
    names = set(levels_schema(ALL).names)
    for parameter in ALL:
        name = parameter.lower()
        parts = ("", "_qc", "_error", "_mode", "_raw", "_raw_qc", "_adjusted", "_adjusted_qc", "_adjusted_error")
        assert {f"{name}{part}" for part in parts} <= names


def test_numbers_that_argo_stores_in_64_bits_have_them() -> None:
    doubles = {name for name in ALL if number_type(name) == pa.float64()}
    assert doubles == {"MTIME", "RAW_DOWNWELLING_PAR"}


def test_pressure_is_always_there_and_first() -> None:
    assert names_of(["temp", "PSAL", "TEMP"]) == ("PRES", "TEMP", "PSAL")
    assert names_of(["TEMP", "PRES"]) == ("PRES", "TEMP")


def test_a_footer_comes_back() -> None:
    assert read_footer(FOOT.metadata(), "here") == FOOT


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {FOOTER: b"{}"},
        {FOOTER: b"\xff"},
        {**FOOT.metadata(), INPUTS: b"no base64"},
        {**FOOT.metadata(), INPUTS: b"AAAA"},
        {**FOOT.metadata(), FOOTER: b'{"format": 1, "parameters": [], "more": 1}'},
    ],
)
def test_what_is_no_footer_is_told_by_place(metadata: dict[bytes, bytes] | None) -> None:
    with pytest.raises(NoFooterError, match="here: found no footer of ours"):
        read_footer(metadata, "here")


def test_a_newer_format_is_told() -> None:
    with pytest.raises(StoreError, match="here: found format 2, expected at most 1") as told:
        read_footer(replace(FOOT, format=2).metadata(), "here")
    assert not isinstance(told.value, NoFooterError)


def test_a_footer_is_text_for_every_reader() -> None:
    """Parquet's metadata are text by its specification."""
    for value in FOOT.metadata().values():
        value.decode("utf-8")
    assert json.loads(FOOT.metadata()[FOOTER])["generation"] == 7


def test_columns_that_a_table_lacks_are_null() -> None:
    made = cast_to(pa.table({"wmo": [1, 2]}), LEDGER)
    assert made.schema == LEDGER
    assert made["rule"].null_count == 2


def test_a_partition_has_one_place_for_ever() -> None:
    assert partition_key("argo", "290226x") == "data/argo/290226x/static/levels.parquet"
    assert partition_key("argo", "290226x", "ledger") == "data/argo/290226x/static/ledger.parquet"
