"""The lazy cube: stackstac's graph with our reader, so that both paths give the same pixels.

stackstac 0.5.1 passes a reader nothing but an address and a grid. What else a read needs (the band inside the file,
how it is signed, its nodata) travels in a frozen side table keyed by the unsigned href.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import stackstac
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from pipeline.errors import CatalogError
from pipeline.read.access import Access
from pipeline.read.layer import Target
from pipeline.types import Asset, Item, Json

LayerFunction = Callable[[Asset, Access, str, Target], NDArray[np.uint16]]
"""(asset, access, item id, part of the tile) → one layer of the cube, as `read_layer` does."""


@dataclass(frozen=True)
class LayerReader:
    """stackstac's `Reader` for one asset: opens nothing before it is read, keeps nothing after."""

    asset: Asset
    item: str
    access: Access
    geobox: GeoBox
    layer: LayerFunction

    def read(self, window: Window, **_: Any) -> NDArray[np.uint16]:
        """Stored numbers of a window of the cube, uint16, 0 where there is none."""
        rows, cols = window.toslices()
        part = Target(self.geobox, (rows.start, rows.stop), (cols.start, cols.stop))
        return self.layer(self.asset, self.access, self.item, part)

    def close(self) -> None:
        """Nothing is held open."""


Entry = tuple[str, Asset, LayerFunction]
"""A row of the side table: item id, asset, how its layer is read."""


def make_reader(table: Mapping[str, Entry], access: Access, geobox: GeoBox, *, url: str, **_: Any) -> LayerReader:
    """The reader of one address, with what the side table knows of it."""
    item, asset, layer = table[url]
    return LayerReader(asset, item, access, geobox, layer)


def open_layers(
    items: Sequence[Item],
    layers: Mapping[str, LayerFunction],
    geobox: GeoBox,
    access: Access,
    chunk_px: int = 1024,
) -> xr.DataArray:
    """Stored numbers of every item and band on one grid: lazy uint16 (time, band, y, x), 0 where there is none.

    layers: band → how it is read; `read_layer` gives the stored numbers. One entry of `time` per item, in the order
    of the items. Nothing is read before it is computed. Raises CatalogError when the grid's CRS is not an EPSG code.
    """
    epsg = geobox.crs.epsg if geobox.crs is not None else None
    if epsg is None:
        raise CatalogError(f"the target grid's CRS {geobox.crs} has no EPSG code, which stackstac needs")
    table: dict[str, Entry] = {}
    bounds = [float(side) for side in geobox.boundingbox]
    transform = geobox.transform
    cube: xr.DataArray = stackstac.stack(
        [_describe(item, layers, table, {"proj:epsg": epsg, "proj:bbox": bounds}) for item in items],
        assets=list(layers),
        epsg=epsg,
        bounds=tuple(bounds),
        snap_bounds=False,
        resolution=(transform.a, -transform.e),
        chunksize=chunk_px,
        dtype=np.dtype("uint16"),
        fill_value=np.uint16(0),
        rescale=False,
        sortby_date=False,
        xy_coords="center",
        properties=False,
        band_coords=False,
        reader=partial(make_reader, table, access, geobox),
        errors_as_nodata=(),
    )
    return cube


def _describe(
    item: Item, layers: Mapping[str, LayerFunction], table: dict[str, Entry], grid: Mapping[str, Json]
) -> Json:
    """A plain STAC item for stackstac; fills the side table.

    Every asset is said to cover the whole target: stackstac drops items that it thinks lie outside, which would break
    the order, and where catalogue and file disagree it would leave holes. Our reader looks at the file itself.
    """
    assets = {}
    for band, layer in layers.items():
        asset = item.assets.get(band)
        if asset is not None:
            address = asset.href if asset.band == 1 else f"{asset.href}#band={asset.band}"
            table[address] = item.id, asset, layer
            assets[band] = {"href": address, "type": "image/tiff", **grid}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item.id,
        "collection": item.collection,
        "geometry": item.geometry,
        "bbox": [-180, -90, 180, 90],
        "properties": {"datetime": item.time.isoformat()},
        "links": [],
        "assets": assets,
    }
