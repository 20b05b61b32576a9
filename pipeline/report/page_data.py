"""An account as the page's script reads it: one compressed block of typed columns, and the names they point into."""

from __future__ import annotations

import base64
import json
import zlib
from importlib.resources import files

import numpy as np

from pipeline.types import Json
from pipeline.types.account import Account, Column

MOST_MESSAGES = 2_000
"""Whole messages of failed jobs that the page holds; `jobs.csv` has all."""


def pack(account: Account) -> str:
    """Base64 of zlib's form of: length of a header (4 bytes, little-endian), header (JSON, padded to 8), columns.

    The header names each column with type, offset behind the header, and length. 100,000 jobs come to some 2 MB.
    """
    columns = _columns(account)
    header: Json = {**_names(account), "columns": {}}
    parts, offset = [], 0
    for name, column in columns.items():
        data = np.ascontiguousarray(column).tobytes()
        header["columns"][name] = [column.dtype.str.lstrip("<|"), offset, column.size]
        data += b"\0" * (-len(data) % 8)
        parts.append(data)
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-(len(head) + 4) % 8)
    block = len(head).to_bytes(4, "little") + head + b"".join(parts)
    return base64.b64encode(zlib.compress(block, 6)).decode("ascii")


def _columns(account: Account) -> dict[str, Column]:
    jobs = account.jobs
    began = np.where(jobs.begun_s > 0, jobs.begun_s - account.begun_s, -1.0)
    land = np.frombuffer(zlib.decompress(files("pipeline.report").joinpath("assets/land.bin").read_bytes()), "<i2")
    clusters = [one for one in account.clusters if one.event.state != "opening"]
    regions = {region: number for number, region in enumerate(jobs.regions)}
    return {
        "state": jobs.state,
        "product": jobs.product,
        "tile": jobs.tile,
        "period": jobs.period,
        "region": jobs.region,
        "worker": jobs.worker,
        "cause": jobs.cause,
        "verdict": jobs.verdict,
        "flags": jobs.flags,
        "attempts": jobs.attempts,
        "losses": jobs.losses,
        "begun": began.astype(np.float32),
        "seconds": jobs.seconds,
        "read": jobs.read_bytes.astype(np.float32),
        "written": jobs.written_bytes.astype(np.float32),
        "bounds": jobs.bounds.astype(np.float32).ravel(),
        "land": land,
        "clusterTime": np.array([one.time_s - account.begun_s for one in clusters], np.float32),
        "clusterRegion": np.array([regions.get(one.event.region, 65_535) for one in clusters], np.uint16),
        "clusterShard": np.array([one.event.shard for one in clusters], np.uint16),
        "clusterWorkers": np.array([one.event.workers for one in clusters], np.uint32),
        "spentTime": np.array([one.time_s - account.begun_s for one in account.progress], np.float32),
        "spentUsd": np.array([np.nan if one.usd is None else one.usd for one in account.progress], np.float32),
    }


def _names(account: Account) -> Json:
    jobs = account.jobs
    messages = dict(list(account.messages.items())[:MOST_MESSAGES])
    return {
        "run": account.run,
        "began": account.begun_s,
        "span": account.seconds,
        "products": jobs.products,
        "tiles": "\n".join(jobs.tiles),
        "periods": jobs.periods,
        "regions": jobs.regions,
        "workers": jobs.workers,
        "causes": [f"{one.error}: {one.text}" if one.text else one.error for one in account.causes],
        "flagNames": [f"{one.flag} ({one.level})" for one in account.flags[:32]],
        "messages": messages,
        "clusterStates": [one.event.state for one in account.clusters if one.event.state != "opening"],
        "clusterNotes": [one.event.note or "" for one in account.clusters if one.event.state != "opening"],
    }
