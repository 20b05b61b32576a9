"""Where other systems keep their files: for a job, the path of each file that its product promises. Pure.

`glacier-flow`: the folders of the Greenland glacier flow (see `_glacier_flow`). `ttc`: of the tree-cover pipeline,
`{year}/tiles/{x}/{y}/{x}X{y}Y_FINAL.tif`, `{year}/ard/…` and `{year}/raw/…`. Else a template. A path is looked up,
never taken apart: what no job asks for stays where it is.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from string import Formatter

from pipeline.errors import ConfigError
from pipeline.plan.periods import STATIC, named_year
from pipeline.plan.scenes import sun_ahead
from pipeline.plan.ttc import ttc_numbers
from pipeline.products._promise import Promise
from pipeline.types import Band, Job, Period
from pipeline.verbs._template import FIELDS

TTC: Mapping[str, tuple[str, ...]] = {
    "predict": ("{year}/tiles/{x}/{y}/{x}X{y}Y_FINAL.tif", "{year}/tiles/{x}/{y}/{x}X{y}Y_{layer}.tif"),
    "ttc_ard": ("{year}/ard/{x}/{y}/{x}X{y}Y_{layer}.tif", "{year}/ard/{x}/{y}/{x}X{y}Y_ard.tif"),
    "sentinel2": ("{year}/raw/{x}/{y}/{x}X{y}Y_{layer}.tif",),
    "sentinel1": ("{year}/raw/{x}/{y}/{x}X{y}Y_{layer}.tif",),
    "dem": ("{year}/raw/{x}/{y}/{x}X{y}Y_{layer}.tif",),
}
"""By kind of product, where its files lie in the tree-cover pipeline's folders."""
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "landsat": ("landsat/_reference/{region}.tif",),
    "sentinel2": ("sentinel2/{region}/template/{region}.tif", "sentinel2/template/{region}.tif"),
}
"""Where the glacier flow keeps the grid of a region."""
TOGETHER = "bands"
"""Key of a file that holds all bands of a product, one after the other."""
_ACQUIRED = {
    "sentinel2": re.compile(r"S2[A-Z]_MSIL[12][A-Z]_(\d{8}T\d{6})_.+"),
    "landsat": re.compile(r"(\d{14})_.+_ortho"),
}
_TIMES = {"sentinel2": "%Y%m%dT%H%M%S", "landsat": "%Y%m%d%H%M%S"}


