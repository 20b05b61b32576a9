"""Files as another system would have left them, and a config whose output has none of them yet."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline import cli
from pipeline.session import Options, Session, open_session
from tests.verbs.making import make_output, make_world

TEMPLATE = "{tile}/{period}_{layer}.tif"
PRODUCTS = [
    {"product": "sentinel2", "source": "s2", "bands": ["red", "nir"], "mask": None},
    {"product": "stack", "inputs": ["sentinel2"]},
]


@dataclass(frozen=True)
class Older:
    """A config, the folder of the other system, and an output that is empty at first."""

    config: Path
    folder: Path
    output: Path

    def adopt(self, *options: str, template: str | None = TEMPLATE) -> int:
        """The exit code of the verb; what it says is printed."""
        named = () if template is None else ("--template", template)
        return self.groundswell(
            "adopt", str(self.config), str(self.folder), *named, "--output", str(self.output), *options
        )

    def groundswell(self, *arguments: str) -> int:
        return cli.main(list(arguments))

    def session(self, *sets: str, overwrite: bool = False) -> Session:
        return open_session(Options(self.config, sets=sets, output=str(self.output), overwrite=overwrite))

    def make(self, *sets: str, overwrite: bool = False) -> None:
        """Every job of the plan, here and now, and the run that finds them done."""
        from pipeline.execute.worker.task import run_job  # noqa: PLC0415 (only where something is made)

        session = self.session(*sets, overwrite=overwrite)
        assignments = session.assignments()
        outcomes = [run_job(job, assignments[job.product], 1) for job in session.plan.jobs]
        assert [one.cause for one in outcomes if one.status != "done"] == []
        assert self.session(*sets).run(()).interrupted == 0

    def items(self, product: str = "sentinel2") -> dict[str, dict[str, Any]]:
        """Every item of a product that lies there, by key."""
        paths = (self.output / "items" / product).glob("*.json")
        return {path.relative_to(self.output).as_posix(): json.loads(path.read_text()) for path in sorted(paths)}

    def file(self, period: str, layer: str) -> Path:
        """One of the other system's files."""
        (path,) = self.folder.glob(f"*/{period}_{layer}.tif")
        return path


def add_nir(items: Path) -> None:
    """A second band for each scene of an item list, of other numbers than the first."""
    document = json.loads(items.read_text())
    for item in document["features"]:
        red = items.parent / item["assets"]["red"]["href"]
        item["assets"]["nir"] = {**item["assets"]["red"], "href": str(red.with_name(f"nir-{red.name}"))}
        if red.exists():
            with rasterio.open(red) as source:
                profile, data = source.profile, source.read()
            with rasterio.open(item["assets"]["nir"]["href"], "w", **profile) as target:
                target.write(np.where(data == 0, 0, data // 2 + 700).astype(data.dtype))
    items.write_text(json.dumps(document))


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Older:
    """What we made of two months, and its files exported as the other system's; read only."""
    folder = tmp_path_factory.mktemp("adopt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        _, config = make_world(folder, products=PRODUCTS)
        add_nir(folder / "items.json")
        make_output(config)
        older = Older(config, folder / "old", folder / "output")
        export = ("export", str(older.output), "--to", str(older.folder), "--template", TEMPLATE)
        assert older.groundswell(*export, "--product", "sentinel2") == 0
    return older


@pytest.fixture
def older(made: Older, tmp_path: Path) -> Older:
    """The bands alone, as nobody else makes the layers beside them, and an output of its own."""
    shutil.copytree(made.folder, tmp_path / "old")
    for path in [*tmp_path.glob("old/*/*_count.tif"), *tmp_path.glob("old/*/*_qa.tif")]:
        path.unlink()
    return Older(made.config, tmp_path / "old", tmp_path / "output")
