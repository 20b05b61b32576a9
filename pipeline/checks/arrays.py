"""NetCDF and Zarr against the rules of an array file: structure by pandera, and then every number, block by block.

Variables of groups are `group/name`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline.checks.check import Found, UnreadableError
from pipeline.checks.groups import Contents, open_contents
from pipeline.checks.numbers import Numbers
from pipeline.checks.result import shown
from pipeline.checks.structure import attributes_of, judge_structure
from pipeline.checks.tally import Rule, Tally
from pipeline.config.checks import ArrayConfig, VariableConfig
from pipeline.read.netcdf import expected_bytes
from pipeline.read.netcdf3 import HeaderCutError, Netcdf3Error
from pipeline.read.netcdf_library import NotNetcdfError
from pipeline.types import Json

_HEAD_BYTES = 64 * 2**10
"""In which most headers end."""
_BLOCK_BYTES = 32 * 2**20
_MOST_VARIABLES = 10_000
_ANY = VariableConfig()
_BROKEN = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError)
"""What xarray, netCDF4 and zarr raise, in their many ways, for damaged files."""
_TOLD = 200
"""Of how many variables the facts tell."""


@dataclass
class ArrayCheck:
    """The rules of one rule's array files."""

    config: ArrayConfig
    examples: int

    def run(self, path: Path, kind: str, scratch: Path) -> Found:  # noqa: ARG002 (nothing is written)
        """Read a whole file. Raises UnreadableError where it cannot be read to its end."""
        tally = Tally(self.examples)
        if kind != "Zarr":
            check_length(path)
        with warnings.catch_warnings(), ExitStack() as opened:
            warnings.simplefilter("ignore")
            with _reading():
                contents = opened.enter_context(open_contents(path, "zarr" if kind == "Zarr" else "netcdf4"))
            return self._judge(contents, tally)

    def _judge(self, contents: Contents, tally: Tally) -> Found:
        if len(contents.variables) > _MOST_VARIABLES:
            raise UnreadableError(f"{len(contents.variables):,} variables; at most {_MOST_VARIABLES:,} are read")
        judge_structure(contents, self.config, tally)
        told: list[dict[str, Json]] = []
        for name in sorted(contents.variables):  # Zarr lists them in any order
            variable = contents.variables[name]
            config = self.config.variables.get(name, _ANY)
            numbers = _Variable(name, variable, config, self.examples).read(tally)
            told.append(_told(name, variable) | numbers.facts())
        facts: dict[str, Json] = {
            "dimensions": {shown(name): int(length) for name, length in sorted(contents.sizes.items())},
            "attributes": {shown(str(name)): shown(value) for name, value in list(contents.attrs.items())[:_TOLD]},
            "variables": len(contents.variables),
            "of_variables": told[:_TOLD],
        }
        return tally.findings(), facts


@contextmanager
def _reading() -> Iterator[None]:
    """Around what a library reads, and nothing of our own: a fault of the checks is not the data's."""
    try:
        yield
    except _BROKEN as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _told(name: str, variable: xr.Variable) -> dict[str, Json]:
    """A variable for people."""
    dims = ", ".join(f"{dim} {length}" for dim, length in variable.sizes.items())
    units = attributes_of(variable).get("units")
    return {
        "name": shown(name),
        "type": str(variable.dtype),
        "dims": dims,
        "units": None if units is None else shown(units),
    }


def check_length(path: Path) -> None:
    """Raise UnreadableError for a NetCDF file with fewer bytes than its header asks for: the library reads it unharmed.

    Source: NetCDF Classic Format Specification; Unidata/netcdf-c issue 2412, a truncated file reads without error.
    """
    size, head_bytes = path.stat().st_size, _HEAD_BYTES
    try:
        while True:
            with path.open("rb") as file:
                head = file.read(head_bytes)
            try:
                needed = expected_bytes(head)
                break
            except HeaderCutError:
                if len(head) == size:
                    raise
                head_bytes *= 8
    except (NotNetcdfError, Netcdf3Error) as error:
        raise UnreadableError(str(error)) from None
    if needed > size:
        raise UnreadableError(f"{size:,} bytes of the {needed:,} that its header asks for")


