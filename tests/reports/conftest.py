"""The browser that the page tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tools.browser import chromium, programs

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def _lacking(what: str) -> None:
    """Without a tool these tests are skipped, but on CI (where ``.ci/run`` installs it) that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have what the browser tests need: {what}")
    pytest.skip(f"the browser tests need {what}")


@pytest.fixture(scope="session")
def browser() -> Iterator[WebDriver]:
    """One headless Chromium for all tests of a worker."""
    if programs() is None:
        _lacking("chromium and chromedriver (apt-get install chromium chromium-driver)")
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of the accessibility checker."""
    if not AXE.exists():
        _lacking("axe-core (npm install --no-save axe-core)")
    return AXE.read_text(encoding="utf-8")
