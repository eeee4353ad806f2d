"""What the model says of two hosts on NFS, by the options of their mounts, and what real lock
daemons do there. It is for use inside :class:`tests.real.shared.machine.Machine`."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lockd.client import CallRefusedError, Client
from tests.real.model import Case, cases, outcomes
from tests.real.shared.daemons import LOCKD, SOCKET, VIRTLOCKD, lock_daemons
from tests.real.shared.model_hosts import make_sides
from tests.real.shared.nfs import EXPORT, mount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from tests.real.model import Side
    from tests.real.shared.hosts import Network

#: The options of the two hosts' mounts. The export is the root of version 4 (``fsid=0``), so where
#: the versions differ there are two names for one file. ``by`` is another name of what is mounted:
#: see :data:`~tests.real.shared.nfs.OTHER_NAMES`.
MOUNTS: Final = (
    ("vers=4.2", "vers=4.2"),
    ("vers=3,nolock", "vers=3"),
    ("vers=3", "vers=3"),
    ("vers=4.2,lookupcache=none", "vers=4.2,local_lock=all"),
    ("vers=4.2,nolock", "vers=4.2"),
    ("vers=3,local_lock=none", "vers=3,lookupcache=none"),
    ("vers=3,local_lock=flock", "vers=3"),
    ("vers=3", "vers=3,local_lock=posix"),
    ("vers=3,local_lock=all", "vers=3,local_lock=all"),
    ("vers=4.2", "vers=3"),
    ("vers=4.2", "vers=4.2,by=address"),
    ("vers=3", "vers=3,by=ipv6"),
    ("vers=3", "vers=3,by=alias"),
    ("vers=4.2", "by=server"),
)

# Each is a mount of its own: without this the second one of an export has the options of the first.
_OWN: Final = "nosharecache"

_DISK: Final = "/mnt/images/other"
_READ_ONLY: Final = "/mnt/read-only"


def report(hosts: Network, seed: int, *, pairs: int) -> list[dict[str, Any]]:
    """For each of :data:`MOUNTS`: ``mounts``, the options that are in force (``options``), and what
    became of ``pairs`` pairs of configurations (``outcomes``)."""
    found: list[dict[str, Any]] = []
    every = (*hosts.clients, hosts.server)
    with lock_daemons(every, (LOCKD, VIRTLOCKD, LOCKD)):
        for number, options in enumerate(MOUNTS):
            sides = _sides(hosts, options, number)
            came_of = outcomes(*sides, _pairs(seed + number, pairs), stale=True)
            found.append(
                {
                    "mounts": options,
                    "options": [
                        side.directories["/mnt/locks"]["mount"]["options"] for side in sides
                    ],
                    "outcomes": [*came_of],
                }
            )
    return found


def read_only(hosts: Network) -> list[str]:
    """What the two lock daemons say when the lockspace, which is there, is mounted read-only."""
    said: list[str] = []
    for host in hosts.clients:
        mount(host, f"vers=4.2,ro,{_OWN}", _READ_ONLY)
    with lock_daemons(hosts.clients, (LOCKD, VIRTLOCKD)):
        for host in hosts.clients:
            with Client(host.path(SOCKET)) as guest:
                guest.register(host.name, 5004242)
                guest.create_lockspace(f"{_READ_ONLY}/locks")
                try:
                    guest.acquire(f"{_READ_ONLY}/locks", "disk")
                except CallRefusedError as error:
                    said.append(str(error))
    return said


def _sides(hosts: Network, options: tuple[str, str], number: int) -> tuple[Side, Side]:
    points = [f"/mnt/model-{number}", f"/mnt/model-{number}"]
    one, other = hosts.clients
    if options[1] == "by=server":
        other, points[1] = hosts.server, EXPORT
    for host, of_host, point in zip((one, other), options, points, strict=True):
        if host is not hosts.server:
            mount(host, f"{of_host},{_OWN}", point)
    etc = Path(tempfile.mkdtemp())
    return make_sides((one, other), (points[0], points[1]), etc, made=number > 0)


def _pairs(seed: int, count: int) -> Iterator[tuple[Case, Case]]:
    """Some of all pairs, and always two of guests that want one disk, directly and not."""
    for lockspace in ("/mnt/locks", None):
        yield (Case(lockspace, _DISK, shareable=False),) * 2
    yield from random.Random(seed).sample([*cases(seed)], count - 2)


def _in_force(side: Side) -> list[str]:
    options: list[str] = side.directories["/mnt/locks"]["mount"]["options"]
    return options
