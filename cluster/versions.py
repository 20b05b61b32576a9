"""What decides whether two machines understand each other and make the same bytes: Python, packages, this project."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

MISSING = "missing"
SPOKEN = ("cloudpickle", "dask", "distributed", "msgpack", "tornado")
"""What client, scheduler and workers speak to each other with."""
PACKAGES = (
    *SPOKEN,
    "imagecodecs",
    "llvmlite",
    "numba",
    "numpy",
    "obstore",
    "odc-geo",
    "pyarrow",
    "pyogrio",
    "pyproj",
    "rasterio",
    "scipy",
    "shapely",
    "xarray",
    "zarr",
)
"""With those that pixels pass through, or that tasks and results are pickled of."""
_PROJECT = ("cluster", "pipeline")
"""Import packages of this project."""


@cache
def versions_here() -> Mapping[str, str]:
    """Name → version on this machine; Python without its last number, which changes no byte code."""
    packages = {name: _version(name) for name in PACKAGES}
    return {"python": python_series(platform.python_version()), **packages, "groundswell": _code()}


def python_series(text: str) -> str:
    """3.11 of 3.11.7: code travels between machines of one series."""
    return ".".join(text.split(".")[:2])


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What differs, in words: one text for each of the wanted names."""
    return [
        f"{name} {found.get(name, MISSING)} instead of {asked}"
        for name, asked in sorted(wanted.items())
        if found.get(name, MISSING) != asked
    ]


def differences_here(wanted: Mapping[str, str]) -> list[str]:
    """What differs on the machine that this runs on; sent to workers, so that each answers for itself."""
    return differences(wanted, versions_here())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING


def _code() -> str:
    """Digest of this project's modules: an image built before the last change has the same version number."""
    digest = hashlib.sha256()
    for name, path in sorted(_modules()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return f"code {digest.hexdigest()[:12]}"


def _modules() -> Iterator[tuple[str, Path]]:
    for package in _PROJECT:
        spec = find_spec(package)
        for folder in map(Path, (spec.submodule_search_locations or ()) if spec is not None else ()):
            for path in folder.rglob("*.py"):
                yield f"{package}/{path.relative_to(folder).as_posix()}", path
