"""The list of what a folder consists of: without it, a lost chunk looks like one that was never there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.types import DataObject, Json

FORMAT = 1


def list_folder(folder: Path) -> tuple[DataObject, ...]:
    """Every file below a local folder with size and digest, sorted by key."""
    return tuple(
        DataObject(path.relative_to(folder).as_posix(), path.stat().st_size, _digest(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def render_manifest(objects: Iterable[DataObject]) -> Json:
    """The manifest as JSON-shaped data, sorted by key: equal folders give equal manifests."""
    ordered = sorted(objects, key=lambda one: one.key)
    return {
        "format": FORMAT,
        "objects": [{"key": one.key, "size": one.size_bytes, "sha256": one.sha256} for one in ordered],
    }


def expected_objects(manifest: Json, folder_key: str) -> Mapping[str, DataObject]:
    """What must be in the output, by full key: all that the manifest lists, at the folder's key. Pure.

    The folder is whole when exactly these keys lie under `folder_key/`, each with this size and digest.
    Raises StoreError where the document is no manifest of a format that is known.
    """
    try:
        if manifest["format"] != FORMAT:
            raise StoreError(f"{folder_key}: its manifest has format {manifest['format']!r}, expected {FORMAT}")
        objects = [DataObject(str(one["key"]), int(one["size"]), str(one["sha256"])) for one in manifest["objects"]]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder_key}: what is there is no manifest ({type(error).__name__}: {error})") from error
    return {f"{folder_key}/{one.key}": one for one in objects}


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