class Keys:
    """All keys below a folder."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self._sorted = sorted(sizes)

    def under(self, prefix: str) -> Iterator[str]:
        """Those that begin with a prefix, in order."""
        for key in self._sorted[bisect_left(self._sorted, prefix) :]:
            if not key.startswith(prefix):
                return
            yield key


@dataclass
class Found:
    """The files that lie there for a job."""

    paths: dict[str, str] = field(default_factory=dict)
    """By asset key."""
    bands: dict[str, tuple[Band, ...]] = field(default_factory=dict)
    """What each must hold, by the same keys."""
    lacking: list[str] = field(default_factory=list)
    """Where something should lie, in words."""
    days: dict[str, str] = field(default_factory=dict)
    """The solar day of what is one of a series, by the same keys."""


Finder = Callable[[Job, Promise, Keys], Found]


def finder(layout: str | None, template: str | None, sensor: Callable[[Job], str | None]) -> Finder:
    """How the files of a job are found. sensor: of a job of a kind that has regions; else None.

    Raises ConfigError unless one of layout and template is given, and for a template that is none.
    """
    if (layout is None) == (template is None):
        raise ConfigError("adopt: found no or both of --layout and --template; allowed: one of them")
    if template is not None:
        _check(template)
        return lambda job, promise, keys: _by_template(template, job, promise, keys)
    if layout == "ttc":
        return lambda job, promise, keys: _by_templates(TTC.get(job.kind, ()), job, promise, keys)
    return lambda job, promise, keys: _glaciers(sensor(job), job, promise, keys)


def _check(template: str) -> None:
    try:
        found = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template)]
    except ValueError as error:
        raise ConfigError(f"--template: {template}: {error}") from None
    path = PurePosixPath(template)
    odd = {name for name, spec, conversion in found if name is not None and (name not in FIELDS or spec or conversion)}
    if odd or path.is_absolute() or ".." in path.parts:
        allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise ConfigError(f"--template: found {template}; allowed: a path below the folder, with {allowed}")


def _by_templates(templates: Sequence[str], job: Job, promise: Promise, keys: Keys) -> Found:
    """The first that finds something; of those that find nothing, the first."""
    tried = [_by_template(one, job, promise, keys) for one in templates]
    return next((one for one in tried if one.paths), Found())


def _by_template(template: str, job: Job, promise: Promise, keys: Keys) -> Found:
    known = _known(job, template)
    found = Found()
    if known is None:
        return found
    if "{layer}" not in template:
        path = template.format(**known)
        if path in keys.sizes:
            together = tuple(band for bands in promise.files.values() for band in bands)
            key = next(iter(promise.files)) if len(promise.files) == 1 else TOGETHER
            found.paths[key], found.bands[key] = path, together
        return found
    for name, bands in {**promise.files, **promise.beside}.items():
        if name in promise.dated:
            _add_days(template, name, bands, known, keys, found)
            continue
        path = template.format(layer=name, **known)
        if path in keys.sizes:
            found.paths[name], found.bands[name] = path, bands
        elif name in promise.files:
            found.lacking.append(path)
    _keep_days(job.period, found)
    _complete(promise, found, lambda key: template.format(layer=key, **known))
    return found


def _keep_days(period: Period, found: Found) -> None:
    """Leave out the days of other periods, whatever folder they are in."""
    for key, day in [*found.days.items()] if period.start is not None else ():
        if datetime.fromisoformat(f"{day}T12:00:00+00:00") not in period:
            del found.paths[key], found.bands[key], found.days[key]


def _add_days(
    template: str, name: str, bands: tuple[Band, ...], known: Mapping[str, str], keys: Keys, found: Found
) -> None:
    """Every day of one layer of a series, `red-20240601`."""
    first, *rest = template.split("{layer}")
    parts = [re.escape(part.format(**known)) for part in (first, *rest)]
    days = r"(?P<day>\d{8})"
    again = r"(?P=day)"
    text = parts[0] + "".join(
        f"{re.escape(name)}-{days if number == 0 else again}{part}" for number, part in enumerate(parts[1:])
    )
    for path in keys.under(first.format(**known)):
        match = re.fullmatch(text, path)
        moment = _moment(match["day"], "%Y%m%d") if match is not None else None
        if moment is not None:
            key = f"{name}-{moment:%Y%m%d}"
            found.paths[key], found.bands[key] = path, bands
            found.days[key] = moment.date().isoformat()


def _moment(text: str, form: str) -> datetime | None:
    """The time that a name tells; None where the digits are none."""
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _complete(promise: Promise, found: Found, where: Callable[[str], str]) -> None:
    """Note what is missing of a series: every day has all of its layers, and there is a day."""
    days = sorted({day.replace("-", "") for day in found.days.values()})
    if promise.dated and not days and found.paths:
        found.lacking.append(where(f"{min(promise.dated)}-YYYYMMDD"))
    for day in days:
        found.lacking += [where(f"{one}-{day}") for one in sorted(promise.dated) if f"{one}-{day}" not in found.paths]


def _known(job: Job, template: str) -> dict[str, str] | None:
    """What stands for the fields of a template; None where the job has no such field."""
    year = STATIC.id if job.period.start is None else f"{named_year(job.period.id):04d}"
    known = {"product": job.product, "tile": job.tile.id, "period": job.period.id, "year": year}
    if "{x}" in template or "{y}" in template:
        try:
            known["x"], known["y"] = map(str, ttc_numbers(job.tile.id))
        except ValueError:
            return None
    return known


def _glaciers(sensor: str | None, job: Job, promise: Promise, keys: Keys) -> Found:
    """The pictures of one region, of dates in the job's period."""
    found = Found()
    if sensor is None:
        return found
    region = job.tile.id
    folders = {"landsat": [f"landsat/{region}/"], "sentinel2": [f"sentinel2/{region}/clipped/"]}[sensor]
    folders += [f"sentinel2/clipped/{region}/"] if sensor == "sentinel2" else []
    for folder, path in ((one, path) for one in folders for path in keys.under(one)):
        name = path.removeprefix(folder).removesuffix(".tif")
        match = _ACQUIRED[sensor].match(name)
        if match is None or "/" in name or not path.endswith(".tif"):
            continue
        time = _moment(match[1], _TIMES[sensor])
        if time is None or time not in job.period:
            continue
        one = _set_of(name, [*promise.files])
        day = (time + sun_ahead(job.tile)).date().isoformat()
        key = f"{one}-{day.replace('-', '')}"
        if key in found.paths:
            found.lacking.append(f"one file of {day}, but at {found.paths[key]} and {path}")
        found.paths[key], found.bands[key], found.days[key] = path, promise.files[one], day
    for template in TEMPLATES[sensor]:
        place = template.format(region=region)
        if found.paths and place in keys.sizes:
            found.paths["template"], found.bands["template"] = place, promise.beside["template"]
    _complete(promise, found, lambda key: f"{folders[0]}…: {key}")
    return found


def _set_of(name: str, sets: Sequence[str]) -> str:
    """Which set of bands a picture is of: several have their name behind the picture's."""
    return next((one for one in sets if len(sets) > 1 and name.endswith(f"_{one}")), sets[0])
