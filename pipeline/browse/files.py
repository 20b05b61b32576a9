"""The output's own files as static STAC: catalogue, items and their assets, byte for byte, whole or in ranges."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fastapi.responses import Response, StreamingResponse

from pipeline.errors import StoreError
from pipeline.read.access import Access, s3_options
from pipeline.write.catalog import TABLE_KEY
from pipeline.write.keys import check_key
from pipeline.write.stac import ROOT_KEY
from pipeline.write.store import FolderStore, Store

_FOLDERS = ("collections/", "items/", "data/")
"""What lies elsewhere in an output, such as the records of runs, is nobody's to fetch."""
_PIECE_BYTES = 2**22
_TYPES = {
    ".json": "application/json",
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".png": "image/png",
    ".parquet": "application/vnd.apache.parquet",
    ".geojson": "application/geo+json",
}


def serve_file(store: Store, access: Access, key: str, asked: str | None, *, head: bool = False) -> Response:
    """The bytes at a key of the output; asked: the request's header Range; head: only what is said of them.

    404 for every key that is not one of the catalogue, its items and their files, and for links out of the folder.
    416 for a range beyond the end.
    """
    if not _allowed(key) or (entry := store.entry_of(key)) is None or _leads_out(store, key):
        return Response("no such file in the catalogue of this output\n", 404, media_type="text/plain")
    size = entry.size_bytes
    span = _span(asked, size)
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    first, last = span
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first), "Cache-Control": "no-cache"}
    if last - first != size:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
    status = 206 if last - first != size else 200
    if head:  # a stream would read the whole file for nobody
        return Response(None, status, headers, media_type=_type(key))
    return StreamingResponse(_pieces(store, access, key, span), status, headers, media_type=_type(key))


def _allowed(key: str) -> bool:
    try:
        return check_key(key) in {ROOT_KEY, TABLE_KEY} or key.startswith(_FOLDERS)
    except StoreError:
        return False


def _leads_out(store: Store, key: str) -> bool:
    """Whether something on the way to it is a link to another folder."""
    if not isinstance(store, FolderStore):
        return False
    root = Path(store.root).resolve()
    return not (root / key).resolve().is_relative_to(root)


def _span(asked: str | None, size: int) -> tuple[int, int] | None:
    """[first, last) of the one range that is asked for; all without one, or with several. None: beyond the end."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked or "")
    if match is None or match[0] == "bytes=-":
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    end = min(size, int(last) + 1) if last else size
    return (int(first), end) if int(first) < end else None


def _pieces(store: Store, access: Access, key: str, span: tuple[int, int]) -> Iterator[bytes]:
    first, last = span
    with _open(store, access, key) as file:
        file.seek(first)
        while first < last and (piece := file.read(min(_PIECE_BYTES, last - first))):
            first += len(piece)
            yield piece


def _open(store: Store, access: Access, key: str) -> IO[Any]:
    if isinstance(store, FolderStore):
        return Path(store.root, key).open("rb")
    import s3fs  # noqa: PLC0415 (slow to import, and a folder does not need it)

    files = s3fs.S3FileSystem(**s3_options(access))
    # With the cache that s3fs has, a range of a few bytes would fetch fifty megabytes.
    opened: IO[Any] = files.open(f"{store.uri.rstrip('/')}/{key}", "rb", cache_type="none")
    return opened


def _type(key: str) -> str:
    if key.startswith("items/"):
        return "application/geo+json"
    return _TYPES.get(posixpath.splitext(key)[1], "application/octet-stream")
