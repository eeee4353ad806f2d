"""Whether version control has a file. The only caller of git.

The repository may belong to another user. So git runs no program that the repository's
configuration names, and from the environment it gets only the place of its own configuration.
"""

from __future__ import annotations

import os

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

#: Where lockcfg looks for git; as root it looks nowhere else.
_PROGRAMS: Final = ("/usr/bin", "/bin", "/usr/local/bin")

#: What git gets from the environment: the files of its configuration, and settings from CI.
_KEPT: Final = ("HOME", "XDG_CONFIG_HOME", "GIT_CEILING_DIRECTORIES")
_KEPT_BEGINNINGS: Final = (
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
    *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"),
)

#: What a repository's configuration may name for git to run when it reads the index.
_RUN_NOTHING: Final = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat")


class Tracked:
    """The files that git tracks below ``root``. git is asked once, when the answer is first
    needed."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._paths: set[str] | None = None
        self._asked = False

    def has(self, path: str) -> bool | None:
        """Whether the file at ``path`` is tracked; None without a repository or git."""
        if not self._asked:
            self._asked = True
            self._paths = self._ask()
        if self._paths is None:
            return None
        return os.path.realpath(path) in self._paths

    def _ask(self) -> set[str] | None:
        # git tells its hooks in the environment which repository they are for. It may be another
        # one than this path is in; if this path is in none, the hook's repository may be meant.
        git = _git()
        if git is None:
            return None
        found = self._listed(git, ())
        if found is None and "GIT_DIR" in os.environ:
            found = self._listed(git, _OF_A_REPOSITORY)
        return found

    def _listed(self, git: str, more: tuple[str, ...]) -> set[str] | None:
        import subprocess

        environment = {
            name: value
            for name, value in os.environ.items()
            if name in (*_KEPT, *more) or name.startswith(_KEPT_BEGINNINGS)
        }
        environment |= {
            "PATH": ":".join(_PROGRAMS),
            # git does not fetch a file that a partial clone lacks: a fetch runs programs.
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        settings = [word for each in _RUN_NOTHING for word in ("-c", each)]
        try:
            result = subprocess.run(
                [git, *settings, "-C", self._root, "ls-files", "-z"],
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


def _git() -> str | None:
    """The program; None if there is none."""
    places = list(_PROGRAMS)
    if os.geteuid() != 0:
        places += [place for place in os.environ.get("PATH", "").split(":") if place[:1] == "/"]
    for place in places:
        path = os.path.join(place, "git")
        if os.access(path, os.X_OK):
            return path
    return None
