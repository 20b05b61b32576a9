"""Laws of the zones that a file names for its regions: read as they are, or refused by row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.errors import ConfigError
from pipeline.search.area import read_area


def test_a_zone_that_is_none_is_refused_by_row(tmp_path: Path) -> None:
    """And an attribute that is not there, with those that are."""
    path = tmp_path / "zones.geojson"
    square = {"type": "Polygon", "coordinates": [[[9, 50], [9.1, 50], [9.1, 50.1], [9, 50.1], [9, 50]]]}
    features = [
        {"type": "Feature", "properties": {"name": name, "zone": zone, "number": number}, "geometry": square}
        for name, zone, number in (("a", "32UNA", 32.0), ("b", "north", 33.0))
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    area = read_area(AreaConfig(vector=str(path), zone="zone", select={"name": ("a",)}), GridConfig())
    assert [region.zone for region in area.regions] == ["32N"]
    area = read_area(AreaConfig(vector=str(path), zone="number"), GridConfig())
    assert [region.zone for region in area.regions] == ["32N", "33N"]
    with pytest.raises(ConfigError, match=r"area\.zone: .*row 1, zone: found 'north'; allowed: a UTM zone such as 23"):
        read_area(AreaConfig(vector=str(path), zone="zone"), GridConfig())
    with pytest.raises(ConfigError, match=r"area\.zone: .*found no attribute utm; allowed: name, zone, number"):
        read_area(AreaConfig(vector=str(path), zone="utm"), GridConfig())
