"""The far server answers what the files hold, late, and counts what it was asked."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.benchmarks.contest import Place
from tests.benchmarks.places import far_away

CONTENT = bytes(range(256)) * 40
LATENCY_S = 0.05


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two files behind a latency."""
    folder = tmp_path_factory.mktemp("files")
    features = []
    for name in ("a", "b"):
        (folder / "scenes" / name).mkdir(parents=True)
        (folder / "scenes" / name / "red.tif").write_bytes(CONTENT)
        features.append({"assets": {"red": {"href": str(folder / "scenes" / name / "red.tif")}}})
    items = folder / "items.json"
    items.write_text(json.dumps({"features": features}))
    with far_away(items, folder / "http", LATENCY_S) as found:
        yield found


def hrefs(place: Place) -> list[str]:
    return [item["assets"]["red"]["href"] for item in json.loads(place.items.read_text())["features"]]


def ask(href: str, span: str | None = None, method: str = "GET") -> tuple[int, bytes, str | None]:
    headers = {"Range": span} if span else {}
    asked = urllib.request.Request(href, headers=headers, method=method)  # noqa: S310 (our own server)
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        return answer.status, answer.read(), answer.headers["Content-Range"]


@pytest.mark.parametrize(
    ("span", "expected"),
    [("bytes=0-99", slice(0, 100)), ("bytes=500-", slice(500, None)), ("bytes=-7", slice(-7, None))],
)
def test_a_range_is_the_files_bytes(place: Place, span: str, expected: slice) -> None:
    status, body, said = ask(hrefs(place)[0], span)
    start, stop, _ = expected.indices(len(CONTENT))
    assert (status, body, said) == (206, CONTENT[expected], f"bytes {start}-{stop - 1}/{len(CONTENT)}")


def test_requests_objects_and_bytes_are_counted_from_one_question_to_the_next(place: Place) -> None:
    place.counts()
    one, other = hrefs(place)
    ask(one, "bytes=0-99")
    ask(one)
    ask(other, "bytes=10-19")
    ask(other, method="HEAD")
    assert place.counts() == {"requests": 4, "objects": 2, "bytes": 100 + len(CONTENT) + 10}
    assert place.counts() == {"requests": 0, "objects": 0, "bytes": 0}


def test_no_answer_comes_before_the_latency(place: Place) -> None:
    began = time.perf_counter()
    ask(hrefs(place)[0], "bytes=0-0")
    assert time.perf_counter() - began >= LATENCY_S


def test_what_is_not_there_or_outside_is_not_found(place: Place) -> None:
    for path in ("/c/red.tif", "/a/../../items.json"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(hrefs(place)[0].removesuffix("/a/red.tif") + path)
