"""Laws of reading over HTTP on a bad day: what passes is tried again, what stays is named, no pixel is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from urllib3.exceptions import LocationParseError

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read import raster
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.types import Asset
from tests.servers.faulty import Answer, FaultyServer, Request, Rule, always, first, run_faulty, truly

GEOBOX = GeoBox((480, 480), Affine(120, 0, 523_980, 0, -120, 5_076_000), "EPSG:32633")
ACCESS = Access(local=False, timeout_s=5)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between attempts; nothing is waited here."""
    waited: list[float] = []
    monkeypatch.setattr(raster, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def scene(shared_data: Path) -> bytes:
    """A real COG of 420 KB: more than GDAL asks for at once."""
    return next((shared_data / "raster/s2/e84v1_33TWL_cog").glob("*20230815*/B04.tif")).read_bytes()


def pixels(content: bytes) -> NDArray[np.uint16]:
    with rasterio.MemoryFile(content) as memory, memory.open() as source:
        return np.asarray(source.read(1))


def read(server: FaultyServer, access: Access = ACCESS) -> NDArray[np.uint16]:
    asset = Asset("red", f"{server.address}/red.tif")
    return read_layer(asset, access, "scene-1", Target.rows_of(GEOBOX))


def fail(server: FaultyServer, access: Access = ACCESS) -> AssetError:
    """The error of a read that must fail; its message names item, asset, address and cause."""
    with pytest.raises(AssetError) as caught:
        read(server, access)
    error = caught.value
    assert str(error) == f"item scene-1, asset red: {server.address}/red.tif: {error.cause}"
    return error


def test_a_sound_file_is_read_with_few_requests(scene: bytes) -> None:
    with run_faulty({"/red.tif": scene}) as server:
        np.testing.assert_array_equal(read(server), pixels(scene))
        assert {request.path for request in server.requests} == {"/red.tif"}, "siblings were asked for"
        assert server.count("/red.tif") <= 2, "its head, and all its blocks at once"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_permanent_and_names_its_status(status: int, pauses: list[float]) -> None:
    with run_faulty({}, always(Answer(status))) as server:
        error = fail(server)
    assert isinstance(error, PermanentAssetError)
    assert (error.cause, error.attempts, pauses) == (f"HTTP {status}", 1, [])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(scene: bytes, status: int, pauses: list[float]) -> None:
    with run_faulty({"/red.tif": scene}, first(4, Answer(status))) as server:
        np.testing.assert_array_equal(read(server), pixels(scene))
    assert pauses, "it was not busy long enough to matter"


def test_a_server_that_stays_busy_is_named_after_all_attempts(pauses: list[float]) -> None:
    """Four attempts, with pauses that grow and never agree with those of other readers."""
    with run_faulty({}, always(Answer(503))) as server:
        error = fail(server)
    assert isinstance(error, TransientAssetError)
    assert (error.cause, error.attempts) == ("HTTP 503", 4)
    assert len(pauses) == 3
    assert all(0.5 * 2**n <= pause <= 1.0 * 2**n for n, pause in enumerate(pauses))


def test_one_attempt_is_one_attempt(pauses: list[float]) -> None:
    with run_faulty({}, always(Answer(503))) as server:
        error = fail(server, Access(local=False, attempts=1))
    assert (error.attempts, pauses) == (1, [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><body>Please sign in</body></html>", "not a TIFF or JPEG 2000 (starts with '<htm')"),
        (
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "not a TIFF or JPEG 2000 (starts with '<?xm')",
        ),
        (b'{"detail": "gone"}', "not a TIFF or JPEG 2000 (starts with '{\"de')"),
        (b"\n\n\n\n", "not a TIFF or JPEG 2000 (starts with '    ')"),
        (b"", "the file is empty"),
    ],
)
def test_a_page_in_the_place_of_a_file_is_named(body: bytes, said: str) -> None:
    with run_faulty({"/red.tif": body}) as server:
        error = fail(server)
    assert isinstance(error, PermanentAssetError)
    assert error.cause == said


@pytest.mark.parametrize("share", [0.01, 0.5, 0.98])
def test_a_truncated_file_is_damaged_and_gives_no_pixels(scene: bytes, share: float) -> None:
    with run_faulty({"/red.tif": scene[: int(len(scene) * share)]}) as server:
        error = fail(server)
    assert isinstance(error, PermanentAssetError)
    assert error.cause.startswith("damaged or not readable: ")
    assert error.attempts == 2, "a remote file may have been cut on the way: once more, not for ever"


def spoil(number: int, answer: Answer) -> Rule:
    """Only the n-th request that asks for bytes is answered so."""
    asked: list[Request] = []

    def rule(request: Request, _earlier: int) -> Answer | None:
        if request.method != "GET":
            return None
        asked.append(request)
        return answer if len(asked) == number else None

    return rule


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("cut_bytes", [0, 100, 10_000])
def test_a_body_that_is_cut_once_is_read_again_whole(scene: bytes, number: int, cut_bytes: int) -> None:
    """The header or the pixels, at the start or in the middle: never a short or a stale window."""
    with run_faulty({"/red.tif": scene}, spoil(number, Answer(cut_bytes=cut_bytes))) as server:
        np.testing.assert_array_equal(read(server), pixels(scene))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_error_in_the_middle_of_a_read_is_tried_again(scene: bytes, number: int) -> None:
    with run_faulty({"/red.tif": scene}, spoil(number, Answer(503))) as server:
        np.testing.assert_array_equal(read(server), pixels(scene))


@pytest.mark.parametrize("number", [1, 2])
def test_a_page_in_the_middle_of_a_read_never_becomes_pixels(scene: bytes, number: int) -> None:
    """A gateway's page with status 200, once: the right pixels or a named error."""
    with run_faulty({"/red.tif": scene}, spoil(number, Answer(body=b"<html>" * 100))) as server:
        try:
            found = read(server)
        except AssetError as error:
            found, told = pixels(scene), str(error)
        else:
            told = f"item scene-1, asset red: {server.address}"
    np.testing.assert_array_equal(found, pixels(scene))
    assert told.startswith(f"item scene-1, asset red: {server.address}")


def test_a_file_that_appears_later_is_found(scene: bytes) -> None:
    """What an earlier read of the same address found missing is not remembered."""
    files: dict[str, bytes] = {}
    with run_faulty(files) as server:
        assert fail(server).cause == "HTTP 404"
        files["/red.tif"] = scene
        np.testing.assert_array_equal(read(server), pixels(scene))


def test_a_slow_answer_ends_with_the_time_out_and_is_tried_again(scene: bytes, pauses: list[float]) -> None:
    slow = first(1, Answer(delay_s=2.5))
    with run_faulty({"/red.tif": scene}, slow) as server:
        np.testing.assert_array_equal(read(server, Access(local=False, timeout_s=1)), pixels(scene))
    assert pauses, "the time-out did not end the read"


def test_a_server_that_is_not_there_is_named(pauses: list[float]) -> None:
    with run_faulty({}, truly) as server:
        pass
    error = fail(server)
    assert isinstance(error, TransientAssetError)
    assert error.cause == "no answer from the server: ConnectionError"
    assert error.attempts == 4 and len(pauses) == 3


@pytest.mark.parametrize("rule", [truly, first(3, Answer(503))], ids=["sound", "busy"])
def test_the_same_holds_over_s3(scene: bytes, rule: Rule) -> None:
    with run_faulty({"/bucket/red.tif": scene}, rule) as server:
        access = replace(ACCESS, endpoint=server.address, anonymous=True)
        found = read_layer(Asset("red", "s3://bucket/red.tif"), access, "scene-1", Target.rows_of(GEOBOX))
    np.testing.assert_array_equal(found, pixels(scene))


def test_a_body_that_is_cut_once_over_s3_is_read_again_whole(scene: bytes) -> None:
    with run_faulty({"/bucket/red.tif": scene}, spoil(2, Answer(cut_bytes=100))) as server:
        access = replace(ACCESS, endpoint=server.address, anonymous=True)
        found = read_layer(Asset("red", "s3://bucket/red.tif"), access, "scene-1", Target.rows_of(GEOBOX))
    np.testing.assert_array_equal(found, pixels(scene))


def test_an_address_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(
        PermanentAssetError, match=r"item scene-1, asset red: http://\[x/red\.tif: cannot be read: Invalid"
    ):
        read_layer(Asset("red", "http://[x/red.tif"), ACCESS, "scene-1", Target.rows_of(GEOBOX))


def test_a_host_that_no_client_takes_is_the_assets_own_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is none of `requests`: urllib3's, which is a ValueError."""
    href = f"http://{'a' * 300}/red.tif"

    def refuse(*_: Any, **__: Any) -> None:
        raise LocationParseError(href)

    monkeypatch.setattr("pipeline.read.probe.requests.get", refuse)
    with pytest.raises(PermanentAssetError, match="no address that can be asked: LocationParseError"):
        read_layer(Asset("red", href), ACCESS, "scene-1", Target.rows_of(GEOBOX))


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({"anonymous": True}, TransientAssetError, "S3: Could not connect to the endpoint"),
        ({}, PermanentAssetError, "S3: Unable to locate credentials"),
        ({"profile": "nobody"}, PermanentAssetError, "S3: The config profile (nobody) could not be found"),
    ],
)
def test_an_s3_that_cannot_be_asked_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], kind: type[AssetError], said: str
) -> None:
    """No server, no credentials, no such profile: the asset's own loss, not an error of another library."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with run_faulty({}) as server:
        access = replace(ACCESS, endpoint=server.address, **settings)
    with pytest.raises(kind, match=f"^item scene-1, asset red: s3://bucket/red.tif: {re.escape(said)}"):
        read_layer(Asset("red", "s3://bucket/red.tif"), access, "scene-1", Target.rows_of(GEOBOX))
