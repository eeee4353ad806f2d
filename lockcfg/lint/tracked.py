"""Whether version control has a file. The only caller of git."""

from __future__ import annotations

import os
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: The variables that say where a repository is.
_OF_A_REPOSITORY: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
)


class Tracked:
    """The files that git tracks below ``root``; asked once, when it is first needed."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._paths: set[str] | None = None
        self._asked = False

    def has(self, path: str) -> bool | None:
        """Whether the file at ``path`` is tracked; None where there is no repository or no git."""
        if not self._asked:
            self._asked = True
            self._paths = self._ask()
        if self._paths is None:
            return None
        return os.path.realpath(path) in self._paths

    def _ask(self) -> set[str] | None:
        # Git tells its hooks in the environment which repository they are for. That may be
        # another one than this is in; where this is in none, it may be meant.
        found = self._listed({k: v for k, v in os.environ.items() if k not in _OF_A_REPOSITORY})
        if found is None and "GIT_DIR" in os.environ:
            found = self._listed(dict(os.environ))
        return found

    def _listed(self, environment: dict[str, str]) -> set[str] | None:
        try:
            result = subprocess.run(
                ["git", "-C", self._root, "ls-files", "-z"],
                capture_output=True,
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if result.returncode:
            return None
        top = os.path.realpath(self._root)
        names = result.stdout.split(b"\0")
        return {os.path.join(top, os.fsdecode(name)) for name in names if name}
