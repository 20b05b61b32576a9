"""Writes the demo world to a folder, once: the same bytes every time, and nothing again while they all are there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.demo import archives, catalog
from pipeline.demo.archives import Stored
from pipeline.demo.argo import BROKEN, UNLISTED, mirror_files
from pipeline.demo.land import BANDS
from pipeline.demo.landsat import landsat_layers, landsat_scenes
from pipeline.demo.radar import radar_layers, radar_scenes
from pipeline.demo.rasters import Layer, cog
from pipeline.demo.relief import CELLS, tile, tile_id
from pipeline.demo.scenes import PIXEL_M, SCENE_PX, Scene, pixels, scenes
from pipeline.errors import PreflightError
from pipeline.types import Json

VERSION = 4
"""Raised whenever other bytes are written: worlds of another version are made again."""
STAMP = ".demo-world.json"
_KEPT_OF_BROKEN = 0.62
_Write = Callable[..., list[Stored]]
"""(folder, layers, key of the file to break) → what was written."""
_README = """\
# Demo world

An invented landscape on the edge of UTM zones 32 and 33 (12 E, 44.88 N) in June and July 2024, seen by imitations of
Sentinel-2 L2A (`s2`, `s2_c1`), of terrain-corrected Sentinel-1 (`s1`), of Landsat 8 and 9 (`landsat`), with its heights
as an imitation of the Copernicus DEM (`dem`), and four Argo floats in its lake, which is deeper than it looks, as an
imitation of a GDAC (`argo`). Made by `python -m pipeline.demo`; nothing here was measured. Licence: CC0-1.0. All show
one ground, and the optical ones of a day one sky, so results must agree.

What a reader has to get right:
* `s2` mixes three ways to keep the radiometric offset (by item, also between neighbours on one day): baseline 02.14
  without an offset; 05.10 with +1000 in the numbers; 05.10 with the +1000 already removed, whose `raster:bands` still
  say -0.1. `earthsearch:boa_offset_applied` and `s2:processing_baseline` tell them apart, the date does not.
* Tiles 32TQQ and 33TTK overlap across the zone edge and belong together on each day; 2024-07-08 has 33TTK only.
* 2024-06-13 and 2024-07-08 end at the swath's west edge: numbers and SCL are 0 beyond it.
* SCL misses the outermost edges of clouds and shadows and takes some bright roofs for clouds.
* `s1` is linear power in float32 with nodata -32768, on grids that fit nothing; two directions of flight, of which one
  sees crops brighter; the pass of 2024-06-15 ends at the swath's west edge.
* `dem` is in tiles of one degree that say no nodata, whose corners lie half a pixel off the degree and which share no
  pixels: what lies beside 12 E needs both.
* `landsat` has its own scale and offset, quality in bits, and pixels whose corners lie 15 m beside multiples of 30 m.
* One file is cut to {kept:.0%} of its length on purpose: {broken}.
  Its header, overview and first block read, the rest does not.
* `argo`: cycles 1 and 2 of 9900101 have a real-time and a delayed-mode file, of which the second must win whatever
  comes first; cycle 1 has a descending profile too. 9900102 has two profiles a cycle and estimated times throughout
  (JULD_QC 8), cycles 3 and 5 without a place, cycle 4 with a bad time, cycle 6 with a wrong PROFILE_TEMP_QC. 9900215
  has oxygen and chlorophyll in B-files beside its core files, and synthetic files of both; its salinity is on the
  greylist from 2024-07-12. Cycle 6 of 9900216 lies elsewhere.
* The index of `argo` does not name {unlisted}.
* `argo/dac/{broken_float}` is cut to the same {kept:.0%}, under a whole header.
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
    nothing but this code, px and what compresses (GDAL, zlib). Raises PreflightError when the folder holds something
    else.
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
    digests, items = _write_all(folder, planned, px)
    for stale in (before or {}).get("files", {}).keys() - digests.keys():
        (folder / stale).unlink(missing_ok=True)
    whole = hashlib.sha256("".join(f"{path} {digests[path]}\n" for path in sorted(digests)).encode()).hexdigest()
    sizes = {path: (folder / path).stat().st_size for path in sorted(digests)}
    stamp = {"version": VERSION, "px": px, "items": items, "digest": whole, "files": sizes}
    _put(folder / STAMP, _text(stamp))
    return _world(folder, stamp, made=True)


def _write_all(folder: Path, planned: tuple[Scene, ...], px: int) -> tuple[dict[str, str], int]:
    """Every file but the stamp, pixels before the items that name them; returns path → SHA-256, and how many items."""
    digests: dict[str, str] = {}

    def put(path: str, content: bytes) -> None:
        digests[path] = _put(folder / path, content)

    def write(place: str, layers: Iterable[Layer], broken: str | None = None) -> list[Stored]:
        (folder / place).mkdir(parents=True, exist_ok=True)
        stored, several = [], list(layers)
        for layer, whole in zip(several, pool.map(cog, several), strict=True):
            content = whole[: int(len(whole) * _KEPT_OF_BROKEN)] if layer.key == broken else whole
            put(f"{place}/{layer.key}.tif", content)
            stored.append(Stored(layer.key, len(content), digests[f"{place}/{layer.key}.tif"]))
        return stored

    count = 0
    with ThreadPoolExecutor() as pool:  # compression is most of what can be done side by side
        for source in catalog.COLLECTIONS:
            items = []
            for item in _items(source, planned, px, write):
                items.append(item)
                put(f"{source}/{item['id']}/{item['id']}.json", _text(item))
            put(f"{source}/collection.json", _text(catalog.collection(source, items)))
            count += len(items)
    for path, content in mirror_files().items():
        (folder / "argo" / path).parent.mkdir(parents=True, exist_ok=True)
        put(f"argo/{path}", content)
    put("catalog.json", _text(catalog.root()))
    broken = ", ".join(f"`{one.source}/{one.id}/{one.broken}.tif`" for one in planned if one.broken)
    unlisted = " and ".join(f"`{path}`" for path in UNLISTED)
    text = _README.format(kept=_KEPT_OF_BROKEN, broken=broken, broken_float=BROKEN, unlisted=unlisted)
    put("README.md", text.encode())
    return digests, count


def _items(source: str, planned: tuple[Scene, ...], px: int, write: _Write) -> Iterator[Json]:
    """Each item of a source, once its files are written."""
    if source == "s1":
        for radar in radar_scenes(px):
            layers = radar_layers(radar)
            yield archives.radar_item(radar, layers, write(f"{source}/{radar.id}", layers))
    elif source == "dem":
        for cell in CELLS:
            name, layer = tile_id(cell), tile(cell)
            yield archives.dem_item(name, layer, *write(f"{source}/{name}", [layer]))
    elif source == "landsat":
        for landsat in landsat_scenes(px):
            layers = landsat_layers(landsat)
            yield archives.landsat_item(landsat, layers, write(f"{source}/{landsat.id}", layers))
    else:
        for scene in (one for one in planned if one.source == source):
            layers = _optical_layers(scene)
            stored = write(f"{source}/{scene.id}", layers, scene.broken)
            yield catalog.item(scene, layers[-1].values, stored)


def _optical_layers(scene: Scene) -> list[Layer]:
    """A scene's bands, and at last its classification."""
    numbers, scl = pixels(scene)
    layers = []
    for key, values in (*zip(BANDS, numbers, strict=True), ("scl", scl)):
        pixel = scene.px * PIXEL_M / values.shape[0]
        layers.append(Layer(key, values, scene.place.epsg, scene.corner, (pixel, pixel)))
    return layers


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
