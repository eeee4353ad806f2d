"""Tells whether sanlock, on a host that uses it, lets the watchdog reset the host.

An option on the daemon's command line says so, or else the daemon's own file. Debian keeps the
options in /etc/default/sanlock, and installs that file with ``-w 0``.
"""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

from lockcfg.conf.document import decode
from lockcfg.conf.files import SANLOCK
from lockcfg.conf.load import load_if_there, read_bytes
from lockcfg.conf.sanlock import in_force, number_in
from lockcfg.errors import ReadError
from lockcfg.findings import Finding, Place
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.host.host import Host

#: The daemon's file.
SANLOCK_CONF: Final = "/etc/sanlock/sanlock.conf"

#: Where distributions keep the options of the daemon, and the names of the variables.
OPTION_FILES: Final = ("/etc/default/sanlock", "/etc/sysconfig/sanlock")
_OPTIONS: Final = re.compile(r"^[ \t]*(?:sanlock_opts|SANLOCK_?OPT(?:ION)?S)=(.*)$", re.MULTILINE)


class Watchdog(Frozen):
    """``used``: whether the daemon uses the watchdog, None if unknown. ``place`` is what says so,
    or None if nothing does and the default holds. ``why`` says why it is unknown."""

    __slots__ = ("place", "used", "why")

    def __init__(self, used: bool | None, place: Place | None = None, why: str = "") -> None:
        self.used: Final = used
        self.place: Final = place
        self.why: Final = why


def watchdog_of(host: Host) -> Watchdog:
    """What the files of ``host`` say about its watchdog."""
    try:
        for name in OPTION_FILES:
            if (said := _option(host, name)) is not None:
                return said
        document = load_if_there(host.inside(SANLOCK_CONF), SANLOCK, root=host.root)
    except ReadError as error:
        return Watchdog(None, why=f"{error.path} cannot be read ({error.reason})")
    entry, found = document.get("use_watchdog"), in_force(document)
    if "use_watchdog" in found and (entry is None or found["use_watchdog"] is None):
        return Watchdog(None, why=f"{document.path} has a line 'use_watchdog' without a value")
    return Watchdog(found.get("use_watchdog", 1) != 0, document.place_of(entry) if entry else None)


def without_watchdog(host: Host) -> list[Finding]:
    """The finding that sanlock on ``host`` runs without the watchdog, if it does."""
    watchdog = watchdog_of(host)
    if watchdog.used is not False or watchdog.place is None:
        return []
    return [
        Finding(
            "sanlock-without-watchdog",
            "warning",
            "sanlock does not use the watchdog: a host that loses its leases while its guests hang"
            " is not reset, and goes on writing their disks",
            path=watchdog.place.path,
            place=watchdog.place,
            help="switch it on here, and have wdmd run",
        )
    ]


def _option(host: Host, name: str) -> Watchdog | None:
    """What the options in a file of the distribution say about the watchdog, if anything."""
    path = host.inside(name)
    try:
        text = decode(read_bytes(path, root=host.root))
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    found = None
    for match in _OPTIONS.finditer(text):
        try:
            words = shlex.split(" ".join(shlex.split(match[1], comments=True)))
        except ValueError:
            continue
        for option, value in pairwise(words):
            if option == "-w":
                line = text.count("\n", 0, match.start()) + 1
                start = text.rfind("\n", 0, match.start()) + 1
                end = text.find("\n", match.start())
                shown = text[start : end if end >= 0 else len(text)]
                place = Place(path, line, match.start(1) - start + 1, shown, len(match[1]))
                found = Watchdog(number_in(value) != 0, place)
    return found
