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
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read import earthdata
from pipeline.read.lent import Lent

SAS_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Token service of the Planetary Computer; `PC_SDK_SAS_URL` overrides it, as in Microsoft's own client."""

_BLOBS = ".blob.core.windows.net"
_AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_SECRET_PARAMETERS = re.compile(
    r"(?i)([?&](?:sig|signature|token|access_token|x-amz-[a-z-]+|se|st|sp|sv|sr|skoid|sktid|ske|sks|skt|skv)=)[^&\s'\"]*"
)


@dataclass(frozen=True)
class Access:
    """How the files of one source are opened; frozen, picklable, free of secrets."""

    sign: str = "none"
    """`none`, `planetary-computer`, `earthdata` or `requester-pays`."""
    collection: str = ""
    """Collection whose token signs the hrefs of a signing service's own host."""
    s3_credentials: str | None = None
    """Address that lends S3 keys to holders of an Earthdata token; None: by the name of the bucket."""
    endpoint: str | None = None
    """S3 endpoint, `http://host:port`; None: AWS."""
    profile: str | None = None
    anonymous: bool = False
    attempts: int = 4
    timeout_s: float = 60.0
    local: bool = True
    """False for items that came over the network: their hrefs may not point into this machine's file system."""


def own_endpoint() -> str | None:
    """The S3 server that the environment of this process names, as boto3 takes it; GDAL does not. None: AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def s3_options(access: Access) -> dict[str, Any]:
    """How s3fs opens what an access reaches. An endpoint of the environment is treated as one that was said."""
    options: dict[str, Any] = {"anon": access.anonymous, "use_listings_cache": False}
    if access.profile:
        options["profile"] = access.profile
    endpoint = access.endpoint or own_endpoint()
    if endpoint:  # other servers rarely have a DNS name per bucket
        options |= {"endpoint_url": endpoint, "config_kwargs": {"s3": {"addressing_style": "path"}}}
    return options


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


_TOKENS: Lent[str] = Lent()


def sign(href: str, access: Access, *, newer_than: float = 0.0) -> str:
    """The address to open right now: signed where the source asks for it in the address, otherwise the href itself.

    A token goes only to Azure blob hosts and to the token service's own host. newer_than: a moment of
    `time.monotonic()`; a token from before it was refused. Raises AssetError when no token can be had.
    """
    if access.sign != "planetary-computer" or not href.startswith(("http://", "https://")):
        return href
    service = os.environ.get("PC_SDK_SAS_URL", SAS_URL).rstrip("/")
    parts = urlsplit(href)
    if parts.netloc.endswith(_BLOBS):
        # One token a container, as Microsoft's own client asks: it needs no collection, and serves several.
        container = parts.path.strip("/").partition("/")[0]
        if not container:
            raise PermanentAssetError(
                href, "names no file: found no container after the host, https://host/container/…"
            )
        scope = f"{parts.netloc.removesuffix(_BLOBS)}/{container}"
    elif parts.netloc == urlsplit(service).netloc:
        scope = access.collection
    else:
        return href
    address = f"{service}/{scope}"
    token = _TOKENS.get(address, lambda: _fetch_token(address), newer_than)
    return f"{href}{'&' if '?' in href else '?'}{token}"


def secrets(href: str, access: Access, *, newer_than: float = 0.0) -> dict[str, str]:
    """GDAL configuration that authorises one open and must not outlive it; empty where the address says all.

    Raises AssetError when the credentials cannot be had.
    """
    if href.startswith("s3://") and not access.anonymous:
        keys = s3_keys(href, access, newer_than=newer_than)
        return {} if keys is None else dict(zip(_AWS_KEYS, keys, strict=True))
    token = earthdata.bearer(href, newer_than) if access.sign == "earthdata" else None
    if token is None:
        return {}
    # Redirects lead to signed addresses elsewhere: the token stays with the host it is meant for.
    return {
        "GDAL_HTTP_HEADERS": f"Authorization: Bearer {token}",
        "CPL_VSIL_CURL_AUTHORIZATION_HEADER_ALLOWED_IF_REDIRECT": "NO",
    }


def s3_keys(href: str, access: Access, *, newer_than: float = 0.0) -> tuple[str, str, str] | None:
    """Access key, secret key and session token of the source; None: those of the environment. Raises AssetError."""
    if access.sign == "earthdata":
        return earthdata.s3_keys(href, access.s3_credentials, newer_than)
    if access.profile is None:
        return None
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 (slow to import, only for profiles)

    try:
        credentials = _profile(access.profile)
        if credentials is None:
            raise PermanentAssetError(href, f"AWS profile {access.profile} has no credentials; see storage.profile")
        frozen = credentials.get_frozen_credentials()
    except BotoCoreError as error:
        raise PermanentAssetError(href, f"S3: {' '.join(str(error).split())}") from None
    return frozen.access_key, frozen.secret_key, frozen.token or ""


@lru_cache(maxsize=16)
def _profile(name: str) -> Any:
    """The profile's credentials, which renew themselves: role, single sign-on and plain keys alike."""
    from botocore.session import Session  # noqa: PLC0415 (the same)

    return Session(profile=name).get_credentials()


def _fetch_token(url: str) -> tuple[str, float]:
    """A fresh token and the time at which it ends. Raises AssetError, a permanent one where the service refuses."""
    key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY")
    try:
        answer = requests.get(url, timeout=(10, 30), headers={"Ocp-Apim-Subscription-Key": key} if key else None)
        if not answer.ok:
            raise _refusal(url, answer.status_code)
        body = answer.json()
        ends = datetime.fromisoformat(str(body["msft:expiry"])).astimezone(UTC).timestamp()
        return str(body["token"]), ends
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise TransientAssetError(url, f"no token from the signing service: {type(error).__name__}") from None


def _refusal(url: str, status: int) -> AssetError:
    cause = f"no token from the signing service: HTTP {status}"
    if status not in {400, 401, 403, 404}:
        return TransientAssetError(url, cause)
    return PermanentAssetError(url, f"{cause}; check the source's collection, and set or renew PC_SDK_SUBSCRIPTION_KEY")


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
        if access.sign == "requester-pays":
            options["AWS_REQUEST_PAYER"] = "requester"
    return options


def gdal_path(href: str) -> str:
    """The name GDAL opens: https → /vsicurl/, s3 → /vsis3/, files as they are."""
    if href.startswith("s3://"):
        return "/vsis3/" + href[5:]
    return "/vsicurl/" + href if "://" in href else href
