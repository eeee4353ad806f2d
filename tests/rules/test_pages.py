"""The pages in docs/rules are those that the manuals make, one for each rule."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lockcfg.fleet.rules
import lockcfg.rules
from lockcfg.fleet.rules import TABLE as AUDIT_TABLE
from lockcfg.rules import TABLE

PROJECT = Path(__file__).parent.parent.parent
ALL = (*TABLE, *AUDIT_TABLE)
PAGES = PROJECT / "docs/rules"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make docs`` writes, into a folder that has a page of a rule that is no more."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "LK999.md").write_text("# LK999 gone\n")
    subprocess.run([sys.executable, PROJECT / "packaging/rule-pages", folder], check=True)
    return folder


def test_the_pages_are_up_to_date(made: Path) -> None:
    """``make docs`` would change nothing."""
    contents = {path.name: path.read_text() for path in made.iterdir()}
    assert contents == {path.name: path.read_text() for path in PAGES.iterdir()}, "run 'make docs'"


def test_every_rule_has_a_file_a_line_in_the_table_and_a_page() -> None:
    """And nothing else has any of them."""
    modules = {
        path.stem
        for package, names in (
            (lockcfg.rules.__file__, "lk*.py"),
            (lockcfg.fleet.rules.__file__ or "", "la*.py"),
        )
        for path in Path(package).parent.glob(names)
    }
    assert len(set(ALL)) == len(ALL)
    assert set(ALL) == modules
    pages = {path.name for path in PAGES.iterdir()}
    assert pages == {"README.md", *(f"{name[:5].upper()}.md" for name in ALL)}


def test_the_catalogue_leads_to_every_page() -> None:
    """Once, in the order of the codes."""
    links = re.findall(r"^\| \[(L[KA]\d+)\]\(\1\.md\) \|", (PAGES / "README.md").read_text(), re.M)
    assert links == [name[:5].upper() for name in ALL]


def test_every_link_of_a_page_leads_somewhere() -> None:
    """Within docs/rules and to the rest of the documentation."""
    for page in PAGES.iterdir():
        text = page.read_text()
        targets = re.findall(r"\]\(([^)]+)\)|^\[\w+\]: (\S+)$", text, re.M)
        assert targets
        for inline, below in targets:
            assert (PAGES / (inline or below)).is_file(), f"{page.name}: {inline or below}"


def test_the_blocks_of_the_pages_are_for_reading() -> None:
    """They have languages that a renderer knows, and none is run as an example."""
    for page in PAGES.iterdir():
        languages = set(re.findall(r"^```(.+)$", page.read_text(), re.M))
        assert languages <= {"ini", "json", "text", "xml", "yaml"}
