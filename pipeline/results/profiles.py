"""`open_profiles`: what runs have made of Argo floats, as one lazy Dataset (profile, level); and how it is kept.

Variables are named as users of argopy know them: PRES, TEMP, PSAL, TEMP_QC, PLATFORM_NUMBER, CYCLE_NUMBER, TIME ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.ops.argo_grid import eastward
from pipeline.plan.argo_rules import QualityRule, quality_rule
from pipeline.products._argo_dataset import Selection, open_partitions
from pipeline.read.access import Access
from pipeline.read.partitions import Partition
from pipeline.results.float_years import Question, candidates, fresh_rows, partitions_of, read_float_years
from pipeline.results.where import Storage, Where, place_of, refuse_unknown_keys
from pipeline.types.levels import KINDS
from pipeline.write.store import Store

if TYPE_CHECKING:
    import xarray as xr

KIND = "argo"
_FIRST = {4: "-01-01", 7: "-01"}
"""What the first day of a year or month adds to it, by its length."""
Moment = datetime | str | np.datetime64
Box = tuple[float, float, float, float]


class Wanted(Storage, total=False):
    """What can be asked of profiles; what is left out is no condition."""

    floats: Sequence[int]
    """WMO numbers."""
    bbox: Box
    """West, south, east, north in degrees; west greater than east crosses the antimeridian. Edges are inside."""
    polygon: Sequence[tuple[float, float]]
    """Corners (longitude, latitude); longitudes go on beyond 180 across the antimeridian. Edges are inside."""
    time: tuple[Moment | None, Moment | None]
    """From the first moment, included, to the last, excluded; UTC where no zone is given. A year or a month
    is its first moment."""
    parameters: Sequence[str]
    """Such as PRES, TEMP, DOXY; left out: all."""
    kinds: Sequence[str]
    """core, bgc, synthetic."""
    directions: Sequence[str]
    """A, D."""
    modes: Sequence[str]
    """Data mode of the profile: R, A, D."""
    quality: Literal["standard", "research", "expert"]
    """standard and research: best values that the rule of that name takes. expert: raw and adjusted as in the files.
    Left out: best values as they were committed."""
    flags: Sequence[int]
    """Best values with these flags only, in place of those of `quality`."""


@dataclass(frozen=True)
class Output:
    """Where a product of profiles lies."""

    store: Store
    product: str
    access: Access


def open_profiles(where: Where, product: str | None = None, **wanted: Unpack[Wanted]) -> xr.Dataset:
    """Committed profiles as one lazy Dataset, dims (profile, level): no level is read before it is computed.

    where: the `output` of runs, a folder or s3://, or a config, or the path of its file (.yaml). product: its name;
    needed where a config has several of kind argo; of an output, default `argo`.
    floats (WMO numbers), bbox or polygon (degrees), time (start, end), parameters, kinds, directions, modes, quality,
    flags: what is asked for, see `Wanted`. endpoint, profile, anonymous: how an output on S3 is reached.

    Coordinates (profile,) are in memory; numbers are Dask arrays, a chunk some profiles of one float bucket, padded
    with NaN (flags: -1) to the longest profile. Float, place and time are looked up in a small table first, so that
    only partitions that may hold some are looked at. Picklable: works on any cluster whose workers reach the files.

    Raises NothingToDoError where nothing is committed or selected, ConfigError for what cannot be asked; when computed,
    AssetError naming a partition that cannot be read or was replaced since.
    """
    question, selection = _asked(wanted)
    place = place_of(where, wanted)
    output = Output(place.store, place.choose(product, KIND), place.access)
    return open_partitions(find_partitions(output, question), selection).assign_attrs(product=output.product)


def find_partitions(output: Output, question: Question) -> list[Partition]:
    """Partitions that may hold what is asked for, by bucket. Raises NothingToDoError where there is none."""
    listed = partitions_of(output.store, output.product)
    if not listed:
        raise NothingToDoError(
            f"{output.store.uri}: found no partition data/{output.product}/<bucket>/static/levels.parquet; expected "
            "the output of a run with a product of kind argo; product= names it where it has a name of its own"
        )
    rows = fresh_rows(read_float_years(output.store, output.product), listed)
    root = output.store.uri.rstrip("/")
    chosen = candidates(rows, listed, question)
    if not chosen:
        raise NothingToDoError(
            f"{output.store.uri}: none of the {len(listed)} partitions of {output.product} has such "
            f"floats, places or times; the table indexes/{output.product}/float_years.parquet says what there is"
        )
    return [Partition(f"{root}/{listed[bucket].key}", output.access) for bucket in chosen]


def _asked(wanted: Wanted) -> tuple[Question, Selection]:
    """The same question for the table and for the profiles. Raises ConfigError."""
    refuse_unknown_keys(wanted, Wanted)
    start, end = _span(wanted)
    region = _region(wanted)
    rule = _rule(wanted)
    floats = tuple(int(wmo) for wmo in np.ravel(wanted["floats"])) if "floats" in wanted else None
    asked = _texts(wanted.get("parameters"))
    parameters = None if asked is None else tuple(name.upper() for name in asked)
    question = Question(floats, _bounds(region), start, end)
    within = None if region is None and start is None and end is None else _Within(region, start, end)
    return question, Selection(
        floats=floats,
        kinds=_words("kinds", wanted.get("kinds"), KINDS),
        directions=_words("directions", wanted.get("directions"), ("A", "D")),
        modes=_words("modes", wanted.get("modes"), ("R", "A", "D")),
        within=within,
        parameters=parameters,
        originals=wanted.get("quality") == "expert",
        rule=rule,
    )


def _texts(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else (values,) if isinstance(values, str) else tuple(values)


def _words(key: str, values: Sequence[str] | None, allowed: Sequence[str]) -> tuple[str, ...] | None:
    words = _texts(values)
    if unknown := sorted({*(words or ())} - {*allowed}):
        raise ConfigError(f"{key}: found {', '.join(unknown)}; allowed: {', '.join(allowed)}")
    return words


def _span(wanted: Wanted) -> tuple[datetime | None, datetime | None]:
    time = wanted.get("time", (None, None))
    if isinstance(time, str) or len(time) != 2:
        raise ConfigError(f"time {time!r}: expected (start, end), such as ('2024-06-01', '2024-07-01'); None is open")
    return _moment(time[0]), _moment(time[1])


def _rule(wanted: Wanted) -> QualityRule | None:
    quality = wanted.get("quality")
    flags = tuple(wanted["flags"]) if "flags" in wanted else None
    if quality is None and flags is None:
        return None
    try:
        rule = quality_rule(quality or "standard", flags)
    except ValueError as error:
        raise ConfigError(f"quality={quality}, flags={flags}: {error}") from error
    return None if quality == "expert" else rule


def _moment(one: Moment | None) -> datetime | None:
    if one is None:
        return None
    try:
        text = str(one.astype("datetime64[us]")) if isinstance(one, np.datetime64) else one
        moment = datetime.fromisoformat(text + _FIRST.get(len(text), "")) if isinstance(text, str) else text
    except ValueError as error:
        raise ConfigError(
            f"time {one!r}: expected a time, a date such as 2024-06-01, 2024-06 or 2024, or None"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _region(wanted: Wanted) -> shapely.Polygon | None:
    """The region in degrees, without a break at 180. Raises ConfigError."""
    if "bbox" in wanted and "polygon" in wanted:
        raise ConfigError("found bbox and polygon; allowed: one of them")
    if "polygon" in wanted:
        polygon = shapely.Polygon(wanted["polygon"])
        if not polygon.is_valid or polygon.is_empty:
            raise ConfigError("polygon: found sides that cross, or none; allowed: three corners or more, in order")
        return polygon
    if "bbox" not in wanted:
        return None
    if len(wanted["bbox"]) != 4:
        raise ConfigError(f"bbox {wanted['bbox']}: expected (west, south, east, north) in degrees")
    west, south, east, north = wanted["bbox"]
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise ConfigError(f"bbox {wanted['bbox']}: expected (west, south, east, north) in degrees, south below north")
    return shapely.box(west, south, east if east >= west else round(east + 360, 9), north)


def _bounds(region: shapely.Polygon | None) -> Box | None:
    """West, south, east, north with longitudes as profiles have them: from -180, below 180."""
    if region is None:
        return None
    west, south, east, north = (float(side) for side in region.bounds)
    if east - west >= 360:
        return -180.0, south, 180.0, north
    return _turned(west), south, _turned(east), north


def _turned(longitude: float) -> float:
    return float(eastward(np.array([longitude]), -180.0)[0])


@dataclass(frozen=True)
class _Within:
    """Which profiles lie in a region and a time; one without a position or time does not."""

    region: shapely.Polygon | None
    start: datetime | None
    end: datetime | None

    def __call__(
        self, time: NDArray[np.datetime64], latitude: NDArray[Any], longitude: NDArray[Any]
    ) -> NDArray[np.int64]:
        inside = np.ones(len(time), np.bool_)
        if self.start is not None:
            inside &= time >= np.datetime64(self.start.replace(tzinfo=None), "us")
        if self.end is not None:
            inside &= time < np.datetime64(self.end.replace(tzinfo=None), "us")
        if self.region is not None:
            shapely.prepare(self.region)
            inside &= shapely.intersects_xy(self.region, eastward(longitude, self.region.bounds[0]), latitude)
        return np.where(inside, 0, -1)
