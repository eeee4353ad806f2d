"""Looks for signs that a host lives, in spite of the proof: they warn a user who asked the wrong
controller.

A new heartbeat is such a sign, and so is a renewed NFSv4 lease. If the host writes heartbeats,
lockcfg waits for the next one, which is due within an interval.
"""

from __future__ import annotations

import os
import time

from lockcfg.errors import LockcfgError
from lockcfg.who.heartbeat import DIRECTORY, is_name, life_of, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from lockcfg.who.heartbeat import Life
    from lockcfg.who.nfs_server import NfsClient

#: How many seconds a heartbeat may be late, and how often lockcfg looks.
_LATE: Final = 2.0
_LOOK: Final = 0.2

#: How many seconds lockcfg watches an NFS client: a little more than one.
_WATCH: Final = 1.05

#: How many seconds lockcfg waits for a heartbeat at most.
_LONGEST: Final = 600.0


class LivesError(LockcfgError):
    """The host lives, so nothing is freed."""

    exit_code = 1


def watch_heartbeats(
    host: str, spaces: Sequence[str], *, say: Callable[[str], object]
) -> list[Life]:
    """Wait until the heartbeat of a host is overdue in each lockspace; return its life by each.
    Raises LivesError if a heartbeat comes."""
    lives = []
    me = os.uname().nodename
    for space in spaces if is_name(host) else ():
        path = os.path.join(space, DIRECTORY, host)
        before = _written(path)
        life = life_of(host, space, me=me)
        if before is not None and life.age is not None:
            due = min(life.interval + _LATE - life.age, _LONGEST)
            if due > 0:
                say(f"waiting {due:.0f} s for the next heartbeat of {host} in {space}")
            until = time.monotonic() + due
            while time.monotonic() < until:
                time.sleep(_LOOK)
                if _written(path) != before:
                    break
            if _written(path) != before:
                raise LivesError(
                    f"{host} lives: it has just written a heartbeat in {space}",
                    help="the proof was about another host",
                )
            life = life_of(host, space, me=me)
        lives.append(life)
    return lives


def _written(path: str) -> tuple[float, object] | None:
    """The time of a heartbeat, by the file system's clock and by its writer's."""
    try:
        content, written = read(path)
    except (OSError, ValueError, TypeError):
        return None
    return written, content.get("time")


def watch_clients(
    clients: Sequence[NfsClient], again: Callable[[], Sequence[NfsClient]]
) -> list[NfsClient]:
    """Watch the leases of NFSv4 clients for a moment; return the clients as they are then. Raises
    LivesError if a client renews its lease."""
    if not clients:
        return []
    begun = time.monotonic()
    time.sleep(_WATCH)
    now = {client.number: client for client in again()}
    passed = time.monotonic() - begun
    for client in clients:
        after = now.get(client.number)
        if after is None or client.since is None or after.since is None:
            continue
        # The kernel counts whole seconds of the same clock: without a renewal the count grows by
        # the time waited.
        if after.since < client.since + int(passed):
            raise LivesError(
                f"{client.host} lives: the NFS client at {client.address} has just renewed its"
                " lease",
                help="the proof was about another host",
            )
    return [now[client.number] for client in clients if client.number in now]
