"""Of which float an object of a GDAC's bucket holds profiles, by its key. Pure."""

from __future__ import annotations

import re

from pipeline.config.source import SourceConfig
from pipeline.plan.argo_names import KINDS, NAME

_PROFILE = re.compile(rf"(?:.*/)?(?P<dac>[a-z]+)/(?P<folder>[0-9]{{5}}|[0-9]{{7}})/profiles/{NAME}")
_MULTI = re.compile(r"(?:.*/)?(?P<dac>[a-z]+)/(?P<folder>[0-9]{5}|[0-9]{7})/(?P<wmo>[0-9]{5}|[0-9]{7})_prof\.nc")


def float_of(key: str, source: SourceConfig) -> int | None:
    """WMO number of the float whose profiles a source would read from an object; None where it would read nothing.

    Whatever stands before the data centre's folder does not matter. Metadata, technical files and trajectories are not
    read, nor floats, data centres and kinds that the source does not ask for.
    """
    match = _PROFILE.fullmatch(key)
    if match is not None:
        asked = KINDS[match["kind"]] in source.kinds
    else:
        match = _MULTI.fullmatch(key)
        asked = source.multi_profile != "never"
    if match is None or not asked or match["folder"] != match["wmo"]:
        return None
    wmo = int(match["wmo"])
    if source.dac and match["dac"] not in source.dac:
        return None
    return wmo if not source.floats or wmo in source.floats else None
