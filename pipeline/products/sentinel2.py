"""Sentinel-2 L2A surface reflectance: masked by the scene classification, merged per day, composited over a period.

Bands are uint16 with scale 1e-4, offset 0, nodata 0 (the radiometric offset is already removed); `count` says how many
observations every band of a pixel rests on, `qa` where there were none or where an input was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.config import ProductConfig, Section
from pipeline.errors import TransientAssetError
from pipeline.ops.indices import INDEX_NODATA, STEPS, normalised_difference
from pipeline.ops.mask import ClassMask
from pipeline.ops.offset import OffsetDecision
from pipeline.plan.jobs import ProductPlan
from pipeline.products._base import Context, stated_rights
from pipeline.products._lazy import lazy_median, open_observations
from pipeline.products._optical import Work, composite, mask_scenes, start_work
from pipeline.products._sentinel2_numbers import accept_numbers, read_numbers, scene_offset, scene_shift
from pipeline.read.access import Access
from pipeline.read.lazy import LayerFunction
from pipeline.types import Band, Item, Job, Made, Rights
from pipeline.write.cog import rights_tags
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""

BandName = Literal[
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "swir16", "swir22"
]


@dataclass(frozen=True)
class _S2Band:
    number: str
    common_name: str
    wavelength_um: float
    gsd_m: int


# Names as in Earth Search v1; centre wavelengths of Sentinel-2A from ESA's spectral response functions.
_BANDS: Mapping[str, _S2Band] = {
    "coastal": _S2Band("B01", "coastal", 0.443, 60),
    "blue": _S2Band("B02", "blue", 0.490, 10),
    "green": _S2Band("B03", "green", 0.560, 10),
    "red": _S2Band("B04", "red", 0.665, 10),
    "rededge1": _S2Band("B05", "rededge071", 0.704, 20),
    "rededge2": _S2Band("B06", "rededge075", 0.740, 20),
    "rededge3": _S2Band("B07", "rededge078", 0.783, 20),
    "nir": _S2Band("B08", "nir", 0.842, 10),
    "nir08": _S2Band("B8A", "nir08", 0.865, 20),
    "nir09": _S2Band("B09", "nir09", 0.945, 60),
    "swir16": _S2Band("B11", "swir16", 1.610, 20),
    "swir22": _S2Band("B12", "swir22", 2.190, 20),
}
_MASK = "scl"
QA_EMPTY, QA_LOST = 1, 2
"""Bits of `qa`: no observation; an input that covers this pixel was lost."""


class MaskConfig(Section):
    """Which scene classes are masked, and how far around them, in pixels of the 20 m classification."""

    classes: tuple[Annotated[int, Field(ge=0, le=11)], ...] = Field(
        default=(0, 1, 3, 8, 9, 10),
        description="SCL classes to drop: 0 no data (always), 1 defective, 2 dark, 3 cloud shadow, 4 vegetation, "
        "5 bare, 6 water, 7 unclassified, 8 cloud medium, 9 cloud high, 10 thin cirrus, 11 snow.",
    )
    open_px: int = Field(
        default=1, ge=0, le=20, description="Specks smaller than this radius are not clouds; 0 keeps them."
    )
    dilate_px: int = Field(default=3, ge=0, le=50, description="Masked areas grow by this radius.")

    def as_class_mask(self) -> ClassMask:
        return ClassMask(self.classes, self.open_px, self.dilate_px)


class Sentinel2Config(ProductConfig):
    """Sentinel-2 L2A composites."""

    product: Literal["sentinel2"] = Field(description="Sentinel-2 L2A surface reflectance composites.")
    source: str = Field(description="Name of the source that holds the Sentinel-2 L2A items.")
    bands: tuple[BandName, ...] = Field(
        default=("blue", "green", "red", "nir"), min_length=1, description="Bands to make."
    )
    mask: MaskConfig | None = Field(
        MaskConfig(), description="Cloud mask from the scene classification; null: no mask."
    )
    composite: Literal["median"] = Field(
        default="median", description="How the observations of a period become one pixel."
    )
    indices: tuple[Literal["ndvi"], ...] = Field(default=(), description="Indices made from the composited bands.")

    @model_validator(mode="after")
    def _consistent(self) -> Sentinel2Config:
        if len(set(self.bands)) != len(self.bands):
            raise ValueError("allowed: every band once in bands")
        if "ndvi" in self.indices and not {"red", "nir"} <= set(self.bands):
            raise ValueError("allowed: ndvi in indices only where bands has both red and nir")
        return self


class Sentinel2:
    """The product: parameters in, one committed tile out."""

    model = Sentinel2Config

    def plan(self, entry: ProductConfig, region: str, write: WriteOptions) -> ProductPlan:
        config = _own(entry)
        parameters = config.model_dump(mode="json", include={"bands", "mask", "composite", "indices"})
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**parameters, "write": asdict(write)},
            source=config.source,
            region=region,
            bands=tuple(self.aliases(config)),
            bands_kept=1 + 2 * len(config.indices),
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        config = _own(entry)
        named: dict[str, Sequence[str]] = {
            band: (_BANDS[band].number, f"{_BANDS[band].number}_{_BANDS[band].gsd_m}m") for band in config.bands
        }
        return named if config.mask is None else {**named, _MASK: ("SCL", "SCL_20m")}

    def make(self, job: Job, entry: ProductConfig, context: Context, workdir: Path) -> Made:
        config = _own(entry)
        bands = len(config.bands)
        with start_work(job, context, bands, accept_numbers, masked=config.mask is not None) as work:
            if config.mask is not None:
                mask_scenes(work, _MASK, config.mask.as_class_mask(), 1 + bands)
            return _make_files(work, config, _offsets(work, config), workdir)

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        config = _own(entry)
        mask = None if config.mask is None else (_MASK, config.mask.as_class_mask())
        layers: dict[str, LayerFunction] = dict.fromkeys(config.bands, read_numbers)
        return open_observations(job, layers, mask, partial(scene_shift, config.bands, access), access)

    def composite(self, observations: xr.Dataset) -> xr.Dataset:
        return observations.map(lazy_median, keep_attrs=True)


PRODUCT = Sentinel2()


def _own(entry: ProductConfig) -> Sentinel2Config:
    if not isinstance(entry, Sentinel2Config):
        raise TypeError(f"expected a sentinel2 entry, found {type(entry).__name__}")
    return entry


def _offsets(work: Work, config: Sentinel2Config) -> list[OffsetDecision]:
    """The radiometric offset of every scene; one that cannot be had takes the scene's bands along, as losses."""

    def decide(item: Item) -> OffsetDecision:
        try:
            return scene_offset(config.bands, work.context.access, item)
        except TransientAssetError as error:
            for band in config.bands:
                work.ledger.record(item, band, error)
            return OffsetDecision(0, error.cause, doubtful=True)

    return list(work.pool.map(decide, work.job.items))


