"""Index files of the demo world's GDAC, as text and compressed, and its list of sensors that are not to be trusted."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.demo.argo_file import FILL, Cast

DATED = "20240901000000"
"""When the index was made."""
_WEEK_FROM = "20240825000000"
_NAMES = {
    "core": "ar_index_global_prof.txt",
    "bgc": "argo_bio-profile_index.txt",
    "synthetic": "argo_synthetic-profile_index.txt",
}
_HEAD = """\
# Title : {title} directory file of the demo world
# Description : The directory file describes all {title} files of an invented mirror; nothing in it was measured.
# Project : INVENTED
# License : CC0-1.0
# Attribution : Invented by python -m pipeline.demo
# Format version : {version}
# Date of update : {dated}
# FTP root number 1 : none
# FTP root number 2 : none
# GDAC node : none
"""
GREYLIST = b"""\
PLATFORM_CODE,PARAMETER_NAME,START_DATE,END_DATE,QUALITY_CODE,COMMENT,DAC
9900215,PSAL,20240712,,3,invented: the conductivity cell drifts,IF
9900101,TEMP,20200101,20201231,4,invented: over before the first profile,IN
"""


@dataclass(frozen=True, eq=False)
class Listed:
    """A file that the index names."""

    path: str
    kind: str
    cast: Cast
    updated: str


def index_files(listed: Sequence[Listed]) -> dict[str, bytes]:
    """Name → content: one index of each kind of file, compressed beside it, and the one of this week's core files."""
    out = {}
    for kind, name in _NAMES.items():
        text = "".join(_lines([one for one in listed if one.kind == kind], kind)).encode()
        out[name] = text
        out[f"{name}.gz"] = gzip.compress(text, 6, mtime=0)
    week = [one for one in listed if one.kind == "core" and one.updated >= _WEEK_FROM]
    out["ar_index_this_week_prof.txt"] = "".join(_lines(week, "core")).encode()
    return out


def _lines(listed: Sequence[Listed], kind: str) -> Iterator[str]:
    title = {"core": "Profile", "bgc": "Bio-Profile", "synthetic": "Synthetic-Profile"}[kind]
    yield _HEAD.format(title=title, version="2.0" if kind == "core" else "2.2", dated=DATED)
    more = "" if kind == "core" else "parameters,parameter_data_mode,"
    yield f"file,date,latitude,longitude,ocean,profiler_type,institution,{more}date_update\n"
    for one in sorted(listed, key=lambda one: one.path):
        yield _row(one)


def _row(one: Listed) -> str:
    """What a GDAC says of a file: no date where its flag is 3 or 4, no place where it is a fill value."""
    cast = one.cast
    date = "" if cast.juld_qc in "34" else f"{cast.moment:%Y%m%d%H%M%S}"
    place = "," if cast.latitude == FILL else f"{cast.latitude:.3f},{cast.longitude:.3f}"
    ocean = "A" if abs(cast.latitude) <= 90 else ""
    row = [one.path, date, place, ocean, "846", "IN" if one.path.startswith("incois") else "IF"]
    if one.kind != "core":
        row += [" ".join(cast.columns), "".join(column.mode for column in cast.columns.values())]
    return ",".join([*row, one.updated]) + "\n"
