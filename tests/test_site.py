"""The site that ``make site`` builds: without a warning, without a dead link, and as it is seen."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.chromium import brightness, chromium, emulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

PROJECT = Path(__file__).parent.parent


class Page(HTMLParser):
    """The links of a page and the places in it that a link can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each element."""
        for name, value in attrs:
            if name in ("href", "src", "data") and value:
                self.links.append(value)
            elif name == "id" and value:
                self.places.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make site`` builds it, where a warning is an error."""
    directory = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        ["make", "--no-print-directory", "site", f"SITE={directory}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One Chromium for all tests."""
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


def test_every_page_of_the_documentation_is_on_the_site(
    pages: dict[Path, Page], site: Path
) -> None:
    """No page is written and then forgotten."""
    for source in (PROJECT / "docs").rglob("*.md"):
        page = source.relative_to(PROJECT / "docs").with_suffix(".html")
        assert site / page in pages


def test_no_link_is_dead(pages: dict[Path, Page], site: Path) -> None:
    """Each leads to a file of the site and to a place that is in it."""
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            places = pages[target].places if target in pages else {unquote(parts.fragment)}
            if not target.is_file() or unquote(parts.fragment) not in places:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_the_site_asks_nobody_outside(pages: dict[Path, Page]) -> None:
    """Fonts, scripts and pictures come with it: it can be read without a network."""
    for path, page in pages.items():
        text = path.read_text()
        for link in page.links:
            outside = urlsplit(link).netloc
            assert not outside or f'href="{link}' in text.replace("&amp;", "&"), (path, link)
        assert 'rel="stylesheet" href="http' not in text
        assert 'src="http' not in text


def test_every_page_says_what_it_is_about(pages: dict[Path, Page]) -> None:
    """It has one title, and one heading of the first level."""
    for path in pages:
        if path.name in ("genindex.html", "search.html"):
            continue
        assert path.read_text().count("<h1>") == 1, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    "page", ["index", "tutorial/one-host", "reference/settings", "explanation/architecture"]
)
def test_pages_fit_the_screen_in_light_and_dark(
    driver: Chrome, site: Path, page: str, width: int, scheme: str
) -> None:
    """On a phone, too: what is wider scrolls by itself."""
    emulate(driver, "screen", scheme)
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get((site / f"{page}.html").as_uri())
    overflow = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert driver.execute_script(overflow) <= 0
    assert (brightness(driver) > 200) == (scheme == "light")
    broken = "return [...document.images].filter(each => !each.naturalWidth).map(each => each.src)"
    assert driver.execute_script(broken) == []


def test_the_keyboard_is_enough(driver: Chrome, site: Path) -> None:
    """The first key leads past the menu, and the search is reached and answers."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get((site / "index.html").as_uri())
    driver.switch_to.active_element.send_keys(Keys.TAB)
    target = driver.switch_to.active_element.get_attribute("hash")
    assert target == "#furo-main-content"
    driver.get((site / "search.html").as_uri() + "?q=supervisor")
    # The results come one after the other.
    answers = "return [...document.querySelectorAll('#search-results li a')].map(a => a.innerText)"
    WebDriverWait(driver, 30).until(
        lambda driver: any("lockd" in each for each in driver.execute_script(answers))
    )


def test_the_pictures_can_be_read_by_those_who_do_not_see_them(driver: Chrome, site: Path) -> None:
    """Each has a text instead."""
    for path in site.rglob("*.html"):
        if "<img" not in path.read_text():
            continue
        driver.get(path.as_uri())
        without = "return [...document.images].filter(each => !each.alt).map(each => each.src)"
        assert driver.execute_script(without) == [], path


def test_the_tools_that_draw_are_there() -> None:
    """Graphviz and mandoc."""
    assert shutil.which("dot")
    assert shutil.which("tred")
    assert shutil.which("mandoc")