@dataclass
class _Variable:
    """One variable on its way through."""

    name: str
    variable: xr.Variable
    config: VariableConfig
    examples: int
    _last: Any = field(default=None)

    def read(self, tally: Tally) -> Numbers:
        """Look at all of its values."""
        variable, attributes = self.variable, attributes_of(self.variable)
        numbers = Numbers(self.name, self.config, self.examples, "values", tuple(map(str, variable.dims)))
        fills = _fills(attributes, variable.dtype)
        scale, offset = (
            _number(attributes.get(key), default) for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
        )
        # NetCDF User Guide, attribute conventions: NetCDF-3 has no unsigned types.
        unsigned = variable.dtype.kind == "i" and str(attributes.get("_Unsigned")).lower() == "true"
        scaled = variable.dtype.kind in "iuf" and (scale, offset) != (1.0, 0.0)
        if self.config.increasing and variable.ndim != 1:
            self._not_increasing(tally, f"{variable.ndim} dimensions, expected one")
        for block in blocks(variable.shape, variable.dtype.itemsize or 1, _chunks(variable)):
            with _reading():
                values = np.asarray(variable[block].values)
            valid = np.ones(values.shape, bool)
            for fill in fills:
                valid &= values != fill
            if unsigned:
                values = values.view(values.dtype.str.replace("i", "u"))
            if scaled:
                values = values * scale + offset
            numbers.add(values, valid, tuple(part.start for part in block), tally)
            if self.config.increasing and variable.ndim == 1:
                self._judge_order(values, block[0].start, tally)
        numbers.end(tally)
        return numbers

    def _judge_order(self, values: NDArray[Any], first: int, tally: Tally) -> None:
        before = values if self._last is None else np.concatenate([[self._last], values])
        falls = np.flatnonzero(~(before[1:] > before[:-1]))
        self._last = before[-1] if len(before) else None
        if len(falls):
            index = int(falls[0]) + first + (1 if len(before) == len(values) else 0)
            self._not_increasing(tally, f"{shown(before[falls[0] + 1])} after {shown(before[falls[0]])} at {index}")

    def _not_increasing(self, tally: Tally, found: str) -> None:
        tally.note(Rule("increasing", self.name, self.config.severity, "values that increase"), found)


def _fills(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> list[Any]:
    """The numbers that stand for none."""
    if dtype.kind not in "iuf":
        return []
    found = [attributes.get(name, ()) for name in ("_FillValue", "missing_value")]
    wanted = [each for value in found for each in np.atleast_1d(value).tolist() if isinstance(each, int | float)]
    if dtype.kind == "f":
        return [dtype.type(value) for value in wanted]
    ends = np.iinfo(dtype)
    return [dtype.type(value) for value in wanted if ends.min <= value <= ends.max and float(value).is_integer()]


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """How it is stored: what is decoded together; ones where that is single values."""
    found = variable.encoding.get("chunksizes") or variable.encoding.get("preferred_chunks") or ()
    sizes = [found.get(dim, 1) for dim in variable.dims] if isinstance(found, dict) else list(found)
    return tuple(int(each) for each in sizes) if len(sizes) == variable.ndim else (1,) * variable.ndim


def blocks(shape: tuple[int, ...], itemsize: int, chunks: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Slices that together hold each value once: whole chunks, as many as fit, the last axis first."""
    sizes = [max(1, min(chunk, length)) for chunk, length in zip(chunks, shape, strict=True)]
    for axis in reversed(range(len(shape))):
        room = _BLOCK_BYTES // max(1, itemsize * int(np.prod(sizes, dtype=np.int64)))
        sizes[axis] = max(1, min(shape[axis], sizes[axis] * max(1, room)))
    starts = (range(0, length, size) for length, size in zip(shape, sizes, strict=True))
    for corner in product(*starts):
        yield tuple(
            slice(start, min(start + size, length)) for start, size, length in zip(corner, sizes, shape, strict=True)
        )
