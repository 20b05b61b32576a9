"""Why a file did not open: asked of the server or the disk directly, since GDAL's messages do not say.

Runs only after a failure, so the good path never pays for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import requests
from urllib3.exceptions import HTTPError

from pipeline.errors import AssetError, TransientAssetError
from pipeline.read.access import Access, s3_keys, secrets, sign

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
ANY = (b"",)
"""Of files that may begin with anything."""
_HEAD_BYTES = 512
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses of a server that may answer soon."""


@dataclass(frozen=True)
class Finding:
    """What the first bytes of a file say; `cause` None when they look healthy."""

    transient: bool
    cause: str | None
    refused: bool = False
    """The server knows the file and not the credentials: they may have ended a moment ago."""


def probe(href: str, access: Access, magic: tuple[bytes, ...] = _MAGIC) -> Finding:
    """Classify a failed read by the first 512 bytes: missing, refused, not a raster, or worth another attempt.

    magic: what the file may begin with.
    """
    if href.startswith("s3://"):
        return _probe_s3(href, access, magic)
    if "://" in href:
        return _probe_http(href, access, magic)
    path = Path(href)
    try:
        if not path.is_file():
            return Finding(transient=False, cause="no such file")
        with path.open("rb") as handle:
            return _judge_bytes(handle.read(512), path.stat().st_size, magic)
    except OSError as error:
        return Finding(transient=False, cause=f"cannot be opened: {error.strerror}")


def _probe_http(href: str, access: Access, magic: tuple[bytes, ...]) -> Finding:
    try:
        with requests.get(
            sign(href, access),
            headers={"Range": "bytes=0-511", **_authorisation(href, access)},
            timeout=(10, access.timeout_s),
            stream=True,
        ) as answer:
            status = answer.status_code
            head = _first_bytes(answer, access.timeout_s) if status in {200, 206} else b""
            size = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get(
                "Content-Length", ""
            )
    except (requests.RequestException, TimeoutError) as error:
        return Finding(transient=True, cause=f"no answer from the server: {type(error).__name__}")
    except AssetError as error:
        return Finding(transient=isinstance(error, TransientAssetError), cause=error.cause)
    except ValueError as error:
        # Such as a host's name that is too long: the client of https lets another library's error through.
        return Finding(transient=False, cause=f"no address that can be asked: {type(error).__name__}")
    if status in {200, 206}:
        return _judge_bytes(head, int(size) if size.isdigit() else None, magic)
    refused = status in {401, 403} and access.sign in {"planetary-computer", "earthdata"}
    return Finding(transient=status in PASSING or refused, cause=f"HTTP {status}", refused=refused)


def _first_bytes(answer: requests.Response, within_s: float) -> bytes:
    """What the file begins with. Raises TimeoutError for a server that gives a byte now and then."""
    head, ends = b"", monotonic() + within_s
    try:
        while len(head) < _HEAD_BYTES and (more := answer.raw.read1(_HEAD_BYTES - len(head), decode_content=True)):
            head += more
            if monotonic() > ends and len(head) < _HEAD_BYTES:
                raise TimeoutError
    except HTTPError as error:
        raise requests.ConnectionError(error) from error
    return head


def _authorisation(href: str, access: Access) -> dict[str, str]:
    name, _, value = secrets(href, access).get("GDAL_HTTP_HEADERS", "").partition(": ")
    return {name: value} if value else {}


def _probe_s3(href: str, access: Access, magic: tuple[bytes, ...]) -> Finding:
    import s3fs  # noqa: PLC0415 (needed only after a failure, slow to import)
    from botocore import exceptions as boto  # noqa: PLC0415 (the same)

    try:
        key, secret, token = (None if access.anonymous else s3_keys(href, access)) or (None, None, None)
    except AssetError as error:
        return Finding(transient=isinstance(error, TransientAssetError), cause=error.cause)
    fs = s3fs.S3FileSystem(
        anon=access.anonymous,
        key=key,
        secret=secret,
        token=token or None,
        endpoint_url=access.endpoint,
        requester_pays=access.sign == "requester-pays",
        # One question: whoever asked tries again by himself.
        config_kwargs={"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": access.timeout_s},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    fs.retries = 1
    try:
        head = fs.cat_file(href, start=0, end=512)
        return _judge_bytes(head, fs.info(href)["size"], magic)
    except FileNotFoundError:
        return Finding(transient=False, cause="S3: no such key")
    except PermissionError as error:
        refused = access.sign == "earthdata"
        hint = "" if access.sign == "requester-pays" else "; where the requester pays: sign: requester-pays"
        return Finding(transient=refused, cause=f"S3: access denied: {error}{hint}", refused=refused)
    except (OSError, boto.ConnectionError, boto.HTTPClientError) as error:
        return Finding(transient=True, cause=f"S3: {error}")
    except boto.BotoCoreError as error:
        # No credentials, an unknown profile, a name that no bucket can have: the next attempt would say the same.
        return Finding(transient=False, cause=f"S3: {' '.join(str(error).split())}")


def _judge_bytes(head: bytes, size: int | None, magic: tuple[bytes, ...]) -> Finding:
    if size == 0 or not head:
        return Finding(transient=False, cause="the file is empty")
    if not head.startswith(magic):
        start = head[:4].decode("latin-1").replace("\n", " ")
        return Finding(transient=False, cause=f"not a TIFF or JPEG 2000 (starts with {start!r})")
    return Finding(transient=False, cause=None)
