"""`read_items`: the current items of an output as other programs take them, for those that follow no relative address.

Some programs know STAC 1.0 alone, and refuse or misread the terms of 1.1 (stackstac 0.5 resamples where it finds no
`proj:epsg`); one item cannot hold both, since the schemas of one forbid the fields of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Unpack

from pipeline.errors import NothingToDoError
from pipeline.execute.records.runs import current_by_product
from pipeline.results.where import Storage, Where, place_of, refuse_unknown, refuse_unknown_keys
from pipeline.write.catalog import READS_AT_ONCE
from pipeline.write.sound import get_item, resolve
from pipeline.write.stac import EXTENSIONS

Document = dict[str, Any]
OLDER = {
    EXTENSIONS["eo"]: "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    EXTENSIONS["proj"]: "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    EXTENSIONS["raster"]: "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
}
"""Schemas of the extensions as they were beside STAC 1.0."""
_EO = {
    "name": "name",
    "description": "description",
    "eo:common_name": "common_name",
    "eo:center_wavelength": "center_wavelength",
}
_RASTER = {name: name for name in ("data_type", "nodata", "unit", "statistics")}
_RASTER |= {"raster:scale": "scale", "raster:offset": "offset"}
"""Field of a band of 1.1 → field of the older list."""


def read_items(
    where: Where, product: str | None = None, *, older: bool = False, **storage: Unpack[Storage]
) -> list[Document]:
    """The current STAC items of one product, or of all, with whole addresses in place of relative ones.

    where: the `output` of runs, a folder or s3://, or their config. older: in the terms of STAC 1.0 (`proj:epsg`,
    `eo:bands`, `raster:bands`), for stackstac, GDAL before 3.10 and whatever else knows no others; else as committed.
    Sorted by product, tile and period. Reads every item, one small object each. Raises NothingToDoError where no
    finished run made any, ConfigError for a product that is not there, and StoreError for an item that is damaged.
    """
    refuse_unknown_keys(storage, Storage)
    store = place_of(where, storage).store
    current = current_by_product(store)
    if not current:
        raise NothingToDoError(
            f"{store.uri}: no items: found no finished run that made anything; expected the `output` of a run"
        )
    refuse_unknown(f"{store.uri}: product", [] if product is None else [product], current)
    keys = sorted(key for name in sorted(current) if product in (None, name) for key in current[name])

    def read(key: str) -> Document:
        item = _absolute(get_item(store, key), key, store.uri)
        return as_older(item) if older else item

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        return list(pool.map(read, keys))


def _absolute(item: Mapping[str, Any], key: str, base: str) -> Document:
    def moved(part: Document) -> Document:
        return {**part, "href": f"{base}/{resolve(key, part['href'])}"} if part["href"].startswith(".") else part

    own = {"rel": "self", "href": f"{base}/{key}", "type": "application/geo+json"}
    return {
        **item,
        "assets": {name: moved(asset) for name, asset in item["assets"].items()},
        "links": [own, *(moved(link) for link in item["links"])],
    }


def as_older(item: Mapping[str, Any]) -> Document:
    """An item of STAC 1.1 in the terms of 1.0. Pure; a CRS without an EPSG code stays WKT, with `proj:epsg` null.

    `datetime` is its start, since stackstac knows no interval.
    """
    properties = item["properties"]
    return {
        **item,
        "stac_version": "1.0.0",
        "stac_extensions": [OLDER.get(address, address) for address in item["stac_extensions"]],
        "properties": {**properties, "datetime": properties["datetime"] or properties["start_datetime"]},
        "assets": {name: _older_asset(asset) for name, asset in item["assets"].items()},
    }


def _older_asset(asset: Mapping[str, Any]) -> Document:
    found = {name: value for name, value in asset.items() if name not in ("bands", "proj:code")}
    if "proj:code" in asset:
        code = asset["proj:code"]
        found["proj:epsg"] = int(code.partition(":")[2]) if code else None
    for name, fields in (("eo:bands", _EO), ("raster:bands", _RASTER)):
        if bands := asset.get("bands"):
            found[name] = [{fields[key]: value for key, value in band.items() if key in fields} for band in bands]
    return found
