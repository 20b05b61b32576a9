"""How a finished tile compares with the config's limits, and with the neighbours that are committed already.

What is measured stands in the item, whatever the limits; these only say what of it is marked, and what is not
committed. So a limit that changes makes no tile again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pipeline.config import QualityConfig
from pipeline.config.quality import Limit
from pipeline.errors import QualityError, StoreError
from pipeline.products._quality import CLOUD, IN_DOUBT, LEAST, MEAN, MISSING, VALID
from pipeline.types import Finding, Job, Json, Made, Neighbour, Quality, Upstream
from pipeline.write.edges import FIELD, step_between
from pipeline.write.stac import item_key
from pipeline.write.store import Store

PROPERTY = "groundswell:quality"
LEVELS = ("pass", "warn", "fail")
_NAMES = {
    VALID: "valid_fraction",
    MEAN: "observations_mean",
    LEAST: "observations_min",
    CLOUD: "cloud_fraction",
    MISSING: "missing_fraction",
}
_SIDES_AT_ONCE = 4
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What a neighbour's item may raise that is not as this version writes it: it costs a comparison and never a job."""
_LIMITS: tuple[tuple[str, str, str], ...] = (
    ("low_valid_fraction", "valid_fraction", "min_valid_fraction"),
    ("few_observations", "observations_mean", "min_observations"),
    ("cloudy", "cloud_fraction", "max_cloud_fraction"),
    ("missing_assets", "missing_fraction", "max_missing_fraction"),
    ("edge_step", "edge_difference", "max_edge_difference"),
)
"""Flag, figure and limit."""
Bands = Mapping[str, Mapping[str, Json]]
"""By asset key: the `bands` entry of a layer's only band."""


@dataclass(frozen=True)
class Assessed:
    """A tile that is ready to be committed, and what is to be said of it."""

    made: Made
    quality: Quality
    absent: tuple[Neighbour, ...]
    """Neighbours that were not committed."""


def assess(job: Job, made: Made, limits: QualityConfig, store: Store) -> Assessed:
    """Measure a finished tile against the limits and its committed neighbours; the item will say all of it.

    Reads the items of up to four neighbours, and no pixel; what cannot be read is not compared.
    """
    bands = layers_of({file.key: file.fields for file in made.files})
    steps, absent = _steps(job, bands, job.neighbours if limits.edges else (), store)
    figures = measure(job, made, steps)
    quality = judge(figures, limits)
    texts = [f"{one.flag}: {one.text}" for one in quality.found]
    said = {"status": quality.status, "flags": list(quality.flags), "found": texts, **figures}
    return Assessed(replace(made, properties={**made.properties, PROPERTY: said}), quality, absent)


def refuse(job: Job, quality: Quality, limits: QualityConfig) -> None:
    """Raise QualityError where a tile is worse than the limits allow, unless `on_fail` is to commit it."""
    if quality.status == "fail" and limits.on_fail == "refuse":
        raise QualityError(
            f"{job.id}: {_text(quality)}; nothing is committed: look at its inputs, change the limit under `quality`, "
            "or let `quality.on_fail: commit` publish it marked as failed"
        )


def _text(quality: Quality) -> str:
    return "; ".join(f"{one.flag}: {one.text}" for one in quality.found if one.level == "fail")


def look_again(job: Job, assessed: Assessed, limits: QualityConfig, store: Store) -> Quality:
    """Compare with the neighbours that were committed at the same moment, now that both are.

    Of two tiles made side by side neither may find the other before it is committed; the later one finds it now. The
    item stands, so this is said in the run's records alone.
    """
    bands = layers_of({file.key: file.fields for file in assessed.made.files})
    steps, _ = _steps(job, bands, assessed.absent, store)
    if not steps:
        return assessed.quality
    late = judge({"edge_difference": steps[0]["ratio"], "edges": steps}, limits)
    return _quality([*assessed.quality.found, *late.found])


def measure(job: Job, made: Made, steps: Sequence[Json]) -> dict[str, Json]:
    """The figures that limits are about; what a product does not say is left out. steps: largest ratio first."""
    figures = {name: made.properties[said] for said, name in _NAMES.items() if said in made.properties}
    if MISSING not in made.properties:
        expected = sum(len(item.assets) for item in job.items) or len(job.upstream)
        lost = {(loss.item, loss.asset) for loss in made.losses}
        figures["missing_fraction"] = round(min(1.0, len(lost) / expected), 6) if expected else 0.0
    if IN_DOUBT in made.properties:
        figures["offsets_in_doubt"] = made.properties[IN_DOUBT]
    if ranges := dict(_ranges([file.fields for file in made.files])):  # a table has no column for an object of nothing
        figures["ranges"] = ranges
    if steps:
        figures |= {"edge_difference": steps[0]["ratio"], "edges": list(steps)}
    return figures


def judge(figures: Mapping[str, Json], limits: QualityConfig) -> Quality:
    """What of the figures is beyond the limits. Pure, so an item can be judged again by other limits."""
    found = [*_of_limits(figures, limits), *_of_ranges(figures.get("ranges") or {}, limits)]
    if figures.get("valid_fraction") == 0:
        found.append(Finding("empty", limits.empty, "no pixel has a number"))
    if doubts := figures.get("offsets_in_doubt"):
        found.append(Finding("suspicious_offset", limits.offset_in_doubt, f"the offset of {doubts} scenes is in doubt"))
    return _quality(one for one in found if one.level != "pass")


