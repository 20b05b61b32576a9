"""Small files beside the rasters, such as annotations: read whole, understood once a process and version."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read.access import Access, check_href, redact
from pipeline.read.fetch import Unsupported, Version, open_source
from pipeline.read.probe import ANY, probe
from pipeline.types import Asset

T = TypeVar("T")

MOST_BYTES = 16 * 2**20
"""Of one; understood, XML of nothing but elements takes thirty times as much."""
KEPT = 120
"""Strips are read one after the other, and each asks for the documents of all scenes again."""
_KNOWN: OrderedDict[tuple[str, Version, str], Any] = OrderedDict()
_LOCK = Lock()


def read_document(asset: Asset, access: Access, item: str, parse: Callable[[bytes], T]) -> T:
    """`parse` of a file's bytes, at most MOST_BYTES; the latest KEPT are kept, so it must not be changed.

    parse: a function of a module; it raises ValueError, saying what was found, where the file is not as it should be.
    Raises PermanentAssetError, or TransientAssetError when `access.attempts` were not enough.
    """
    refused = 0.0
    for number in range(1, access.attempts + 1):
        began = time.monotonic()
        try:
            return _read(asset, access, parse, refused)
        except AssetError as error:
            failure = error
        except ValueError as error:
            failure = PermanentAssetError(asset.href, f"not as expected: {error}")
        except (Unsupported, OSError) as error:
            finding = probe(asset.href, access, ANY)
            refused = began if finding.refused else refused
            may_pass = isinstance(error, OSError) or error.passing
            passing = finding.transient or (finding.cause is None and may_pass)
            kind = TransientAssetError if passing else PermanentAssetError
            failure = kind(asset.href, finding.cause or f"cannot be read: {redact(str(error))}")
        if number == access.attempts or isinstance(failure, PermanentAssetError):
            break
        time.sleep(0.5 * 2 ** (number - 1) * (1 + random.random()))  # noqa: S311 (jitter, not a secret)
    raise type(failure)(asset.href, failure.cause, item=item, asset=asset.key, attempts=number) from None


def _read(asset: Asset, access: Access, parse: Callable[[bytes], T], newer_than: float) -> T:
    check_href(asset.href, access)
    with open_source(asset.href, access, newer_than) as source:
        size = source.version.size
        if size > MOST_BYTES:
            raise PermanentAssetError(asset.href, f"{size:,} bytes; at most {MOST_BYTES:,} were expected")
        key = asset.href, source.version, f"{parse.__module__}.{parse.__qualname__}"
        with _LOCK:
            if key in _KNOWN:
                _KNOWN.move_to_end(key)
                known: T = _KNOWN[key]
                return known
        found = parse(bytes(source.ranges([(0, size)])[0]))
    with _LOCK:
        _KNOWN[key] = found
        while len(_KNOWN) > KEPT:
            _KNOWN.popitem(last=False)
    return found
