"""One polarisation of a SAFE folder in radar geometry: beta0 at fractional lines and samples, as asked.

Its brightness stands where sarsen expects an image of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from pipeline.ops.calibration import calibrate
from pipeline.products._sentinel1_annotation import Noise, Vectors, parse_calibration, parse_noise

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Image:
    """A measurement file and its annotations."""

    path: Path
    shape: tuple[int, int]
    gain: Vectors
    noise: Noise | None

    def beta0(self, lines: Floats, samples: Floats) -> NDArray[np.float32]:
        """Power between the four pixels around each place; NaN where one of them is none. Any shape."""
        out = np.full(lines.shape, np.nan, np.float32)
        height, width = self.shape
        inside = (lines >= 0) & (lines <= height - 1) & (samples >= 0) & (samples <= width - 1)
        if not inside.any():
            return out
        down, right = lines[inside], samples[inside]
        i, j = np.minimum(down.astype(np.int64), height - 2), np.minimum(right.astype(np.int64), width - 2)
        rows, cols = (slice(int(each.min()), int(each.max()) + 2) for each in (i, j))
        window = self._power(rows, cols).astype(np.float64)
        f, g = down - i, right - j
        i, j = i - rows.start, j - cols.start
        upper = window[i, j] * (1 - g) + window[i, j + 1] * g
        lower = window[i + 1, j] * (1 - g) + window[i + 1, j + 1] * g
        out[inside] = upper * (1 - f) + lower * f
        return out

    def _power(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        with rasterio.open(self.path) as dataset:
            amplitude = dataset.read(1, window=Window.from_slices(rows, cols))
        lines, samples = (np.arange(part.start, part.stop, dtype=np.float64) for part in (rows, cols))
        noise = None if self.noise is None else self.noise.tables(lines, samples)
        return calibrate(amplitude, self.gain.table(lines, samples), noise, None)


@dataclass(frozen=True, eq=False)
class Brightness:
    """What sarsen takes for an image of beta0: it interpolates it at times and ground ranges, and copies `attrs`."""

    image: Image
    said: Mapping[str, Any]
    """What the product's annotation says of the image."""

    @property
    def attrs(self) -> dict[str, str]:
        return {"long_name": "beta nought", "units": "m2 m-2"}

    def interp(self, azimuth_time: xr.DataArray, ground_range: xr.DataArray, **_: Any) -> xr.DataArray:
        """As `xarray.DataArray.interp`, always linear."""
        first, last = (self._time(end) for end in ("first", "last"))
        along = ground_range.transpose(*azimuth_time.dims).values / self.said["range_pixel_spacing"]
        time = azimuth_time.values.astype("datetime64[ns]").astype(np.int64)
        lines = (time - first) / (last - first) * (self.image.shape[0] - 1)
        placed = azimuth_time.copy(data=self.image.beta0(lines, along))
        return placed.assign_coords(azimuth_time=azimuth_time, ground_range=ground_range)

    def _time(self, end: str) -> int:
        """Nanoseconds since 1970 of the first or last line."""
        return int(np.datetime64(self.said[f"product_{end}_line_utc_time"], "ns").astype(np.int64))


def open_image(safe: Path, polarisation: str) -> Image:
    """Found by name, ESA's or the shorter ones of the clouds' copies; noise where there is an annotation of it.

    Raises FileNotFoundError and ValueError, naming what was expected.
    """
    path = _only(safe / "measurement", f"*-{polarisation}[-.]*tiff")
    with rasterio.open(path) as dataset:
        if dataset.dtypes[0] != "uint16":
            raise ValueError(f"{path.name} holds {dataset.dtypes[0]}; expected amplitudes as uint16")
        shape = dataset.height, dataset.width
    folder = safe / "annotation/calibration"
    tables = parse_calibration(_only(folder, f"calibration-*{polarisation}[-.]*xml").read_bytes())
    noise = sorted(folder.glob(f"noise-*{polarisation}[-.]*xml"))
    return Image(path, shape, tables["beta0"], parse_noise(noise[0].read_bytes()) if noise else None)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{len(found)} files {folder.name}/{pattern}, expected one")
    return found[0]
