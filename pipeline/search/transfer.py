"""How catalogues are fetched: files, HTTP with bounded retries, S3 with the source's own settings."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from botocore.exceptions import BotoCoreError
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from pipeline.config import StorageConfig, mask_credentials
from pipeline.errors import CatalogError

if TYPE_CHECKING:
    import s3fs

RETRY = Retry(
    total=5,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    # A server may ask for hours.
    retry_after_max=60,
)
TIMEOUT_S = (10, 60)
THREADS = 16
CUTS = 3
"""Times one document is asked for when its body is cut on the way, which urllib3's retries do not see."""


@dataclass(frozen=True)
class Library:
    """Reads the documents of one source; raises CatalogError naming the address without its credentials."""

    session: requests.Session
    storage: StorageConfig
    requester_pays: bool = False

    def read_bytes(self, location: str) -> bytes:
        """The whole document at a path, http(s):// or s3:// address."""
        shown = mask_credentials(location)
        try:
            if location.startswith(("http://", "https://")):
                return self._get(location)
            if location.startswith("s3://"):
                content: bytes = self._s3().cat_file(location)
                return content
            return Path(location).read_bytes()
        except FileNotFoundError:
            fix = "make it, or correct the path, which counts from the config's folder"
            raise CatalogError(f"{shown}: cannot be read: FileNotFoundError: no such file; {fix}") from None
        except requests.HTTPError as error:
            raise CatalogError(f"{shown}: HTTP {error.response.status_code}") from None
        except (OSError, ValueError, BotoCoreError) as error:
            cause = f"{type(error).__name__}: {mask_credentials(str(error))}"
            raise CatalogError(f"{shown}: cannot be read: {cause}") from None

    def read_json(self, location: str) -> Any:
        """A JSON document."""
        try:
            return json.loads(self.read_bytes(location))
        except ValueError as error:
            raise CatalogError(f"{mask_credentials(location)}: not JSON: {error}") from None

    def _get(self, location: str) -> bytes:
        for _ in range(CUTS - 1):
            with suppress(requests.exceptions.ChunkedEncodingError):
                return self._got(location)
        return self._got(location)

    def _got(self, location: str) -> bytes:
        answer = self.session.get(location, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.content

    def _s3(self) -> s3fs.S3FileSystem:
        import s3fs  # noqa: PLC0415 (slow to import, only for catalogues on S3)

        return s3fs.S3FileSystem(
            anon=self.storage.anonymous,
            profile=self.storage.profile,
            endpoint_url=self.storage.endpoint,
            requester_pays=self.requester_pays,
            skip_instance_cache=True,
            use_listings_cache=False,
        )


def open_library(storage: StorageConfig | None = None, *, requester_pays: bool = False) -> Library:
    """A library with a session of its own, which many threads may share."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRY, pool_maxsize=THREADS))
    return Library(session, storage or StorageConfig(), requester_pays)
