"""Many profile files as flat columns: what is worked on from here on has no shape but its length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types.levels import KINDS, MISSING, NO_FLAG, ODD_FLAG, Flags, Levels, LevelValues
from pipeline.types.profiles import Codes, Floats, Measured, ProfileFile

_FLAGS = np.full(256, ODD_FLAG, np.int8)
_FLAGS[[0, ord(" ")]] = NO_FLAG
_FLAGS[ord("0") : ord("9") + 1] = np.arange(10)


def flatten(files: Sequence[ProfileFile], parameters: Sequence[str]) -> Levels:
    """Every level of every profile once, in the order given; only trailing levels that hold nothing are left out.

    A level holds something where any of the parameters has a number or a flag. Values are copied into native byte order
    and each variable's own fill becomes `MISSING`; a profile may end with no level at all. Raises nothing for any file
    that `read_profiles` gives.
    """
    profiles = np.array([len(each.wmo) for each in files], np.int64)
    file = np.repeat(np.arange(len(files), dtype=np.int32), profiles)
    lengths = np.array([_depth(each) for each in files], np.int64)[file]
    starts = _starts(lengths)
    profile = np.repeat(np.arange(len(file), dtype=np.int32), lengths)
    level = (np.arange(starts[-1]) - starts[profile]).astype(np.int32)
    shape = _Shape(files, profiles, starts)
    values = {name: shape.values(name) for name in parameters}

    held = np.flatnonzero(_held(values.values(), len(level)))
    used = np.zeros(len(file), np.int64)
    used[profile[held]] = level[held] + 1  # levels ascend within a profile: the last one stays
    if used.sum() < len(level):
        kept = np.flatnonzero(level < used[profile])
        profile, level, starts = profile[kept], level[kept], _starts(used)
        values = {name: _only(kept, each) for name, each in values.items()}
    return Levels(
        paths=tuple(each.path for each in files),
        file=file,
        row=(np.arange(len(file)) - _starts(profiles)[file]).astype(np.int32),
        wmo=shape.of_profiles([each.wmo for each in files], "i4"),
        cycle=shape.of_profiles([each.cycle for each in files], "i4"),
        direction=shape.of_profiles([each.direction for each in files], "S1"),
        kind=np.array([KINDS.index(each.kind) for each in files], np.int8)[file],
        index=shape.of_profiles([each.index for each in files], "i4"),
        data_mode=shape.of_profiles([each.data_mode for each in files], "S1"),
        juld=shape.of_profiles([each.juld for each in files], "f8"),
        juld_qc=_flags(shape.of_profiles([each.juld_qc for each in files], "S1").view("u1")),
        latitude=shape.of_profiles([each.latitude for each in files], "f8"),
        longitude=shape.of_profiles([each.longitude for each in files], "f8"),
        position_qc=_flags(shape.of_profiles([each.position_qc for each in files], "S1").view("u1")),
        padding=(lengths - used).astype(np.int32),
        starts=starts,
        profile=profile,
        level=level,
        values=values,
    )


@dataclass(frozen=True)
class _Shape:
    """How files lie one behind another, padding included."""

    files: Sequence[ProfileFile]
    profiles: NDArray[np.int64]
    """How many each file has."""
    starts: NDArray[np.int64]
    """Of the profiles' levels, and behind the last."""

    def of_profiles(self, parts: Sequence[NDArray[Any]], dtype: str) -> NDArray[Any]:
        out = np.empty(len(self.starts) - 1, dtype)
        return np.concatenate(parts, out=out) if parts else out

    def of_levels(self, parts: Sequence[NDArray[Any] | None], nothing: float, dtype: str) -> NDArray[Any]:
        """Values of each file, or nothing for all levels of a file that has none."""
        if all(part is None for part in parts):
            return np.full(self.starts[-1], nothing, dtype)
        sizes = np.diff(self.starts[_starts(self.profiles)]).tolist()
        blank = np.full(max(sizes), nothing, dtype)
        given = [blank[:size] if part is None else part.reshape(-1) for part, size in zip(parts, sizes, strict=True)]
        return np.concatenate(given, out=np.empty(self.starts[-1], dtype))

    def values(self, name: str) -> LevelValues:
        """One parameter."""
        found = [each.measured.get(name) for each in self.files]

        def parts(of: str) -> list[Any]:
            return [None if each is None else getattr(each, of) for each in found]

        modes = [each.parameter_mode.get(name) for each in self.files]
        marks = [each.profile_qc.get(name) for each in self.files]
        has = np.array([each is not None for each in found], np.bool_)
        blank = np.full(self.profiles.max(initial=0), b" ", "S1")
        blanks = [blank[:count] for count in self.profiles.tolist()]
        return LevelValues(
            raw=self.numbers(parts("raw"), found),
            raw_qc=self.flags(parts("raw_qc")),
            adjusted=self.numbers(parts("adjusted"), found),
            adjusted_qc=self.flags(parts("adjusted_qc")),
            adjusted_error=self.numbers(parts("adjusted_error"), found),
            mode=self.of_profiles([b if a is None else a for a, b in zip(modes, blanks, strict=True)], "S1"),
            profile_qc=self.of_profiles([b if a is None else a for a, b in zip(marks, blanks, strict=True)], "S1"),
            has=np.repeat(has, self.profiles),
            has_adjusted=np.repeat(np.array([each is not None for each in parts("adjusted")], np.bool_), self.profiles),
        )

    def numbers(self, parts: Sequence[Floats | None], measured: Sequence[Measured | None]) -> Floats:
        double = any(part is not None and part.dtype.itemsize == 8 for part in parts)
        out: Floats = self.of_levels(parts, MISSING, "f8" if double else "f4")
        fills = {each.fill for each in measured if each is not None}
        if len(fills) == 1:
            out[out == fills.pop()] = MISSING
        elif fills:
            ends = self.starts[_starts(self.profiles)].tolist()
            for k, each in enumerate(measured):
                part = out[ends[k] : ends[k + 1]]
                if each is not None:
                    part[part == each.fill] = MISSING
        return out

    def flags(self, parts: Sequence[Codes | None]) -> Flags:
        return _flags(self.of_levels([None if part is None else part.view("u1") for part in parts], 0, "u1"))


def _depth(file: ProfileFile) -> int:
    """N_LEVELS, as far as anything was read along it."""
    return next((each.raw.shape[1] for each in file.measured.values()), 0)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))


def _flags(characters: NDArray[np.uint8]) -> Flags:
    return np.take(_FLAGS, characters)


def _held(values: Iterable[LevelValues], size: int) -> NDArray[np.bool_]:
    held = np.zeros(size, np.bool_)
    for each in values:
        if not each.has.any():
            continue
        for numbers in (each.raw, each.adjusted, each.adjusted_error):
            held |= numbers != MISSING
        for flags in (each.raw_qc, each.adjusted_qc):
            held |= flags != NO_FLAG
    return held


def _only(kept: NDArray[np.int64], values: LevelValues) -> LevelValues:
    def part(array: NDArray[Any]) -> NDArray[Any]:
        return array.take(kept) if has else array[: len(kept)]  # all the same where no file has the parameter

    has = bool(values.has.any())
    return replace(
        values,
        raw=part(values.raw),
        raw_qc=part(values.raw_qc),
        adjusted=part(values.adjusted),
        adjusted_qc=part(values.adjusted_qc),
        adjusted_error=part(values.adjusted_error),
    )
