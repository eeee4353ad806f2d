"""The man page of lockcfg is the one that the command line makes; that of lockd, which is written
by hand, has its options."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lockd.engine import PROGRAM as LOCKD

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs/man/lockcfg.8"
LOCKD_PAGE = PROJECT / "docs/man/lockd.8"


def test_the_man_page_is_up_to_date() -> None:
    """``make docs`` would change nothing, except for the ends of the lines of the usage, in which
    releases of Python differ."""
    made = subprocess.run(
        ["packaging/manual"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    assert made.split() == PAGE.read_text().split(), "run 'make docs'"


def rendered(page: Path) -> str:
    """A page as man shows it, which must not have anything to complain of."""
    result = subprocess.run(
        ["man", "--warnings", "-l", str(page)],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"},
    )
    assert result.stderr == ""
    return result.stdout


def test_man_renders_it_without_a_complaint() -> None:
    """Every command is in it."""
    text = rendered(PAGE)
    for word in ("lockcfg enable", "lockcfg validate", "EXIT STATUS", "FILES"):
        assert word in text


#: The options of QEMU in which ``lockd run`` finds disks: the page tells of them too.
OF_QEMU = {
    *("-blockdev", "-drive", "-fda", "-fdb", "-hda", "-hdb", "-hdc", "-hdd"),
    *("-mtdblock", "-pflash", "-sd"),
}


def options_of(text: str) -> set[str]:
    """The options in a text, short ones as well."""
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][a-z-]*", text))


@pytest.mark.parametrize("macros", ["groff", "mandoc"])
def test_the_page_of_lockd_is_sound(macros: str) -> None:
    """For both programs that man pages are read with."""
    if macros == "groff":
        assert "virtlockd.service" in rendered(LOCKD_PAGE)
    else:
        lint = ["mandoc", "-T", "lint", "-W", "warning", str(LOCKD_PAGE)]
        assert subprocess.run(lint, capture_output=True, text=True).stdout == ""


def test_the_page_of_lockd_has_its_options() -> None:
    """All that the help tells of, and no others; and all signals and exit statuses."""
    text = rendered(LOCKD_PAGE)
    helps = [
        subprocess.run([LOCKD, *words], check=True, capture_output=True, text=True)
        for words in (["--help"], ["status", "--help"], ["locks", "--help"])
    ]
    told = options_of("".join(each.stdout + each.stderr for each in helps))
    assert len(told) > 15
    assert options_of(text) - OF_QEMU == told
    exits = text.partition("EXIT STATUS")[2]
    for status in re.findall(r"\d+", helps[0].stderr.partition("Exit status:")[2]):
        assert re.search(rf"^ +{status} ", exits, re.MULTILINE), status


def test_what_commands_print_as_it_is_is_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PROJECT / "packaging/prepared", tmp_path], check=True)
    shipped = PROJECT / "lockcfg/prepared"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in shipped.iterdir())
    for name in names:
        same = (shipped / name).read_text() == (tmp_path / name).read_text()
        assert same, f"{name}: say 'make docs'"