def bounds(limits: QualityConfig) -> Iterator[tuple[str, bool, float]]:
    """(figure, whether smaller ones are worse, number beyond which `judge` says something of it)."""
    for _, figure, name in _LIMITS:
        limit = getattr(limits, name)
        yield from ((figure, limit.below, bound) for bound in (limit.warn, limit.fail) if bound is not None)


def _quality(found: Iterable[Finding]) -> Quality:
    found = sorted(set(found), key=lambda one: (one.flag, one.text))
    return Quality(max((one.level for one in found), key=LEVELS.index, default="pass"), tuple(found))


def layers_of(assets: Mapping[str, Mapping[str, Json]]) -> Bands:
    """By key, what the fields of an item's assets say of each layer: its numbers and its edges."""
    found: dict[str, Mapping[str, Json]] = {}
    for key, fields in assets.items():
        for band in fields.get("bands", ()):
            if FIELD in band:
                # A file of one band has the name of its asset; those of a store, or of a file of several, their own.
                found.setdefault(key if len(fields["bands"]) == 1 else band["name"], band)
    return found


def _of_limits(figures: Mapping[str, Json], limits: QualityConfig) -> Iterator[Finding]:
    for flag, figure, name in _LIMITS:
        limit, value = getattr(limits, name), figures.get(figure)
        if value is not None and (level := _level(value, limit)) != "pass":
            bound = getattr(limit, level)
            words = f"{figure} {value:g} is {'below' if limit.below else 'above'} {name}.{level} {bound:g}"
            yield Finding(flag, level, words + (_where(figures["edges"][0]) if flag == "edge_step" else ""))


def _level(value: float, limit: Limit) -> str:
    for level in ("fail", "warn"):
        bound = getattr(limit, level)
        if bound is not None and (value < bound if limit.below else value > bound):
            return level
    return "pass"


def _where(step: Mapping[str, Json]) -> str:
    return f" ({step['band']} at the {step['side']}, to {step['tile']} of {step['fingerprint'][:12]})"


def _of_ranges(ranges: Mapping[str, Sequence[float]], limits: QualityConfig) -> Iterator[Finding]:
    for band, allowed in sorted(limits.band_ranges.items()):
        low, high = ranges.get(band) or (math.inf, -math.inf)
        for level in ("fail", "warn"):
            bounds = getattr(allowed, level)
            if bounds is not None and (low < bounds[0] or high > bounds[1]) and low <= high:
                words = f"{band} lies in [{low:g}, {high:g}], beyond band_ranges.{band}.{level} "
                yield Finding("out_of_range", level, f"{words}[{bounds[0]:g}, {bounds[1]:g}]")
                break


def _ranges(assets: Iterable[Mapping[str, Json]]) -> Iterator[tuple[str, list[float]]]:
    """By band, its smallest and largest physical value, of all days together."""
    found: dict[str, list[float]] = {}
    for band in (band for fields in assets for band in fields.get("bands", ())):
        summary = band.get("statistics", {})
        if "minimum" in summary and "groundswell:flags" not in band:
            scale, offset = float(band.get("raster:scale", 1)), float(band.get("raster:offset", 0))
            ends = sorted(float(f"{summary[end] * scale + offset:.6g}") for end in ("minimum", "maximum"))
            known = found.get(band["name"], ends)
            found[band["name"]] = [min(known[0], ends[0]), max(known[1], ends[1])]
    yield from sorted(found.items())


def _steps(
    job: Job, bands: Bands, neighbours: Sequence[Neighbour], store: Store
) -> tuple[list[Json], tuple[Neighbour, ...]]:
    """How the tile meets its neighbours, by each side's worst band, the largest ratio first; and who is absent."""
    if not neighbours or not bands:
        return [], ()
    if "://" in store.uri:
        with ThreadPoolExecutor(_SIDES_AT_ONCE) as pool:
            theirs = list(pool.map(lambda one: _bands_of(job, one, store), neighbours))
    else:  # a file is read sooner than a thread is started
        theirs = [_bands_of(job, one, store) for one in neighbours]
    found = [
        max(_on_side(one, bands, its), key=lambda step: (step["ratio"], step["band"]), default=None)
        for one, its in zip(neighbours, theirs, strict=True)
        if its is not None
    ]
    absent = tuple(one for one, its in zip(neighbours, theirs, strict=True) if its is None)
    steps = [step for step in found if step is not None]
    return sorted(steps, key=lambda step: (-step["ratio"], step["side"])), absent


def _on_side(one: Neighbour, bands: Bands, theirs: Bands) -> Iterator[dict[str, Json]]:
    for key in sorted(bands.keys() & theirs.keys()):
        try:
            step = step_between(one.side, bands[key], theirs[key])
        except _DAMAGED:
            continue
        if step is not None and math.isfinite(step.across) and math.isfinite(step.inside):
            yield {
                "side": one.side,
                "tile": one.tile_id,
                "fingerprint": one.fingerprint,
                "band": key,
                "across": float(f"{step.across:.6g}"),
                "inside": float(f"{step.inside:.6g}"),
                "ratio": float(f"{step.ratio:.4g}"),
            }


def _bands_of(job: Job, one: Neighbour, store: Store) -> Bands | None:
    """What the item of a neighbour says of its layers; None where it is not committed, or cannot be read."""
    key = item_key(Upstream(job.product, job.kind, one.tile_id, job.period, one.fingerprint))
    try:
        return layers_of(json.loads(store.get_bytes(key))["assets"])
    except (StoreError, *_DAMAGED):
        return None
