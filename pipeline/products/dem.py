"""Elevation from the tiles of a DEM, such as Copernicus GLO-30 and GLO-90, and slope, aspect and hillshade of it.

Heights are float32 metres; NaN is no data. Slope, aspect and hillshade are made of the committed heights and of one
pixel beyond the tile, so that neighbouring tiles agree at their edge to the last bit. `count` is 1 where there is a
height; `qa` says where there is none, and where a file of a cell with land is missing or was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.config import ProductConfig
from pipeline.ops.lattice import PixelGrid
from pipeline.ops.neighbours import median_around
from pipeline.ops.terrain import Sun, aspect, hillshade, metre_on_the_ground, pixel_sizes, slope
from pipeline.plan.entries import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._base import Context, stated_rights
from pipeline.products._dem_config import DemConfig
from pipeline.products._dem_mosaic import Heights, find_mosaic, heights_of, open_sea, told
from pipeline.products._dem_tiles import ELEVATION, KEYS
from pipeline.products._layers import COUNT, QA, qa_layer
from pipeline.products._promise import Promise, single
from pipeline.products._quality import observed
from pipeline.products._rights import dem_rights
from pipeline.products._whole import anything, lazy_whole, make_alone
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.types import Band, Item, Job, Made, MemoryPlan, Rights
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT", "VERSION", "Dem", "DemConfig"]

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""
_NONE = float("nan")
_MOST_STRETCHED = 0.05
"""Of a grid's metres, beyond which slopes are called doubtful; polar stereographic grids have less from 62 N on."""
_MEDIAN = 2
"""Pixels to each side in the square that a median of slopes is of."""


class Dem:
    """The product: parameters in, one committed tile out."""

    model = DemConfig

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        del upstream
        config = _own(entry)
        said = config.model_dump(mode="json", include={"layers", "absent", "heights"})
        if "hillshade" in config.layers:
            said["hillshade"] = config.hillshade.model_dump(mode="json")
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**said, "write": asdict(write)},
            source=config.source,
            region=region,
            bands=(ELEVATION,),
            # The heights, their inner part, a layer that is made, what it is made of and one on its way into files,
            # count and losses; of a strip, places and sums in 64 bits, and the window that files are put together in.
            holding=Holding(24, day=0, strip=56, read=10, scene_bits=False),
            out_bytes=4 * len(config.layers) + 3,
            alone=True,
            beyond=True,
            in_bytes=4,
            bare=partial(open_sea, config.absent),
            layers=frozenset({*config.layers, COUNT.name}),
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        del entry
        return {ELEVATION: KEYS}

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        del entry, items
        return ()

    def promised(self, entry: ProductConfig, job: Job) -> Promise:  # noqa: ARG002 (the seam's; every tile is alike)
        return Promise(single(*(band for band, _ in _layers(_own(entry)))), single(COUNT, QA), _rights)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        del memory  # of several tiles together: each has its own
        config = _own(entry)
        return make_alone(jobs, context, folders, (1, anything), _rights, lambda work, *to: _make(work, config, *to))

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """The heights alone: what there is to see of the ground."""
        config = _own(entry).model_copy(update={"layers": ("elevation",)})
        return lazy_whole(job, [band for band, _ in _layers(config)], lambda: _computed(job, config, access))

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        bands = [*(band for band, _ in _layers(_own(entry))), COUNT, QA]
        return lazy_whole(job, bands, lambda: _computed(job, _own(entry), access))


PRODUCT = Dem()


def _own(entry: ProductConfig) -> DemConfig:
    if not isinstance(entry, DemConfig):
        raise TypeError(f"expected a dem entry, found {type(entry).__name__}")
    return entry


@dataclass(frozen=True, eq=False)
class _Ground:
    """Heights of a tile and of some pixels around it."""

    geobox: GeoBox
    heights: Heights
    """(y + 2 * pad, x + 2 * pad)."""
    pad: int

    def around(self, px: int) -> Heights:
        """Of the tile and so many pixels around it."""
        cut = self.pad - px
        return np.ascontiguousarray(self.heights[cut : len(self.heights) - cut, cut : self.heights.shape[1] - cut])

    def slope(self, px: int = 0) -> Heights:
        """Of the tile and so many pixels around it, in degrees."""
        return slope(self.around(px + 1), self.sizes(px))

    def sizes(self, px: int = 0) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """Of the pixels in the rows of the tile and so many around it."""
        return pixel_sizes(PixelGrid.of(self.geobox, px))


def _pad(config: DemConfig) -> int:
    """Pixels around the tile that its layers look at: Horn's window one, a median of slopes two further ones."""
    return 1 + (_MEDIAN if "slope_median" in config.layers else 0)


