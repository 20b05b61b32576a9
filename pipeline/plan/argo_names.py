"""What the names of Argo's files say: float, cycle, direction, kind; and which of two files of one cycle counts.

Source: Argo user's manual, chapter 4 (file naming conventions): `<R|D><WMO>_<cycle>[D].nc`, before it `B`
(biogeochemical), `S` (synthetic) or `M` (merged, no longer made); a `D` at the end is a descending profile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Direction = Literal["A", "D"]
Identity = tuple[int, int, str, str]
"""WMO number, cycle, direction, kind: what stays the same when a profile is corrected."""

KINDS = {"": "core", "B": "bgc", "S": "synthetic", "M": "merged"}
"""By the first letter of a name, before R or D."""
INDEX_FILES = {
    "core": "ar_index_global_prof.txt",
    "bgc": "argo_bio-profile_index.txt",
    "synthetic": "argo_synthetic-profile_index.txt",
}
"""Each is there as `<name>.gz` too, or only so."""
WEEK_FILE = "ar_index_this_week_prof.txt"
"""Core files that changed within about a week; the other kinds have no such index."""
GREYLIST_FILE = "ar_greylist.txt"

NAME = r"(?P<kind>[BSM]?)(?P<mode>[RD])(?P<wmo>[0-9]{5}|[0-9]{7})_(?P<cycle>[0-9]{3,4})(?P<descending>D?)\.nc"
PATH = rf"(?P<dac>[a-z]+)/(?P<folder>[0-9]{{5}}|[0-9]{{7}})/profiles/{NAME}"
"""Regular expressions that Python's `re` and RE2 both read; a path is one only where `folder` is `wmo`."""
_NAME, _PATH = re.compile(NAME), re.compile(PATH)
_ROUTES = (
    (re.compile(rf".*/profiles/{NAME}"), "profile"),
    (re.compile(r".*_prof\.nc"), "multi"),
    (re.compile(r".*_Sprof\.nc"), "synthetic-multi"),
    (re.compile(r".*_(meta|tech)\.nc"), ""),
    (re.compile(r".*_B?[RD]?traj\.nc"), "traj"),
)


@dataclass(frozen=True, slots=True)
class ProfileName:
    """What the name of a single-cycle file says."""

    wmo: int
    cycle: int
    direction: Direction
    kind: str
    """`core`, `bgc`, `synthetic` or `merged`."""
    delayed: bool
    """By name: of a core file the mode of its first profile only, of others that of any profile or parameter."""

    @property
    def identity(self) -> Identity:
        return self.wmo, self.cycle, self.direction, self.kind


def parse_name(name: str) -> ProfileName | None:
    """What a file name says; None for what is no single-cycle profile file.

    >>> parse_name("BD3902131_001D.nc")
    ProfileName(wmo=3902131, cycle=1, direction='D', kind='bgc', delayed=True)
    >>> parse_name("3902131_prof.nc") is None
    True
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    direction: Direction = "D" if match["descending"] else "A"
    return ProfileName(int(match["wmo"]), int(match["cycle"]), direction, KINDS[match["kind"]], match["mode"] == "D")


def parse_path(path: str) -> tuple[str, ProfileName] | None:
    """Data centre and name of a path below `dac/`; None where it leads anywhere else than the float's own folder."""
    match = _PATH.fullmatch(path)
    if match is None or match["folder"] != match["wmo"]:
        return None
    name = parse_name(path.rpartition("/")[2])
    return None if name is None else (match["dac"], name)


def route(path: str) -> str:
    """What a file is by its path: profile, multi, synthetic-multi, meta, tech, traj or other."""
    for pattern, found in _ROUTES:
        if match := pattern.fullmatch(f"/{path}"):
            return found or match[1]
    return "other"


def multi_path(dac: str, wmo: int) -> str:
    """The file of all core profiles of a float, below `dac/`."""
    return f"{dac}/{wmo}/{wmo}_prof.nc"


def bucket_of(wmo: int) -> str:
    """The bucket of a float: the WMO numbers that differ in the last digit only.

    >>> bucket_of(2902269)
    '290226x'
    """
    return f"{wmo // 10}x"
