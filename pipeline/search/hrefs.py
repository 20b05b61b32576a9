"""The addresses of one file: kept unsigned, with where each lies, and the one that a source should read.

Sources: STAC extensions alternate-assets 1.x and storage 1.0 (`storage:region`) and 2.0 (`storage:schemes`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipeline.config import SourceConfig
from pipeline.types import Json

_SIGNATURE = re.compile(
    r"(?i)sig|signature|token|access_token|expires|awsaccesskeyid|policy|key-pair-id|x-amz-.*|x-goog-.*"
    r"|se|st|sp|sv|sr|spr|skoid|sktid|skt|ske|sks|skv"
)
_AWS_HOST = re.compile(r"(?:^|\.)s3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com$")


def unsigned(href: str) -> str:
    """The address without the parameters of a signature: what is kept of an item that was saved after signing."""
    path, question, query = href.partition("?")
    kept = "&".join(part for part in query.split("&") if not _SIGNATURE.fullmatch(part.partition("=")[0]))
    return f"{path}?{kept}" if question and kept else path


def places(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> Json:
    """Canonical `href`, `alternate` and their `storage:*` fields of a raw asset; nothing where nothing is said."""
    alternates = asset.get("alternate")
    others = {
        str(name): _place(one, properties)
        for name, one in (alternates.items() if isinstance(alternates, Mapping) else ())
        if isinstance(one, Mapping) and one.get("href")
    }
    return {**_place(asset, properties), "alternate": others or None}


def preferred(asset: Mapping[str, Any], source: SourceConfig | None) -> str:
    """The address of a canonical asset that a source should read.

    One of the `prefer`red kind, then one in the source's `region`, then the item's own. One whose requester pays is
    taken only where the source says so, or has no choice.
    """
    own: str = asset["href"]
    if source is None:
        return own
    region = (source.region or "").lower()

    def rank(place: Mapping[str, Any]) -> tuple[bool, bool, bool]:
        scheme = place["href"].partition("://")[0]
        pays = bool(place.get("storage:requester_pays")) and scheme == "s3"
        return (
            pays and source.sign != "requester-pays",
            source.prefer is not None and scheme != source.prefer,
            not region or str(place.get("storage:region") or "").lower() != region,
        )

    others = [one for one in (asset.get("alternate") or {}).values() if one]
    return str(min((asset, *others), key=rank)["href"])


def _place(one: Mapping[str, Any], properties: Mapping[str, Any]) -> Json:
    schemes, refs = properties.get("storage:schemes"), one.get("storage:refs")
    named = [schemes.get(ref) for ref in refs] if isinstance(schemes, Mapping) and isinstance(refs, list) else []
    scheme = next((one for one in named if isinstance(one, Mapping)), {})
    said = {**properties, **{f"storage:{key}": value for key, value in scheme.items()}, **one}
    href = unsigned(str(one["href"]))
    host = _AWS_HOST.search(urlsplit(href).hostname or "") if "://" in href else None
    region = said.get("storage:region") or (host and host[1])
    pays = said.get("storage:requester_pays")
    return {
        "href": href,
        "storage:region": str(region) if region else None,
        "storage:requester_pays": pays if isinstance(pays, bool) else None,
    }
