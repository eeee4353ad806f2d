"""What the program is loaded from, and whether a copy of this process can run it so."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    #: What changes when a file does, or when another one takes its place; 0s if there is none.
    Seen = tuple[int, int, int, int, int]


def files_of_program(paths: Iterable[str] = ()) -> dict[str, Seen]:
    """The files of all modules that are loaded, and of Python, as they are now; or of ``paths``. If
    none of them has changed, the same program is loaded from them once more."""
    return {path: _seen(path) for path in paths or _loaded()}


def is_alone() -> bool:
    """Whether this process has no other thread. False if the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _loaded() -> list[str]:
    files = [getattr(module, "__file__", None) for module in [*sys.modules.values()]]
    return [sys.executable, *(file for file in files if file)]


def _seen(path: str) -> Seen:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0, 0, 0)
    times = status.st_mtime_ns, status.st_ctime_ns
    return (status.st_dev, status.st_ino, status.st_size, *times)
