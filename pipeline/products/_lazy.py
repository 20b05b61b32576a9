"""An optical job as a lazy cube: the same scenes, masks and numbers as the production path, and the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy import typing as npt
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError
from pipeline.ops.choice import Choice, choose, note_reasons, tally
from pipeline.ops.composite import Reducer
from pipeline.ops.indices import Index
from pipeline.ops.linear import Linear
from pipeline.ops.mask import CLEAR, OUTSIDE
from pipeline.ops.scores import ScoreOf
from pipeline.products._composites import Derived, Joined, Joint, Reduced
from pipeline.products._layers import doy_layer, qa_layer
from pipeline.products._optical import Recipe, complete_days
from pipeline.products._sources import Masking, both_clear, codes_on
from pipeline.products._work import days_of
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.read.lazy import LayerFunction, open_layers
from pipeline.types import Asset, Band, Item, Job

Array = NDArray[Any]
_NO_ASSET = "none:"
"""Scheme of the address of what a catalogue does not list."""


@dataclass(frozen=True)
class Cube:
    """A job's scenes as lazy arrays; nothing is read before they are computed."""

    job: Job
    recipe: Recipe
    bands: Mapping[str, Sequence[da.Array]]
    """Per band, per scene: uint16 (y, x) of the product's stored numbers, 0 = none."""
    codes: da.Array | None
    """uint8 (scene, y, x) mask codes; None: nothing is masked."""
    coordinates: Mapping[str, Array]
    """`y` and `x`."""

    def days(self, band: str, clear: Sequence[da.Array] | None) -> da.Array:
        """uint16 (day, y, x): of each day the first scene that is clear there, in every band the same."""
        layers = self.bands[band]
        merged = [_merge([(layers[n], clear[n] if clear else None) for n in day]) for day in days_of(self.job.items)]
        stacked: da.Array = da.stack(merged).rechunk({0: -1})
        return stacked

    def clear(self) -> list[da.Array] | None:
        """Per scene, (y, x) True where it is clear; None: nothing is masked."""
        return None if self.codes is None else [(codes >= CLEAR) & (codes < OUTSIDE) for codes in self.codes]


def open_cube(job: Job, recipe: Recipe, linear_of: Callable[[Item, str], Linear], access: Access) -> Cube:
    """A job's scenes, lazily; what cannot be read raises AssetError when it is computed.

    linear_of: what the stored numbers of a scene's band mean; called when the cube is computed, since it may read
    pixels. It raises AssetError for numbers that are not what they are taken for.
    """
    cube = _stored(job, dict.fromkeys(recipe.bands, partial(read_layer, resampling=recipe.resampling)), access)
    bands = {
        name: [
            # As one function: Dask would look for tasks in every field of an item that is an argument.
            _linear(cube.sel(band=name).isel(time=n).data, delayed(partial(linear_of, item, name))())
            for n, item in enumerate(job.items)
        ]
        for name in recipe.bands
    }
    codes = None
    for part in recipe.masking.parts if recipe.masking is not None else ():
        # On their own, also where they are those of a band: a band may be resampled, what it is masked by never is.
        stored = _stored(job, {part.band: partial(_read_codes, part)}, access)
        found = (stored.sel(band=part.band).data - 1).astype(np.uint8)
        codes = found if codes is None else da.map_blocks(both_clear, codes, found, dtype=np.uint8)
    return Cube(job, recipe, bands, codes, {"y": cube["y"].values, "x": cube["x"].values})


def _stored(job: Job, layers: Mapping[str, LayerFunction], access: Access) -> xr.DataArray:
    """Layers of every scene, (time, band, y, x); an asset that an item lacks raises when it is computed."""
    items = [_with_all(item, layers) for item in job.items]
    read = {name: partial(_read_if_there, layer) for name, layer in layers.items()}
    return open_layers(items, read, job.tile.geobox, access)


def lazy_observations(cube: Cube) -> xr.Dataset:
    """One observation per solar day: lazy uint16 (time, y, x) per band, 0 = none, offset removed."""
    clear = cube.clear()
    return _dataset(cube, {band: cube.days(band, clear) for band in cube.bands}, cube.recipe.bands)


