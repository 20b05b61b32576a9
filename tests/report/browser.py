"""A real browser without a screen, and what it asks of the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
WAIT_S = 60
_DRAWN = "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from)))"


class Page:
    """One page in the browser."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, address: str, width: int = 1280, *, dark: bool = False) -> None:
        """Open an address, and wait until its script has shown the data."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")
        self.asked()
        self.complaints()
        self.driver.get(address)
        self.until("return document.documentElement.dataset.ready")
        assert self.run("return document.documentElement.dataset.ready") == "yes", self.complaints()

    def run(self, script: str, *arguments: object) -> Any:
        """What a piece of script gives."""
        return self.driver.execute_script(script, *arguments)

    def timed(self, script: str) -> float:
        """Milliseconds from doing something until what it changed is drawn."""
        ran = f"const [done, from] = [arguments[0], performance.now()]; {script}; {_DRAWN}"
        return float(self.driver.execute_async_script(ran))

    def until(self, script: str) -> None:
        """Wait until a piece of script gives something true."""
        WebDriverWait(self.driver, WAIT_S).until(lambda _: self.run(script))

    def click(self, selector: str) -> None:
        """Click what a reader would click: it is scrolled to, and must not be covered."""
        one = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", one)
        one.click()

    def text(self, selector: str) -> str:
        """What stands there."""
        return str(self.driver.find_element(By.CSS_SELECTOR, selector).text)

    def rows(self) -> list[list[str]]:
        """Cells of the list of jobs, as far as it is shown."""
        found: list[list[str]] = self.run(
            "const rows = [...document.querySelectorAll('#jobs tbody tr')];"
            "return rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
        )
        return found

    def asked(self) -> set[str]:
        """Addresses of all requests since the page was opened, or since it was last asked."""
        entries = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))  # type: ignore[no-untyped-call]
        return {one["params"]["request"]["url"] for one in entries if one["method"] == "Network.requestWillBeSent"}

    def complaints(self) -> list[str]:
        """Errors that the browser's console has told since it was last asked."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


@contextmanager
def open_browser(need_binary: Callable[[str], str], profile: Path) -> Iterator[Page]:
    """Debian's Chromium with a profile of its own; closed with all its processes. Skips by name where it is missing."""
    options = ChromeOptions()
    options.binary_location = need_binary("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(need_binary("chromedriver")))
    try:
        yield Page(driver)
    finally:
        driver.quit()
