"""What a run is run with: written down when it begins, shown by its report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from pipeline.types import Json
from pipeline.version import __version__

_PACKAGES = (
    "dask",
    "distributed",
    "numpy",
    "numba",
    "rasterio",
    "pyproj",
    "pyarrow",
    "xarray",
    "zarr",
    "netCDF4",
    "gsw",
)


def environment() -> Json:
    """Versions of what pixels and profiles depend on, and the driver's machine; no names of hosts or users."""
    import psutil  # noqa: PLC0415 (loaded by a run anyway)

    return {
        "groundswell": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 1,
        "memory_bytes": int(psutil.virtual_memory().total),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
