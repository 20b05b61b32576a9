"""Archives on loopback in place of the live ones that the configs name: a STAC API, and a GDAC with floats of 2023."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.demo.argo_file import Cast, profile_file
from pipeline.demo.argo_index import GREYLIST, Listed, index_files
from pipeline.demo.argo_water import pressures, sampled
from tests.search.apis import Paged, run_paged

FLOATS = (2902269, 2902277)
CYCLES = 6
PLACE = (65.0, 15.0)
"""Longitude and latitude, in the Arabian Sea."""


@contextmanager
def earth_search(world: Path) -> Iterator[str]:
    """Address of an API with the demo world's newer Sentinel-2 archive, two items a page; files come over HTTP, too."""
    archive = world / "s2_c1"
    items = [json.loads(path.read_text()) for path in sorted(archive.glob("*/*.json"))]
    paged = Paged(*([items[first : first + 2] for first in range(0, len(items), 2)]))
    with run_paged(paged) as server:
        files: Any = server.files
        for item in items:
            for asset in item["assets"].values():
                path = archive / item["id"] / asset["href"]
                name = f"/files/{item['id']}/{path.name}"
                files[name] = path.read_bytes()
                asset["href"] = f"{server.address}{name}"
        yield f"{server.address}/v1"


def make_gdac(root: Path) -> Path:
    """A GDAC in a folder: two floats of INCOIS, a profile a month, delayed mode at first and then real time."""
    listed = []
    for wmo in FLOATS:
        for cycle in range(1, CYCLES + 1):
            letter = "D" if cycle <= CYCLES // 2 else "R"
            moment = datetime(2023, 4, 10, tzinfo=UTC) + timedelta(days=30 * cycle)
            columns = sampled(
                pressures(wmo, cycle), moment.date(), cycle, dict.fromkeys(("PRES", "TEMP", "PSAL"), letter)
            )
            cast = Cast(wmo, cycle, moment, PLACE[1] + cycle / 10, PLACE[0] + cycle / 10, columns)
            path, updated = f"incois/{wmo}/profiles/{letter}{wmo}_{cycle:03d}.nc", "20240101000000"
            file = root / "dac" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(profile_file((cast,), "core", updated))
            listed.append(Listed(path, "core", cast, updated))
    for name, content in {**index_files(listed), "ar_greylist.txt": GREYLIST}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root
