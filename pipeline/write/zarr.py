"""Zarr v3, one group a tile and period: the same bytes for the same input, read back before it is accepted.

Everything that a shape asks for is there, empty or not: readers take a missing chunk for no data, without a word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Json
from pipeline.write.cog import band_fields, check_layer, grid_fields
from pipeline.write.files import json_bytes, write_json_file
from pipeline.write.manifest import list_folder, render_manifest
from pipeline.write.zarr_attributes import Extent, band_attributes, coordinate_variables, group_attributes

if TYPE_CHECKING:
    import zarr

MEDIA_TYPE = "application/vnd.zarr; version=3"
KEY, MANIFEST_KEY = "zarr", "zarr-manifest"
SHARD_PX = 2048
"""Longest side of a shard."""
METADATA = "zarr.json"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ZarrOptions:
    """How arrays are cut and compressed: Blosc's byte shuffle, then zstd."""

    level: int = 3
    """Of zstd, 1 to 9."""
    chunk_px: int = 512
    """Side of a chunk, a power of two."""
    sharded: bool = True
    """Chunks share objects of up to 2048 px; False: one object a chunk."""


@dataclass(frozen=True)
class _Filled:
    """One band's array and the days that are in it; no day at all, None, where it is not of the time series."""

    band: Band
    array: zarr.Array[Any]
    days: set[date | None]

    def fields(self) -> dict[str, Json]:
        """Of the item's asset: a band with a time axis says which days are on it."""
        days = [day.isoformat() for day in sorted(day for day in self.days if day)]
        return {**band_fields(self.band), **({"groundswell:days": days} if days else {})}

    def wants(self, day: date | None) -> bool:
        return day is not None and day not in self.days and None not in self.days


class ZarrTile:
    """One store while it is filled; nothing of a layer is kept once it is added."""

    def __init__(self, extent: Extent, folder: Path, options: ZarrOptions, tags: Mapping[str, str]) -> None:
        """folder: the store, made here. tags: licence and attribution. Raises OutputError for an extent beyond it."""
        import zarr  # noqa: PLC0415 (slow to import, and most runs write COGs alone)

        self._extent, self._folder, self._options, self._tags = extent, folder, options, tags
        variables = coordinate_variables(extent)
        self._keys = {METADATA}
        self._bands: dict[str, _Filled] = {}
        beside = [name for name in ("spatial_ref", "time_bnds") if name in variables]
        self._coordinates = ["spatial_ref", *(name for name in ("time",) if name in variables and not extent.days)]
        with named(folder.name):
            self._group = zarr.open_group(folder, mode="w", zarr_format=3)
            for name, (dims, values, attributes) in variables.items():
                array = self._group.create_array(
                    name,
                    shape=values.shape,
                    dtype=values.dtype,
                    chunks=values.shape,
                    compressors=None,
                    dimension_names=dims,
                    attributes=attributes,
                    config={"write_empty_chunks": True},
                )
                array[...] = values
                self._keys |= set(_keys(name, values.shape, values.shape))
            self._group.attrs.put({**group_attributes(extent.geobox, tags), "coordinates": " ".join(beside)})

    def add(self, data: Array, band: Band, day: date | None = None) -> None:
        """Write one layer, (y, x) of `band.dtype` in stored numbers, and read it back. Raises OutputError."""
        name = self._folder.name
        check_layer(data, band, self._extent.geobox, name, self._tags)
        series = self._extent.days
        filled = self._bands.get(band.name)
        if (filled and not filled.wants(day)) or (day is not None and day not in series):
            raise OutputError(
                f"{name}, band {band.name}: found a layer of {day or 'no day'}; expected each layer once, and all of a "
                f"band with a day of the series ({', '.join(map(str, series)) or 'there is none'}), or one without"
            )
        at = () if day is None else (series.index(day),)
        with named(f"{name}, band {band.name}"):
            if filled is None:
                filled = self._bands[band.name] = _Filled(band, self._create(band, in_time=day is not None), set())
            filled.days.add(day)
            filled.array[at or ...] = data
        for row in range(0, data.shape[0], SHARD_PX):
            strip = data[row : row + SHARD_PX]
            stored = np.asarray(filled.array[(*at, slice(row, row + SHARD_PX))])
            bits = f"u{strip.itemsize}"  # so that NaN equals itself, and -0 does not equal 0
            if stored.dtype != strip.dtype or not np.array_equal(stored.view(bits), strip.view(bits)):
                raise OutputError(f"{name}, band {band.name}: rows from {row} read back other than written")

    def finish(self) -> tuple[DataFile, DataFile]:
        """The store as a folder, and its manifest. Raises OutputError for a day or an object missing or too much."""
        name = self._folder.name
        for band, filled in self._bands.items():
            if missing := [str(day) for day in self._extent.days if filled.wants(day)]:
                raise OutputError(f"{name}, band {band}: found no layer of {', '.join(missing)}; expected every day")
        fields: dict[str, Json] = {
            "bands": [filled.fields() for filled in self._bands.values()],
            **grid_fields(self._extent.geobox),
        }
        return seal(self._folder, self._keys, fields)

    def _create(self, band: Band, *, in_time: bool) -> zarr.Array[Any]:
        from zarr.codecs import BloscCodec  # noqa: PLC0415 (as above)

        shape: tuple[int, ...] = tuple(self._extent.geobox.shape)
        chunks, objects = _cut(shape, self._options)
        dims: tuple[str, ...] = ("y", "x")
        if in_time:
            shape, chunks, objects = (len(self._extent.days), *shape), (1, *chunks), (1, *objects)
            dims = ("time", *dims)
        self._keys |= set(_keys(band.name, shape, objects))
        dtype = np.dtype(band.dtype)
        return self._group.create_array(
            band.name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            shards=objects if self._options.sharded else None,
            compressors=BloscCodec(
                cname="zstd", clevel=self._options.level, shuffle="shuffle", typesize=dtype.itemsize
            ),
            fill_value=0 if band.nodata is None else band.nodata,
            dimension_names=dims,
            attributes=band_attributes(band, self._coordinates),
            config={"write_empty_chunks": True},
        )


