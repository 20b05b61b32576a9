"""Every column of an Argo partition says what it means, and in which unit."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.plan.argo_columns import UNITS, described
from pipeline.plan.argo_rules import RULES
from pipeline.plan.argo_schema import LEDGER, TEXTS, levels_schema, profiles_schema

ALL = ("PRES", "TEMP", "PSAL", "DOXY", "BBP700")


def said(schema: pa.Schema, name: str) -> dict[bytes, bytes]:
    return dict(schema.field(name).metadata)


@pytest.mark.parametrize("plain", [levels_schema(ALL), profiles_schema(ALL), LEDGER])
def test_each_column_has_a_long_name_and_keeps_name_type_and_place(plain: pa.Schema) -> None:
    """Only what is in the file under that name is called after itself."""
    schema = described(plain, ALL)
    assert schema.equals(plain) and not plain.equals(schema, check_metadata=True)
    assert all(said(schema, name)[b"long_name"] for name in schema.names)
    named = {
        name for name in schema.names if said(schema, name)[b"long_name"] == f"{name.upper()} of the file".encode()
    }
    assert {name for name in named if "_adjusted" not in name} <= {text.lower() for text in TEXTS} | {"date_update"}


def test_numbers_have_the_unit_of_their_parameter_and_flags_have_none() -> None:
    levels, profiles = described(levels_schema(ALL), ALL), described(profiles_schema(ALL), ALL)
    unit, standard = (text.encode() for text in UNITS["TEMP"])
    numbers = [(levels, f"temp{part}") for part in ("", "_error", "_raw", "_adjusted", "_adjusted_error")]
    numbers += [(profiles, f"temp_{part}") for part in ("min", "max", "mean")]
    assert {said(schema, name)[b"units"] for schema, name in numbers} == {unit}
    assert said(levels, "temp")[b"standard_name"] == standard and b"standard_name" not in said(levels, "temp_error")
    words = [(levels, "temp_qc"), (levels, "temp_mode"), (profiles, "temp_count"), (profiles, "temp_profile_qc")]
    assert not any(b"units" in said(schema, name) for schema, name in words)
    assert (said(levels, "depth")[b"units"], said(levels, "latitude")[b"units"]) == (b"m", b"degree_north")
    assert said(described(LEDGER, ALL), "rule").items() >= {(b"flag", RULES["flag"].text.encode())}
    assert b"units" not in said(levels, "bbp700"), "no unit is better than a wrong one"
