"""Laws of thumbnails: small, transparent where missing, the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from pipeline.errors import OutputError
from pipeline.write.thumbnail import write_thumbnail

pytestmark = pytest.mark.filterwarnings(f"ignore::{NotGeoreferencedWarning.__module__}.NotGeoreferencedWarning")


def read(path: Path) -> npt.NDArray[np.uint8]:
    with rasterio.open(path) as source:
        pixels: npt.NDArray[np.uint8] = source.read()
    return pixels


@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (257, 10), (2048, 1000), (3, 2560)])
@pytest.mark.parametrize("count", [1, 3])
def test_size_and_bands(tmp_path: Path, shape: tuple[int, int], count: int) -> None:
    """At most 256 px a side, at least one; grey or colour, with one band of transparency; no side file."""
    array = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape)
    file = write_thumbnail([array] * count, None, tmp_path / "t.png")
    pixels = read(file.path)
    assert pixels.shape[0] == count + 1
    assert 1 <= min(pixels.shape[1:]) <= max(pixels.shape[1:]) <= 256
    assert (file.key, file.roles, file.media_type) == ("thumbnail", ("thumbnail",), "image/png")
    assert [path.name for path in tmp_path.iterdir()] == ["t.png"]


def test_missing_pixels_are_transparent(tmp_path: Path) -> None:
    """Transparent exactly where any band is missing, by nodata or by NaN."""
    red = np.linspace(1, 100, 64 * 64).reshape(64, 64)
    green, blue = red.copy(), red.copy()
    red[:10] = 0
    blue[:, :5] = np.nan
    alpha = read(write_thumbnail([red, green, blue], 0, tmp_path / "t.png").path)[3]
    expected = np.full((64, 64), 255)
    expected[:10] = 0
    expected[:, :5] = 0
    np.testing.assert_array_equal(alpha, expected)


def test_stretch_is_from_2_to_98_percent(tmp_path: Path) -> None:
    """The lowest and highest two per cent are black and white; between them grey rises with the value."""
    array = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    grey = read(write_thumbnail([array], None, tmp_path / "t.png").path)[0].ravel().astype(int)
    assert set(grey[:200]) == {0}
    assert set(grey[-200:]) == {255}
    assert (np.diff(grey) >= 0).all()


@pytest.mark.parametrize("fill", [0, 7, np.nan])
def test_nothing_to_stretch(tmp_path: Path, fill: float) -> None:
    """An empty or constant tile still has a picture: transparent, or mid-grey."""
    pixels = read(write_thumbnail([np.full((20, 20), fill)], 0, tmp_path / "t.png").path)
    assert set(pixels.ravel()) == ({128, 255} if fill == 7 else {0})


def test_same_numbers_same_bytes(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4000, (700, 500))
    first = write_thumbnail([array], 0, tmp_path / "a.png")
    second = write_thumbnail([array.copy(order="F")], 0, tmp_path / "b.png")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("shapes", [[], [(2, 2), (2, 2)], [(2, 2), (2, 2), (2, 3)], [(2, 2, 2)]])
def test_other_input_is_refused(tmp_path: Path, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(OutputError, match="expected one or three"):
        write_thumbnail([np.zeros(shape) for shape in shapes], None, tmp_path / "t.png")
