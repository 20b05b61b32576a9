"""The tiles that are made, and the files that say so: the same for the product, the floor and the peers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

BANDS = ("blue", "green", "red", "nir")
MASK = "scl"
CLEAR = (2, 4, 5, 6, 7, 11)
"""Scene classes that are kept: the product's default, which drops 0, 1, 3, 8, 9 and 10."""
PIXEL_M = 10
EPSG = 32632
SHIFTS = ((900, 700), (1250, 700), (1600, 700), (1950, 700), (900, 1500), (1250, 1500), (1600, 1500), (1950, 1500))
"""(right, down) of each tile's corner from the western scenes' corner, in pixels of scenes of 4096: every tile lies
within the western scenes, on their pixels and off their blocks, and meets the eastern ones, whose pixels lie aslant."""
WARM_UP = (700, 900)


@dataclass(frozen=True)
class Scene:
    """One item of the world, as the benchmark itself reads it."""

    id: str
    day: str
    epsg: int
    assets: Mapping[str, str]
    """Band → path or address."""
    transforms: Mapping[str, tuple[float, ...]]
    shapes: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Square:
    """One target tile, in EPSG:32632."""

    name: str
    left: float
    top: float
    px: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in metres."""
        return self.left, self.top - PIXEL_M * self.px, self.left + PIXEL_M * self.px, self.top


def read_scenes(items: Path) -> list[Scene]:
    """The scenes of an item list, ordered as a composite takes them: by day, then by id."""
    scenes = []
    for item in json.loads(items.read_text())["features"]:
        properties, assets = item["properties"], item["assets"]
        code = properties.get("proj:epsg") or int(properties["proj:code"].removeprefix("EPSG:"))
        scenes.append(
            Scene(
                item["id"],
                properties["datetime"][:10],
                code,
                {name: asset["href"] for name, asset in assets.items()},
                {name: tuple(asset["proj:transform"]) for name, asset in assets.items()},
                {name: tuple(asset["proj:shape"]) for name, asset in assets.items()},
            )
        )
    return sorted(scenes, key=lambda scene: (scene.day, scene.id))


def squares(scenes: Sequence[Scene], px: int = 2048) -> tuple[Square, list[Square]]:
    """The warm-up tile and the eight that are measured; `px` is half a scene's side."""
    west = next(scene for scene in scenes if scene.epsg == EPSG)
    left, top = west.transforms["red"][2], west.transforms["red"][5]
    share = px / 2048

    def square(name: str, shift: tuple[int, int]) -> Square:
        right, down = (round(step * share) * PIXEL_M for step in shift)
        return Square(name, left + right, top - down, px)

    return square("warm-up", WARM_UP), [square(f"tile-{n}", shift) for n, shift in enumerate(SHIFTS, 1)]


def neighbours(scenes: Sequence[Scene], px: int = 2048) -> list[Square]:
    """4 x 4 tiles side by side, row by row, in a world four scenes wide and high (see `world.widen`)."""
    west = [scene for scene in scenes if scene.epsg == EPSG]
    left = min(scene.transforms["red"][2] for scene in west) + 600 * px // 2048 * PIXEL_M
    top = max(scene.transforms["red"][5] for scene in west) - 350 * px // 2048 * PIXEL_M
    side = px * PIXEL_M
    return [
        Square(f"c{column:04d}-r{row:04d}", left + column * side, top - row * side, px)
        for row in range(4)
        for column in range(4)
    ]


def write_config(path: Path, items: str, output: str, tiles: Sequence[Square], source: Mapping[str, Any]) -> None:
    """A run in which every tile is a product of its own: grids that overlap cannot be one grid.

    source: further keys of the source, such as `storage`.
    """
    grids = {tile.name: _grid(tile, 1) for tile in tiles}
    _write(path, items, output, source, grids)


def write_neighbours_config(
    path: Path, items: str, output: str, tiles: Sequence[Square], source: Mapping[str, Any]
) -> None:
    """A run of one grid, of which `neighbours` are the tiles."""
    _write(path, items, output, source, {"neighbours": _grid(tiles[0], 4)})


def _write(path: Path, items: str, output: str, source: Mapping[str, Any], grids: Mapping[str, Any]) -> None:
    made = {"product": "sentinel2", "source": "scenes", "bands": list(BANDS), "mask": {"open_px": 0, "dilate_px": 0}}
    document = {
        "name": "bench",
        "output": output,
        "period": {"start": "2026-01-01", "end": "2027-01-01", "every": "span"},
        "sources": {"scenes": {"items": items, **source}},
        "products": [{**made, "name": name, "grid": grid} for name, grid in grids.items()],
        "run": {"super_tile": 4},
    }
    path.write_text(yaml.safe_dump(document))


def _grid(tile: Square, tiles: int) -> dict[str, Any]:
    return {
        "kind": "geobox",
        "crs": f"EPSG:{EPSG}",
        "origin": [tile.left, tile.top],
        "resolution_m": PIXEL_M,
        "tile_px": tile.px,
        "shape": [tile.px * tiles, tile.px * tiles],
    }
