"""Debian's Chromium for tests, without a screen and without the network."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FLAGS = (
    "headless=new",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=1280,900",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Start it with a profile of its own; it logs what it asks for and what goes wrong."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*_FLAGS, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def emulate(driver: Chrome, media: str, scheme: str) -> None:
    """Have pages shown on another medium (``screen``, ``print``), or in ``dark``."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def brightness(driver: Chrome, selector: str = "body") -> int:
    """How bright the background of an element is, from 0 to 255."""
    script = (
        "return getComputedStyle(document.querySelector(arguments[0]))"
        ".backgroundColor.match(/\\d+/g)"
    )
    return max(int(part) for part in driver.execute_script(script, selector)[:3])