def _layers(config: DemConfig) -> Iterator[tuple[Band, Callable[[_Ground], NDArray[Any]]]]:
    """Each layer, and how it is made."""
    sun = Sun(config.hillshade.azimuth, config.hillshade.altitude)
    made: dict[str, tuple[Band, Callable[[_Ground], NDArray[Any]]]] = {
        "elevation": (
            Band("elevation", "float32", _NONE, unit="m", description=f"Height above the {config.heights}"),
            lambda ground: ground.around(0),
        ),
        "slope": (
            Band("slope", "float32", _NONE, unit="degree", description="Steepness of the ground, by Horn's window"),
            _Ground.slope,
        ),
        "slope_median": (
            Band("slope_median", "float32", _NONE, unit="degree", description="Median of slope over 5 x 5 pixels"),
            lambda ground: median_around(ground.slope(_MEDIAN), _MEDIAN),
        ),
        "aspect": (
            Band(
                "aspect",
                "float32",
                _NONE,
                unit="degree",
                description="Where the ground falls to, clockwise from the top of the grid; no data where it is level",
                overview="nearest",
            ),
            lambda ground: aspect(ground.around(1), ground.sizes()),
        ),
        "hillshade": (
            Band(
                "hillshade",
                "uint8",
                0,
                description=f"Light from azimuth {sun.azimuth:g} and altitude {sun.altitude:g} degrees, 1 to 255",
            ),
            lambda ground: hillshade(ground.around(1), ground.sizes(), sun),
        ),
    }
    return (made[name] for name in config.layers)


def _make(work: Work, config: DemConfig, writer: TileWriter, folder: Path) -> Made:
    """The tile's files, and what its item says of them."""
    work, mosaic = find_mosaic(work, config.absent, _pad(config))
    ground = _Ground(work.geobox, heights_of(work, mosaic), mosaic.pad)
    if {*config.layers} - {"elevation"}:
        work.ledger.note(_stretched(PixelGrid.of(work.geobox)))
    for band, layer in _layers(config):
        writer.add(layer(ground), band)
    count = _count(ground)
    writer.add(count, COUNT)
    writer.add(qa_layer(count, work.lost), QA)
    thumbnail = write_thumbnail([ground.around(0)], None, folder / "thumbnail.png")
    return Made(
        files=(*writer.finish(), thumbnail),
        properties={**told(work.job, mosaic), **observed(count)},
        rights=_rights(work.job),
        losses=work.ledger.losses,
        warnings=work.ledger.notes,
        read_bytes=work.job.read_bytes,
    )


def _stretched(grid: PixelGrid) -> str | None:
    """A remark where slopes by the grid's own metres are not those of the ground."""
    metre = metre_on_the_ground(grid)
    if abs(metre - 1) <= _MOST_STRETCHED:
        return None
    return (
        f"a metre of {grid.crs} is {metre:.2f} m on the ground here, and slopes are taken in the grid's metres: "
        "use a UTM grid, or one in degrees"
    )


def _count(ground: _Ground) -> NDArray[np.uint16]:
    return (~np.isnan(ground.around(0))).astype(np.uint16)


def _computed(job: Job, config: DemConfig, access: Access) -> dict[str, NDArray[Any]]:
    """Every layer by name, as it is committed."""
    context = Context(access, WriteOptions(None), skip_missing=True, max_missing_fraction=1.0, threads=4)
    with start_works([job], context, 1, anything, job.memory.reads) as (begun,):
        work, mosaic = find_mosaic(begun, config.absent, _pad(config))
        ground = _Ground(work.geobox, heights_of(work, mosaic), mosaic.pad)
        count = _count(ground)
        beside: dict[str, NDArray[Any]] = {COUNT.name: count, QA.name: qa_layer(count, work.lost)}
        return {band.name: layer(ground) for band, layer in _layers(config)} | beside


def _rights(job: Job) -> Rights:
    """Copernicus' own where it is that DEM; of another, what its items say, or else only where it comes from."""
    if not job.items:
        return Rights("other", "Open sea at 0 m, made from no elevation data")
    named = [f"{item.collection} {item.id}".lower() for item in job.items]
    if not all("copernicus" in name or "cop-dem" in name for name in named):
        said = f"Made from the elevation data of {', '.join(sorted({item.collection for item in job.items}))}"
        return stated_rights(job.items, Rights("other", said))
    coarse = all("cog_30" in name or "glo-90" in name for name in named)
    return stated_rights(job.items, dem_rights(90 if coarse else 30))
