"""Requests that mean nothing, or mean harm: refused in a line, and nothing of them is dropped without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.search.request import _once
from tests.verbs.making import groundswell
from tests.verbs.test_request import PROJECT, listed, missing, save


def feature(ring: list[Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"year": 2021},
    }


@pytest.mark.parametrize("ring", [[], [[0, 0], [1, 1], [0, 0], [0, 0]], [[0, 0], [1e-9, 0], [1e-9, 1], [0, 1], [0, 0]]])
def test_an_area_of_no_size_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], ring: list[Any]) -> None:
    """Beside others, which are listed: nothing that is asked for goes without a word."""
    empty = feature(ring)
    if not ring:
        empty["geometry"]["coordinates"] = []
    place = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [6.51, 0.24]},
        "properties": {"year": 2021},
    }
    request = save(tmp_path, {"type": "FeatureCollection", "features": [place, empty]})
    out = tmp_path / "tiles.csv"
    assert groundswell("request", request, "-o", out) == 1
    told = capsys.readouterr().out
    assert "1 left out:" in told and "no tile" in told and "None" not in told
    assert len(listed(out)) == 1


def test_what_stands_there_twice_is_found_at_once() -> None:
    """In time that grows with the keys, not with their square."""
    pairs: list[tuple[str, Any]] = [(f"{number}", 1) for number in range(300_000)]
    with pytest.raises(ValueError, match="'299999' stands there twice"):
        _once([*pairs, ("299999", 2)])


def test_names_cannot_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a request says is shown in printable characters, and not at any length."""
    request = save(
        tmp_path, {"\x1b[31mA": {"2021": missing("\x1b[2J", "9" * 5000), "\x1b": missing("\x1b", ["x" * 5000])}}
    )
    assert groundswell("request", request) == 1
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err and len(told.err) < 2500 and "4 left out" in told.err


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "found a list"),
        ({"bbox": [1, 2, 3], "year": 2021}, "west, south, east, north"),
        ({"bbox": [1, 2, 3, 4]}, "--year"),
        ({"bbox": [1, 2, 3, 4], "year": "x"}, "a year such as 2021"),
        ({"points": [[200, 0]], "year": 2021}, "longitude, latitude"),
        ({PROJECT: {"2021": ["1037X725Y"]}}, "missing_tiles"),
        ({PROJECT: ["1037X725Y"]}, "found a list"),
        ('{"a": {"2021": {}}, "a": {"2021": {}}}', "stands there twice"),
        ({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}, "allowed"),
        ({"type": "Polygon", "coordinates": 5}, "can be read"),
        ("[" * 100_000, "nested too deeply"),
        ('{"type": "FeatureCollection", "features": [' * 300 + "]}" * 300, "can be read"),
        ({"type": ["Polygon"]}, "found a list"),
        ({"type": "FeatureCollection", "features": 5}, "features"),
        ({"type": "FeatureCollection", "features": [None]}, "feature 0"),
        ({"type": "FeatureCollection", "features": [{"a": 1}]}, "feature 0"),
        ({"type": "Feature", "geometry": None, "properties": [1]}, "properties"),
        (f'{{"points": [[1{"0" * 400}, 0]], "year": 2021}}', "longitude, latitude"),
        (f'{{"type": "Polygon", "coordinates": [[[0, 0], [1{"0" * 400}, 0], [1, 1], [0, 0]]]}}', "can be read"),
        (feature([[0, 0], [float("nan"), 0], [1, 1], [0, 1], [0, 0]]), "finite"),
        (feature([[0, 0], [float("inf"), 0], [1, 1], [0, 1], [0, 0]]), "finite"),
        (feature([[0, 0], [1e12, 0], [1e12, 1], [0, 1], [0, 0]]), "longitudes"),
        ({"bbox": [1, 1, 1.1, 1.1], "year": 0}, "found year 0"),
        ({"bbox": [1, 1, 1.1, 1.1], "year": ""}, 'found year ""'),
        ({"bbox": [1, 1, 1.1, 1.1], "year": []}, "found year []"),
        ({"bbox": [1, 1, 0, 1.1, 1.1, 5], "year": 2021}, "west, south, east, north"),
    ],
)
def test_what_is_no_request_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Any, said: str
) -> None:
    assert groundswell("request", save(tmp_path, document)) == 2
    assert said in capsys.readouterr().err


def test_an_area_of_the_whole_globe_is_refused_before_memory_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = save(tmp_path, {"bbox": [-180, -60, 180, 60], "year": 2021})
    assert groundswell("request", request) == 2
    assert "13,996,800 tile-years" in capsys.readouterr().err
