"""Laws of bad days: what is short, late, refused or gone is an error that says so, or left to GDAL."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import TransientAssetError
from pipeline.read import fetch, flight, stores
from pipeline.read.access import Access
from pipeline.read.fetch import HEAD_BYTES, Unsupported, open_source
from tests.read.fetching import ACCESS, CONTENT, FILES, PATIENCE_S, SPANS, expected, fresh, read, spoil
from tests.servers.faulty import Answer, Request, always, run_faulty, truly
from tests.servers.weed import S3Server

__all__ = ["fresh"]


# --- bad days


@pytest.mark.parametrize("status", [404, 429, 500, 503])
@pytest.mark.parametrize("number", [1, 2])
def test_a_status_is_named_as_gdal_names_it(status: int, number: int) -> None:
    with run_faulty(FILES, spoil(number, Answer(status, b"<secret>"))) as server:
        with pytest.raises(OSError, match=f"^HTTP response code: {status}$"):
            read(server, SPANS[:1])
        assert read(server, SPANS) == expected(SPANS), "a failure is not remembered"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("cut_bytes", [0, 100])
def test_an_answer_that_is_cut_is_an_error(number: int, cut_bytes: int) -> None:
    cut = spoil(number, Answer(cut_bytes=cut_bytes))
    with run_faulty(FILES, cut) as server, pytest.raises(OSError, match=r"^the answer was cut$"):
        read(server, SPANS[:1])


@pytest.mark.parametrize(
    "headers", [{"Content-Range": "bytes 2000000-2000099/3000000"}, {"Content-Range": "bytes 2000000-2299999/3000000"}]
)
def test_an_answer_that_is_short_is_an_error(headers: dict[str, str]) -> None:
    """Whether it says so or not."""
    short = Answer(206, CONTENT[2_000_000:2_000_100], headers=headers)
    with run_faulty(FILES, spoil(2, short)) as server, pytest.raises(OSError, match=r"UnexpectedRange|100 bytes found"):
        read(server, SPANS[:1])


def test_a_head_that_is_short_is_an_error() -> None:
    short = Answer(206, CONTENT[:100], headers={"Content-Range": "bytes 0-16383/3000000"})
    with run_faulty(FILES, always(short)) as server, pytest.raises(OSError, match=r"^100 bytes found at 0, 16384 exp"):
        read(server, [])


def test_one_answer_too_late_fails_the_read_and_no_other() -> None:
    late = threading.Event()

    def rule(request: Request, _earlier: int) -> Answer | None:
        if request.headers["Range"].startswith("bytes=2000000-"):
            late.wait(PATIENCE_S)
        return None

    with run_faulty(FILES, rule) as server:
        with pytest.raises(TimeoutError, match=r"^nothing came for 0\.5 s, or not all of it in 0\.5 s$"):
            read(server, SPANS, Access(timeout_s=0.5))
        late.set()
        assert read(server, SPANS) == expected(SPANS)


def test_a_trickle_ends_with_the_time_out() -> None:
    """A byte now and then is no sign of life."""
    with run_faulty(FILES, spoil(2, Answer(trickle_s=0.01))) as server, pytest.raises(TimeoutError):
        read(server, [(2_000_000, 1000)], Access(timeout_s=1))


def test_a_server_that_stops_is_not_waited_for_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall ends a request long before its time is up."""
    monkeypatch.setattr(stores, "STALL_S", 0.5)
    monkeypatch.setattr(flight, "STALL_S", 0.5)
    access, stopped = Access(timeout_s=10 * PATIENCE_S), threading.Event()

    def rule(_request: Request, earlier: int) -> Answer | None:
        assert earlier == 0 or stopped.wait(PATIENCE_S)
        return None

    with run_faulty(FILES, rule) as server:
        with pytest.raises(TimeoutError, match=r"^nothing came for 0\.5 s, or not all of it in 600 s$"):
            read(server, SPANS, access)
        stopped.set()


def test_a_line_that_is_too_slow_for_all_gets_less_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "FLOOR_BYTES", 1000)
    slow = threading.Event()
    spans = [(100_000 * number, 1000) for number in range(16)]

    def rule(_request: Request, earlier: int) -> Answer | None:
        assert earlier == 0 or slow.wait(PATIENCE_S)
        return None

    room = fetch._FLIGHT.room
    with run_faulty(FILES, rule) as server:
        with pytest.raises(TimeoutError):
            read(server, spans, Access(timeout_s=2))
        cut = room.limit_bytes
        assert 1000 <= cut <= 4000 and room.limit_requests == flight.FLOOR_REQUESTS
        slow.set()
        assert read(server, spans) == expected(spans)
    assert cut < room.limit_bytes <= flight.BUDGET_BYTES
    assert room.limit_requests > flight.FLOOR_REQUESTS


def test_a_server_that_admits_few_gets_few() -> None:
    """Within the attempts that a read has, whatever was in flight before."""
    spans = [(70_000 * number, 10) for number in range(40)]

    def rule(_request: Request, earlier: int) -> Answer | None:
        too_many = server.busy > 5
        threading.Event().wait(0.02)
        return Answer(429) if too_many and earlier else None

    refusals: list[str] = []
    with run_faulty(FILES, rule) as server:
        for _ in range(ACCESS.attempts):
            try:
                assert read(server, spans) == expected(spans)
                break
            except OSError as error:
                refusals.append(str(error))
            while server.busy:
                threading.Event().wait(0.01)
    assert set(refusals) == {"HTTP response code: 429"} and len(refusals) < ACCESS.attempts


