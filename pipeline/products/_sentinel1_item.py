"""What a radar item says beyond its layers: from which orbits, of how many looks, what is in doubt, whose data."""

from __future__ import annotations

from statistics import median

import numpy as np
from numpy.typing import NDArray

from pipeline.products._base import stated_rights
from pipeline.products._quality import observed
from pipeline.products._rights import copernicus_rights, united_rights
from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.products._sentinel1_grd import is_grd
from pipeline.products._sentinel1_orbits import groups_of, passes_of, placeless
from pipeline.types import Item, Job, Json, Rights

_LOOKS = 4.4
"""Equivalent number of looks of IW GRDH, where the catalogue does not say (Sentinel-1 Product Definition)."""

_CORRECTED = "sentinel-1-rtc"
"""The Planetary Computer's collection, whose items do not say its licence."""
_BY_CATALYST = Rights(
    license="CC-BY-4.0",
    license_href="https://creativecommons.org/licenses/by/4.0/",
    attribution="Contains modified Sentinel-1 RTC of Catalyst and Microsoft's Planetary Computer, CC BY 4.0",
    providers=(
        {"name": "Catalyst", "roles": ["processor"], "url": "https://catalyst.earth"},
        {"name": "Microsoft", "roles": ["host", "licensor"], "url": "https://planetarycomputer.microsoft.com"},
    ),
)
# Source: the collection's own `license`, license link and providers.


def properties(job: Job, config: Sentinel1Config, count: NDArray[np.uint16]) -> dict[str, Json]:
    """Item properties: how it was made, from which orbits, how many observations."""
    groups = groups_of(job.items, config)
    passes = passes_of(job.items, config)
    made = "time series" if config.composite == "none" else f"{config.composite} in linear power"
    orbits = sorted({one.orbit for one in passes})
    known = observed(count)
    return {
        "constellation": "sentinel-1",
        "instruments": ["c-sar"],
        "processing:lineage": f"{made} of {len(passes)} passes"
        + (", then 10 log10 of it" if config.scale == "db" else ""),
        "groundswell:radar_scale": config.scale,
        **({"groundswell:backscatter": "gamma0"} if config.kind == "rtc" else {}),
        "groundswell:scenes": len(job.items),
        "groundswell:observations": len(passes),
        "groundswell:orbits": [
            {
                "direction": orbit.direction or None,
                "relative_orbit": orbit.number or None,
                "observations": sum(one.orbit == orbit for one in passes),
            }
            for orbit in orbits
        ],
        **known,
        **_looks(job, config, float(known["groundswell:observations_mean"]) if len(groups) == 1 else None),
    }


def _looks(job: Job, config: Sentinel1Config, observations: float | None) -> dict[str, Json]:
    """Equivalent number of looks of a scene, and of a mean of several: at most as many times, as if independent."""
    stated = [item.properties.get("sar:looks_equivalent_number") for item in job.items]
    numbers = [float(one) for one in stated if isinstance(one, int | float) and one > 0]
    one = median(numbers) if numbers else _LOOKS
    found: dict[str, Json] = {"groundswell:looks": round(one, 2)}
    if config.composite == "mean" and config.speckle is None and observations is not None:
        found["groundswell:looks_of_mean"] = round(one * observations, 1)
    return found


def doubts(job: Job, config: Sentinel1Config) -> list[str]:
    """What the catalogue leaves to be told from names and times of day."""
    told = [item.id for item in job.items if placeless(config, item) is None and _is_told(item, config)]
    ground = [item.id for item in job.items if config.kind == "grd" and not is_grd(item)]
    return [
        *([f"{len(told)} scenes do not state their orbit, it is told from name or time: {told[0]}"] if told else []),
        *([f"{len(ground)} scenes do not say that they are GRD, as kind: grd does: {ground[0]}"] if ground else []),
    ]


def _is_told(item: Item, config: Sentinel1Config) -> bool:
    """Whether something of its orbit that the entry needs is not stated by the item itself."""
    needed = {"sat:orbit_state": config.needs_direction, "sat:relative_orbit": config.needs_number}
    return any(needs and name not in item.properties for name, needs in needed.items())


def rights(job: Job) -> Rights:
    """The scenes' own where all state the same, else Copernicus' and of who made them terrain corrected."""
    copernicus = copernicus_rights(item.time.year for item in job.items)
    corrected = any(item.collection == _CORRECTED for item in job.items)
    return stated_rights(job.items, united_rights([copernicus, _BY_CATALYST]) if corrected else copernicus)