def lazy_composite(cube: Cube) -> xr.Dataset:
    """Every layer that is committed, with the same pixels: lazy (y, x), or (time, y, x) of a time series."""
    recipe, items = cube.recipe, cube.job.items
    further: dict[str, da.Array] = {}
    if recipe.score is not None and cube.codes is not None:
        further["source"], days = _choose(cube.codes, [item.solar_day for item in items], recipe.score)
        further["doy"] = _blocks(partial(doy_layer, items=items), "yx", further["source"], "yx", dtype=np.uint16)
        bands = {
            name: _merge([(layer, further["source"] == n + 1) for n, layer in enumerate(layers)])
            for name, layers in cube.bands.items()
        }
        counts = [da.where(values != 0, days, 0) for values in bands.values()]
    else:
        clear = cube.clear()
        bands, counts = _reduced(recipe, {name: cube.days(name, clear) for name in cube.bands})
    count = da.stack(counts).min(axis=0).astype(np.uint16)
    # What is lost raises when it is computed, so here nothing is.
    qa = _blocks(partial(qa_layer, lost=np.zeros((), np.bool_)), "yx", count, "yx", dtype=np.uint8)
    layers = {**bands, **_indices(recipe, bands), "count": count, "qa": qa}
    layers |= {name: further[name] for name in recipe.layers}
    if recipe.reasons is not None and cube.codes is not None:
        layers["reasons"] = _blocks(_reasons, "yx", cube.codes, "syx", dtype=np.uint16)
    return _dataset(cube, layers, recipe.made)


def _reduced(recipe: Recipe, stacks: Mapping[str, da.Array]) -> tuple[dict[str, da.Array], list[da.Array]]:
    """Composites by band, and what their counts are the least of."""
    match recipe.composite:
        case Reduced(reducer):
            both = {
                name: _blocks(partial(_reduce, reducer), "cyx", stack, "tyx", dtype=np.uint16, new_axes={"c": 2})
                for name, stack in stacks.items()
            }
            return {name: pair[0] for name, pair in both.items()}, [pair[1] for pair in both.values()]
        case Joined(joint):
            made = _blocks(
                partial(_join, joint),
                "cyx",
                da.stack(list(stacks.values())),
                "btyx",
                dtype=np.uint16,
                new_axes={"c": len(stacks) + 1},
            )
            return {name: made[number] for number, name in enumerate(stacks)}, [made[-1]]
        case Derived() as derived:
            stack = da.stack(list(stacks.values()))
            scales = {name: band.scale for name, band in recipe.bands.items()}
            layers = {
                band.name: _blocks(
                    partial(_derive, derived, scales, band.name), "yx", stack, "btyx", dtype=np.dtype(band.dtype)
                )
                for band in derived.layers
            }
            return layers, [_blocks(complete_days, "yx", stack, "btyx", dtype=np.uint16)]
        case _:
            complete = da.stack([stack != 0 for stack in stacks.values()]).all(axis=0)
            return dict(stacks), [complete.sum(axis=0)]


def _choose(codes: da.Array, days: Sequence[date], score_of: ScoreOf) -> tuple[da.Array, da.Array]:
    """(source, days) of the choice; a scene's scores may depend on all of its codes on the tile."""
    codes = codes.rechunk({0: -1})
    tallies = _blocks(
        _tallies, "syxc", codes, "syx", dtype=np.int64, new_axes={"c": 256}, adjust_chunks={"y": 1, "x": 1}
    )
    scores = _blocks(partial(_scores, score_of, days), "sc", tallies.sum(axis=(1, 2)), "sc", dtype=np.uint32)
    pick = partial(_choose_block, days)
    chosen = _blocks(pick, "cyx", codes, "syx", scores, "st", dtype=np.uint16, new_axes={"c": 2})
    return chosen[0], chosen[1]


