"""How a source's bytes are reached: the href gate, signing at read time, and GDAL's settings. Never holds a secret.

An `Access` travels in graphs and logs, so it names a way (`profile`, `sign`) and never a credential. Hrefs stay
unsigned everywhere but inside the one read that needs them.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import requests

from pipeline.errors import PermanentAssetError, TransientAssetError

SAS_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Token service of the Planetary Computer; `PC_SDK_SAS_URL` overrides it, as in Microsoft's own client."""

_SECRET_PARAMETERS = re.compile(
    r"(?i)([?&](?:sig|signature|token|access_token|x-amz-[a-z-]+|se|st|sp|sv|sr|skoid|sktid|ske|sks|skt|skv)=)[^&\s'\"]*"
)


@dataclass(frozen=True)
class Access:
    """How the files of one source are opened; frozen, picklable, free of secrets."""

    sign: str = "none"
    """`none`, `planetary-computer` or `requester-pays`."""
    collection: str = ""
    """Collection whose token signs the hrefs."""
    endpoint: str | None = None
    """S3 endpoint, `http://host:port`; None: AWS."""
    profile: str | None = None
    anonymous: bool = False
    attempts: int = 4
    timeout_s: float = 60.0
    local: bool = True
    """False for items that came over the network: their hrefs may not point into this machine's file system."""


def redact(text: str) -> str:
    """The same text with the values of signature parameters replaced by `***`."""
    return _SECRET_PARAMETERS.sub(r"\1***", text)


class _Redacting(logging.Filter):
    """Takes query values, which may be signatures, out of what urllib3 logs of each request when somebody debugs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"([?&][^=&\s]+=)[^&\s\"']*", r"\1***", record.getMessage()), None
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_Redacting())


def check_href(href: str, access: Access) -> None:
    """Only files, https, http and s3 pass; GDAL's virtual file systems and inline documents never do.

    Raises PermanentAssetError naming what was found. Source: GDAL's security notes (a href such as `/vsicurl/...`,
    `vrt://...` or an inline `<VRTDataset>` opens further data or reads process memory).
    """
    bad = re.search(r"/vsi|[<|\x00-\x1f\x7f]", href)
    if bad is not None:
        raise PermanentAssetError(
            href[:200], f"href refused: it contains {bad.group()!r}; expected a file path, https:// or s3://"
        )
    scheme = urlsplit(href).scheme if "://" in href else ""
    if scheme not in {"", "http", "https", "s3"}:
        raise PermanentAssetError(
            href[:200], f"href refused: scheme {scheme!r}; expected a file path, https:// or s3://"
        )
    if _is_link_local(urlsplit(href).hostname or ""):
        raise PermanentAssetError(href[:200], "href refused: a link-local address, where clouds serve credentials")
    if not scheme and re.match(r"(?i)[a-z0-9_]{2,}:", href):
        raise PermanentAssetError(
            href[:200], "href refused: it names a GDAL driver; expected a file path, https:// or s3://"
        )
    if not scheme and not access.local:
        raise PermanentAssetError(href[:200], "href refused: a catalogue read over the network names a local path")


def _is_link_local(host: str) -> bool:
    """True for literal addresses of 169.254/16 and fe80::/10, in every spelling that curl reads (0xa9fea9fe too).

    Names are not looked up: a private or a loopback address is a user's own server, and DNS is not asked twice.
    """
    host = unquote(host).rstrip(".")
    try:
        address = ipaddress.ip_address(host if ":" in host else socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, ValueError):
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_link_local


class _TokenCache:
    """Tokens of this process, one per collection, renewed before they end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def get(self, collection: str, *, renew: bool) -> str:
        service = os.environ.get("PC_SDK_SAS_URL", SAS_URL).rstrip("/")
        with self._lock:
            token, good_until = self._tokens.get((service, collection), ("", 0.0))
            if renew or time.time() >= good_until:
                token, good_until = _fetch_token(service, collection)
                self._tokens[service, collection] = token, good_until
            return token


_TOKENS = _TokenCache()


def _fetch_token(service: str, collection: str) -> tuple[str, float]:
    """A fresh token and the time until which it is used: a fifth of its life, at most five minutes, is kept back."""
    url = f"{service}/{collection}"
    key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY")
    try:
        answer = requests.get(url, timeout=(10, 30), headers={"Ocp-Apim-Subscription-Key": key} if key else None)
        answer.raise_for_status()
        body = answer.json()
        token = str(body["token"])
        ends = datetime.fromisoformat(str(body["msft:expiry"])).astimezone(UTC).timestamp()
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise TransientAssetError(url, f"no token from the signing service: {type(error).__name__}") from None
    now = time.time()
    return token, ends - min(300.0, 0.2 * max(0.0, ends - now))


def sign(href: str, access: Access, *, renew: bool = False) -> str:
    """The address to open right now: signed where the source asks for it, otherwise the href itself.

    A token goes only to Azure blob hosts and to the token service's own host. `renew` asks for a new token even when
    the cached one should still hold. Raises TransientAssetError when no token can be had.
    """
    if access.sign != "planetary-computer" or not href.startswith(("http://", "https://")):
        return href
    host = urlsplit(href).netloc
    service = urlsplit(os.environ.get("PC_SDK_SAS_URL", SAS_URL)).netloc
    if not host.endswith(".blob.core.windows.net") and host != service:
        return href
    token = _TOKENS.get(access.collection, renew=renew)
    return f"{href}{'&' if '?' in href else '?'}{token}"


def gdal_options(href: str, access: Access) -> dict[str, str | int]:
    """GDAL configuration for one open: bounded time, no directory listings, and the source's own S3 settings."""
    options: dict[str, str | int] = {
        # In bytes: rasterio hands the number to GDALSetCacheMax64, where GDAL's own option would mean megabytes.
        "GDAL_CACHEMAX": 256 * 2**20,
        "GDAL_VRT_ENABLE_PYTHON": "NO",
        # With threads of its own, GDAL returns a damaged JPEG 2000 as if it were whole, with other pixels every time.
        "GDAL_NUM_THREADS": 1,
        "GDAL_HTTP_TIMEOUT": int(access.timeout_s),
        "GDAL_HTTP_CONNECTTIMEOUT": 10,
        "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,
        "GDAL_HTTP_LOW_SPEED_TIME": 30,
        "GDAL_HTTP_MULTIPLEX": "YES",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    }
    if "://" in href:
        # Siblings of a remote file are never wanted; beside a local JPEG 2000 a sidecar may hold its CRS.
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
    if href.startswith("s3://"):
        if access.endpoint:
            parts = urlsplit(access.endpoint)
            options["AWS_S3_ENDPOINT"] = parts.netloc
            options["AWS_HTTPS"] = "YES" if parts.scheme == "https" else "NO"
            options["AWS_VIRTUAL_HOSTING"] = "FALSE"
        if access.anonymous:
            options["AWS_NO_SIGN_REQUEST"] = "YES"
        if access.profile:
            options["AWS_PROFILE"] = access.profile
        if access.sign == "requester-pays":
            options["AWS_REQUEST_PAYER"] = "requester"
    return options


def gdal_path(href: str) -> str:
    """The name GDAL opens: https → /vsicurl/, s3 → /vsis3/, files as they are."""
    if href.startswith("s3://"):
        return "/vsis3/" + href[5:]
    return "/vsicurl/" + href if "://" in href else href
