"""What a committed item says of its pixels: the way back from the documents that `stac.py` makes."""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from pipeline.errors import ConfigError, StoreError
from pipeline.types import Band, Grid, Json, joined_attributions

STATIC = "static"
"""Period of timeless products."""
ZARR_KEY = "zarr"
GEOTIFF = "image/tiff; application=geotiff"
"""Begins the media type of a layer's file; only what was adopted may be no COG."""
DAYS = "groundswell:days"
"""Of a band in a Zarr asset: the days along its first axis; missing where it is (y, x)."""

_DAY = re.compile(r"(.+)-(\d{8})")
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the pixels (y, x) of one band lie."""

    href: str
    """Absolute: a file, or the folder of a Zarr store."""
    array: str | None = None
    """Name of the array in a Zarr store; None: a COG."""
    step: int | None = None
    """Position along the array's first axis; None: it is (y, x)."""
    band: int = 1
    """In a COG, from 1."""


@dataclass(frozen=True)
class Layer:
    """One band of an item, at one day where the item is a time series."""

    band: Band
    day: date | None
    sources: Mapping[str, Source]
    """By format, `cog` and `zarr`: the same numbers."""

    @property
    def preferred(self) -> Source:
        """Zarr where there is."""
        return self.sources["zarr"] if "zarr" in self.sources else self.sources["cog"]


@dataclass(frozen=True)
class Output:
    """One committed item: a product on a tile in a period."""

    product: str
    tile: str
    period: str
    start: datetime | None
    """First moment; None, as `end`, for a timeless product."""
    end: datetime | None
    """Excluded."""
    fingerprint: str
    license: str
    attribution: str
    grid: Grid
    layers: tuple[Layer, ...]

    @property
    def id(self) -> str:
        return f"{self.product}/{self.tile}/{self.period}"

    @property
    def content(self) -> str:
        """Stands for its pixels: an item that `--overwrite` replaced has its fingerprint, but files of other names."""
        files = sorted({posixpath.basename(layer.preferred.href) for layer in self.layers})
        return f"{self.fingerprint}-{hashlib.sha256('/'.join(files).encode()).hexdigest()[:12]}"


def parse_output(document: Document, base: str) -> Output:
    """An item as committed, or as a row of `items.parquet`; `base` is the address of what its hrefs are relative to.

    Reads nothing. Raises StoreError, naming the item, when it is none of this project's or its bands differ in grid.
    """
    name = document.get("id")
    try:
        assets = {key: asset for key, asset in document["assets"].items() if asset is not None}
        product, tile, period = assets["inputs"]["href"].split("/")[-4:-1]
        properties = document.get("properties", document)
        start, end = (_moment(properties[key]) for key in ("start_datetime", "end_datetime"))
        said = (properties["groundswell:fingerprint"], properties["license"], properties["attribution"])
        layers = tuple(_merged(_layers(assets, base)))
        (grid,) = {_grid(asset) for asset in assets.values() if asset.get("bands")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{base}: item {name}: not as this version writes them ({type(error).__name__}: {error}); "
            "expected one grid, `bands`, an asset `inputs` under data/<product>/<tile>/<period>/"
        ) from error
    if period == STATIC:
        return Output(product, tile, period, None, None, *said, grid, layers)
    # STAC's end is inclusive.
    return Output(product, tile, period, start, end + timedelta(microseconds=1), *said, grid, layers)


def tile_grids(outputs: Sequence[Output]) -> Mapping[str, Grid]:
    """The grid of each tile, sorted by id. Raises ConfigError for a tile that was made on two grids."""
    grids: dict[str, Grid] = {}
    for output in sorted(outputs, key=lambda each: each.tile):
        known = grids.setdefault(output.tile, output.grid)
        if known != output.grid:
            raise ConfigError(
                f"{output.id}: found the grid {output.grid.transform} {output.grid.shape}, in another period of the "
                f"tile {known.transform} {known.shape}; runs with another `grid` need another `name` or `output`"
            )
    return grids


