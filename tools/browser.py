"""A headless Chromium for tools, benchmarks and tests that need the pages as people see them."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-prefers-reduced-motion",
    "--hide-scrollbars",
)


def programs() -> tuple[str, str] | None:
    """Chromium and its driver, or None where either is missing."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


@contextmanager
def chromium() -> Iterator[Any]:
    """A Selenium driver of headless Chromium that records the console.

    Raises:
        RuntimeError: chromium or chromedriver is not installed.
    """
    from selenium import webdriver

    found = programs()
    if found is None:
        raise RuntimeError("chromium and chromedriver are not installed (apt-get install chromium chromium-driver).")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(found[1]))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Any, address: str, *, width: int, height: int = 900, dark: bool = False) -> None:
    """Open a page afresh at a width in CSS pixels, in the light or the dark theme."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.get("about:blank")
    driver.get(address)


def capture(driver: Any, path: Path, *, whole: bool = False, clip: dict[str, float] | None = None) -> Path:
    """The visible part of the page as PNG, the whole page, or ``clip`` (x, y, width, height, scale)."""
    how: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole or clip is not None}
    if whole:
        size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        how["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12_000), "scale": 1}
    elif clip is not None:
        how["clip"] = clip
    path.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", how)["data"]))
    return path