def _blocks(function: Callable[..., Array], axes: str, *pairs: Any, dtype: npt.DTypeLike, **options: Any) -> da.Array:
    """`function` of blocks that are whole along every axis that the result has not; pairs: array, its axes."""
    whole = [
        array.rechunk({number: -1 for number, axis in enumerate(names) if axis not in axes})
        for array, names in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    both = [part for pair in zip(whole, pairs[1::2], strict=True) for part in pair]
    meta = np.empty((0,) * len(axes), dtype)
    made: da.Array = da.blockwise(function, axes, *both, concatenate=True, meta=meta, **options)
    return made


def _reduce(reducer: Reducer, stack: NDArray[np.uint16]) -> NDArray[np.uint16]:
    both = np.empty((2, *stack.shape[1:]), np.uint16)
    reducer(stack, both[0], both[1])
    return both


def _join(joint: Joint, stack: NDArray[np.uint16]) -> NDArray[np.uint16]:
    all_bands = np.empty((stack.shape[0] + 1, *stack.shape[2:]), np.uint16)
    joint(stack, all_bands[:-1], all_bands[-1])
    return all_bands


def _derive(derived: Derived, scales: Mapping[str, float], layer: str, stack: NDArray[np.uint16]) -> Array:
    return derived.of(stack, scales)[layer]


def _tallies(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.stack([tally(scene) for scene in codes])[:, None, None, :]


def _scores(score_of: ScoreOf, days: Sequence[date], tallies: NDArray[np.int64]) -> NDArray[np.uint32]:
    return np.stack([score_of(day, counts) for day, counts in zip(days, tallies, strict=True)])


def _choose_block(days: Sequence[date], codes: NDArray[np.uint8], scores: NDArray[np.uint32]) -> NDArray[np.uint16]:
    choice = Choice.of((codes.shape[1], codes.shape[2]))
    taken = np.zeros(codes.shape[1:], np.bool_)
    for number, (day, scene) in enumerate(zip(days, codes, strict=True)):
        if number and day != days[number - 1]:
            taken[:] = False
        choose(scene, scores[number], number + 1, taken, choice)
    return np.stack([choice.source, choice.days])


def _reasons(codes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    reasons = np.zeros(codes.shape[1:], np.uint16)
    for scene in codes:
        note_reasons(scene, reasons)
    return reasons


def _indices(recipe: Recipe, bands: Mapping[str, da.Array]) -> dict[str, da.Array]:
    """The indices of composited bands, (y, x) or (time, y, x)."""
    names = [name for name in bands if name in recipe.index_bands]
    made = {}
    for index, band in recipe.index_layers():

        def compute(*layers: NDArray[np.uint16], index: Index = index) -> Array:
            return recipe.index_layer(index, dict(zip(names, layers, strict=True)))

        made[index.name] = da.map_blocks(
            compute, *(bands[name] for name in names), meta=np.empty((0,) * bands[names[0]].ndim, band.dtype)
        )
    return made


def _merge(layers: Sequence[tuple[da.Array, da.Array | None]]) -> da.Array:
    """(y, x) of the first layer that provides each pixel: where it says True, or for None where it has a number."""
    (first, provided), *others = layers
    merged: da.Array = first if provided is None else da.where(provided, first, np.uint16(0))
    taken = first != 0 if provided is None else provided
    for layer, provided in others:
        has = layer != 0 if provided is None else provided
        merged = da.where(has & ~taken, layer, merged)
        taken = taken | has
    return merged


def _linear(stored: da.Array, linear: object) -> da.Array:
    table = delayed(_table)(linear)
    made: da.Array = da.blockwise(_apply, "yx", stored, "yx", table, None, meta=np.empty((0, 0), np.uint16))
    return made


def _table(linear: Linear) -> NDArray[np.uint16]:
    return linear.table()


def _apply(stored: NDArray[np.uint16], table: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return table[stored]


def _with_all(item: Item, bands: Iterable[str]) -> Item:
    """With an asset for every band: what a cube has no asset for it takes for empty, where it is lost."""
    gone = {band: Asset(band, f"{_NO_ASSET}{item.key}/{band}") for band in bands if band not in item.assets}
    return replace(item, assets={**item.assets, **gone})


def _read_if_there(read: LayerFunction, asset: Asset, access: Access, item: str, target: Target) -> NDArray[np.uint16]:
    if asset.href.startswith(_NO_ASSET):
        raise PermanentAssetError("(none)", f"the item has no asset for {asset.key}", item=item, asset=asset.key)
    return read(asset, access, item, target)


def _read_codes(masking: Masking, asset: Asset, access: Access, item: str, target: Target) -> NDArray[np.uint16]:
    """A scene's mask codes on the cube's grid, plus one: 0, which the cube fills gaps with, is outside."""
    return (codes_on(masking, asset, access, item, target)[0] + np.uint8(1)).astype(np.uint16)


def _dataset(cube: Cube, layers: Mapping[str, da.Array], bands: Mapping[str, Band]) -> xr.Dataset:
    job = cube.job
    time = np.array([np.datetime64(job.items[day[0]].solar_day, "ns") for day in days_of(job.items)])
    variables = {}
    for name, data in layers.items():
        attributes = {"scale_factor": bands[name].scale, "nodata": bands[name].nodata} if name in bands else {}
        variables[name] = (("time", "y", "x")[3 - data.ndim :], data, attributes)
    coordinates = {**cube.coordinates, **({"time": time} if any(data.ndim == 3 for data in layers.values()) else {})}
    return xr.Dataset(variables, coords=coordinates, attrs={"crs": str(job.tile.geobox.crs), "job": job.id})
