"""The report of a run as one HTML page that needs nothing else: style, script, data and pictures are in it.

Its own content policy forbids every request, and every script and style but its own by their digests; so whatever a
message or a name may hold, nothing of it runs and nothing leaves the reader's machine.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from string import Template

from pipeline.report import page_head, page_parts
from pipeline.report.page_cost import cost
from pipeline.report.page_data import pack
from pipeline.types.account import Account

_SCRIPTS = ("data", "words", "filter", "steer", "map", "time", "durations", "table", "main")


def render_page(account: Account) -> str:
    """The whole page as text; some 2 MB for 100,000 jobs, and what the thumbnails take."""
    style = _asset("page.css")
    script = "(function () {\n'use strict';\n" + "\n".join(_asset(f"{name}.js") for name in _SCRIPTS) + "\n})();\n"
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        policy=policy,
        title=escape(f"{account.name}: run {account.run}"),
        style=style,
        script=script,
        data=pack(account),
        head=page_head.head(account),
        chips=page_head.chips(account),
        causes=page_parts.causes(account),
        products=page_parts.products(account),
        cost=cost(account),
        quality=page_parts.quality(account),
        pictures=page_parts.pictures(account),
        environment=page_parts.environment(account),
        config=page_parts.config(account),
    )


def _asset(name: str) -> str:
    return files("pipeline.report").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
