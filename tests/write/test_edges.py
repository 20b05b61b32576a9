"""Laws of edges: a seam is a ratio well above 1, ground without one meets with a ratio of about 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.types import Band
from pipeline.write.edges import FIELD, LARGEST, OPPOSITE, outer_edges, step_between

Array = NDArray[Any]
WARN = 3.0
"""The default of `max_edge_difference.warn`."""


def fields(data: Array, nodata: float | None = None, **band: Any) -> dict[str, Any]:
    said = Band("red", data.dtype.name, nodata, **band)
    spelt = "nan" if nodata is not None and np.isnan(nodata) else nodata
    return {"name": "red", "data_type": data.dtype.name, "nodata": spelt, FIELD: outer_edges(data, said)}


def ratio(data: Array, nodata: float | None = None) -> float | None:
    """Of the line through the middle of a layer, cut between its rows."""
    half = data.shape[0] // 2
    step = step_between("bottom", fields(data[:half], nodata), fields(data[half:], nodata))
    return None if step is None else step.ratio


def noise(dtype: str = "uint16", rows: int = 64, columns: int = 256, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(2000, 100, (rows, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("side", sorted(OPPOSITE))
def test_a_step_of_the_ground_is_a_ratio_on_every_side(dtype: str, side: str) -> None:
    """Two halves of one field of noise meet with about 1; one raised by ten of its steps with about ten."""
    whole = np.random.default_rng(5).normal(100, 5, (512, 512)).astype(dtype)
    cut = {"top": np.s_[256:, :], "bottom": np.s_[:256, :], "left": np.s_[:, 256:], "right": np.s_[:, :256]}
    one, other = whole[cut[side]], whole[cut[OPPOSITE[side]]]
    even = step_between(side, fields(one), fields(other))
    assert even and 0.6 < even.ratio < 1.6
    raised = step_between(side, fields(one), fields((other + 60).astype(dtype)))
    assert raised and raised.ratio > 6
    mirrored = step_between(OPPOSITE[side], fields((other + 60).astype(dtype)), fields(one))
    assert mirrored == raised


@pytest.mark.parametrize("coarser", [2, 3, 6, 8])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_band_that_is_coarser_than_the_tile_has_no_seam(coarser: int, shift: int) -> None:
    """Rows repeat there, so that the outermost two may be equal, whether the line cuts a source pixel or not."""
    ground = noise(rows=32, columns=64).repeat(coarser, 0).repeat(coarser, 1)
    found = ratio(ground[shift : ground.shape[0] - shift])
    assert found is not None and found < 1.7
    ground[ground.shape[0] // 2 :] += 900
    assert (ratio(ground) or 0) > 5


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0.0), ("int16", -32768.0), ("float32", float("nan"))])
def test_missing_pixels_say_nothing(dtype: str, nodata: float) -> None:
    """Half of the pixels at random: the ratio stays about 1; with fewer than eight in common nothing is said."""
    data = noise(dtype)
    data[np.random.default_rng(2).random(data.shape) < 0.5] = nodata
    found = ratio(data, nodata)
    assert found is not None and 0.5 < found < 1.7
    data[32, 30:] = data[31, :30] = nodata
    assert ratio(data, nodata) is None
    data[32:] = nodata
    assert ratio(data, nodata) is None
    assert outer_edges(data[32:], Band("red", dtype, nodata)) == {}


def test_flat_ground_beside_flat_ground() -> None:
    """No step is no seam; a single unit of whole numbers is rounding, and so is a thousandth of a real number."""
    flat = np.full((64, 64), 500, np.uint16)
    assert ratio(flat) == 0
    flat[32:] += 1
    assert ratio(flat) == 1
    flat[32:] += 20
    assert ratio(flat) == 21
    real = np.full((64, 64), 500, np.float32)
    real[32:] += 0.25
    assert ratio(real) == pytest.approx(0.5, rel=1e-3)
    zero = np.zeros((64, 64), np.float32)
    zero[32:, ::2] = 1e-3
    assert ratio(zero) == LARGEST


def test_codes_have_no_steps() -> None:
    assert outer_edges(noise(), Band("qa", "uint16", None, overview="nearest")) == {}
    assert outer_edges(noise(), Band("class", "uint16", None, overview="mode")) == {}


def test_layers_of_another_kind_or_length_are_not_compared() -> None:
    one = fields(noise())
    assert step_between("right", one, fields(noise("float32"))) is None
    assert step_between("bottom", one, fields(noise(columns=48))) is None
    assert step_between("bottom", one, {"name": "red", "data_type": "uint16"}) is None


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (4, 64), (9, 9)])
def test_tiles_of_any_shape_have_edges(shape: tuple[int, int]) -> None:
    data = noise(rows=shape[0], columns=shape[1])
    for side, edge in outer_edges(data, Band("red", "uint16", None)).items():
        assert edge["inside"] >= 0 and side in OPPOSITE


def test_equal_layers_say_the_same_and_little_of_it() -> None:
    data = noise(rows=512, columns=512)
    assert outer_edges(data, Band("red", "uint16", 0)) == outer_edges(data.copy(), Band("red", "uint16", 0))
    assert len(str(outer_edges(data, Band("red", "uint16", 0)))) < 1000


REAL = (
    "s2/icor_10m/ref_input_S2_B04.tif",
    "s2/icor_10m/ref_input_S2_B08.tif",
    "s2/e84v1_33TWL_cog/S2A_33TWL_20230815_0_L2A/B04.tif",
    "landsat/gdalraster_30m_fullres/sr_b5_20200829.tif",
    "dem/storml_elev_orig.tif",
    "s1/rtc_pyrosar/S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif",
)


@pytest.mark.parametrize("name", REAL)
def test_real_scenes_cut_anywhere_have_no_seam(name: str, shared_data: Path) -> None:
    """Every seventh row and column as a line between tiles: none is taken for a seam; the usual ratio is about 1."""
    with rasterio.open(shared_data / "raster" / name) as dataset:
        scene, nodata = dataset.read(1), dataset.nodata
    for turned in (scene, np.ascontiguousarray(scene.T)):
        found = [ratio(turned[row - 20 : row + 20], nodata) for row in range(20, turned.shape[0] - 20, 7)]
        told = [one for one in found if one is not None]
        assert told and max(told) < WARN
        assert 0.6 < float(np.median(told)) < 1.2
