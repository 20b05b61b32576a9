"""What every test may count on: quiet libraries, no network but loopback, named skips for what a machine lacks."""

from __future__ import annotations

import os
import shutil
import socket
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.worlds import SmallWorld

pytest_plugins = ["tests.fakekube.fixtures", "tests.servers.fixtures"]

# Before Dask is imported, and inherited by the processes that tests start.
os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
os.environ.setdefault("NUMBA_DISABLE_PERFORMANCE_WARNINGS", "1")

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104 - connected to, never bound
CLOSED_PROXY = "http://127.0.0.1:9"


class NetworkUseError(RuntimeError):
    """A test tried to leave this machine; no OSError, so that no retry takes it for a bad line."""


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Streams to anywhere but loopback raise; libcurl (GDAL) and child processes meet a closed proxy instead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            patch.setenv(name, CLOSED_PROXY)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost,::1")
        yield


@pytest.fixture(scope="session", autouse=True)
def own_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs of tests are neither estimated by this machine's own journals nor put among them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        remote = self.family in {socket.AF_INET, socket.AF_INET6} and self.type == socket.SOCK_STREAM
        if remote and not str(address[0]).startswith(LOOPBACK):
            raise NetworkUseError(f"a test connects to {address[0]}:{address[1]}: tests may use loopback only")
        return connect(self, address)

    return guarded


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is kept beside the checkout, or wherever GROUNDSWELL_SHARED says."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("GROUNDSWELL_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}: set GROUNDSWELL_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def need_binary() -> Callable[[str], str]:
    """Path of a program that is no Python package; where it is missing, skips by name, and fails when CI is set."""

    def find(name: str) -> str:
        pinned = sysconfig.get_path("scripts")
        path = shutil.which(name, path=os.pathsep.join((pinned, os.environ.get("PATH", os.defpath))))
        if path is not None:
            return path
        missing = f"needs the program `{name}`, which is neither in {pinned} nor on PATH"
        return pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)

    return find


@pytest.fixture(scope="session")
def demo_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo world, small: made once, never written to."""
    from pipeline.demo import build_world  # noqa: PLC0415 (slow to import, and few tests need it)

    return build_world(tmp_path_factory.mktemp("demo") / "world", px=256).folder


@pytest.fixture
def world(demo_world: Path, tmp_path: Path) -> SmallWorld:
    """A small config over the demo world, with an output of its own."""
    from tests.worlds import small_world  # noqa: PLC0415 (the same)

    return small_world(demo_world, tmp_path)
