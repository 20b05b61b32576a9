"""The page: it says what the document says, loads nothing, and runs nothing that an object's author wrote."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given

from pipeline.checks.page import render_page
from pipeline.checks.result import Example, Finding, Result, Subject
from tests.checks.test_result import RESULTS

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile() -> Result:
    finding = Finding(HOSTILE, HOSTILE, "fail", HOSTILE, HOSTILE, 2, 3, (Example(HOSTILE, HOSTILE),))
    facts = {HOSTILE: HOSTILE, "table": [{HOSTILE: HOSTILE}], "list": [1, HOSTILE], "deep": {HOSTILE: None}}
    return Result(Subject(HOSTILE, HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE), HOSTILE, "table", HOSTILE, (finding,), facts)


def test_nothing_of_an_object_becomes_markup_and_nothing_is_loaded() -> None:
    found = Tags(render_page(hostile()))
    assert {tag for tag, _ in found.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "p", "b", "h1", "h2", "span", "code", "br"),
        *("section", "div", "dl", "dt", "dd", "table", "caption", "tr", "th", "td"),
    }
    assert not any(
        name in {"src", "href", "style"} or name.startswith("on") for _, attrs in found.tags for name in attrs
    )
    assert HOSTILE in found.text


@given(RESULTS)
def test_every_finding_is_on_the_page_and_the_same_result_gives_the_same_page(result: Result) -> None:
    page = render_page(result)
    assert page == render_page(result)
    assert page.decode().count('<div class="finding">') == len(result.findings)
    assert f'<span class="badge {result.verdict}">' in page.decode()
