"""A world of radar scenes over one tile, and what rasterio and NumPy make of its files without the project's code."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from pipeline.execute.worker.task import run_job
from pipeline.session import Session
from pipeline.types import Job, MemoryPlan, Outcome, Status
from tests.worlds import SmallWorld

Json = Any
Layers = dict[str, NDArray[Any]]
CRS = "EPSG:32633"
TILE = Affine(10, 0, 600_320, 0, -10, 5_000_960)
TILE_PX = 128
"""One whole tile of the UTM grid with tiles of 128 pixels of 10 m."""
SIDE = 200
NODATA = -32768.0
TOGETHER = "orbits: together"

CONFIG = """\
name: radar
output: {folder}/output
area: {{bbox: [{west}, {south}, {east}, {north}]}}
grid: {{kind: utm, tile_px: 128, resolution_m: 10}}
period: {{start: 2024-01-01, end: 2025-01-01, every: {every}}}
sources:
  s1: {{items: {folder}/items.json}}
products:
  - {entry}
run: {{retries: 0, missing_assets: {{max_fraction: 0.9}}}}
"""


@dataclass
class Radar:
    """A folder of scenes off the tile's grid, each random but for what `add` is told."""

    folder: Path
    items: list[Json] = field(default_factory=list)

    def add(self, time: str, direction: str | None = "ascending", orbit: int | None = 117, **more: Any) -> Json:
        """One more scene; returns its item. time: `2024-06-01` or with hours.

        more: `data` in place of random power, by polarisation or for all; `transform`, `crs`, `nodata`; `name`; `mask`
        (uint8) as an asset `mask`; `polarisations`; `properties`.
        """
        number = len(self.items)
        random = np.random.default_rng(number + 100)
        crs, nodata = more.get("crs", CRS), more.get("nodata", NODATA)
        transform = more.get("transform", TILE @ Affine.translation(*random.uniform(-30, -5, 2)))
        name = more.get("name", f"S1A_IW_{number:03d}")
        data = more.get("data")
        assets = {}
        for polarisation in more.get("polarisations", ("vv", "vh")):
            values = data.get(polarisation) if isinstance(data, dict) else data
            if values is None:
                values = random_power(random, nodata)
            assets[polarisation] = self.write(f"{name}-{polarisation}", values, transform, crs, nodata)
        if "mask" in more:
            assets["mask"] = self.write(f"{name}-mask", more["mask"], transform, crs, 255)
        shape = next(iter(assets.values())).pop("shape")
        stated = {"sat:orbit_state": direction, "sat:relative_orbit": orbit}
        item = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "collection": more.get("collection", "tests-rtc"),
            "geometry": footprint(transform, shape, crs),
            "properties": {
                "datetime": time if "T" in time else f"{time}T{17 if direction == 'ascending' else 5:02d}:00:00Z",
                "updated": f"{time[:10]}T23:00:00Z",
                **{key: value for key, value in stated.items() if value is not None},
                **more.get("properties", {}),
            },
            "assets": {key: {k: v for k, v in asset.items() if k != "shape"} for key, asset in assets.items()},
            "links": [],
        }
        self.items.append(item)
        return item

    def write(self, name: str, data: NDArray[Any], transform: Affine, crs: str, nodata: float | None) -> Json:
        path = self.folder / f"{name}.tif"
        profile = {"driver": "GTiff", "count": 1, "crs": crs, "transform": transform, "dtype": data.dtype}
        tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
        with rasterio.open(
            path, "w", height=data.shape[0], width=data.shape[1], nodata=nodata, **profile, **tiles
        ) as out:
            out.write(data, 1)
        return {"href": str(path), "type": "image/tiff; application=geotiff", "shape": data.shape}

    def world(self, entry: str = "", every: str = "span", at: tuple[float, float] | None = None) -> SmallWorld:
        """The config beside the saved items; entry: keys of the product in YAML's flow style."""
        (self.folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        to_degrees = Transformer.from_crs(CRS, 4326, always_xy=True)
        lon, lat = at or to_degrees.transform(*(TILE @ (TILE_PX / 2, TILE_PX / 2)))
        config = self.folder / "radar.yaml"
        box = {"west": lon - 1e-4, "south": lat - 1e-4, "east": lon + 1e-4, "north": lat + 1e-4}
        text = "{product: sentinel1, source: s1" + (f", {entry}" if entry else "") + "}"
        config.write_text(CONFIG.format(folder=self.folder, entry=text, every=every, **box))
        return SmallWorld(config, self.folder / "output", self.folder)


def random_power(random: np.random.Generator, nodata: float | None = NODATA, side: int = SIDE) -> NDArray[np.float32]:
    """Speckle over a smooth ground, with a corner outside of the swath, some zeros, and one bright target."""
    rows, cols = np.indices((side, side))
    ground = 0.05 + 0.03 * np.sin(rows / 17) * np.cos(cols / 23)
    power = (ground * random.gamma(4.4, 1 / 4.4, ground.shape)).astype(np.float32)
    power[random.uniform(size=power.shape) < 0.01] = 0
    power[random.integers(0, side), random.integers(0, side)] = 50
    if nodata is not None:
        power[rows + 2 * cols < random.integers(0, 150)] = nodata
    return power


def plain_power(path: str, scale: str = "power") -> NDArray[np.float64]:
    """A file's numbers as linear power, NaN where there is none."""
    with rasterio.open(path) as source:
        data = source.read(1).astype(np.float64)
        missing = np.zeros(data.shape, bool) if source.nodata is None else data == source.nodata
    with np.errstate(over="ignore"):
        power = {"power": lambda: data, "db": lambda: 10 ** (data / 10), "amplitude": lambda: data**2}[scale]()
    return np.where(missing | ~(power > 0), np.nan, power)


def plain_layer(
    path: str,
    power: NDArray[np.float64] | None = None,
    *,
    target: tuple[str, Affine, int] = (CRS, TILE, TILE_PX),
    method: Resampling = Resampling.bilinear,
) -> NDArray[np.float64]:
    """A file's power on the tile by GDAL's warper, without its approximations."""
    crs, transform, side = target
    values = plain_power(path) if power is None else power
    copy = f"{path}.{np.random.default_rng().integers(1 << 40)}.tif"
    with rasterio.open(path) as source:
        profile = {**source.profile, "dtype": "float64", "nodata": np.nan, "driver": "GTiff", "compress": None}
    with rasterio.open(copy, "w", **profile) as out:
        out.write(values, 1)
    with (
        rasterio.open(copy) as source,
        WarpedVRT(
            source,
            crs=crs,
            transform=transform,
            width=side,
            height=side,
            resampling=method,
            tolerance=1e-9,
            nodata=np.nan,
        ) as warped,
    ):
        layer: NDArray[np.float64] = warped.read(1)
    Path(copy).unlink()
    return layer


def mosaic(layers: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The first of some layers that has a number."""
    out = layers[0].copy()
    for layer in layers[1:]:
        out = np.where(np.isnan(out), layer, out)
    return out


def footprint(transform: Affine, shape: tuple[int, int], crs: str = CRS) -> Json:
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    rows, cols = shape
    corners = [transform @ corner for corner in ((0, 0), (0, rows), (cols, rows), (cols, 0), (0, 0))]
    return {"type": "Polygon", "coordinates": [[list(to_degrees.transform(*corner)) for corner in corners]]}


def only_job(session: Session) -> Job:
    (job,) = session.plan.jobs
    return job


def made(world: SmallWorld, *, strip_rows: int | None = None) -> tuple[Layers, Outcome]:
    """The layers of the only job."""
    session = world.session(overwrite=True)
    job = only_job(session)
    if strip_rows is not None:
        job = replace(job, memory=MemoryPlan(strip_rows, 0, 2))
    outcome = run_job(job, session.assignments()[job.product], 1)
    assert outcome.status is Status.DONE, outcome.cause
    return written(world, outcome), outcome


def written(world: SmallWorld, outcome: Outcome) -> Layers:
    """Every raster of a committed item, by asset key."""
    assert outcome.item_key is not None
    rasters = {}
    for key, asset in item_of(world, outcome)["assets"].items():
        if asset["type"].startswith("image/tiff"):
            with rasterio.open((world.output / outcome.item_key).parent / asset["href"]) as source:
                rasters[key] = source.read(1)
    return rasters


def item_of(world: SmallWorld, outcome: Outcome) -> dict[str, Any]:
    assert outcome.item_key is not None
    found: dict[str, Any] = json.loads((world.output / outcome.item_key).read_text())
    return found


def layers_of(radar: Radar, polarisation: str, scale: str = "power") -> list[NDArray[np.float64]]:
    hrefs = [item["assets"][polarisation]["href"] for item in radar.items]
    return [plain_layer(href, plain_power(href, scale)) for href in hrefs]


def reduced(layers: list[NDArray[np.float64]], how: Callable[..., Any] = np.nanmean) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: NDArray[np.float64] = how(np.stack(layers), axis=0)
    return found


def same(found: NDArray[Any], expected: NDArray[np.float64], rtol: float = 1e-5) -> None:
    """Equal, also in what is missing; the warper's and our coordinates differ by billionths of a pixel."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=rtol)
