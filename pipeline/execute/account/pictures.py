"""Thumbnails of some of a run's tiles: a look at what was made, bounded in number and bytes."""

from __future__ import annotations

import json
import posixpath
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, islice, zip_longest

import numpy as np

from pipeline.errors import GroundswellError
from pipeline.types import Json, Period, Upstream
from pipeline.types.account import DONE, SKIPPED, Jobs, Picture
from pipeline.write.stac import item_key
from pipeline.write.store import Store

MOST = 24
MOST_BYTES = 1_500_000
_TYPES = {"image/png", "image/jpeg", "image/webp"}


def read_pictures(store: Store, jobs: Jobs) -> tuple[Picture, ...]:
    """Thumbnails of at most 24 tiles that were made, of all products alike; those that are not there are left out."""
    with ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(lambda row: _picture(store, jobs, row), _choose(jobs)) if one is not None]
    total = accumulate(len(one.data) for one in found)
    return tuple(one for one, until in zip(found, total, strict=True) if until <= MOST_BYTES)


def _choose(jobs: Jobs) -> list[int]:
    """Rows from all products in turn, evenly over each; jobs of this run before those that were done already."""
    each = []
    for product in range(len(jobs.products)):
        for state in (DONE, SKIPPED):
            rows = np.flatnonzero((jobs.product == product) & (jobs.state == state))
            if len(rows):
                each.append(rows)
                break
    share = MOST // max(1, len(each))
    even = [rows[np.unique(np.linspace(0, len(rows) - 1, min(max(1, share), len(rows))).astype(int))] for rows in each]
    turns = (row for turn in zip_longest(*even) for row in turn if row is not None)
    return [int(row) for row in islice(turns, MOST)]


def _picture(store: Store, jobs: Jobs, row: int) -> Picture | None:
    product, tile, period = jobs.id(row).split("/", 1)[0], jobs.tiles[jobs.tile[row]], jobs.periods[jobs.period[row]]
    key = item_key(Upstream(product, "", tile, Period(period, None, None), jobs.fingerprints[row]))
    try:
        item = json.loads(store.get_bytes(key))
        asset = item["assets"]["thumbnail"]
        if asset["type"] not in _TYPES or "://" in asset["href"]:
            return None
        data = store.get_bytes(posixpath.normpath(posixpath.join(posixpath.dirname(key), asset["href"])))
        return Picture(jobs.id(row), data, asset["type"], _told(item["properties"]))
    except (GroundswellError, LookupError, TypeError, ValueError):
        return None  # a picture is for a look: what is committed is checked by `verify`


def _told(properties: Json) -> str:
    quality = properties.get("groundswell:quality") or {}
    words = [str(quality["status"])] if isinstance(quality, dict) and quality.get("status") else []
    losses = properties.get("groundswell:missing_assets") or ()
    return ", ".join([*words, *([f"{len(losses)} inputs lost"] if losses else [])])
