"""The man page is the one that the command line makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs/man/lockcfg.8"


def test_the_man_page_is_up_to_date() -> None:
    """``make docs`` would change nothing."""
    made = subprocess.run(
        ["packaging/manual"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    assert made == PAGE.read_text(), "run 'make docs'"


def test_man_renders_it_without_a_complaint() -> None:
    """Every command is in it."""
    result = subprocess.run(
        ["man", "--warnings", "-l", str(PAGE)],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"},
    )
    assert result.stderr == ""
    for word in ("lockcfg enable", "lockcfg validate", "EXIT STATUS", "FILES"):
        assert word in result.stdout
