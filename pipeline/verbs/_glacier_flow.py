"""The folders that scripts of the Greenland glacier flow read, told from committed items of `glaciers`. Pure.

Sentinel-2: `sentinel2/<region>/clipped/<acquisition>.tif`, `metadata/individual_csv/<acquisition>.csv` (the picture and
the tiles in it), `metadata/combined_csv/<region>.csv`, `template/<region>.tif`, `download/<year>/` with the STAC items
of the tiles in place of the tiles themselves. Landsat: `landsat/<region>/<time>_<scene>_<product>_ortho.tif`, and
`landsat/_reference/` with each region's template and `<region>_stac_query_results.csv`.

Source: https://github.com/bidhya/greenland-glacier-flow (README.md and docs/technical/output_structure_notes.md).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.errors import ConfigError
from pipeline.products._sentinel2_config import BANDS
from pipeline.types import Json
from pipeline.verbs._adopted import origin_of

Document = Mapping[str, Any]
ACQUISITION = 37
"""Letters of a Sentinel-2 product's name up to its orbit, which all tiles of one pass share."""
_PRODUCT = re.compile(r"S2[A-Z]_MSIL[12][A-Z]_\d{8}T\d{6}_N\d{4}_R\d{3}_[A-Za-z0-9_.-]+")
"""A product's name since the end of 2016. Older ones begin with when they were processed, not with a pass."""
_COLUMNS = (
    *("id", "datetime", "platform", "eo:cloud_cover", "view:sun_azimuth", "view:sun_elevation"),
    *("landsat:wrs_path", "landsat:wrs_row", "landsat:scene_id", "landsat:collection_category"),
)


@dataclass(frozen=True)
class Picture:
    """One file of one date, and what it is called."""

    sensor: str
    region: str
    name: str
    """Of the file, without `.tif`."""
    asset: str
    """Its key in the item."""
    day: str
    scenes: tuple[Document, ...]
    """STAC items that it was merged from."""
    bands: tuple[str, ...]


def pictures(item: Document, scenes: Sequence[Document]) -> list[Picture]:
    """The dates of an item, by name. scenes: the features of its asset `scenes`.

    Raises ConfigError for an item that is of no region.
    """
    if (origin := origin_of(item)) is not None:
        raise ConfigError(f"item {item['id']}: {origin}: its files lie there as they were; allowed: --template")
    if not {"region", "scenes"} <= item["assets"].keys():
        raise ConfigError(
            f"item {item['id']}: found no region; allowed: a product of kind glaciers, or any with --template"
        )
    if "template" not in item["assets"]:
        raise ConfigError(f"item {item['id']}: found no GeoTIFF to copy; allowed: what was made with write.cog")
    region = region_of(item)
    sensor = "landsat" if item["properties"].get("constellation") == "landsat" else "sentinel2"
    by_id = {scene["id"]: scene for scene in scenes}
    dated = {key: asset for key, asset in item["assets"].items() if "groundswell:scenes" in asset}
    sets = {key.rpartition("-")[0] for key in dated}
    made = []
    for key, asset in sorted(dated.items()):
        mine = tuple(by_id[name] for name in asset["groundswell:scenes"])
        name = _landsat_name(mine[0]) if sensor == "landsat" else _sentinel2_name(mine[0])
        name = name if len(sets) == 1 else f"{name}_{key.rpartition('-')[0]}"
        bands = tuple(band["name"] for band in asset["bands"])
        made.append(Picture(sensor, region, name, key, asset["groundswell:solar_day"], mine, bands))
    return made


def region_of(item: Document) -> str:
    """The region of an item, by where its files lie: data/<product>/<region>/<period>/."""
    return str(item["assets"]["region"]["href"].split("/")[-3])


def picture_path(picture: Picture) -> str:
    """Where a picture lies."""
    folder = "" if picture.sensor == "landsat" else "clipped/"
    return f"{picture.sensor}/{picture.region}/{folder}{picture.name}.tif"


def template_path(sensor: str, region: str) -> str:
    """Where the template of a region lies."""
    return f"landsat/_reference/{region}.tif" if sensor == "landsat" else f"sentinel2/{region}/template/{region}.tif"


def side_files(pictures: Sequence[Picture]) -> Iterator[tuple[str, str]]:
    """(path, text) of everything else that belongs to the pictures of one sensor and region."""
    sensor, region = pictures[0].sensor, pictures[0].region
    ordered = sorted(pictures, key=lambda one: (one.day, one.name))
    scenes = {scene["id"]: scene for one in ordered for scene in one.scenes}
    if sensor == "landsat":
        yield f"landsat/_reference/{region}_stac_query_results.csv", _results(ordered)
        return
    rows = [[one.name, *(_tile_name(scene, one.bands) for scene in one.scenes)] for one in ordered]
    folder = f"sentinel2/{region}"
    for row in rows:
        yield f"{folder}/metadata/individual_csv/{row[0]}.csv", _table([row])
    # As pandas writes a frame without names: columns are numbered from the one behind the index.
    widest = max(len(row) for row in rows)
    padded = [row + [""] * (widest - len(row)) for row in rows]
    yield f"{folder}/metadata/combined_csv/{region}.csv", _table([["0", *map(str, range(1, widest))], *padded])
    for scene in scenes.values():
        year = scene["properties"]["datetime"][:4]
        yield f"{folder}/download/{year}/{_product(scene)}.json", json.dumps(scene, indent=1, sort_keys=True) + "\n"


def _sentinel2_name(scene: Document) -> str:
    return _product(scene)[:ACQUISITION]


def _product(scene: Document) -> str:
    """A tile's product name without `.SAFE`; one of the same form where the catalogue says none of that form."""
    said = scene["properties"]
    uri = str(said.get("s2:product_uri", "")).removesuffix(".SAFE")
    if _PRODUCT.fullmatch(uri):
        return uri
    platform = str(said.get("platform", "sentinel-2x"))[-1].upper()
    baseline = "".join(each for each in str(said.get("s2:processing_baseline", "")) if each.isdigit()) or "0000"
    orbit = said.get("sat:relative_orbit")
    number = orbit if isinstance(orbit, int) else 0
    return f"S2{platform}_MSIL2A_{_time(scene):%Y%m%dT%H%M%S}_N{baseline:0>4}_R{number:03d}_{_safe(scene['id'])}"


def _tile_name(scene: Document, bands: Sequence[str]) -> str:
    return f"{_product(scene)}_{'-'.join(BANDS[band].number for band in bands)}.tif"


def _landsat_name(scene: Document) -> str:
    said = scene["properties"].get("landsat:scene_id") or scene["id"]
    return f"{_time(scene):%Y%m%d%H%M%S}_{_safe(said)}_{_safe(scene['id'])}_ortho"


def _safe(name: Json) -> str:
    """A catalogue's name as part of a file's: it leads to no other folder."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", str(name)).lstrip(".")


def _time(scene: Document) -> datetime:
    return datetime.fromisoformat(scene["properties"]["datetime"])


def _results(pictures: Sequence[Picture]) -> str:
    """What the catalogue said of the scenes, and which picture each is in."""
    rows: list[list[Json]] = [["subset_id", *_COLUMNS, "href"]]
    for one in pictures:
        for scene in one.scenes:
            said = {"id": scene["id"], **scene["properties"]}
            hrefs = " ".join(str(asset["href"]) for asset in scene["assets"].values())
            rows.append([one.name, *(said.get(column, "") for column in _COLUMNS), hrefs])
    return _table(rows)


def _table(rows: Iterable[Sequence[Json]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