def common_bands(outputs: Sequence[Output], names: Collection[str] | None = None) -> tuple[Band, ...]:
    """The bands of all outputs, sorted by name; only those of `names`, if given.

    Raises ConfigError where one means different numbers in two items.
    """
    found: dict[str, tuple[Band, Output]] = {}
    for output in outputs:
        for layer in output.layers:
            if names is not None and layer.band.name not in names:
                continue
            band, other = found.setdefault(layer.band.name, (layer.band, output))
            if band is not layer.band and _numbers(band) != _numbers(layer.band):
                raise ConfigError(
                    f"band {band.name}: (dtype, nodata, scale, offset) is {_numbers(band)} in {other.id} and "
                    f"{_numbers(layer.band)} in {output.id}; make the older one again with --overwrite, or under "
                    "another product `name`"
                )
    return tuple(found[name][0] for name in sorted(found))


def joint_rights(outputs: Sequence[Output]) -> dict[str, str]:
    """Licence and attribution of all together; `other` where the licences differ, which the items then name."""
    licenses = {output.license for output in outputs}
    return {
        "license": licenses.pop() if len(licenses) == 1 else "other",
        "attribution": joined_attributions(output.attribution for output in outputs),
    }


def _numbers(band: Band) -> tuple[str, float | None, float, float]:
    return band.dtype, band.nodata, band.scale, band.offset


def _layers(assets: Mapping[str, Document], base: str) -> Iterator[Layer]:
    for key, asset in assets.items():
        href = _absolute(asset["href"], base)
        if key == ZARR_KEY:
            for field in asset["bands"]:
                band = _band(field)
                days = field.get(DAYS)
                steps = enumerate(map(date.fromisoformat, days)) if days else [(None, None)]
                for step, day in steps:
                    yield Layer(band, day, {"zarr": Source(href, band.name, step)})
        elif asset.get("bands") and asset["type"].startswith(GEOTIFF):
            dated = _DAY.fullmatch(key)
            for number, field in enumerate(asset["bands"], 1):
                band = _band({**field, "role": asset["roles"][0]})
                yield Layer(band, _day(dated[2]) if dated else None, {"cog": Source(href, band=number)})


def _merged(layers: Iterator[Layer]) -> Iterator[Layer]:
    """One layer for the same band and day, whatever the formats."""
    found: dict[tuple[str, date | None], Layer] = {}
    for layer in layers:
        key = layer.band.name, layer.day
        known = found.get(key)
        found[key] = layer if known is None else Layer(known.band, layer.day, {**known.sources, **layer.sources})
    yield from found.values()


def _absolute(href: str, base: str) -> str:
    return posixpath.normpath(href) if "://" in href or href.startswith("/") else _join(base, href)


def _join(base: str, href: str) -> str:
    scheme, separator, path = base.rpartition("://")
    return f"{scheme}{separator}{posixpath.normpath(f'{path}/{href}')}"


def _moment(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()


def _grid(asset: Document) -> Grid:
    a, b, c, d, e, f = (float(value) for value in asset["proj:transform"][:6])
    rows, columns = asset["proj:shape"]
    return Grid(asset.get("proj:code") or _wkt(asset["proj:wkt2"]), (a, b, c, d, e, f), (int(rows), int(columns)))


def _wkt(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError("neither proj:code nor proj:wkt2")
    return value


def _band(field: Document) -> Band:
    nodata = None if field.get("nodata") is None else float(field["nodata"])
    if nodata is not None and math.isnan(nodata):
        nodata = math.nan  # the one object: bands with NaN then compare as equal
    return _interned(
        Band(
            field["name"],
            field["data_type"],
            nodata,
            _or(field.get("raster:scale"), 1.0),
            _or(field.get("raster:offset"), 0.0),
            field.get("unit") or "1",
            field.get("description") or "",
            field.get("eo:common_name"),
            field.get("eo:center_wavelength"),
            field.get("groundswell:overview") or "average",
            field.get("role") or "data",
            flags=tuple((flag["mask"], flag["meaning"]) for flag in field.get("groundswell:flags") or ()),
            source=field.get("groundswell:source") or "",
        )
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


@lru_cache(maxsize=4096)
def _interned(band: Band) -> Band:
    """The same object for equal bands: thousands of items have the same few."""
    return band
