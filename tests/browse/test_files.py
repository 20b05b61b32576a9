"""Files of an output as answers."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import StreamingResponse

from pipeline.browse.files import serve_file
from pipeline.read.access import Access
from pipeline.write.store import open_store


def test_a_question_about_a_file_reads_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "red.tif").write_bytes(b"x" * 1000)
    said = serve_file(open_store(str(tmp_path)), Access(), "data/red.tif", "bytes=-10", head=True)
    assert not isinstance(said, StreamingResponse) and said.body == b""
    assert (said.status_code, said.headers["content-length"]) == (206, "10")
    assert said.headers["content-range"] == "bytes 990-999/1000"
