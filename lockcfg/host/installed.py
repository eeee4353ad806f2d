"""Which libvirt is installed: its shared library says so by its own name.

The library of 11.3.0 is ``libvirt.so.0.11003.0``, and ``libvirt.so.0`` a link to it: a thousand for
the major release, one for the minor one, and the micro release behind the point. To run a program
of libvirt's for its version takes 20 ms, and to read a link takes none.
"""

from __future__ import annotations

import os
import re

from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: The newest release that lockcfg knows. It refuses most.
NEWEST: Final = (12, 8, 0)

_DRIVERS: Final = "connection-driver"
_PLUGINS: Final = "lock-driver"

_LINK: Final = "libvirt.so.0"
_LIBRARY: Final = re.compile(r"libvirt\.so\.0\.(\d+)\.(\d+)\Z")


def libvirt_release(root: str = "/") -> tuple[int, int, int]:
    """The release of the libvirt that is installed in the file tree ``root``, such as
    ``(11, 3, 0)``. Where none is, or it cannot be told, the newest that lockcfg knows."""
    for directory in _directories(os.path.join(root, "usr")):
        try:
            match = _LIBRARY.search(os.readlink(os.path.join(directory, _LINK)))
        except OSError:
            continue
        if match:
            major, minor = divmod(int(match[1]), 1000)
            return major, minor, int(match[2])
    return NEWEST


def parse_release(text: str) -> tuple[int, ...]:
    """A release of libvirt as numbers, from ``9.0`` or ``9.0.0``. Raises :class:`UsageError`."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){1,2}", text):
        raise UsageError(f"'{text}' is no libvirt version", help="such as 9.0.0")
    return tuple(int(part) for part in text.split("."))


def plugin_directories(root: str = "/") -> list[str]:
    """Where the libvirt that is installed in ``root`` looks for the plugins of lock managers; empty
    where none is installed."""
    found: list[str] = []
    for directory in _directories(os.path.join(root, "usr")):
        home = os.path.join(directory, "libvirt")
        if any(os.path.isdir(os.path.join(home, each)) for each in (_DRIVERS, _PLUGINS)):
            found.append(os.path.join(home, _PLUGINS))
    return found


def _directories(usr: str) -> Iterator[str]:
    """Where libraries are: of Fedora, of Debian, and of who builds libvirt himself."""
    yield os.path.join(usr, "lib64")
    lib = os.path.join(usr, "lib")
    try:
        names = sorted(os.listdir(lib))
    except OSError:
        names = []
    yield from (os.path.join(lib, name) for name in names if "-linux-" in name)
    yield lib
    yield os.path.join(usr, "local", "lib64")
    yield os.path.join(usr, "local", "lib")
