"""The page of old and new commands as a table, and a folder in which each of the new ones does real work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline import cli, run
from pipeline.session import Options, open_session
from tests.docs.archives import make_gdac
from tests.products.regions import Regions
from tests.products.ttc_world import TreeWorld
from tests.servers.messages import s3_message
from tests.worlds import SmallWorld

PAGE = Path(__file__).parents[2] / "configs" / "ACROSS.md"
CHAPTERS = {
    "trees": "From the tree-cover pipeline",
    "argo": "From the Argo workers",
    "events": "From the file-processing stack",
    "glaciers": "From the Greenland glacier flow",
}
INDEXED = 48
"""Regions of the file: one that scenes show, and others that none does."""
OURS = ("groundswell ", "python -m pipeline.", "make ", "helm ")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    chapter: str
    old: str
    commands: tuple[str, ...]
    """Ours, in order."""


def rows() -> Iterator[Row]:
    """Every line of the tables of commands."""
    text = PAGE.read_text(encoding="utf-8")
    for chapter, heading in CHAPTERS.items():
        body = text.split(f"## {heading}\n")[1].split("\n## ")[0]
        for line in body.splitlines():
            if line.startswith("| ") and not line.startswith("| old"):
                old, new = re.split(r"(?<!\\) \| ", line.strip("| "))
                found = re.findall(r"`([^`]+)`", new)
                yield Row(chapter, old, tuple(one for one in found if one.startswith(OURS)))


def words(command: str) -> list[str]:
    """The arguments of one of our Python commands."""
    given = shlex.split(command.partition(" <")[0])
    return given[1:] if given[0] == "groundswell" else given[3:]


def parsed(command: str) -> None:
    """Raises SystemExit where the program has no such verb or option."""
    (cli if command.startswith("groundswell") else run).parser().parse_args(words(command))


def called(command: str) -> int:
    """The exit code of one of our Python commands, in this process."""
    main = cli.main if command.startswith("groundswell") else run.main
    return main(words(command))


def write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")


def make_trees(folder: Path) -> None:
    """configs/ttc_ard.yaml over a tile and year, what came of it, its files in the old folders, and two requests."""
    world = folder / "tree-world"
    world.mkdir()
    small = TreeWorld(world).fill(every=42).on_hills().world()
    config = yaml.safe_load(small.config.read_text())
    write(folder / "configs" / "ttc_ard.yaml", {**config, "output": str(folder / "out" / "ttc-rwanda")})
    elsewhere = folder / "elsewhere"
    made(SmallWorld(folder / "configs" / "ttc_ard.yaml", elsewhere, world), str(elsewhere))
    template = "{year}/ard/{x}/{y}/{x}X{y}Y_{layer}.tif"
    arguments = ["export", str(elsewhere), "--product", "ttc_ard", "--to", str(folder / "old-tiles")]
    assert cli.main([*arguments, "--template", template]) == 0
    row = {"X": 6.5833, "Y": 0.25, "X_tile": 1036, "Y_tile": 724}
    pq.write_table(pa.Table.from_pylist([row]), folder / "tiledb.parquet")
    (folder / "request.json").write_text(json.dumps({"p": {"2021": {"all_tiles": [], "missing_tiles": ["1036X724Y"]}}}))
    square = [[6.58, 0.24], [6.59, 0.24], [6.59, 0.25], [6.58, 0.24]]
    geometry = {"type": "Polygon", "coordinates": [square]}
    (folder / "polygons.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": geometry}))


def made(small: SmallWorld, output: str) -> None:
    """Every job here and now, and the run that finds them done."""
    from pipeline.execute.worker.task import run_job  # noqa: PLC0415 (heavy)

    options = Options(small.config, output=output)
    session = open_session(options)
    assignments = session.assignments()
    outcomes = [run_job(job, assignments[job.product], 1) for job in session.plan.jobs]
    assert [one.cause for one in outcomes if one.status != "done"] == []
    assert open_session(options).run(()).interrupted == 0


def make_glaciers(folder: Path) -> None:
    """configs/glaciers.yaml over one region and month."""
    world = folder / "region-world"
    world.mkdir()
    small = Regions(world).month().world()
    config = yaml.safe_load(small.config.read_text())
    config["products"][0]["name"] = "s2-days"
    document = json.loads((world / "regions.geojson").read_text())
    for feature in document["features"]:
        feature["properties"]["region"] = feature["properties"]["name"]
    for number in range(1, INDEXED):
        corner = [-50 + number / 10, 60]
        ring = [corner, [corner[0] + 0.01, 60], [corner[0], 60.01], corner]
        said = {"name": f"r{number}", "region": f"r{number}", "tiles": "22VFR"}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        document["features"].append({"type": "Feature", "properties": said, "geometry": geometry})
    (world / "regions.geojson").write_text(json.dumps(document))
    write(folder / "configs" / "glaciers.yaml", {**config, "output": str(folder / "out" / "glaciers")})
    made(SmallWorld(folder / "configs" / "glaciers.yaml", folder / "out", world), str(folder / "out" / "glaciers"))


def make_argo(folder: Path) -> None:
    """configs/argo.yaml over a GDAC of two floats, and the settings of an old worker."""
    path = folder / "configs" / "argo.yaml"
    gdac = make_gdac(folder / "gdac-of-2023")
    text, count = re.subn(r"gdac:\n(\s+- \S+\n)+", f"gdac: {gdac}\n", path.read_text())
    assert count == 1
    config = yaml.safe_load(text)
    config["products"] = [one for one in config["products"] if one["product"] == "argo"]
    write(path, config)
    (folder / ".env").write_text("LOG_LEVEL=INFO\nMAX_WORKERS=2\nBATCH_SIZE=10\n")
    assert cli.main(["sync", str(path)]) == 0
    made(SmallWorld(path, folder, folder), str(folder / "out" / "arabian-sea"))


def make_events(folder: Path) -> None:
    """configs/events.yaml with its rules for data alone, a table that came, and the message that tells of it."""
    path = folder / "configs" / "events.yaml"
    config = yaml.safe_load(path.read_text())
    config["rules"] = {"stations": config["rules"]["stations"]}
    config["buckets"] = {"arrivals": {}}
    write(path, config)
    (folder / "arrivals" / "stations").mkdir(parents=True)
    for name in ("a", "b"):
        text = "station,time,temp\nABC01,2024-06-01T00:00:00Z,12.5\n"
        (folder / "arrivals" / "stations" / f"{name}.csv").write_text(text)
    (folder / "event.json").write_text(s3_message("arrivals", "stations/a.csv"))
