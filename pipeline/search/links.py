"""Addresses inside catalogue documents, made absolute against the address of the document they stand in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

from pipeline.types import Json

_URL_USER = re.compile(r"^(\w+://)[^/@]*@")


def absolute(item: Json, where: str, *, alone: bool = False) -> Json:
    """A copy of an item whose asset hrefs are absolute; one in a file of its own (`alone`) also learns its address.

    What is no item is returned as it is: whoever normalises it says what is wrong.
    """
    if not isinstance(item, dict):
        return item
    where = _URL_USER.sub(r"\1", where)  # what opens a catalogue is not handed on to the files it names
    assets = item.get("assets")
    links = [link for link in as_list(item.get("links")) if isinstance(link, dict)]
    own = next(
        (link.get("href") for link in links if link.get("rel") == "self"), where.partition("?")[0] if alone else None
    )
    others = [link for link in links if link.get("rel") != "self"]
    if own is not None:
        others.append({"rel": "self", "href": join(where, str(own)), "type": "application/geo+json"})
    return {
        **item,
        "assets": {
            key: _absolute_asset(asset, where)
            for key, asset in (assets.items() if isinstance(assets, dict) else ())
            if isinstance(asset, dict) and asset.get("href")
        },
        "links": others,
    }


def own_address(item: Json, where: str) -> str:
    """What the hrefs of an API's item count from: its own address where it says one, else where it was found."""
    links = as_list(item.get("links")) if isinstance(item, dict) else []
    own = next((link.get("href") for link in links if isinstance(link, dict) and link.get("rel") == "self"), None)
    return join(where, str(own)) if own else where


def child_links(content: Json, where: str) -> Iterator[str]:
    """Addresses of the items and children that a catalogue or collection names."""
    if isinstance(content, dict) and content.get("type") not in {"Feature", "FeatureCollection"}:
        for link in as_list(content.get("links")):
            if isinstance(link, dict) and link.get("rel") in {"item", "child"} and link.get("href"):
                yield join(where, str(link["href"]))


def as_list(value: Json) -> list[Json]:
    """A list; anything else is none."""
    return value if isinstance(value, list) else []


def join(base: str, href: str) -> str:
    """An href made absolute against the address of the document it stands in."""
    if "://" in href:
        return href if "://" in base else href.removeprefix("file://")
    if base.startswith("s3://"):
        return "s3://" + urljoin("http://" + base[5:], href).removeprefix("http://")
    if "://" in base:
        return urljoin(base, href)
    if href.startswith("/"):
        return href
    return os.path.normpath(Path(base).parent / href)


def _absolute_asset(asset: Json, where: str) -> Json:
    made = {**asset, "href": join(where, str(asset["href"]))}
    alternates = asset.get("alternate")
    if isinstance(alternates, dict):
        made["alternate"] = {
            key: {**one, "href": join(where, str(one["href"]))}
            for key, one in alternates.items()
            if isinstance(one, dict) and one.get("href")
        }
    return made
