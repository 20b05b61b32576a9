"""Gridded numbers of more than two dimensions as one Zarr v3 group with CF's words, filled slab by slab.

The same bytes for the same input; every slab is read back before it is accepted, and what is there is listed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.types import DataFile, Json
from pipeline.write.zarr import METADATA, named, seal

CHUNK_NUMBERS = 2**20
"""Numbers of a chunk, at most: a few megabytes."""
_LEVEL = 3
"""Of zstd."""


@dataclass(frozen=True)
class GridVariable:
    """One array: its axes by name, and what its numbers are."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    attributes: Mapping[str, Json] = field(default_factory=dict)

    @property
    def fill(self) -> Any:
        """What stands for no number: NaN, or 0 of a count."""
        return np.nan if np.dtype(self.dtype).kind == "f" else 0


@dataclass(frozen=True)
class Coordinate:
    """An axis, or what belongs to one (bounds), with its values."""

    dims: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Json] = field(default_factory=dict)


class GridStore:
    """One store while it is filled; nothing of a slab is kept once it is added."""

    def __init__(
        self,
        folder: Path,
        coordinates: Mapping[str, Coordinate],
        variables: Sequence[GridVariable],
        attributes: Mapping[str, Json],
        steps: int,
    ) -> None:
        """folder: the store, made here. attributes: of the group; must hold `license` and `attribution`.

        steps: of the first axis that are added together. Raises OutputError.
        """
        import zarr  # noqa: PLC0415 (slow to import, and most runs have no grids)

        self._folder, self._variables = folder, {one.name: one for one in variables}
        self._sizes = {name: len(one.values) for name, one in coordinates.items() if one.dims == (name,)}
        self._filled: dict[str, set[int]] = {one.name: set() for one in variables}
        self._steps = steps
        self._keys = {METADATA}
        if missing := {"license", "attribution"} - attributes.keys():
            raise OutputError(f"{folder.name}: found no {' and no '.join(sorted(missing))}; expected both")
        with named(folder.name):
            self._group = zarr.open_group(folder, mode="w", zarr_format=3)
            for name, one in coordinates.items():
                array = self._create(GridVariable(name, one.dims, str(one.values.dtype), one.attributes), one.values)
                array[...] = one.values
            self._arrays = {one.name: self._create(one, self._empty(one)) for one in variables}
            self._group.attrs.put({"Conventions": "CF-1.11", **attributes})

    def add(self, name: str, first: int, data: NDArray[Any]) -> None:
        """Write some steps of a variable's first axis, from `first` on, and read them back. Raises OutputError.

        All that lie in one chunk: as many as the store was told, or what is left of them at the end.
        """
        variable, array = self._variables[name], self._arrays[name]
        steps = min(self._steps, array.shape[0] - first)
        expected = (steps, *array.shape[1:]), np.dtype(variable.dtype)
        if (data.shape, data.dtype) != expected or first in self._filled[name] or first % self._steps:
            raise OutputError(
                f"{self._folder.name}, {name}, from step {first}: found {data.dtype} {data.shape}, expected "
                f"{expected[1]} {expected[0]}, each step once"
            )
        with named(f"{self._folder.name}, {name}"):
            array[first : first + steps] = data
            stored = np.asarray(array[first : first + steps])
        bits = f"u{data.dtype.itemsize}"  # so that NaN equals itself
        if not np.array_equal(stored.view(bits), np.ascontiguousarray(data).view(bits)):
            raise OutputError(f"{self._folder.name}, {name}, from step {first}: read back other than written")
        self._filled[name].add(first)

    def finish(self) -> tuple[DataFile, DataFile]:
        """The store as a folder, and its manifest. Raises OutputError for a step or an object missing or too much."""
        name = self._folder.name
        for variable in self._variables.values():
            if missing := {*range(0, self._sizes[variable.dims[0]], self._steps)} - self._filled[variable.name]:
                raise OutputError(f"{name}, {variable.name}: found no step {sorted(missing)}; expected every one")
        return seal(self._folder, self._keys, {})

    def _empty(self, variable: GridVariable) -> NDArray[Any]:
        """Of its shape, without its memory."""
        return np.broadcast_to(np.zeros((), variable.dtype), tuple(self._sizes[dim] for dim in variable.dims))

    def _create(self, variable: GridVariable, values: NDArray[Any]) -> Any:
        from zarr.codecs import BloscCodec  # noqa: PLC0415 (as above)

        chunks = self._chunks(values.shape) if variable.name in self._variables else values.shape
        self._keys |= set(_keys(variable.name, values.shape, chunks))
        dtype = np.dtype(variable.dtype)
        codec = BloscCodec(cname="zstd", clevel=_LEVEL, shuffle="shuffle", typesize=dtype.itemsize)
        return self._group.create_array(
            variable.name,
            shape=values.shape,
            dtype=dtype,
            chunks=chunks,
            compressors=codec if variable.name in self._variables else None,
            fill_value=variable.fill,
            dimension_names=variable.dims,
            attributes=dict(variable.attributes),
            config={"write_empty_chunks": True},
        )

    def _chunks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The steps that are added together, and as much of the other axes, the last two halved, as is allowed."""
        chunks = [min(self._steps, shape[0]), *shape[1:]]
        axis = len(shape) - 1
        while math.prod(chunks) > CHUNK_NUMBERS and max(chunks[-2:]) > 1:
            chunks[axis] = math.ceil(chunks[axis] / 2)
            axis = len(shape) - 2 if axis == len(shape) - 1 else len(shape) - 1
        return tuple(chunks)


def _keys(name: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[str]:
    """Every key of an array, from its shape and that of its chunks alone."""
    yield f"{name}/{METADATA}"
    for at in product(*(range(math.ceil(size / step)) for size, step in zip(shape, chunks, strict=True))):
        yield "/".join((name, "c", *map(str, at)))
