"""Files in memory, for whoever has no local copy."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.mirror.read import read_files
from pipeline.mirror.transports import MissingFileError
from tests.mirror.gdacs import gdac_of, path_of, profile_bytes
from tests.servers.faulty import Answer, always, run_faulty

FILES = {path_of(k): profile_bytes(k) for k in range(20)}
SERVED = {f"/{path}": data for path, data in FILES.items()}


def made(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def test_every_path_is_answered_once_with_its_bytes_or_its_error() -> None:
    with run_faulty(SERVED | {f"/{path_of(3)}": b"<html>"}) as server:
        got = dict(read_files(gdac_of(server.address), [*FILES, path_of(99), path_of(0)]))
    errors = {path: answer for path, answer in got.items() if isinstance(answer, AssetError)}
    assert {path: type(error) for path, error in errors.items()} == {
        path_of(3): PermanentAssetError,
        path_of(99): MissingFileError,
    }
    assert {path: got[path] for path in FILES if path != path_of(3)} == {k: FILES[k] for k in FILES if k != path_of(3)}


def test_a_local_copy_is_asked_first_and_what_it_lacks_of_the_others(tmp_path: Path) -> None:
    here = {path: data for path, data in FILES.items() if path > path_of(4)}
    made(tmp_path, here | {path_of(9): FILES[path_of(9)][:-5]})
    with run_faulty(SERVED) as server:
        got = dict(read_files(gdac_of(str(tmp_path), server.address), list(FILES)))
        assert {request.path for request in server.requests} == {f"/{path_of(k)}" for k in (0, 1, 2, 3, 4, 9)}
    assert got == FILES


def test_a_folder_alone_is_read_without_any_thread(tmp_path: Path) -> None:
    made(tmp_path, FILES)
    for path, data in read_files(gdac_of(str(tmp_path)), list(FILES)):
        assert data == FILES[path]
        assert not [thread for thread in threading.enumerate() if thread.name == "gdac"]
    lost = dict(read_files(gdac_of(str(tmp_path)), [path_of(50), "../x"]))
    assert [type(answer) for answer in lost.values()] == [MissingFileError, PermanentAssetError]


def test_a_reader_that_is_slow_holds_no_more_than_the_files_in_flight() -> None:
    with run_faulty(SERVED) as server:
        answers = read_files(gdac_of(server.address, in_flight=3), list(FILES))
        next(answers)
        threading.Event().wait(0.2)
        assert len(server.requests) <= 3
        assert len(dict(answers)) == len(FILES) - 1


def test_a_reader_that_stops_early_leaves_no_thread_and_no_request_behind() -> None:
    with run_faulty(SERVED, always(Answer(delay_s=0.02))) as server:
        for _ in read_files(gdac_of(server.address), list(FILES)):
            break
        assert not [thread for thread in threading.enumerate() if thread.name == "gdac"]
        assert len(server.requests) < len(FILES)


def test_files_can_be_read_where_an_event_loop_runs() -> None:
    async def caller(address: str) -> int:
        return len(list(read_files(gdac_of(address), list(FILES))))

    with run_faulty(SERVED) as server:
        assert asyncio.run(caller(server.address)) == len(FILES)
