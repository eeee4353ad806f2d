"""What ``lockd --help`` prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

VIRTLOCKD: Final = "/usr/sbin/virtlockd"
LOCKD: Final = str(Path(sys.executable).with_name("lockd"))
#: An option, from its first name to the end of what it is for.
OPTION: Final = re.compile(r"^  (?:-\w \| )? *(--[a-z-]+)(?: <\w+>)?\s+\S.*$", re.MULTILINE)


def help_of(program: str) -> str:
    """The help of a daemon, which virtlockd prints to standard error."""
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stderr


def test_it_is_virtlockds_and_more() -> None:
    """The options of virtlockd stand there line by line as virtlockd has them, except for the full
    stops."""
    theirs = [match[0].rstrip(".:") for match in OPTION.finditer(help_of(VIRTLOCKD))]
    ours = help_of(LOCKD).splitlines()
    assert len(theirs) == 7
    assert [line for line in theirs if line not in ours] == []


def test_each_option_has_a_line() -> None:
    """Also those that are lockd's own; and a terminal of 80 columns shows all of it."""
    text = help_of(LOCKD)
    options = text.partition("Options:\n")[2].partition("\n\n")[0]
    starts = [line for line in options.splitlines() if not line.startswith(" " * 25)]
    assert len(starts) > 10
    assert all(re.match(r"  (-\w \| |     )--", line) for line in starts), starts
    assert max(map(len, text.splitlines())) <= 80
