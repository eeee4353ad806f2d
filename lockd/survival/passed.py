"""The descriptors that the service manager passes on to this process."""

from __future__ import annotations

import os

from lockd.survival.queues import add, look_into_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping


def passed(environment: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors that the service manager passed on, by name; takes the variables that tell
    of them out of ``environment``."""
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    # libvirt's daemons go by the names, and without them as if nothing had been passed on.
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) != len(names):
        return {}
    found: dict[str, int] = {}
    add(found, names, [*range(3, 3 + int(count))])
    return found


def inherited(environment: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors that the service manager passed on, and the queues among them with what is
    in them, by name, as :func:`passed` finds them."""
    return with_queued(passed(environment))


def with_queued(given: dict[str, int]) -> dict[str, int]:
    """These descriptors, and what is in the queues among them, by name."""
    found = look_into_all(given)
    # A socket of systemd's own is what it says it is now, whatever it was when it was kept.
    add(found, [*given], [*given.values()])
    return found
