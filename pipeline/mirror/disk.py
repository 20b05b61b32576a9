"""What lies on the disk of a local copy, and how it is brought together with what the manifest says of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import AssetError
from pipeline.mirror.check import check_file, date_update
from pipeline.mirror.fetch import Fetched
from pipeline.mirror.manifest import Manifest
from pipeline.mirror.parts import STAMP_SUFFIX, SUFFIX
from pipeline.mirror.transports import check_path

DAC = "dac/"
_DEEPEST = 4
"""Folders down to `dac/<centre>/<wmo>/profiles`; links may lead around in a circle."""


@dataclass(frozen=True)
class Disk:
    """A local copy as one walk of it found it; all names are sorted."""

    files: pa.Table
    """(path, size_bytes) of all that lies under `dac/`, parts left out."""
    adopted: tuple[str, ...]
    """Sound files that the manifest did not have; it has them now, with the version that stands in them."""
    lost: tuple[str, ...]
    """Of the manifest, but gone or of another size; it has them no more (adopted ones again)."""
    damaged: tuple[tuple[str, str], ...]
    """(path, cause) of files that the manifest does not have, and that are not what their name says."""
    parts: tuple[str, ...]
    """Files of which a part lies there."""


def reconcile(manifest: Manifest) -> Disk:
    """Make the manifest say what is there, and see what that is: files without a row count by what stands in them."""
    found = sorted(_walk(manifest.root / DAC, DAC))
    parts = tuple(path.removesuffix(SUFFIX) for path, _ in found if path.endswith(SUFFIX))
    here = [(path, size) for path, size in found if not path.endswith((SUFFIX, STAMP_SUFFIX))]
    paths, sizes = pa.array([path for path, _ in here], pa.string()), pa.array([size for _, size in here], pa.int64())
    files = pa.table({"path": paths, "size_bytes": sizes})
    table = manifest.table()
    lost = [
        *table.filter(_changed(table, files))["path"].to_pylist(),
        *(path for path in _beside(table) if not (manifest.root / path).is_file()),
    ]
    for path in lost:
        manifest.forget(path)
    unknown = paths.filter(pc.invert(pc.is_in(paths, manifest.table()["path"].combine_chunks()))).to_pylist()
    adopted, damaged = [], []
    for path in unknown:
        if not path.endswith(".nc"):
            continue
        try:
            manifest.record(_looked_at(manifest.root, path))
            adopted.append(path)
        except AssetError as error:
            damaged.append((path, error.cause))
        except OSError as error:
            damaged.append((path, f"cannot be read: {error.strerror}"))
    return Disk(files, tuple(adopted), tuple(sorted(lost)), tuple(damaged), parts)


def remove_file(root: Path, path: str) -> None:
    """Remove a file, its parts too; no error where it is gone. Raises AssetError for what is no name of a GDAC."""
    for suffix in (SUFFIX, STAMP_SUFFIX, ""):
        (root / (check_path(path) + suffix)).unlink(missing_ok=True)


def sweep_parts(root: Path, keep: Collection[str] = ()) -> int:
    """Remove what came of files that are wanted no more; how many they were."""
    swept = 0
    for path, _ in _walk(root / DAC, DAC):
        whole = path.removesuffix(STAMP_SUFFIX).removesuffix(SUFFIX)
        if whole != path and whole not in keep:
            (root / path).unlink(missing_ok=True)
            swept += path.endswith(SUFFIX)
    return swept


def _changed(table: pa.Table, files: pa.Table) -> pa.ChunkedArray:
    """Rows of the manifest under `dac/` whose file is gone, or has another size."""
    place = pc.index_in(table["path"], files["path"].combine_chunks())
    sizes = pc.take(files["size_bytes"], place)
    same = pc.fill_null(pc.equal(sizes, table["size_bytes"]), fill_value=False)
    return pc.and_(pc.starts_with(table["path"], DAC), pc.invert(same))


def _beside(table: pa.Table) -> list[str]:
    """Names in the manifest that do not lie under `dac/`, such as index files."""
    names: list[str] = table.filter(pc.invert(pc.starts_with(table["path"], DAC)))["path"].to_pylist()
    return names


def _looked_at(root: Path, path: str) -> Fetched:
    data = (root / check_path(path)).read_bytes()
    check_file(path, data)
    return Fetched(path, date_update(path, data), "fetched", len(data), hashlib.sha256(data).hexdigest())


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    if prefix.count("/") > _DEEPEST:
        return
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file():
            with suppress(FileNotFoundError):
                yield f"{prefix}{entry.name}", entry.stat().st_size
