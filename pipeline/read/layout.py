"""How files are really cut into blocks: asked of the headers of a few, so that a plan can count what will be read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import NoReturn

from pipeline.errors import AssetError
from pipeline.read.access import Access, check_href, redact
from pipeline.read.fetch import Unsupported
from pipeline.read.geotiff import open_geotiff
from pipeline.types import Asset
from pipeline.types.estimate import Layout

logger = logging.getLogger(__name__)

FILES = 3
"""Of each band of a source."""
_AT_ONCE = 16


def sample_layouts(
    assets: Mapping[tuple[str, str], Sequence[Asset]], accesses: Mapping[str, Access], within_s: float = 10.0
) -> dict[tuple[str, str], Layout]:
    """Blocks of the bands of which a header could be read, by (source, band); every other band is left out.

    assets: by (source, band), the files of all items; the first, the middle and the last are asked. accesses: by
    source. Raises nothing: a file that cannot be read is its job's business, and what takes longer is not waited for.
    """
    asked = {(key, place): files[place] for key, files in assets.items() if files for place in _places(len(files))}
    if not asked:
        return {}
    pool = ThreadPoolExecutor(min(_AT_ONCE, len(asked)), thread_name_prefix="layouts")
    patience = {source: replace(access, timeout_s=within_s) for source, access in accesses.items()}
    begun = {pool.submit(_layout, asset, patience[key[0]]): key for (key, _), asset in asked.items()}
    done, _ = wait(begun, timeout=within_s)
    pool.shutdown(wait=False, cancel_futures=True)
    found: dict[tuple[str, str], list[Layout]] = {}
    for future in done:
        layout = future.result()
        if layout is not None:
            found.setdefault(begun[future], []).append(layout)
    return {key: _together(layouts) for key, layouts in found.items()}


def _places(count: int) -> list[int]:
    """The first, the middle and the last."""
    return sorted({round(share * (count - 1) / (FILES - 1)) for share in range(FILES)})


def _layout(asset: Asset, access: Access) -> Layout | None:
    """The blocks of one file; None where they cannot be told."""
    try:
        check_href(asset.href, access)
        with open_geotiff(asset, access, 0.0, _nobody) as raster:
            return Layout(raster.image.block, float(raster.image.counts.mean()))
    except (AssetError, Unsupported, OSError, ValueError) as error:
        logger.debug("%s: nothing is told of its blocks: %s", redact(asset.href), redact(str(error)))
        return None


def _nobody() -> NoReturn:
    raise Unsupported("only a header is read")


def _together(layouts: Sequence[Layout]) -> Layout:
    """The blocks that most of them have, and the mean size of those."""
    blocks = [one.block for one in layouts]
    most = max(sorted(set(blocks)), key=blocks.count)
    sizes = [one.block_bytes for one in layouts if one.block == most]
    return Layout(most, sum(sizes) / len(sizes))
