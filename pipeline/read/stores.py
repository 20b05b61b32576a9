"""Which client an address is read through, and with whose credentials; one client per way in, kept for this process.

A client holds connections and, where the source has any, a secret: it is known by everything that tells it from
others, credentials included, so that what was refused is never taken up again.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from pipeline.read import earthdata
from pipeline.read.access import Access, s3_keys, sign

if TYPE_CHECKING:
    from obstore.store import ClientConfig, HTTPStore, S3Credential, S3Store

CONNECT_S = 10.0
STALL_S = 30.0
"""A server that sends nothing for so long has stopped."""
AWS = "https://s3.{region}.amazonaws.com"
_CHAIN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_ROLE_ARN")
_GDAL_HTTP = re.compile(
    r"GDAL_HTTP_(AUTH|BEARER|COOKIE|COOKIEFILE|HEADERS|HEADER_FILE|PROXY|SSLCERT|UNSAFESSL|USERPWD)"
)
_GDAL_S3 = re.compile(rf"AWS_(S3_ENDPOINT|HTTPS|VIRTUAL_HOSTING)|{_GDAL_HTTP.pattern}")
"""Settings of the environment that lead GDAL, and only it, to a file."""
_PLAIN = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
"""Paths that are the same with and without percent signs."""

Keys = tuple[str, str, str]
"""Access key, secret key, session token or nothing."""


class Unsupported(Exception):  # noqa: N818 (nothing is wrong: another reader has to do it)
    """This file cannot be had here, for a reason that names no secret; GDAL may be able to."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        """passing: the next time it may be had."""
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Place:
    """Where a file is for its client; never shown, as its address may be signed."""

    store: S3Store | HTTPStore = field(repr=False)
    path: str = field(repr=False)
    timeout_s: float
    lent: bool
    """Its credentials were lent to us: a refusal means new ones, not another reader."""


def locate(href: str, access: Access, newer_than: float = 0.0) -> Place:
    """The client for a remote file and the file's name in it, with the credentials of this moment.

    newer_than: a moment of `time.monotonic()`; credentials lent before it were refused and are not used again.
    Raises Unsupported, and AssetError where credentials that the source asks for cannot be had.
    """
    foreign = _GDAL_S3 if href.startswith("s3://") else _GDAL_HTTP
    setting = next((name for name in os.environ if foreign.fullmatch(name)), None)
    if setting is not None:
        raise Unsupported(f"{setting} is set, which GDAL understands")
    _check_client()
    if href.startswith("s3://"):
        bucket, _, path = href.removeprefix("s3://").partition("/")
        store: S3Store | HTTPStore = _s3(bucket, href, access, newer_than)
    else:
        address = sign(href, access, newer_than=newer_than)
        token = earthdata.bearer(href, newer_than) if access.sign == "earthdata" else None
        base, path = _split(address)
        store = _http_store(base, token, access.timeout_s)
    return Place(store, path, access.timeout_s, lent=access.sign in {"earthdata", "planetary-computer"})


def _check_client() -> None:
    try:
        import_module("obstore.store")
    except ImportError as error:
        raise Unsupported(f"obstore cannot be imported: {error}") from None


def _split(address: str) -> tuple[str, str]:
    """What a client is made for, the query included, and the path it is asked for.

    The client would write a percent sign once more, and refuses an empty segment: such an address is a client of its
    own.
    """
    parts = urlsplit(address)
    if parts.fragment:
        raise Unsupported("its address has a fragment")
    if _PLAIN.fullmatch(parts.path) and not {".", ".."} & set(parts.path.split("/")):
        return parts._replace(path="").geturl(), parts.path[1:]
    return address, ""


def _options(timeout_s: float, address: str) -> ClientConfig:
    return {
        "timeout": timedelta(seconds=timeout_s),
        "read_timeout": timedelta(seconds=min(STALL_S, timeout_s)),
        "connect_timeout": timedelta(seconds=min(CONNECT_S, timeout_s)),
        "allow_http": address.startswith("http://"),
    }


@lru_cache(maxsize=128)
def _http_store(base: str, token: str | None, timeout_s: float) -> HTTPStore:
    """Redirects are followed, without the token where they lead to another host or port."""
    from obstore.store import HTTPStore  # noqa: PLC0415 (files on a disk do without it)

    options = _options(timeout_s, base)
    if token is not None:
        options["default_headers"] = {"authorization": f"Bearer {token}"}
    return HTTPStore(base, client_options=options, retry_config={"max_retries": 0})


def _s3(bucket: str, href: str, access: Access, newer_than: float) -> S3Store:
    anonymous = access.anonymous or os.environ.get("AWS_NO_SIGN_REQUEST", "").upper() in {"YES", "TRUE", "ON", "1"}
    keys = None if anonymous else _keys(href, access, newer_than)
    here = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    region = here if access.endpoint else _find_region(bucket, here)
    endpoint = access.endpoint or AWS.format(region=region) + (".cn" if region.startswith("cn-") else "")
    pays = access.sign == "requester-pays" or os.environ.get("AWS_REQUEST_PAYER") == "requester"
    return _s3_store((bucket, endpoint.rstrip("/"), region), keys, pays, access.timeout_s)


@lru_cache(maxsize=128)
def _s3_store(where: tuple[str, str, str], keys: Keys | None, pays: bool, timeout_s: float) -> S3Store:  # noqa: FBT001
    """where: bucket, endpoint and region. keys None: nothing is signed."""
    from obstore.store import S3Store  # noqa: PLC0415 (files on a disk do without it)

    bucket, endpoint, region = where

    def lend() -> S3Credential:
        """Given as a provider: a session token of the environment would be put beside keys that have none."""
        key, secret, token = keys or ("", "", "")
        return {"access_key_id": key, "secret_access_key": secret, "token": token or None, "expires_at": None}

    return S3Store(
        bucket,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=region,
        virtual_hosted_style_request=False,
        skip_signature=keys is None,
        request_payer=pays,
        credential_provider=lend if keys else None,
        client_options=_options(timeout_s, endpoint),
        retry_config={"max_retries": 0},
    )


def _keys(href: str, access: Access, newer_than: float) -> Keys:
    """The source's own keys, or those that any AWS client would find here. Raises Unsupported where there are none."""
    keys = s3_keys(href, access, newer_than=newer_than)
    if keys is not None:
        return keys
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return key, secret, os.environ.get("AWS_SESSION_TOKEN", "")
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 (slow to import)

    try:
        found = _chain(tuple(os.environ.get(name) for name in _CHAIN))
        frozen = None if found is None else found.get_frozen_credentials()
    except BotoCoreError as error:
        raise Unsupported(f"no AWS credentials: {type(error).__name__}") from None
    if frozen is None:
        raise Unsupported("no AWS credentials were found")
    return frozen.access_key, frozen.secret_key, frozen.token or ""


@lru_cache(maxsize=4)
def _chain(_settings: tuple[str | None, ...]) -> Any:
    """Files, roles and instances, in the order of every AWS client; they renew themselves. None where there is none."""
    from botocore.session import Session  # noqa: PLC0415 (slow to import)

    return Session().get_credentials()


def _find_region(bucket: str, here: str) -> str:
    try:
        return _ask_region(bucket, here)
    except requests.RequestException:
        return here


@lru_cache(maxsize=256)
def _ask_region(bucket: str, here: str) -> str:
    """Where AWS keeps a bucket: it says so to anybody, in every answer but to a name it does not know.

    Asked at the nearest endpoint, as a private network may reach no other. Source: Amazon S3 API, HeadBucket,
    `x-amz-bucket-region`.
    """
    answer = requests.head(f"{AWS.format(region=here)}/{bucket}", timeout=(CONNECT_S, STALL_S))
    return answer.headers.get("x-amz-bucket-region", here)
