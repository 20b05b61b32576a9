"""The README's chapters about land, word for word: the demo, a first real tile, five lines of Python, results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.types import Status
from tests.docs.archives import earth_search
from tests.docs.checkout import Checkout, make_checkout
from tests.docs.markdown import SHELL, Block, commands, section

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

API = "https://earth-search.aws.element84.com/v1"
PLACE = ("[11.62, 44.80, 11.70, 44.86]", "[11.975, 44.872, 11.99, 44.885]")
"""The area of the config, and one of the demo world in the same UTM zone."""


@pytest.fixture(scope="module")
def checkout(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return make_checkout(tmp_path_factory.mktemp("checkout"), demo_world)


@pytest.fixture(scope="module")
def demo(checkout: Checkout) -> str:
    """What the second command of `make demo` prints; its output is then there for other tests."""
    return checkout.say("python -m pipeline.run configs/demo.yaml")


def only(found: list[Block], *languages: str) -> Block:
    (block,) = (block for block in found if block.language in languages)
    return block


def test_the_demo_ends_as_the_readme_says(demo: str) -> None:
    """Line by line, whatever the numbers are but those of jobs; jobs end, and warn, in any order."""
    shown = only(section("README.md", "Groundswell"), "text").text
    printed = [shape(line) for line in demo.splitlines()]
    for line in shown.splitlines():
        parts = [re.escape(shape(part)) for part in line.split("…")]
        pattern = re.compile(".*".join(parts).replace("/", ".*") + "$")
        assert any(pattern.match(text) for text in printed), f"the demo does not print {line!r}"
    for counted in ("26 jobs to run, 0 skipped", "26 done, 0 skipped, 0 failed, 0 not started"):
        assert counted in shown and counted in demo


def shape(line: str) -> str:
    """A line without its numbers, units, codes of runs and widths of columns."""
    bare = re.sub(r"\d{8}T\w+-[0-9a-f]+", "RUN", line)
    bare = re.sub(r"\d+([.,]\d+)*( ?([kMG]?B|[kMG]iB|min|s)\b)?", "#", bare)
    return " ".join(bare.split())


@pytest.mark.usefixtures("demo")
def test_commands_about_configs_run_on_the_demo(checkout: Checkout) -> None:
    block = only(section("configs/README.md", "Configs"), *SHELL)
    told = "".join(checkout.say(command) for command in commands(block))
    assert "plan: 0 jobs to run, 26 skipped" in told and (checkout.folder / "groundswell.schema.json").stat().st_size


@pytest.mark.usefixtures("demo")
def test_the_lines_of_python_give_what_the_demo_made(checkout: Checkout) -> None:
    first, second = (block for block in section("README.md", "In Python") if block.language == "python")
    names = checkout.python(first)
    assert names["cube"].sizes["time"] == 2 and names["tile"].sizes["time"] > 0
    assert names["result"].skipped == 26
    few = checkout.python(second, names)["few"]
    assert {outcome.status for outcome in few.outcomes} == {Status.DONE}


@contextmanager
def live(checkout: Checkout, world: Path) -> Iterator[None]:
    """The configs ask this machine in place of Earth Search, for a place that the demo world has."""
    with earth_search(world) as address:
        checkout.edit("configs/earth-search.yaml", (API, address), PLACE)
        yield


def test_a_first_real_tile_and_what_opens_it(checkout: Checkout, demo_world: Path) -> None:
    """Dry run, run, odc-stac over the items, our own cube; with a mosaic, also what Icechunk opens."""
    chapter = section("README.md", "A first real tile")
    dry, real = commands(only(chapter, *SHELL))
    with live(checkout, demo_world):
        assert "plan: 2 jobs to run, 0 skipped" in (told := checkout.say(dry)) and "estimate: " in told
        assert "2 done, 0 skipped" in checkout.say(f"{real} --set write.mosaic={{}}")
    names = checkout.python(only(chapter, "python"))
    cube, ours = names["cube"], names["ours"]
    assert set(cube.data_vars) == {"red", "nir", "ndvi"} and cube.red.max().compute() > 0
    assert set(cube.data_vars) <= set(ours.data_vars) and ours.sizes["time"] == cube.sizes["time"]
    stacked = checkout.python(only(section("pipeline/results/README.md", "Files in others' hands"), "python"))["cube"]
    assert "red" in stacked.band.values and stacked.sizes["time"] == cube.sizes["time"]
    mosaic = checkout.python(only(section("pipeline/results/README.md", "Zarr and GDAL"), "python"))["mosaic"]
    assert {"red", "nir"} <= set(mosaic.data_vars)


def test_the_smallest_config_is_planned_with_its_defaults(checkout: Checkout, demo_world: Path) -> None:
    smallest = only(section("README.md", "A first real tile"), "yaml").text
    assert smallest.count("\n") < 10
    with earth_search(demo_world) as address:
        (checkout.folder / "small.yaml").write_text(smallest.replace(API, address).replace(*PLACE))
        told = checkout.say("groundswell plan small.yaml")
    assert "plan: 2 jobs to run, 0 skipped" in told
