"""Committed GeoTIFFs under paths that a template says, such as `{year}/ard/{x}/{y}/{x}X{y}Y_{layer}.tif`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

from pipeline.errors import ConfigError
from pipeline.plan.periods import STATIC, named_year
from pipeline.plan.ttc import ttc_numbers

FIELDS = {
    "product": "name of the product",
    "tile": "id of the tile",
    "period": "id of the period",
    "year": "that the period lies in",
    "layer": "key of the layer, such as red or red-20240601",
    "x": "X number of a tree-cover tile",
    "y": "Y number of a tree-cover tile",
}
_GEOTIFF = "image/tiff"


def check_template(template: str) -> None:
    """Raise ConfigError unless a template makes a path below a folder, another one for every layer."""
    try:
        found = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template)]
    except ValueError as error:
        raise ConfigError(f"--template: {template}: {error}; {_allowed()}") from None
    if any(spec or conversion for _, spec, conversion in found):
        raise ConfigError(f"--template: {template}: found a field with a format behind `:` or `!`; {_allowed()}")
    fields = {name for name, *_ in found if name is not None}
    unknown = sorted(fields - {*FIELDS})
    if unknown:
        raise ConfigError(f"--template: found {', '.join(f'{{{name}}}' for name in unknown)}; {_allowed()}")
    if "layer" not in fields:
        raise ConfigError("--template: found no {layer}; every layer is a file, so its name must be in the path")
    path = PurePosixPath(template)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"--template: {template}: allowed: a path below the folder of --to")


def template_copies(template: str, item: Mapping[str, Any], job_id: str) -> Iterator[tuple[str, str]]:
    """(path, asset key) of every GeoTIFF of an item.

    Raises ConfigError for {x} and {y} of another kind of tile, and for a layer whose name is a path.
    job_id: `product/tile/period` of the item.
    """
    product, tile, period = job_id.split("/")
    year = STATIC.id if period == STATIC.id else f"{named_year(period):04d}"
    known = {"product": product, "tile": tile, "period": period, "year": year}
    if "{x}" in template or "{y}" in template:
        try:
            known["x"], known["y"] = map(str, ttc_numbers(tile))
        except ValueError:
            raise ConfigError(f"--template: tile {tile} has no X and Y number; use {{tile}}") from None
    for key, asset in item["assets"].items():
        if asset["type"].startswith(_GEOTIFF):
            if "/" in key or key in {".", ".."}:
                raise ConfigError(f"{job_id}: found a layer called {key!r}; allowed: names that are no path")
            yield template.format(layer=key, **known), key


def _allowed() -> str:
    return "allowed: " + ", ".join(f"{{{name}}} ({text})" for name, text in FIELDS.items())
