"""A selection asks for what is in area and time and for what may be; which file of a cycle counts is decided before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plan.argo_index import parse_index
from pipeline.plan.argo_select import Selection, select
from tests.argo_indices import index_text, profile, row

INDIAN = (60.0, 0.0, 80.0, 20.0)


def index(*rows: str, bio: tuple[str, ...] = ()) -> pa.Table:
    """Rows of core files, and of files that list parameters."""
    tables = [parse_index(index_text(rows), "core").table, parse_index(index_text(bio, bio=True), "bio").table]
    return pa.concat_tables(tables)


def chosen(table: pa.Table, selection: Selection) -> list[str]:
    found: list[str] = select(table, selection)[0]["path"].to_pylist()
    return found


def whole(shared_data: Path) -> pa.Table:
    """The unfiltered indices of three kinds."""
    names = ("ar_index_global_prof", "argo_bio-profile_index", "argo_synthetic-profile_index")
    folder = shared_data / "argo" / "index_full"
    return pa.concat_tables([parse_index((folder / f"{name}.txt.gz").read_bytes(), name).table for name in names])


def test_a_box_is_what_plain_comparison_says_on_the_real_index(shared_data: Path) -> None:
    table = whole(shared_data)
    for west, south, east, north in (INDIAN, (170.0, -70.0, -120.0, 10.0), (-180.0, -90.0, 180.0, 90.0)):
        rows = select(table, Selection(boxes=((west, south, east, north),)))[0].to_pylist()
        plain = {
            one["path"]
            for one in table.to_pylist()
            if one["kind"] == "core" and one["latitude"] is not None and south <= one["latitude"] <= north
            if (
                west <= one["longitude"] <= east
                if west < east
                else one["longitude"] >= west or one["longitude"] <= east
            )
        }
        assert {one["path"] for one in rows if one["latitude"] is not None} == plain
        assert plain


def test_a_polygon_is_its_points_and_not_its_box() -> None:
    table = index(row(profile(2902269, 1), place=(5, 61)), row(profile(2902269, 2), place=(15, 79)))
    triangle = shapely.Polygon([(60, 0), (80, 0), (60, 20)])
    assert chosen(table, Selection(shapes=(triangle,))) == [profile(2902269, 1)]
    assert len(chosen(table, Selection(boxes=(INDIAN,)))) == 2


def test_the_antimeridian_is_one_line() -> None:
    table = index(row(profile(2902269, 1), place=(5, 180)), row(profile(2902269, 2), place=(5, -180)))
    for box in ((170.0, 0.0, 180.0, 20.0), (-180.0, 0.0, -170.0, 20.0), (170.0, 0.0, -170.0, 20.0)):
        assert len(chosen(table, Selection(boxes=(box,)))) == 2, box


def test_the_end_of_a_span_is_excluded() -> None:
    table = index(*(row(profile(2902269, day), date=f"202001{day:02d}000000") for day in range(1, 11)))
    span = Selection(start=datetime(2020, 1, 3, tzinfo=UTC), end=datetime(2020, 1, 6, tzinfo=UTC))
    assert chosen(table, span) == [profile(2902269, day) for day in (3, 4, 5)]


@pytest.mark.parametrize("lacking", [{"date": ""}, {"place": ("", "")}, {"date": "", "place": ("-99.999", "-999.999")}])
def test_a_row_without_time_or_position_is_asked_for_where_its_float_is(lacking: dict[str, object]) -> None:
    """The file knows more than the index: a flag of 3 or 4 leaves the field empty, though the file has a value."""
    here, there = 2902269, 4902252
    table = index(
        row(profile(here, 1)),
        row(profile(here, 2), **lacking),  # type: ignore[arg-type] # as given
        row(profile(there, 1, dac="jma"), place=(40, -140), date="20100101000000"),
        row(profile(there, 2, dac="jma"), **lacking),  # type: ignore[arg-type] # as given
    )
    asked = Selection(boxes=(INDIAN,), start=datetime(2019, 1, 1, tzinfo=UTC), end=datetime(2021, 1, 1, tzinfo=UTC))
    found, notes = select(table, asked)
    assert set(found["path"].to_pylist()) == {profile(here, 1), profile(here, 2)}
    assert any(note.startswith("1 files without position or time") and "asked for" in note for note in notes)
    assert any("of floats that are elsewhere, are left out" in note for note in notes)


def test_a_float_of_which_no_position_is_known_is_asked_for() -> None:
    table = index(row(profile(2902269, 1), place=("", "")))
    assert chosen(table, Selection(boxes=((-10.0, 50.0, 10.0, 60.0),))) == [profile(2902269, 1)]


def test_of_a_delayed_and_a_real_time_file_the_delayed_one_counts_whatever_their_versions() -> None:
    real, delayed = profile(2902269, 1), profile(2902269, 1, "D")
    found, _ = select(index(row(real, "20230101000000"), row(delayed, "20210101000000")), Selection())
    assert dict(zip(found["path"].to_pylist(), found["current"].to_pylist(), strict=True)) == {
        real: False,
        delayed: True,
    }


def test_a_profile_that_its_correction_moved_away_is_not_found_where_it_was() -> None:
    table = index(row(profile(2902269, 1), place=(10, 70)), row(profile(2902269, 1, "D"), place=(10, 90)))
    assert chosen(table, Selection(boxes=(INDIAN,))) == []
    assert chosen(table, Selection(boxes=((85.0, 0.0, 95.0, 20.0),))) == [profile(2902269, 1, "D"), profile(2902269, 1)]


def test_with_b_files_come_the_core_files_of_the_same_cycles_alone() -> None:
    core = [row(profile(3902131, cycle)) for cycle in (1, 2, 3)] + [row(profile(3902131, 2, down="D"))]
    bio = (
        row(profile(3902131, 2, "BR"), parameters="PRES DOXY"),
        row(profile(3902131, 3, "BR"), parameters="PRES CHLA"),
    )
    table = index(*core, bio=bio)
    oxygen = Selection(kinds=("bgc",), parameters=("DOXY",))
    assert chosen(table, oxygen) == [profile(3902131, 2, "BR"), profile(3902131, 2)]
    assert len(chosen(table, Selection(kinds=("core", "bgc"), parameters=("DOXY",)))) == 5


def test_a_parameter_is_a_whole_name() -> None:
    bio = (
        row(profile(3902131, 1, "BR"), parameters="PRES TEMP_DOXY"),
        row(profile(3902131, 2, "BR"), parameters="DOXY"),
    )
    found = chosen(index(bio=bio), Selection(kinds=("bgc",), parameters=("DOXY", "BBP700")))
    assert found == [profile(3902131, 2, "BR")]


def test_what_the_index_does_not_have_is_named() -> None:
    _, notes = select(index(row(profile(2902269, 1))), Selection(dac=("incois", "nowhere"), floats=(2902269, 1901393)))
    assert notes == [
        "the index lists no file of data centre nowhere; it has incois",
        "the index lists no file of float 1901393",
    ]
    bio = (row(profile(3902131, 1, "BR"), parameters="PRES DOXY"),)
    _, notes = select(index(bio=bio), Selection(kinds=("bgc",), parameters=("OXYGEN",)))
    assert notes == ["the index lists no bgc or synthetic file with OXYGEN"]


def test_a_limit_counts_cycles_so_that_none_is_torn() -> None:
    core = [row(profile(3902131, cycle)) for cycle in range(1, 6)]
    bio = tuple(row(profile(3902131, cycle, "BR"), parameters="PRES DOXY") for cycle in range(1, 6))
    found, notes = select(index(*core, bio=bio), Selection(kinds=("core", "bgc"), limit=2))
    assert sorted(found["cycle"].to_pylist()) == [1, 1, 2, 2]
    assert notes == ["limit: 2 of 5 cycles are asked for"]


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)), st.lists(st.sampled_from(["R", "D"]), min_size=6, max_size=6))
def test_the_order_of_rows_changes_nothing(order: list[int], modes: list[str]) -> None:
    rows = [row(profile(2902269, number // 2, modes[number]), f"2021010100000{number}") for number in range(6)]
    shuffled = index(*(rows[number] for number in order))
    table = index(*rows)
    assert select(shuffled, Selection())[0].equals(select(table, Selection())[0])


class TestMultiProfile:
    """One `_prof.nc` in place of many files."""

    MULTI = "incois/2902269/2902269_prof.nc"

    @staticmethod
    def many(count: int = 40) -> pa.Table:
        return index(*(row(profile(2902269, cycle), f"20210101{cycle:06d}") for cycle in range(1, count + 1)))

    def test_never_is_a_file_a_cycle(self) -> None:
        assert len(chosen(self.many(), Selection())) == 40

    def test_a_whole_float_is_one_file_with_the_newest_version_of_all(self) -> None:
        found, notes = select(self.many(), Selection(multi_profile="auto"))
        assert found.select(["path", "version", "wmo", "cycle"]).to_pylist() == [
            {"path": self.MULTI, "version": "20210101000040", "wmo": 2902269, "cycle": None}
        ]
        assert "primary profiles only" in notes[0]

    def test_a_few_files_of_a_float_stay_single_unless_always(self) -> None:
        few = Selection(limit=15, multi_profile="auto")
        assert len(chosen(self.many(), few)) == 15
        assert chosen(self.many(), Selection(limit=15, multi_profile="always")) == [self.MULTI]

    def test_of_a_held_file_only_what_is_newer_comes_singly_until_it_is_much(self) -> None:
        auto = Selection(multi_profile="auto")
        found, _ = select(self.many(), auto, {2902269: "20210101000037"})
        versions = dict(zip(found["path"].to_pylist(), found["version"].to_pylist(), strict=True))
        assert versions.pop(self.MULTI) == "20210101000037"
        assert sorted(versions) == [profile(2902269, cycle) for cycle in (38, 39, 40)]
        found, _ = select(self.many(), auto, {2902269: "20210101000010"})
        assert found.select(["path", "version"]).to_pylist() == [{"path": self.MULTI, "version": "20210101000040"}]

    def test_files_of_other_kinds_stay(self) -> None:
        bio = (row(profile(2902269, 1, "BR"), parameters="PRES DOXY"),)
        table = pa.concat_tables([self.many(), index(bio=bio)])
        found = chosen(table, Selection(kinds=("core", "bgc"), multi_profile="always"))
        assert found == [self.MULTI, profile(2902269, 1, "BR")]

    def test_on_the_real_index_every_cycle_is_in_one_file_or_the_other(self, shared_data: Path) -> None:
        table = whole(shared_data)
        found, _ = select(table, Selection(multi_profile="auto"))
        floats = {one["wmo"] for one in found.to_pylist() if one["cycle"] is None}
        single = {one["wmo"] for one in found.to_pylist() if one["cycle"] is not None}
        listed = {int(path.split("/")[1]) for path in table["path"].to_pylist()}
        assert floats | single == listed
        assert not floats & single
