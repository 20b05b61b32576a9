"""The keys of a listing, and nothing else of it: botocore makes objects of every field, and takes ten times as long."""

from __future__ import annotations

import re
from contextvars import ContextVar
from html import unescape
from typing import Any
from urllib.parse import unquote_plus

import s3fs

KEYS = "Keys"
"""Member of the answer that holds the keys of a page."""
_EVENT = "before-parse.s3.ListObjectsV2"
_CONTENTS = re.compile(rb"<Contents>.*</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Contents>.*?<Key>(.*?)</Key>", re.DOTALL)
_WANTED: ContextVar[bool] = ContextVar("keys_only", default=False)


async def list_page(fs: s3fs.S3FileSystem, bucket: str, query: dict[str, Any]) -> dict[str, Any]:
    """One page of ListObjectsV2, whose `Keys` stand for its `Contents`; fails as any request does."""
    await fs.set_session()
    client = await fs.get_s3(bucket)
    client.meta.events.register(_EVENT, _only_keys, unique_id="groundswell-keys")
    wanted = _WANTED.set(True)
    try:
        answer: dict[str, Any] = await fs._call_s3("list_objects_v2", Bucket=bucket, **query)  # noqa: SLF001 (no public way is a coroutine)
    finally:
        _WANTED.reset(wanted)
    return answer


def _only_keys(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Take the keys out of the XML before botocore reads it: within `Contents`, only `Key` holds a name."""
    if not _WANTED.get() or response_dict["status_code"] >= 300:
        return
    body: bytes = response_dict["body"]
    text = "\n".join(key.decode() for key in _KEY.findall(body))
    encoded = b"<EncodingType>url</EncodingType>" in body
    keys = text.split("\n") if text else []
    if "&" in text:
        keys = [unescape(key) for key in keys]
    customized_response_dict[KEYS] = [unquote_plus(key) for key in keys] if encoded else keys
    response_dict["body"] = _CONTENTS.sub(b"", body)
