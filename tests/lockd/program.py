"""The program, where it can be changed while it runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import lockd


class Copy:
    """A copy of the program that can be changed while it runs."""

    def __init__(self, directory: Path) -> None:
        self.package = directory / "program/lockd"
        self.package.parent.mkdir()
        shutil.copytree(
            Path(lockd.__file__).parent,
            self.package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )

    @property
    def command(self) -> list[str]:
        """How it is started."""
        program = f"import sys; sys.path.insert(0, {str(self.package.parent)!r})"
        return [sys.executable, "-B", "-c", f"{program}; from lockd.main import entry; entry()"]

    def change(self, file: str, before: str, after: str) -> None:
        """Install another version of a file."""
        path = self.package / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
