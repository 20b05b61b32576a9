"""Laws of the manifest: it lists a folder whole, and the way back gives every key under the output."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StoreError
from pipeline.types import DataObject
from pipeline.write.manifest import expected_objects, list_folder, render_manifest


def test_every_file_of_a_folder_is_listed(tmp_path: Path) -> None:
    files = {"zarr.json": b"{}", "red/zarr.json": b"{ }", "red/c/0/10": b"\0" * 9, "red/c/0/2": b""}
    for key, data in files.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    manifest = render_manifest(list_folder(tmp_path))
    assert manifest == {
        "format": 1,
        "objects": [
            {"key": key, "size": len(files[key]), "sha256": hashlib.sha256(files[key]).hexdigest()}
            for key in sorted(files)
        ],
    }
    expected = expected_objects(manifest, "data/p/t/x.zarr")
    assert set(expected) == {f"data/p/t/x.zarr/{key}" for key in files}
    assert expected["data/p/t/x.zarr/red/c/0/10"].size_bytes == 9


def test_the_order_of_objects_does_not_show() -> None:
    objects = [DataObject(key, 1, "ab") for key in ("b", "a", "a/c")]
    assert render_manifest(objects) == render_manifest(reversed(objects))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"format": 2, "objects": []}, "format 2, expected 1"),
        ({"objects": []}, "no manifest"),
        ([], "no manifest"),
        ({"format": 1, "objects": [{"key": "a"}]}, "no manifest"),
        ({"format": 1, "objects": [{"key": "a", "size": "x", "sha256": ""}]}, "no manifest"),
    ],
)
def test_anything_else_is_refused_by_name(document: Any, message: str) -> None:
    with pytest.raises(StoreError, match=rf"data/x\.zarr: .*{message}"):
        expected_objects(document, "data/x.zarr")
