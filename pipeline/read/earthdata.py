"""NASA Earthdata: a user's token for https, and the S3 keys that a data centre lends to its holder.

The token is taken from EARTHDATA_TOKEN, or asked for with the password that ~/.netrc holds for Earthdata Login. It goes
to Earthdata's own hosts over https and nowhere else, redirects included: those lead to signed addresses of other hosts.
"""

from __future__ import annotations

import netrc
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.read.lent import Lent

LOGIN = "https://urs.earthdata.nasa.gov"
HOSTS = re.compile(
    r"https://(?:[a-z0-9-]+\.)+(?:earthdata\.nasa\.gov|earthdatacloud\.nasa\.gov|asf\.alaska\.edu)(?:/|$)"
)
"""Where the token may go. Source: the DAACs' own pages; NASA's earthaccess has the same data centres."""
LENDERS = {
    "asf-cumulus-": "https://cumulus.asf.alaska.edu/s3credentials",
    "asf-": "https://sentinel1.asf.alaska.edu/s3credentials",
    "gesdisc-": "https://data.gesdisc.earthdata.nasa.gov/s3credentials",
    "ghrc": "https://data.ghrc.earthdata.nasa.gov/s3credentials",
    "lp-": "https://data.lpdaac.earthdatacloud.nasa.gov/s3credentials",
    "nsidc-": "https://data.nsidc.earthdatacloud.nasa.gov/s3credentials",
    "ornl-": "https://data.ornldaac.earthdata.nasa.gov/s3credentials",
    "podaac-": "https://archive.podaac.earthdata.nasa.gov/s3credentials",
    "prod-lads": "https://data.laadsdaac.earthdatacloud.nasa.gov/s3credentials",
}
"""Where the keys of a bucket are lent, by the start of its name."""
_TIMEOUT_S = (10, 30)
_HOUR_S = 3600.0

_TOKENS: Lent[str] = Lent()
_KEYS: Lent[tuple[str, str, str]] = Lent()


def bearer(href: str, newer_than: float = 0.0) -> str | None:
    """The token for an https address; None for a host that may not have it. Raises AssetError without a token."""
    if not HOSTS.match(href):
        return None
    token = os.environ.get("EARTHDATA_TOKEN")
    return token or _TOKENS.get(LOGIN, _log_in, newer_than)


def s3_keys(href: str, lender: str | None, newer_than: float = 0.0) -> tuple[str, str, str]:
    """Access key, secret key and session token for an s3 address.

    lender: address that lends them; None: by the name of the bucket. Raises AssetError naming what is missing.
    """
    bucket = href.removeprefix("s3://").partition("/")[0]
    address = lender or next((LENDERS[start] for start in LENDERS if bucket.startswith(start)), None)
    if address is None or not HOSTS.match(address):
        found = "no data centre is known for its bucket" if address is None else f"{address} is no host of Earthdata"
        raise PermanentAssetError(
            href, f"no S3 keys: {found}; name the source's s3_credentials, https://…/s3credentials"
        )
    return _KEYS.get(address, lambda: _borrow(href, address, newer_than), newer_than)


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class _Session(requests.Session):
    """Follows redirects between Earthdata's hosts with the token, to any other without it."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        del response
        if not HOSTS.match(prepared_request.url or ""):
            prepared_request.headers.pop("Authorization", None)


def _borrow(href: str, address: str, newer_than: float) -> tuple[tuple[str, str, str], float]:
    token = bearer(address, newer_than) or ""
    try:
        with _Session() as session:
            answer = session.get(address, auth=_Bearer(token), timeout=_TIMEOUT_S)
        _check(href, address, answer)
        body = answer.json()
        keys = str(body["accessKeyId"]), str(body["secretAccessKey"]), str(body["sessionToken"])
        ends = datetime.fromisoformat(str(body["expiration"]))
        ends = ends if ends.tzinfo else ends.replace(tzinfo=UTC)
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise TransientAssetError(href, f"no S3 keys from {address}: {type(error).__name__}") from None
    return keys, ends.timestamp()


def _log_in() -> tuple[str, float]:
    """A token for the user and password in ~/.netrc, and until when it is used: it lives for weeks."""
    name, password = _password()
    address = f"{LOGIN}/api/users/find_or_create_token"
    try:
        answer = requests.post(address, auth=(name, password), timeout=_TIMEOUT_S, allow_redirects=False)
        _check(LOGIN, address, answer)
        body: Any = answer.json()
        return str(body["access_token"]), datetime.now(UTC).timestamp() + _HOUR_S
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise TransientAssetError(LOGIN, f"no token from Earthdata Login: {type(error).__name__}") from None


def _password() -> tuple[str, str]:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    host = LOGIN.partition("://")[2].partition("/")[0].partition(":")[0]
    try:
        found = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        found = None
    if found is None or not found[0] or not found[2]:
        raise PermanentAssetError(LOGIN, f"no Earthdata credentials: set EARTHDATA_TOKEN, or name {host} in {path}")
    return found[0], found[2]


def _check(href: str, address: str, answer: requests.Response) -> None:
    if answer.status_code in {401, 403}:
        fix = "renew EARTHDATA_TOKEN or ~/.netrc, and accept the data centre's terms"
        raise PermanentAssetError(
            href, f"{address} refuses the Earthdata credentials: HTTP {answer.status_code}; {fix}"
        )
    answer.raise_for_status()
