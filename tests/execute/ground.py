"""Four tiles of the UTM grid around one point, on textured ground, each seen by a scene of its own half."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.session import Options, Session, open_session
from pipeline.types import Outcome
from tests.faults._worlds import World, write_tif

SIDE = 128
WHOLE = GeoBox((2 * SIDE, 2 * SIDE), Affine(10, 0, 600_320, 0, -10, 5_000_960), "EPSG:32633")
WEST, EAST = (
    GeoBox((2 * SIDE, SIDE), Affine(10, 0, 600_320 + column * 10 * SIDE, 0, -10, 5_000_960), "EPSG:32633")
    for column in (0, 1)
)
TILES = {"nw": "33N-469-3906", "ne": "33N-470-3906", "sw": "33N-469-3905", "se": "33N-470-3905"}


def texture(seed: int = 7) -> NDArray[np.uint16]:
    """Ground of the four tiles together: noise without any line."""
    return np.random.default_rng(seed).normal(2000, 150, WHOLE.shape.yx).astype(np.uint16)


class Ground(World):
    """A world of the four tiles; its scenes are the two halves."""

    def halves(self, east_by: int = 0, ground: NDArray[np.uint16] | None = None) -> Ground:
        """One scene of each half, that of the east brighter by so much."""
        pixels = texture() if ground is None else ground
        for name, grid, part in (("west", WEST, pixels[:, :SIDE]), ("east", EAST, pixels[:, SIDE:] + east_by)):
            path = write_tif(self.folder / f"{name}.tif", np.ascontiguousarray(part, np.uint16), grid)
            self.grid = grid
            self.add("2024-06-07", {"red": str(path), "scl": None})
        self.grid = WHOLE
        return self

    def session(self, limits: Mapping[str, Any] | None = None, **product: Any) -> Session:
        """A planned session over all four tiles, June alone."""
        to_lonlat = Transformer.from_crs(32633, 4326, always_xy=True)
        west, south = to_lonlat.transform(600_420, 4_998_500)
        east, north = to_lonlat.transform(602_780, 5_000_860)
        config = self.config(
            product=product,
            area={"bbox": [west, south, east, north]},
            period={"start": "2024-06-01", "end": "2024-07-01", "every": "month"},
            run={"retries": 0, "missing_assets": {"max_fraction": 0.9}, "quality": dict(limits or {})},
        )
        return open_session(Options(config))

    def item(self, outcome: Outcome) -> Any:
        return json.loads((self.output / str(outcome.item_key)).read_text(encoding="utf-8"))

    def quality(self, outcome: Outcome) -> Any:
        return self.item(outcome)["properties"]["groundswell:quality"]


def ground(folder: Path) -> Ground:
    return Ground(folder, grid=WHOLE)


def by_place(session: Session) -> dict[str, Any]:
    """The jobs by where their tiles lie."""
    jobs = {job.tile.id: job for job in session.plan.jobs}
    return {place: jobs[tile_id] for place, tile_id in TILES.items() if tile_id in jobs}


__all__ = ["SIDE", "TILES", "WHOLE", "Ground", "by_place", "ground", "texture"]
