"""Odd tiles and odd items: a picture of any shape, and no asset that is silently taken for an empty one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import PermanentAssetError
from pipeline.products._optical import small
from tests.products.scenes import Scenes
from tests.products.test_layers import planned


@pytest.mark.parametrize("gone", ["scl", "nir"])
@pytest.mark.parametrize("composite", ["median", "latest", "none"])
def test_an_asset_that_the_catalogue_lacks_is_lost_lazily_too(tmp_path: Path, composite: str, gone: str) -> None:
    """Said when it is computed, not before, and never taken for an empty scene."""
    scenes = Scenes(tmp_path).add_month(3)
    del scenes.items[1]["assets"][gone]
    session, job = planned(scenes.world(), f"composite={composite}")
    cube = session.composite(job)
    with pytest.raises(PermanentAssetError, match=f"the item has no asset for {gone}"):
        cube.compute(scheduler="threads")


@pytest.mark.parametrize("shape", [(1, 3000), (5, 2900), (4000, 2), (256, 256), (1000, 300)])
def test_the_picture_shows_something_of_a_tile_of_any_shape(shape: tuple[int, int]) -> None:
    """A tile of a user's own may be narrower than the distance between two of the picture's pixels."""
    seen = small(np.ones(shape, np.uint16))
    assert seen.all() and seen.size and max(seen.shape) < 512
