"""What the item of an Argo partition says: rights, where and when its profiles are, how many of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.plan.argo_rules import Effect
from pipeline.products._argo_listing import PROJECT
from pipeline.products._argo_tables import Tables
from pipeline.products._base import stated_rights
from pipeline.types import Item, Json, Rights
from pipeline.types.levels import KINDS
from pipeline.write.stac import timestamp

DOI = "10.17882/42182"
"""Of the data of the Global Data Assembly Centres as a whole."""
_ARGO = Rights(
    license="CC-BY-4.0",
    attribution="These data were collected and made freely available by the International Argo Program and the "
    "national programs that contribute to it (https://argo.ucsd.edu, https://www.ocean-ops.org). The Argo Program is "
    "part of the Global Ocean Observing System. Argo float data and metadata from Global Data Assembly Centre (Argo "
    f"GDAC), SEANOE, https://doi.org/{DOI}",
    providers=(
        {
            "name": "International Argo Program",
            "roles": ["producer", "licensor"],
            "url": "https://argo.ucsd.edu",
        },
    ),
)
_SHARE = 10
"""Positions of a footprint are told to a tenth of a degree, each once."""


def rights_of(items: Sequence[Item]) -> tuple[Rights, str]:
    """Licence, attribution and DOI: Argo's where the index says that it is Argo's, else what the items state.

    Source: the citation and acknowledgement that https://argo.ucsd.edu/data/acknowledging-argo/ asks for.
    """
    projects = {str(item.properties.get(PROJECT) or "ARGO") for item in items}
    if projects <= {"ARGO"}:
        return stated_rights(items, _ARGO), DOI
    named = ", ".join(sorted(projects))
    return stated_rights(items, Rights("other", f"Profiles of the project {named}, which are not Argo's")), ""


def geometry_of(profiles: pa.Table) -> Json:
    """A MultiPoint of where the profiles were made, in longitude and latitude; None where no position is known."""
    known = profiles.filter(pc.is_valid(profiles["latitude"]))
    if not known.num_rows:
        return None
    places = np.stack([known["longitude"].to_numpy(), known["latitude"].to_numpy()], axis=1)
    rounded = np.unique(np.round(places * _SHARE).astype(np.int64), axis=0) / _SHARE
    return {"type": "MultiPoint", "coordinates": rounded.tolist()}


def properties_of(tables: Tables, generation: int) -> dict[str, Json]:
    """What the item says beyond its files; times only where a profile has one."""
    profiles = tables.profiles
    times = pc.min_max(profiles["time"])
    said: dict[str, Json] = {
        "processing:level": "L2",
        "processing:lineage": f"{profiles.num_rows} profiles, of each the best version; every level with its originals",
        "groundswell:floats": sorted({str(wmo) for wmo in profiles["wmo"].to_pylist()}),
        "groundswell:profiles": profiles.num_rows,
        "groundswell:levels": pc.sum(profiles["levels"]).as_py() or 0,
        "groundswell:generation": generation,
        "groundswell:data_modes": _counted(profiles["data_mode"], ("D", "A", "R")),
        "groundswell:kinds": _counted(profiles["kind"], KINDS),
        "groundswell:ledger": _counted(tables.ledger["action"], get_args(Effect)),
    }
    if times["min"].is_valid:
        first, last = (times[name].as_py() for name in ("min", "max"))
        said |= {"datetime": None, "start_datetime": timestamp(first), "end_datetime": timestamp(last)}
    return said


def _counted(column: pa.ChunkedArray, words: Iterable[str]) -> dict[str, int]:
    """Every word has its number, if 0: a table of items wants the same fields of all."""
    found = Counter(column.to_pylist())
    return {word: found[word] for word in words}
