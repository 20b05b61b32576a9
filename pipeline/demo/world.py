"""Writes the demo world to a folder, once: the same bytes every time, and nothing again while they all are there."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from pipeline.demo import catalog
from pipeline.demo.land import BANDS
from pipeline.demo.scenes import PIXEL_M, SCENE_PX, Scene, pixels, scenes
from pipeline.errors import PreflightError
from pipeline.types import Json

VERSION = 2
"""Raised whenever other bytes are written: worlds of another version are made again."""
STAMP = ".demo-world.json"
_KEPT_OF_BROKEN = 0.62
_BLOCK_PX, _LEAST_BLOCK_PX = 512, 128
_README = """\
# Demo world

An invented landscape on the edge of UTM zones 32 and 33 (12 E, 44.88 N), seen by an imitation of Sentinel-2 L2A in June
and July 2024. Made by `python -m pipeline.demo`; nothing here was measured. Licence: CC0-1.0. Both collections show
the same ground under the same skies, so results of both must agree.

What a reader has to get right:
* `s2` mixes three ways to keep the radiometric offset (by item, also between neighbours on one day): baseline 02.14
  without an offset; 05.10 with +1000 in the numbers; 05.10 with the +1000 already removed, whose `raster:bands` still
  say -0.1. `earthsearch:boa_offset_applied` and `s2:processing_baseline` tell them apart, the date does not.
* Tiles 32TQQ and 33TTK overlap across the zone edge and belong together on each day; 2024-07-08 has 33TTK only.
* 2024-06-13 and 2024-07-08 end at the swath's west edge: numbers and SCL are 0 beyond it.
* SCL misses the outermost edges of clouds and shadows and takes some bright roofs for clouds.
* One file is cut to {kept:.0%} of its length on purpose: {broken}.
  Its header, overview and first block read, the rest does not.
"""


@dataclass(frozen=True)
class World:
    """What lies in the folder."""

    folder: Path
    items: int
    files: int
    size_bytes: int
    digest: str
    """Over all paths and contents; the stamp itself is left out."""
    made: bool
    """False: it lay there already, untouched."""


def build_world(folder: Path, px: int = SCENE_PX) -> World:
    """Make the demo world in `folder`, or leave it as it is when every file of this version is there.

    px: pixels a side of a scene, a multiple of 64; tests make smaller worlds of the same ground. Bytes depend on
    nothing but this code, px and the GDAL that compresses. Raises PreflightError when the folder holds something else.
    """
    before = _read_stamp(folder)
    if before is not None and (before.get("version"), before.get("px")) == (VERSION, px) and _is_whole(folder, before):
        return _world(folder, before, made=False)
    if before is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PreflightError(
            f"{folder} is not an empty folder and no demo world either ({STAMP} is missing); name another or empty it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if before is None:  # what an interrupted build leaves must be known as ours the next time
        _put(folder / STAMP, _text({"version": VERSION, "files": {}}))
    planned = scenes(px)
    digests = _write_all(folder, planned)
    for stale in (before or {}).get("files", {}).keys() - digests.keys():
        (folder / stale).unlink(missing_ok=True)
    whole = hashlib.sha256("".join(f"{path} {digests[path]}\n" for path in sorted(digests)).encode()).hexdigest()
    sizes = {path: (folder / path).stat().st_size for path in sorted(digests)}
    stamp = {"version": VERSION, "px": px, "items": len(planned), "digest": whole, "files": sizes}
    _put(folder / STAMP, _text(stamp))
    return _world(folder, stamp, made=True)


def _write_all(folder: Path, planned: tuple[Scene, ...]) -> dict[str, str]:
    """Every file but the stamp, pixels before the items that name them; returns path → SHA-256."""
    digests: dict[str, str] = {}

    def put(path: str, content: bytes) -> None:
        digests[path] = _put(folder / path, content)

    for source in catalog.COLLECTIONS:
        items: list[Json] = []
        for scene in (one for one in planned if one.source == source):
            stored, scl = _write_scene(folder / source / scene.id, scene)
            digests |= {f"{source}/{scene.id}/{one.key}.tif": one.sha256 for one in stored}
            items.append(catalog.item(scene, scl, stored))
            put(f"{source}/{scene.id}/{scene.id}.json", _text(items[-1]))
        put(f"{source}/collection.json", _text(catalog.collection(source, items)))
    put("catalog.json", _text(catalog.root()))
    broken = ", ".join(f"`{one.source}/{one.id}/{one.broken}.tif`" for one in planned if one.broken)
    put("README.md", _README.format(kept=_KEPT_OF_BROKEN, broken=broken).encode())
    return digests


def _write_scene(folder: Path, scene: Scene) -> tuple[list[catalog.Stored], NDArray[np.uint8]]:
    """A scene's rasters, the broken one cut short; returns what was written and the classification."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers, scl = pixels(scene)
    stored = []
    for key, values in (*zip(BANDS, numbers, strict=True), ("scl", scl)):
        content = _cog(values, scene)
        if key == scene.broken:
            content = content[: int(len(content) * _KEPT_OF_BROKEN)]
        stored.append(catalog.Stored(key, len(content), _put(folder / f"{key}.tif", content)))
    return stored, scl


def _cog(values: NDArray[np.uint16] | NDArray[np.uint8], scene: Scene) -> bytes:
    """One band as a cloud-optimised GeoTIFF: deflate, predictor 2, nodata 0; its header says nothing of the offset.

    Overviews take the nearest pixel: a copy has no rounding that could differ between machines.
    """
    pixel = scene.px * PIXEL_M / values.shape[0]
    profile = {
        "driver": "COG",
        "height": values.shape[0],
        "width": values.shape[1],
        "count": 1,
        "dtype": values.dtype.name,
        "nodata": 0,
        "crs": f"EPSG:{scene.place.epsg}",
        "transform": Affine(pixel, 0, scene.corner[0], 0, -pixel, scene.corner[1]),
    }
    creation = {"compress": "deflate", "predictor": 2, "level": 6, "overview_resampling": "nearest"}
    block = _BLOCK_PX if scene.px > _BLOCK_PX else _LEAST_BLOCK_PX
    with rasterio.Env(GDAL_NUM_THREADS=1), MemoryFile() as memory:
        with memory.open(**profile, **creation, blocksize=block) as target:
            target.write(values, 1)
        return bytes(memory.getbuffer())


def _put(path: Path, content: bytes) -> str:
    """Write whole or not at all, also beside another build of the same world; returns the SHA-256."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)
    return hashlib.sha256(content).hexdigest()


def _read_stamp(folder: Path) -> Json:
    """What the last build wrote about itself; None when nothing did, empty when it cannot be read."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _is_whole(folder: Path, stamp: Json) -> bool:
    """Whether every file that the stamp lists is there with its size."""

    def there(path: str, size: int) -> bool:
        try:
            return (folder / path).stat().st_size == size
        except OSError:
            return False

    return "digest" in stamp and all(there(path, size) for path, size in stamp["files"].items())


def _world(folder: Path, stamp: Json, *, made: bool) -> World:
    sizes = stamp["files"]
    return World(folder, stamp["items"], len(sizes), sum(sizes.values()), stamp["digest"], made)


def _text(content: Json) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