def _make_files(work: Work, config: Sentinel2Config, offsets: list[OffsetDecision], workdir: Path) -> Made:
    """Every band, index, count, qa and thumbnail as a validated file, one band in memory at a time."""
    layers = TileWriter(work.geobox, workdir, work.context.write, rights_tags(_rights(work.job)))
    kept: dict[str, NDArray[np.uint16]] = {}
    preview: dict[str, NDArray[np.uint16]] = {}
    stride = max(1, max(work.geobox.shape) // 256)
    fewest = np.full(work.geobox.shape, np.iinfo(np.uint16).max, np.uint16)

    for name in config.bands:
        values, count = composite(work, name, [decision.shift for decision in offsets])
        work.ledger.check()
        np.minimum(fewest, count, out=fewest)
        preview[name] = values[stride // 2 :: stride, stride // 2 :: stride].copy()
        layers.add(values, _reflectance_band(name))
        if "ndvi" in config.indices and name in {"red", "nir"}:
            kept[name] = values
    if kept:
        layers.add(normalised_difference(kept["nir"], kept["red"]), _NDVI)
    layers.add(fewest, _COUNT)
    layers.add(_qa(fewest, work.lost), _QA)
    colours = ("red", "green", "blue") if {"red", "green", "blue"} <= preview.keys() else (config.bands[0],)
    thumbnail = write_thumbnail([preview[name] for name in colours], 0, workdir / "thumbnail.png")
    return Made(
        files=(*layers.finish(), thumbnail),
        properties=_properties(work.job, config, offsets, fewest),
        rights=_rights(work.job),
        losses=work.ledger.losses,
        warnings=(*work.ledger.notes, *_doubts(work.job, offsets)),
        read_bytes=work.job.read_bytes,
    )


def _qa(fewest: NDArray[np.uint16], lost: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return (np.where(fewest == 0, QA_EMPTY, 0) | np.where(lost, QA_LOST, 0)).astype(np.uint8)


def _reflectance_band(name: str) -> Band:
    facts = _BANDS[name]
    return Band(
        name=name,
        dtype="uint16",
        nodata=0,
        scale=1e-4,
        description=f"Surface reflectance, Sentinel-2 {facts.number}",
        common_name=facts.common_name,
        center_wavelength_um=facts.wavelength_um,
        role="reflectance",
    )


_NDVI = Band("ndvi", "int16", INDEX_NODATA, 1 / STEPS, description="(nir - red) / (nir + red) of the composited bands")
_COUNT = Band("count", "uint16", None, description="Observations that every band rests on at least", overview="nearest")
_QA = Band("qa", "uint8", None, description="Bits: 1 no observation, 2 an input was lost here", overview="nearest")


def _properties(
    job: Job, config: Sentinel2Config, offsets: list[OffsetDecision], fewest: NDArray[np.uint16]
) -> dict[str, object]:
    items = job.items
    return {
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "processing:lineage": f"{config.composite} of {len({item.solar_day for item in items})} days",
        "groundswell:scenes": len(items),
        "groundswell:days": len({item.solar_day for item in items}),
        "groundswell:valid_fraction": round(float(np.count_nonzero(fewest)) / fewest.size, 6),
        "groundswell:observations_mean": round(float(fewest.mean()), 4),
        "groundswell:offsets": {
            str(shift): sum(one.shift == shift for one in offsets) for shift in sorted({one.shift for one in offsets})
        },
    }


def _doubts(job: Job, offsets: list[OffsetDecision]) -> Iterator[str]:
    for item, decision in zip(job.items, offsets, strict=True):
        if decision.doubtful:
            yield f"{item.id}: offset {decision.shift} in doubt: {decision.reason}"


def _rights(job: Job) -> Rights:
    years = sorted({item.time.year for item in job.items})
    copernicus = Rights(
        license="other",
        license_href="https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
        attribution=f"Contains modified Copernicus Sentinel data {', '.join(map(str, years))}",
        providers=(
            {
                "name": "European Union/ESA/Copernicus",
                "roles": ["producer", "licensor"],
                "url": "https://sentinels.copernicus.eu",
            },
        ),
    )
    return stated_rights(job.items, copernicus)
