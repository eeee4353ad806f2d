"""Which lines a branch changes, as Git tells."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from tests.mutation.mutants import PROJECT

if TYPE_CHECKING:
    from typing import Final

#: What a branch may have begun from, the most likely first.
_BASES: Final = ("origin/HEAD", "origin/main", "main")

_HUNK: Final = re.compile(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@")


def changed_lines() -> tuple[dict[str, set[int]], str]:
    """The lines that are new, by file, and in words since when. Where no other branch is known, or
    this is the one, they are those of the last commit."""
    head = _git("rev-parse", "HEAD")
    for name in _BASES:
        base = _git("merge-base", name, "HEAD")
        if base and base != head:
            return _lines_since(base), f"since {base[:10]}, where this left {name}"
    last = _git("rev-parse", "--verify", "HEAD~1")
    if last:
        return _lines_since(last), "in the last commit, as there is no other branch to compare with"
    return {}, "nothing to compare with: there is one commit"


def _lines_since(base: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    lines: set[int] = set()
    for line in _git("diff", "--unified=0", "--no-color", base, "--", "*.py").splitlines():
        if line.startswith("+++ "):
            lines = found.setdefault(line[6:], set())
        elif hunk := _HUNK.match(line):
            begin = int(hunk[1])
            lines.update(range(begin, begin + int(hunk[2] or 1)))
    return found


def _git(*command: str) -> str:
    """What it prints; nothing if it fails."""
    done = subprocess.run(
        ["git", *command], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
