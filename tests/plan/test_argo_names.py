"""A name says which profile a file holds, and nothing else decides it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.argo_names import ProfileName, bucket_of, multi_path, parse_name, parse_path, route


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("R2902269_001.nc", ProfileName(2902269, 1, "A", "core", delayed=False)),
        ("D2902269_000.nc", ProfileName(2902269, 0, "A", "core", delayed=True)),
        ("D2901623_000D.nc", ProfileName(2901623, 0, "D", "core", delayed=True)),
        ("BD3902131_001D.nc", ProfileName(3902131, 1, "D", "bgc", delayed=True)),
        ("SR6903247_100.nc", ProfileName(6903247, 100, "A", "synthetic", delayed=False)),
        ("MR6903247_100.nc", ProfileName(6903247, 100, "A", "merged", delayed=False)),
        ("R13857_004.nc", ProfileName(13857, 4, "A", "core", delayed=False)),
        ("R5902319_1000.nc", ProfileName(5902319, 1000, "A", "core", delayed=False)),
    ],
)
def test_names_of_every_kind_are_read(name: str, expected: ProfileName) -> None:
    assert parse_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "2902269_prof.nc",
        "R290226_001.nc",
        "R2902269_01.nc",
        "r2902269_001.nc",
        "R2902269_001.nc.part",
        "XR2902269_001.nc",
        "R\uff12902269_001.nc",
    ],
)
def test_other_names_are_no_profiles(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    "path",
    [
        "incois/2902269/profiles/../../../R2902269_001.nc",
        "../2902269/profiles/R2902269_001.nc",
        "/incois/2902269/profiles/R2902269_001.nc",
        "incois/2902268/profiles/R2902269_001.nc",
        "incois/2902269/R2902269_001.nc",
        "incois/2902269/profiles/R2902269_001.nc\n",
    ],
)
def test_a_path_that_leads_elsewhere_is_none(path: str) -> None:
    assert parse_path(path) is None


@given(
    st.builds(
        ProfileName,
        st.one_of(st.integers(10_000, 99_999), st.integers(1_000_000, 9_999_999)),
        st.integers(0, 9999),
        st.sampled_from(["A", "D"]),
        st.sampled_from(["core", "bgc", "synthetic"]),
        st.booleans(),
    )
)
def test_a_name_that_is_written_is_read_back(name: ProfileName) -> None:
    letter = {"core": "", "bgc": "B", "synthetic": "S"}[name.kind]
    text = f"{letter}{'D' if name.delayed else 'R'}{name.wmo}_{name.cycle:03d}{'D' if name.direction == 'D' else ''}.nc"
    assert parse_path(f"aoml/{name.wmo}/profiles/{text}") == ("aoml", name)


def test_every_real_file_goes_where_its_name_says(shared_data: Path) -> None:
    root = shared_data / "argo" / "gdac" / "dac"
    routes = {path.name: route(path.relative_to(root).as_posix()) for path in root.rglob("*.nc")}
    by_route = {way: sum(one == way for one in routes.values()) for way in set(routes.values())}
    assert by_route == {"profile": 50, "multi": 7, "synthetic-multi": 1, "meta": 3, "tech": 1, "traj": 2}
    assert all((way == "profile") == (parse_name(name) is not None) for name, way in routes.items())


def test_a_bucket_is_the_floats_that_differ_in_the_last_digit() -> None:
    assert {bucket_of(number) for number in range(2902260, 2902270)} == {"290226x"}
    assert bucket_of(13857) == "1385x"
    assert route(multi_path("incois", 2902269)) == "multi"
