"""The STAC item of a finished job: pure, complete, with relative hrefs only; where its files lie is decided here too.

Versions were chosen so that readers understand them: STAC 1.1 `bands` give odc-stac dtype and nodata, projection 2.0
gives pystac and odc-stac the grid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import rasterio
from shapely.geometry import shape

from pipeline.errors import OutputError
from pipeline.plan.adopted import is_adopted
from pipeline.types import DataFile, Job, Json, Made, Upstream
from pipeline.version import __version__
from pipeline.write.files import document_digest
from pipeline.write.footprint import tile_footprint

STAC_VERSION = "1.1.0"
FORMAT = 1
"""Version of the layout and of the `groundswell:` fields."""

MAX_DERIVED_FROM = 100
"""Above this the `inputs` asset alone names the inputs."""

ITEM_TYPE, JSON_TYPE = "application/geo+json", "application/json"
ROOT_KEY = "catalog.json"
"""The page that a catalogue begins with."""
OWN_PREFIX = "groundswell"
ITEM_DIGEST = f"{OWN_PREFIX}:digest"
"""Property with the digest of the item without it, so that `verify` notices a changed item too."""
ADOPTED = f"{OWN_PREFIX}:adopted"
"""Property of what another system made; of everything else it is missing."""
EXTENSIONS = {
    "eo": "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "sci": "https://stac-extensions.github.io/scientific/v1.0.0/schema.json",
}
"""Extension schema by field prefix."""
_KINDS = (
    (bool, "true or false"),
    (int, "number"),
    (float, "number"),
    (str, "text"),
    (dict, "object"),
    ((list, tuple), "list"),
)
SAFE_NAME = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._-]*")


def item_key(job: Job | Upstream) -> str:
    """Where the item of a job lies; the fingerprint is what follows the last `_`."""
    tile_id = job.tile_id if isinstance(job, Upstream) else job.tile.id
    product, tile, period = _safe(job.product), _safe(tile_id), _safe(job.period.id)
    return f"items/{product}/{tile}_{period}_{job.fingerprint}.json"


def data_key(job: Job, file: DataFile) -> str:
    """Where a data file of a job lies: its name holds the fingerprint and the content, so no put can spoil another.

    A partition's is fixed. Of a folder, what its objects' keys begin with; the content is then its manifest's.
    """
    folder = "/".join(_safe(part) for part in ("data", job.product, job.tile.id, job.period.id))
    if file.replaces is not None:
        return f"{folder}/{_safe(file.key)}{file.path.suffix}"
    return f"{folder}/{_safe(file.key)}_{job.fingerprint[:12]}_{file.sha256[:12]}{file.path.suffix}"


def render_item(job: Job, made: Made, *, created: datetime) -> dict[str, Json]:
    """The STAC 1.1 item of a job as JSON-shaped data; equal arguments give equal items. No I/O.

    Raises OutputError for an unsafe name, a missing `inputs` file, a field of an extension this project does not know,
    since the item would then claim what no schema has checked, and a property that no column of a table holds.
    """
    if "inputs" not in {file.key for file in made.files}:
        raise OutputError(f"{job.id}: no file with the key 'inputs'; expected the document of what it was made from")
    geometry, bbox = tile_footprint(job.tile.geobox)
    if made.geometry is not None:
        geometry, bbox = made.geometry, list(shape(made.geometry).bounds)
    assets = {file.key: _asset(job, file) for file in made.files}
    properties = _properties(job, made, created, assets)
    for name, value in properties.items():
        _check_column(f"{job.id}: property {name}", [value])
    item = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": used_extensions([properties, *assets.values()]),
        "id": f"{job.product}_{job.tile.id}_{job.period.id}",
        "collection": job.product,
        "geometry": geometry,
        "bbox": bbox,
        "properties": properties,
        "assets": assets,
        "links": _links(job, made),
    }
    properties[ITEM_DIGEST] = document_digest(item)
    return item


def _check_column(where: str, values: Iterable[Json]) -> None:
    """Raise OutputError for values that one column of `items.parquet` cannot hold: of several types, or too large."""
    there = [value for value in values if value is not None]
    kinds = sorted({_kind(value) for value in there})
    large = [value for value in there if isinstance(value, int) and abs(value) >= 2**63]
    if len(kinds) > 1 or large:
        raise OutputError(f"{where}: found {large[0] if large else ' and '.join(kinds)}; expected one type, in 64 bits")
    if kinds == ["list"]:
        _check_column(f"{where}[]", [one for value in there for one in value])
    if kinds == ["object"]:
        for name in sorted({name for value in there for name in value}):
            _check_column(f"{where}.{name}", [value[name] for value in there if name in value])


def _kind(value: Json) -> str:
    """The type of a value in words; true and false are whole numbers to Python alone."""
    return next((word for kind, word in _KINDS if isinstance(value, kind)), type(value).__name__)


def used_extensions(fields: Iterable[Mapping[str, Json]]) -> list[str]:
    """Schema addresses of the extensions whose fields occur, on the objects themselves or in their `bands`."""
    names = {name for each in fields for part in (each, *each.get("bands", ())) for name in part}
    prefixes = {name.partition(":")[0] for name in names if ":" in name} - {OWN_PREFIX}
    unknown = sorted(name for name in names if name.partition(":")[0] in prefixes - EXTENSIONS.keys())
    if unknown:
        raise OutputError(
            f"item fields {', '.join(unknown)}: found prefixes without a known schema, "
            f"expected one of {', '.join(sorted(EXTENSIONS))}; add the schema to EXTENSIONS"
        )
    return sorted(EXTENSIONS[prefix] for prefix in prefixes)


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, with `Z`."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _asset(job: Job, file: DataFile) -> dict[str, Json]:
    """Size and digest are those of a file; what a folder holds is in the manifest beside it."""
    whole = {
        "file:size": file.size_bytes,
        "file:checksum": f"1220{file.sha256}",  # multihash: sha2-256 (0x12), 32 bytes (0x20)
    }
    return {
        "href": f"../../{data_key(job, file)}",
        "type": file.media_type,
        "title": file.title,
        "roles": list(file.roles),
        **({} if file.objects else whole),
        **file.fields,
    }


def _properties(job: Job, made: Made, created: datetime, assets: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    rights = made.rights
    losses = sorted(made.losses, key=lambda loss: (loss.item, loss.asset, loss.href))
    sizes = [asset["gsd"] for asset in assets.values() if "gsd" in asset]
    return {
        "title": f"{job.product} {job.tile.id} {job.period.id}",
        "processing:level": "L3",
        "processing:lineage": f"Product {job.kind} of tile {job.tile.id}, period {job.period.id}, "
        f"from {len(job.items) + len(job.upstream)} input items; the asset `inputs` names them.",
        **({"gsd": min(sizes)} if sizes else {}),
        **made.properties,
        **_times(job, made.properties),
        "created": timestamp(created),
        "license": rights.license,
        "attribution": rights.attribution,
        **({"providers": [dict(each) for each in rights.providers]} if rights.providers else {}),
        "processing:software": {"unknown": "unknown"} if is_adopted(job.fingerprint) else _software(),
        **({ADOPTED: True} if is_adopted(job.fingerprint) else {}),
        f"{OWN_PREFIX}:format": FORMAT,
        f"{OWN_PREFIX}:fingerprint": job.fingerprint,
        f"{OWN_PREFIX}:missing_assets": [
            {"item": x.item, "asset": x.asset, "href": x.href, "error": x.error, "cause": x.cause} for x in losses
        ],
        **({f"{OWN_PREFIX}:warnings": list(made.warnings)} if made.warnings else {}),
    }


def _software() -> dict[str, str]:
    return {
        "groundswell": __version__,
        "gdal": rasterio.__gdal_version__,
        **{name: version(name) for name in ("numcodecs", "numpy", "rasterio", "zarr")},
    }


def _times(job: Job, said: Mapping[str, Json]) -> dict[str, Json]:
    """Start and end, both inclusive as in STAC; a timeless period takes what is said, or else those of its inputs."""
    start, end = job.period.start, job.period.end
    if start is None or end is None:
        if said.keys() >= {"datetime", "start_datetime", "end_datetime"}:
            return {}
        if not job.items:
            raise OutputError(f"{job.id}: a period without bounds and no input items leave the item without a time")
        start, end = (pick(item.time for item in job.items) for pick in (min, max))
    else:
        end -= timedelta(microseconds=1)
    return {"datetime": None, "start_datetime": timestamp(start), "end_datetime": timestamp(end)}


def _links(job: Job, made: Made) -> list[Json]:
    # None to the root: pystac opens that one whenever it writes an item out, and it is there from a run's end only.
    page = f"../../collections/{job.product}/collection.json"
    links: list[Json] = [{"rel": rel, "href": page, "type": JSON_TYPE} for rel in ("parent", "collection")]
    links += [{"rel": "license", "href": href} for href in made.rights.license_hrefs]
    if len(job.items) <= MAX_DERIVED_FROM:
        links += [
            {"rel": "derived_from", "href": item.href, "type": ITEM_TYPE, "title": item.id}
            for item in job.items
            if item.href
        ]
    links += [
        {"rel": "derived_from", "href": f"../../{item_key(one)}", "type": ITEM_TYPE, "title": one.job_id}
        for one in job.upstream
        if not one.afloat  # replaced in place: the link would soon lead nowhere
    ]
    return links


def _safe(name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        raise OutputError(f"name {name!r} cannot be part of a path; expected letters, digits, '-', '_' and '.' only")
    return name
