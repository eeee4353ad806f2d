"""Makes a host that is elsewhere from copies of the files that an edit looks at.

A tool that manages hosts from afar reads :data:`COPIED_FILES` on the host, and lists the paths
there that :data:`LOOKED_AT` matches. :func:`host_elsewhere` makes a tree of them here, for a
:class:`lockcfg.Transaction` that is not committed: its ``changes`` say what to write on the host.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

from lockcfg.conf.files import KINDS
from lockcfg.errors import UsageError
from lockcfg.host.host import Host
from lockcfg.host.installed import LIBRARIES, LINK
from lockcfg.host.parts import DAEMONS, DRIVER_DAEMONS, PROGRAMS
from lockcfg.host.watchdog import OPTION_FILES, SANLOCK_CONF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockcfg.conf.files import Driver

#: The files whose text an edit needs, as paths on the host.
COPIED_FILES: Final = (
    *(f"/etc/libvirt/{name}" for name in KINDS),
    SANLOCK_CONF,
    *OPTION_FILES,
)

#: Patterns of paths of which an edit needs only to know that they exist, and of the link that tells
#: libvirt's release.
LOOKED_AT: Final = (
    *(
        f"{directory}/{name}"
        for directory in PROGRAMS
        for name in (*DRIVER_DAEMONS, *(each for names, _ in DAEMONS.values() for each in names))
    ),
    *(f"/etc/systemd/system/{unit}" for _, unit in DAEMONS.values()),
    *(
        f"{directory}{below}/{what}"
        for directory in LIBRARIES
        for below in ("", "/*-linux-*")
        for what in (LINK, "libvirt/lock-driver/*.so")
    ),
)


def host_elsewhere(
    directory: str,
    files: Mapping[str, bytes],
    present: Mapping[str, str],
    driver: Driver = "qemu",
) -> Host:
    """The host whose ``files`` are copied into ``directory``, which is empty.

    ``files`` are the texts of those of :data:`COPIED_FILES` that exist, by path. ``present`` maps
    each path that matches :data:`LOOKED_AT` to the target of the link, or to nothing if it is not a
    link. Both come from the host and may contain anything. Raises :class:`UsageError` for any other
    path.
    """
    os.makedirs(os.path.join(directory, "etc/libvirt"))
    for path, text in files.items():
        if path not in COPIED_FILES:
            raise UsageError(f"{path} does not count for an edit")
        with open(_made(directory, path), "xb") as stream:
            stream.write(text)
    for path, target in present.items():
        if not _is_looked_at(path):
            raise UsageError(f"{path} does not count for an edit")
        here = _made(directory, path)
        if os.path.basename(path) == LINK and target:
            os.symlink(os.path.basename(target), here)
        else:
            with open(here, "xb"):
                pass
    return Host(directory, driver, elsewhere=True)


def _is_looked_at(path: str) -> bool:
    """Whether a path matches :data:`LOOKED_AT`; a ``*`` there matches no ``/``."""
    return ".." not in path.split("/") and any(
        path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)
        for pattern in LOOKED_AT
    )


def _made(directory: str, path: str) -> str:
    """Make the directories above the copy of a path of the host; return the path of the copy."""
    here = os.path.join(directory, path.lstrip("/"))
    os.makedirs(os.path.dirname(here), exist_ok=True)
    return here
