"""Paths that a template says: below the folder, one for each layer, and never by Python's own formatting."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.verbs._template import check_template, template_copies


def item(*keys: str) -> dict[str, Any]:
    return {"properties": {}, "assets": {key: {"type": "image/tiff; application=geotiff"} for key in keys}}


@pytest.mark.parametrize(
    "template",
    [
        "{layer!r}.tif",
        "{layer!z}.tif",
        "{layer:d}.tif",
        "{layer:.1}.tif",
        "{layer:>99999999999}.tif",
        "{x:>5}/{layer}.tif",
        "{tile!s}/{layer}.tif",
        "{layer:{x}}.tif",
        "{layer.__class__}.tif",
        "{}/{layer}.tif",
        "../{layer}.tif",
        "{tile}/../../{layer}.tif",
    ],
)
def test_a_field_is_its_name_alone(template: str) -> None:
    with pytest.raises(ConfigError, match=r"--template"):
        check_template(template)


@pytest.mark.parametrize("template", ["{layer}", "{tile}/{layer}", "{tile}/{layer}/a.tif"])
@pytest.mark.parametrize("key", ["../../evil", "/etc/evil", ".."])
def test_names_of_layers_lead_nowhere_else(template: str, key: str) -> None:
    """An item may come from anyone who can write to the output."""
    with pytest.raises(ConfigError, match="names that are no path"):
        list(template_copies(template, item("red", key), "optical/33N-024-0246/2021"))


@pytest.mark.parametrize(
    ("period", "year"),
    [("2021", "2021"), ("2024-DJF", "2024"), ("2020-12-01_2021-03-01", "2021"), ("static", "static")],
)
def test_the_year_is_that_of_the_periods_name(period: str, year: str) -> None:
    """Whatever days beside it belong to it."""
    copies = template_copies("{year}/{x}/{y}/{layer}.tif", item("red"), f"trees/-3X7Y/{period}")
    assert list(copies) == [(f"{year}/-3/7/red.tif", "red")]
