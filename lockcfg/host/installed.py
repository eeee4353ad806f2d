"""Tells which libvirt is installed: the name of its shared library says so.

The library of 11.3.0 is ``libvirt.so.0.11003.0``, and ``libvirt.so.0`` is a link to it: a thousand
stands for each major release, one for each minor release, and the micro release follows the point.
Asking a program of libvirt for its version takes 20 ms, and reading a link takes almost no time.
"""

from __future__ import annotations

import os
import re

from lockcfg.errors import UsageError
from lockcfg.rooted import real_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: The newest release that lockcfg knows. It refuses the most files.
NEWEST: Final = (12, 8, 0)

#: Where distributions put libraries. Debian, Ubuntu and their like have a directory for each
#: architecture below /usr/lib, Fedora, RHEL, SUSE and Gentoo have /usr/lib64, Arch and Alpine
#: /usr/lib; a libvirt that a user has built is in /usr/local.
LIBRARIES: Final = (
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/lib",
    "/run/current-system/sw/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
)

LINK: Final = "libvirt.so.0"
_LIBRARY: Final = r"libvirt\.so\.0\.(\d+)\.(\d+)\Z"


def libvirt_release(root: str = "/") -> tuple[int, int, int]:
    """The release of the libvirt that is installed in the file tree ``root``, such as ``(11, 3,
    0)``. If none is installed, or its release is unknown, it is the newest release that lockcfg
    knows."""
    for directory in _directories(root):
        try:
            match = re.search(_LIBRARY, os.readlink(os.path.join(directory, LINK)))
        except OSError:
            continue
        if match:
            major, minor = divmod(int(match[1]), 1000)
            return major, minor, int(match[2])
    return NEWEST


def parse_release(text: str) -> tuple[int, ...]:
    """A release of libvirt as three numbers, from ``9.0`` or ``9.0.0``. Raises
    :class:`UsageError`."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){1,2}", text):
        raise UsageError(f"'{text}' is not a libvirt version", help="such as 9.0.0")
    numbers = [int(part) for part in text.split(".")]
    return (*numbers, *[0] * (3 - len(numbers)))


def plugin_directories(root: str = "/") -> Iterator[str]:
    """The directories for plugins of lock managers in the file tree ``root``."""
    for directory in _directories(root):
        plugins = os.path.join(directory, "libvirt/lock-driver")
        if os.path.isdir(plugins):
            yield plugins


def _directories(root: str) -> Iterator[str]:
    """The directories of libraries, as paths here. Links lead where they lead on the host."""
    for libraries in LIBRARIES:
        directory = real_path(root, libraries)
        try:
            below = sorted(name for name in os.listdir(directory) if "-linux-" in name)
        except OSError:
            continue
        yield from (os.path.join(directory, name) for name in below)
        yield directory
