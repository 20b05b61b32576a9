"""Local files on their way to a store: their digest, and small JSON documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.types import DataFile, Json


def json_bytes(document: Json) -> bytes:
    """The one way this project writes JSON: equal documents give equal bytes, and NaN is refused.

    Raises ValueError for NaN and infinities: STAC spells them as text.
    """
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8") + b"\n"


def document_digest(document: Json) -> str:
    """SHA-256 of a document as this project writes it, hexadecimal: kept in the document itself, without it there."""
    return hashlib.sha256(json_bytes(document)).hexdigest()


def finished_file(
    path: Path, key: str, media_type: str, roles: tuple[str, ...], title: str, fields: Mapping[str, Json]
) -> DataFile:
    """A DataFile with size and sha256 of what lies at `path` now."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return DataFile(key, path, media_type, roles, title, digest, path.stat().st_size, fields)


def write_json_file(document: Json, path: Path, key: str, *, title: str, role: str = "metadata") -> DataFile:
    """A JSON document as a file to commit beside the rasters, such as the `inputs` of a job; deterministic."""
    path.write_bytes(json_bytes(document))
    return finished_file(path, key, "application/json", (role,), title, {})
