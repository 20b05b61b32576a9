"""Which scene each pixel comes from: every clear one of another day, or one chosen for all bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.choice import Choice, choose, claim, note_reasons, tally
from pipeline.ops.mask import CLEAR, NODATA, OUTSIDE
from pipeline.ops.scores import ScoreOf
from pipeline.products._footprint import footprint
from pipeline.products._work import Work, in_order
from pipeline.read.access import Access
from pipeline.read.gather import gather
from pipeline.read.layer import SourceWindow, Target, as_uint16, check_integers, read_window
from pipeline.types import Asset, Item

_CODES = 256
"""How many mask codes there can be."""
CodeReader = Callable[[Asset, Access, str, Target], SourceWindow | None]
"""(asset, access, item id, part of the tile) → mask codes (see `ops/mask.py`) in place of the window's pixels."""


@dataclass(frozen=True)
class Masking:
    """How a scene says which of its pixels are clear."""

    band: str
    """The asset that says so."""
    read: CodeReader
    assets: int
    """How many assets are lost with it, itself included."""
    window_bytes: int = 3
    """What reading it holds, of a pixel of the finest source (see `Holding.mask`)."""
    further: Masking | None = None
    """Another asset that says so too: a pixel is clear where both say that it is."""

    @property
    def parts(self) -> tuple[Masking, ...]:
        """Itself and every further one, each of one asset."""
        return (self, *(self.further.parts if self.further is not None else ()))


def number_masking(band: str, assets: int, distance_px: int) -> Masking:
    """Without a mask: clear wherever one band has a number, and as far from anything masked as can be."""
    clear = CLEAR - 1 + distance_px
    return Masking(band, partial(_number_codes, clear), assets)


class Sources(Protocol):
    """Who provides which pixel."""

    def mark(self, scene: int, rows: slice) -> tuple[NDArray[np.uint8], int]:
        """(y, x) and the bit that is set in it where the scene may provide the pixel."""

    def pixels(self, scene: int) -> int:
        """How many pixels of the tile the scene may provide."""

    @property
    def exclusive(self) -> bool:
        """True: at most one scene of a day may provide a pixel; False: the first that has a number there does."""

    @property
    def codes(self) -> NDArray[np.int64] | None:
        """(256,) how often each mask code was found, all scenes together; None: nobody asked."""


@dataclass(frozen=True, eq=False)
class AllScenes:
    """Without a mask: every scene may provide every pixel, so the first of a day that has a number there does."""

    plane: NDArray[np.uint8]
    exclusive: bool = False
    codes: None = None

    def mark(self, _: int, rows: slice) -> tuple[NDArray[np.uint8], int]:
        return self.plane[rows], 1

    def pixels(self, _: int) -> int:
        return self.plane.size