@pytest.mark.parametrize("headers", [None, {}, {"Content-Range": "bytes 0-16383/*"}])
def test_a_server_without_ranges_is_left_to_gdal(headers: dict[str, str] | None) -> None:
    """Or one that does not say which it gave, or of how much; it will do so again."""
    rule = truly if headers is None else always(Answer(206, CONTENT[:HEAD_BYTES], headers=headers))
    with run_faulty(FILES, rule, ranges=headers is not None) as server:
        with pytest.raises(Unsupported, match=r"^no answer to a range: .*Range") as caught:
            read(server, SPANS)
        assert not caught.value.passing
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_left_to_gdal_unless_the_credentials_were_ours(status: int) -> None:
    """It may know others: of a proxy, of a profile, of its own settings."""
    with run_faulty(FILES, always(Answer(status, b"<secret>"))) as server:
        with pytest.raises(Unsupported, match=f"^HTTP response code: {status}$") as caught:
            read(server, SPANS)
        assert caught.value.passing
        with pytest.raises(OSError, match=f"^HTTP response code: {status}$"):
            read(server, SPANS, Access(sign="planetary-computer"))


def test_a_server_that_is_not_there_is_left_to_gdal() -> None:
    with run_faulty(FILES) as server:
        pass
    with pytest.raises(Unsupported, match="Connect") as caught:
        read(server, SPANS)
    assert caught.value.passing and pickle.loads(pickle.dumps(caught.value)).passing


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("nothing", FileNotFoundError), ("", OSError), ("pipe", OSError)):
        with pytest.raises(kind), open_source(str(tmp_path / name), Access()):
            pass


def test_threads_that_fail_together_have_an_error_each() -> None:
    """Or they would write into one traceback."""
    with run_faulty(FILES, always(Answer(503, delay_s=0.2))) as server, ThreadPoolExecutor(4) as pool:
        failures = [one.exception(PATIENCE_S) for one in [pool.submit(read, server, SPANS) for _ in range(4)]]
    assert [str(one) for one in failures] == ["HTTP response code: 503"] * 4
    assert len({id(one) for one in failures}) == 4
    assert [str(pickle.loads(pickle.dumps(one))) for one in failures] == ["HTTP response code: 503"] * 4


# --- processes


def test_nothing_is_started_or_imported_by_the_import() -> None:
    code = (
        "import sys, threading; import pipeline.read.fetch; "
        "print(threading.active_count(), sorted({'obstore', 'botocore', 's3fs'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["1", "[]"]


def test_a_fork_leaves_remote_files_to_gdal(tmp_path: Path) -> None:
    """It does not have the client's threads, and would wait for ever; the head its parent knows is not enough."""
    code = """
import os, sys
from pipeline.read.access import Access
from pipeline.read.fetch import Unsupported, open_source
href = sys.argv[1]
with open_source(href, Access()) as source:
    assert len(source.ranges([(5, 10)])[0]) == 10
child = os.fork()
if not child:
    try:
        with open_source(href, Access()):
            pass
    except Unsupported as error:
        os.write(1, str(error).encode())
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    with run_faulty(FILES) as server:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, f"{server.address}/a/b.tif"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    assert said.stdout == "this process is a fork of one that reads remote files" and not said.stderr


def test_a_process_ends_quietly_with_requests_in_flight() -> None:
    code = """
import sys, threading, time
from pipeline.read.access import Access
from pipeline.read.fetch import open_source
with open_source(sys.argv[1], Access()) as source:
    far = [(100_000 * number, 10) for number in range(30)]
    threading.Thread(target=source.ranges, args=[far], daemon=True).start()
    time.sleep(0.5)
"""
    with run_faulty(FILES, lambda _request, earlier: Answer(delay_s=2) if earlier else None) as server:
        command = [sys.executable, "-c", code, f"{server.address}/a/b.tif"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    assert not said.stdout and not said.stderr


# --- a real S3 server


@pytest.fixture
def s3_object(s3_environment: S3Server, s3_bucket: str) -> tuple[str, Access, Callable[[bytes], None]]:
    def put(content: bytes) -> None:
        s3_environment.client().pipe_file(f"{s3_bucket}/fetch/b c=%20é.tif", content)

    put(CONTENT)
    return f"s3://{s3_bucket}/fetch/b c=%20é.tif", Access(endpoint=s3_environment.endpoint, local=False), put


@pytest.mark.long
def test_ranges_of_an_object(s3_object: tuple[str, Access, Callable[[bytes], None]]) -> None:
    href, access, put = s3_object
    with open_source(href, access) as source:
        assert source.head == CONTENT[:HEAD_BYTES] and source.version.size == len(CONTENT) and source.version.mark
        assert source.ranges(SPANS) == expected(SPANS)
        put(CONTENT[::-1])
        with pytest.raises(OSError, match=r"^the file changed while it was read"):
            source.ranges(SPANS)
    with open_source(href, access) as source:
        assert source.ranges(SPANS) == expected(SPANS, CONTENT[::-1])


@pytest.mark.long
def test_an_object_that_is_not_there(s3_object: tuple[str, Access, Callable[[bytes], None]]) -> None:
    href, access, _ = s3_object
    with pytest.raises(OSError, match=r"^HTTP response code: 404$"), open_source(f"{href}x", access):
        pass


@pytest.mark.long
def test_an_object_for_nobody_is_left_to_gdal(
    s3_object: tuple[str, Access, Callable[[bytes], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    href, access, _ = s3_object
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Unsupported, match=r"^HTTP response code: 403$"), open_source(href, access):
        pass


def test_a_missing_token_is_the_sources_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_faulty(FILES, lambda request, _: Answer(503) if "token" in request.path else truly(request, 0)) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{server.address}/token")
        with pytest.raises(TransientAssetError, match="no token from the signing service"):
            read(server, SPANS, Access(sign="planetary-computer", collection="c"))