def consolidate(folder: Path) -> None:
    """All metadata of a flat group once more in its root: a reader opens it with one request and without a listing.

    Not in the Zarr v3 specification, but what xarray looks for first; and never stale, as a store is never changed.
    """
    paths = sorted(folder.glob(f"*/{METADATA}"))
    documents = {path.parent.name: json.loads(path.read_bytes()) for path in paths}
    root = json.loads((folder / METADATA).read_bytes())
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": documents}
    (folder / METADATA).write_bytes(json_bytes(root))
    for path in paths:
        path.write_bytes(json_bytes(documents[path.parent.name]))


def seal(folder: Path, keys: AbstractSet[str], fields: Mapping[str, Json]) -> tuple[DataFile, DataFile]:
    """A store that is written, as a file of a commit, and its manifest: consolidated, of exactly these keys.

    Raises OutputError for an object that is missing, or too much.
    """
    with named(folder.name):
        consolidate(folder)
        objects = list_folder(folder)
    if found := {one.key for one in objects} ^ keys:
        raise OutputError(f"{folder.name}: missing, or not expected: {', '.join(sorted(found))}")
    path = folder.with_name(f"{MANIFEST_KEY}.json")
    with named(path.name):
        title = "Objects of the Zarr store"
        manifest = write_json_file(render_manifest(objects), path, MANIFEST_KEY, title=title, role="manifest")
    size = sum(one.size_bytes for one in objects)
    store = DataFile(KEY, folder, MEDIA_TYPE, ("data",), "Zarr store", manifest.sha256, size, fields, objects)
    return store, manifest


@contextmanager
def named(what: str) -> Iterator[None]:
    """A full disk is an OutputError that says what was being written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{what}: could not be written: {error}") from error


def _cut(shape: tuple[int, ...], options: ZarrOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of chunks and of objects: a tile up to 2048 px is one object, a larger one is cut into equal ones."""
    chunks, objects = [], []
    for size in shape:
        chunk = min(options.chunk_px, size)
        whole = math.ceil(size / chunk)
        shards = math.ceil(whole * chunk / SHARD_PX)
        chunks.append(chunk)
        objects.append(chunk * math.ceil(whole / shards) if options.sharded else chunk)
    return tuple(chunks), tuple(objects)


def _keys(name: str, shape: tuple[int, ...], objects: tuple[int, ...]) -> Iterator[str]:
    """Every key of an array, from its shape and that of its objects alone."""
    yield f"{name}/{METADATA}"
    for at in product(*(range(math.ceil(size / step)) for size, step in zip(shape, objects, strict=True))):
        yield "/".join((name, "c", *map(str, at)))