@dataclass(frozen=True, eq=False)
class ClearScenes:
    """One bit per scene and pixel; of a day's scenes at most one has it."""

    planes: NDArray[np.uint8]
    """(bytes, y, x)."""
    claimed: NDArray[np.int64]
    """(scenes,) pixels of each."""
    codes: NDArray[np.int64]
    """(256,) how often each mask code was found."""
    exclusive: bool = True

    def mark(self, scene: int, rows: slice) -> tuple[NDArray[np.uint8], int]:
        return self.planes[scene // 8, rows], 1 << (scene % 8)

    def pixels(self, scene: int) -> int:
        return int(self.claimed[scene])


@dataclass(frozen=True, eq=False)
class ChosenScenes:
    """One scene a pixel, for all bands."""

    source: NDArray[np.uint16]
    """(y, x) its number, from 1; 0: none."""
    days: NDArray[np.uint16]
    """(y, x) days on which the pixel was clear, so from how many observations it was chosen."""
    chosen: NDArray[np.int64]
    """(scenes,) pixels of each."""
    codes: NDArray[np.int64]
    """(256,) how often each mask code was found."""
    exclusive: bool = True

    def mark(self, scene: int, rows: slice) -> tuple[NDArray[np.uint8], int]:
        return (self.source[rows] == scene + 1).view(np.uint8), 1

    def pixels(self, scene: int) -> int:
        return int(self.chosen[scene])


def all_scenes(work: Work) -> AllScenes:
    """Nothing is masked and nothing is chosen."""
    return AllScenes(np.ones(work.geobox.shape, np.uint8) if work.inside is None else work.inside.view(np.uint8))


def clear_scenes(work: Work, masking: Masking, reasons: NDArray[np.uint16] | None) -> ClearScenes:
    """Set each scene's bits: clear by its own classification, and not provided by an earlier scene of the same day.

    reasons: (y, x), gets bit n where a scene was dropped with code n; None: not asked for. A scene whose classification
    is lost takes its other assets along. Raises MissingAssetsError beyond the policy.
    """
    count = len(work.job.items)
    planes = np.zeros(((count + 7) // 8, *work.geobox.shape), np.uint8)
    found = ClearScenes(planes, np.zeros(count, np.int64), np.zeros(_CODES, np.int64))
    for scene, codes, taken in _scenes(work, masking, reasons):
        found.codes[:] += tally(codes)
        found.claimed[scene] = claim(codes, taken, *found.mark(scene, slice(None)))
    return found


def chosen_scenes(work: Work, masking: Masking, score_of: ScoreOf, reasons: NDArray[np.uint16] | None) -> ChosenScenes:
    """The scene of the highest score of those that are clear, pixel by pixel; the earlier day, then id, where equal."""
    choice, found = Choice.of(work.geobox.shape.yx), np.zeros(_CODES, np.int64)
    for scene, codes, taken in _scenes(work, masking, reasons):
        counts = tally(codes)
        found += counts
        scores = score_of(work.job.items[scene].solar_day, counts)
        choose(codes, scores, scene + 1, taken, choice)
    numbers = np.bincount(choice.source.reshape(-1), minlength=len(work.job.items) + 1)
    return ChosenScenes(choice.source, choice.days, numbers[1:], found)


def _scenes(
    work: Work, masking: Masking, reasons: NDArray[np.uint16] | None
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
    """(number, codes on the tile, pixels that its day has) of each scene that shows some, in the order of the items."""
    items = work.job.items
    found_codes = in_order(work, partial(_read_codes, work, masking), items)
    scenes = zip(range(len(items)), items, found_codes, strict=True)
    for _, same_day in groupby(scenes, key=lambda scene: scene[1].solar_day):
        taken = np.zeros(work.lost.shape, np.bool_)
        for number, item, found in same_day:
            if found is None:
                work.lose(slice(None), footprint(item, work.geobox))
                continue
            codes, notes = found
            if work.inside is not None:
                codes[~work.inside] = OUTSIDE
            for note in notes:
                work.ledger.note(note)
            if reasons is not None:
                note_reasons(codes, reasons)
            yield number, codes, taken
    work.ledger.check()


def _read_codes(work: Work, masking: Masking, item: Item) -> tuple[NDArray[np.uint8], tuple[str | None, ...]] | None:
    """A scene's codes on the whole tile, and remarks; None where one of the assets that say so is lost."""
    target, access = Target.rows_of(work.geobox), work.context.access
    codes: NDArray[np.uint8] | None = None
    notes: tuple[str | None, ...] = ()
    for part in masking.parts:

        def use(asset: Asset, part: Masking = part) -> tuple[NDArray[np.uint8], str | None]:
            # Here already: a scene that is refused must not take a pixel from another one of its day.
            work.accept(item, part.band)
            return codes_on(part, asset, access, item.id, target)

        found = work.ledger.read(item, part.band, use, part.assets)
        if found is None:
            return None
        codes = found[0] if codes is None else both_clear(codes, found[0])
        notes = (*notes, found[1])
    return None if codes is None else (codes, notes)


def both_clear(codes: NDArray[np.uint8], more: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes of what two assets say of the same pixels: dropped where either drops it, outside where either ends.

    Of two reasons the first asset's counts, and of two distances the smaller.
    """
    both = np.minimum(codes, more)
    np.copyto(both, codes, where=(codes < CLEAR) | (codes == OUTSIDE))
    both[more == OUTSIDE] = OUTSIDE
    return both


def codes_on(
    masking: Masking, asset: Asset, access: Access, item: str, target: Target
) -> tuple[NDArray[np.uint8], str | None]:
    """A scene's mask codes on a part of the tile, and what is remarkable about the file. Raises AssetError."""
    codes = np.full(target.shape, OUTSIDE, np.uint8)
    found = masking.read(asset, access, item, target)
    if found is None:
        return codes, None
    gather(found.data, found.corner, found.pixels, target.corner, codes)
    return codes, found.note


def _number_codes(clear: int, asset: Asset, access: Access, item: str, target: Target) -> SourceWindow | None:
    found = read_window(asset, access, item, target)
    if found is None:
        return None
    check_integers(found, asset, item)
    return replace(found, data=np.where(as_uint16(found) != 0, np.uint8(clear), np.uint8(NODATA)))
