"""`open_grids`: the grids that runs have made of Argo profiles, one region over all periods, as one lazy Dataset."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Unpack

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.execute.records.runs import current_by_product
from pipeline.read.access import s3_options
from pipeline.results.profiles import Output
from pipeline.results.where import Storage, Where, place_of, refuse_unknown_keys
from pipeline.write.sound import get_item, resolve

if TYPE_CHECKING:
    import xarray as xr

KIND = "argo_grid"
_AGAIN = "run all of them with one config"


def open_grids(
    where: Where, product: str | None = None, region: str | None = None, **storage: Unpack[Storage]
) -> xr.Dataset:
    """Current grids of one region, (time, pressure, latitude, longitude), months of all periods in order; lazy.

    where, product: as in `open_profiles`, of kind argo_grid; region: needed where there are several. storage: endpoint,
    profile and anonymous, of an output on S3. Units are those of each variable's attributes; pressure is in dbar.
    Raises NothingToDoError where no finished run made any, and ConfigError naming the regions there are, or where
    periods do not fit together.
    """
    refuse_unknown_keys(storage, Storage)
    place = place_of(where, storage)
    output = Output(place.store, place.choose(product, KIND), place.access)
    keys = current_by_product(output.store).get(output.product, ())
    if not keys:
        raise NothingToDoError(f"{output.store.uri}: no finished run made a grid {output.product!r}")
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        href = get_item(output.store, key)["assets"]["zarr"]["href"]
        path = resolve(key, href)
        found.setdefault(path.split("/")[2], []).append(path)
    if region is None and len(found) > 1:
        raise ConfigError(f"{output.product}: found the regions {', '.join(sorted(found))}; choose one with region=")
    chosen = next(iter(found)) if region is None else region
    if chosen not in found:
        raise ConfigError(f"{output.product}: no region {chosen!r}; found {', '.join(sorted(found))}")
    title = f"{output.product} {chosen}"
    return join_periods(title, [_opened(output, place) for place in found[chosen]]).assign_attrs(title=title)


def _opened(output: Output, place: str) -> xr.Dataset:
    import xarray as xr  # noqa: PLC0415 (only for those who open grids)

    options = s3_options(output.access) if "://" in output.store.uri else None
    opened: xr.Dataset = xr.open_zarr(f"{output.store.uri.rstrip('/')}/{place}", storage_options=options)
    return opened


def join_periods(what: str, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """The grids of some periods, one after the other in time. Raises ConfigError where cells or variables differ."""
    import xarray as xr  # noqa: PLC0415 (as above)

    ordered = sorted(parts, key=lambda part: part["time"].values[0])
    if differ := set[Hashable]().union(*({*part} ^ {*ordered[0]} for part in ordered)):
        raise ConfigError(f"{what}: not all periods have {', '.join(sorted(map(str, differ)))}; {_AGAIN}")
    try:
        joined: xr.Dataset = xr.concat(
            ordered,
            "time",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    except ValueError as error:
        raise ConfigError(f"{what}: not all periods have the same axes ({error}); {_AGAIN}") from error
    return joined
