"""In a real browser: what a person picks and clicks is what the files hold, and nothing is asked of anybody else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from pyproj import Transformer
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.browse.conftest import MATMUL, Client
from tests.report.browser import Page, open_browser

pytestmark = [pytest.mark.long, MATMUL]


@pytest.fixture(scope="module")
def page(need_binary: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(need_binary, tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def opened(page: Page, client: Client) -> Iterator[Page]:
    """The page, open; after the test, nothing was asked of anybody else and nothing was complained of."""
    page.open(client.address)
    yield page
    asked = {address for address in page.asked() if not address.startswith("data:")}
    assert {urlsplit(address).netloc for address in asked} == {urlsplit(client.address).netloc}, asked
    entries = page.run("return performance.getEntries().map((entry) => entry.name).filter((name) => /:/.test(name))")
    assert {urlsplit(name).netloc for name in entries if not name.startswith("data:")} <= {
        urlsplit(client.address).netloc
    }
    assert page.complaints() == []


def choose(page: Page, name: str, value: str) -> None:
    """Pick from one of the lists as a person would."""
    Select(page.driver.find_element(By.ID, name)).select_by_value(value)


def drawn(page: Page, layer: str) -> None:
    """Wait until the map tiles of a layer are there."""
    page.until(f"return document.documentElement.dataset.drawn === {json.dumps(layer)}")


def click_map(page: Page, right: int, down: int) -> None:
    """Click so many pixels from the middle of the map."""
    chart = page.driver.find_element(By.ID, "map")
    ActionChains(page.driver).move_to_element_with_offset(chart, right, down).click().perform()


def shown(page: Page) -> dict[str, tuple[str, str]]:
    """By layer, value and stored number of the place that was clicked, as they stand there."""
    found: list[list[str]] = page.run(
        "return [...document.querySelectorAll('#place tr[data-layer]')].map((row) =>"
        " [row.dataset.layer, row.cells[1].textContent, row.cells[2].textContent])"
    )
    return {name: (value, stored) for name, value, stored in found}


def test_a_clicked_pixel_shows_what_rasterio_reads(opened: Page, output: Path) -> None:
    choose(opened, "product", "sentinel2")
    choose(opened, "period", "2024-07")
    choose(opened, "layer", "ndvi")
    drawn(opened, "sentinel2/2024-07/ndvi")
    pictures = "return [...document.querySelectorAll('img.leaflet-tile')].filter((tile) => tile.naturalWidth).length"
    assert opened.run(pictures) > 0
    click_map(opened, -120, 40)
    opened.until("return !document.getElementById('place').hidden")
    row, column, code = re.findall(r"row (\d+), column (\d+), EPSG:(\d+)", opened.text("#place"))[0]
    link = opened.run("return document.getElementById('item-link').getAttribute('href')")
    item = json.loads((output / link.removeprefix("stac/")).read_text())
    said = shown(opened)
    assert said.keys() == {"blue", "green", "red", "nir", "ndvi", "count", "qa"}
    for band, (value, stored) in said.items():
        with rasterio.open(output / item["assets"][band]["href"].removeprefix("../../")) as source:
            expected = source.read(1)[int(row), int(column)]
            scale, transform = source.scales[0], source.transform
        assert float(stored) == expected
        if band not in {"qa", "count"}:
            assert float(value) == pytest.approx(expected * scale, abs=1e-6)
    latitude, longitude = (float(one) for one in re.findall(r"(\d+\.\d+)°", opened.text("#place h2")))
    x, y = ~transform @ Transformer.from_crs(4326, int(code), always_xy=True).transform(longitude, latitude)
    assert (int(column), int(row)) == pytest.approx((x - 0.5, y - 0.5), abs=0.7)  # the text has five digits: a metre
    # The same place in the month before, and both months as a plot.
    dots = "return [...document.querySelectorAll('#place circle')].map((dot) => Number(dot.dataset.value))"
    july = float(said["ndvi"][0])
    assert opened.run(dots)[-1] == pytest.approx(july)
    opened.click("#earlier")
    drawn(opened, "sentinel2/2024-06/ndvi")
    opened.until("return [...document.querySelectorAll('#place a')].some((link) => link.href.includes('2024-06'))")
    june = float(shown(opened)["ndvi"][0])
    assert opened.run(dots) == pytest.approx([june, july])


def test_a_floats_profile_is_the_table_of_its_levels(opened: Page, output: Path) -> None:
    choose(opened, "product", "argo")
    opened.until("return document.querySelectorAll('path[data-wmo]').length === 4")
    opened.run(
        "document.querySelector('path[data-wmo=\"9900101\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    opened.until("return document.documentElement.dataset.profile")
    opened.click("#show-raw")
    wmo, cycle, direction, kind = opened.run("return document.documentElement.dataset.profile").split("/")
    rows = [
        row
        for row in pq.read_table(output / "data/argo/990010x/static/levels.parquet").to_pylist()
        if (str(row["wmo"]), str(row["cycle"]), row["direction"], row["kind"]) == (wmo, cycle, direction, kind)
    ]
    assert len(rows) > 20
    for parameter in ("TEMP", "PSAL"):
        for part, suffix in (("best", ""), ("raw", "_raw")):
            assert dots_of(opened, parameter, part) == levels_of(rows, parameter.lower(), suffix), (parameter, part)
    # Pressure points downwards.
    heights = opened.run(
        "return [...document.querySelectorAll('#float circle')]"
        ".map((dot) => [Number(dot.dataset.pres), Number(dot.getAttribute('cy'))])"
    )
    pressures, down = np.array(heights).T
    assert np.corrcoef(pressures, down)[0, 1] > 0.999
    opened.click("#float .stepper button")
    opened.until(f"return document.documentElement.dataset.profile !== '{wmo}/{cycle}/{direction}/{kind}'")


def dots_of(page: Page, parameter: str, part: str) -> list[Any]:
    """(pressure, value, flag) of the points of a plot, as float32."""
    script = (
        f"return [...document.querySelectorAll('#float g[data-parameter={parameter}] circle[data-kind={part}]')]"
        ".map((dot) => [dot.dataset.pres, dot.dataset.value, dot.dataset.qc])"
    )
    return [(np.float32(pressure), np.float32(value), flag) for pressure, value, flag in page.run(script)]


def levels_of(rows: list[Any], name: str, suffix: str) -> list[Any]:
    """The same of a table's rows."""
    columns = f"pres{suffix}", f"{name}{suffix}", f"{name}{suffix}_qc"
    found = [tuple(row[column] for column in columns) for row in rows]
    return [
        (np.float32(pressure), np.float32(value), "" if flag is None else str(flag))
        for pressure, value, flag in found
        if pressure is not None and value is not None
    ]


def test_the_address_holds_what_is_looked_at_and_a_narrow_screen_shows_all(opened: Page, client: Client) -> None:
    choose(opened, "product", "dem")
    drawn(opened, "dem/static/elevation")
    address = opened.run("return location.href")
    assert "product=dem" in address and "layer=elevation" in address
    opened.open(address, 390)
    drawn(opened, "dem/static/elevation")
    wide, tall = opened.run(
        "return [document.documentElement.scrollWidth, document.getElementById('map').clientHeight]"
    )
    assert wide == 390 and tall > 300
    assert re.match(r"\d items? in view", opened.text("#told"))


def test_names_from_an_output_are_text_and_never_markup(opened: Page) -> None:
    assert opened.run("return document.querySelectorAll('#panel script, #panel iframe, #panel style').length") == 0
    refused = opened.run(
        "const made = document.createElement('script'); made.textContent = 'window.ran = true';"
        "document.body.append(made); return window.ran === undefined"
    )
    assert refused, "an inline script ran: the policy does not hold"
    assert any("Content Security Policy" in text for text in opened.complaints())
