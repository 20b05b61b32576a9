"""What a run's report shows of its floats: a section and a T-S diagram of some, among the run's own records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xarray as xr

from pipeline.errors import NothingToDoError
from pipeline.execute.records.runs import read_plan
from pipeline.products._argo_dataset import Selection, open_partitions
from pipeline.read.access import Access
from pipeline.report.argo_plots import Float, draw_section, draw_ts
from pipeline.results.float_years import Question, read_float_years
from pipeline.results.profiles import Output, find_partitions
from pipeline.write.store import Store

MOST_FLOATS = 4
"""Pictures are for a look; each float costs about a second."""
_PARAMETERS = ("PRES", "TEMP", "PSAL")


def write_argo_plots(
    store: Store, product: str, run_id: str, access: Access, floats: tuple[int, ...] | None = None
) -> list[str]:
    """Pictures of some floats as `runs/<run>/plots/<product>_<wmo>_section.png` and `..._ts.png`; gives their keys.

    floats: WMO numbers; None: of the buckets that the run made anew those with the most profiles, as the table of
    floats and years has them. A float's primary core profiles are drawn. Raises StoreError, and AssetError naming a
    partition that cannot be read.
    """
    chosen = _largest(store, product, run_id) if floats is None else floats
    made = []
    for wmo in chosen:
        try:
            drawn = _float(Output(store, product, access), wmo)
        except NothingToDoError:
            continue
        for name, draw in (("section", draw_section), ("ts", draw_ts)):
            key = f"runs/{run_id}/plots/{product}_{wmo}_{name}.png"
            store.put_bytes(draw(drawn), key)
            made.append(key)
    return made


def _largest(store: Store, product: str, run_id: str) -> tuple[int, ...]:
    jobs = (line["job"].split("/") for line in read_plan(store, run_id) if line["state"] == "run")
    buckets = {job[1] for job in jobs if job[0] == product}
    if not buckets:
        return ()
    table = read_float_years(store, product)
    rows = table.filter(pc.is_in(table["bucket"], pa.array(sorted(buckets))))
    floats = rows.group_by("wmo").aggregate([("profiles", "sum")]).drop_null()
    ordered = floats.sort_by([("profiles_sum", "descending"), ("wmo", "ascending")])
    return tuple(ordered["wmo"].to_pylist()[:MOST_FLOATS])


def _float(output: Output, wmo: int) -> Float:
    """The core profiles of one float in order of time, in memory. Raises NothingToDoError where there is none."""
    selection = Selection(floats=(wmo,), kinds=("core",), primary=True, parameters=_PARAMETERS)
    found = open_partitions(find_partitions(output, Question(floats=(wmo,))), selection)
    found = found.isel(profile=np.argsort(found["TIME"].values, kind="stable"))
    none = xr.full_like(found["DEPTH"], np.nan)
    pressure, temperature, salinity = (
        found.get(name, none).astype(np.float64).compute(scheduler="synchronous").values for name in _PARAMETERS
    )
    return Float(
        str(wmo),
        found["TIME"].values,
        found["LATITUDE"].values,
        found["LONGITUDE"].values,
        pressure,
        temperature,
        salinity,
        found.attrs["attribution"],
    )
