"""Two guests on two hosts fight for one resource while an engine is killed again and again."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from tests.lockd.client import CallRefusedError, Client
from tests.real.shared.contest import double_owners
from tests.real.shared.daemons import LOCKD, LOG, PID_FILE, SOCKET, lock_daemons
from tests.real.shared.hosts import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, Self

    from tests.real.shared.hosts import Host, Network

_RESOURCE: Final = "disk"

#: How long a guest keeps the resource, and waits where it is refused, and how long an engine that
#: is up lives, in seconds: one that lives for less than a second is not started again at once.
_HOLD: Final = 0.02
_PAUSE: Final = 0.005
_LIFE: Final = 1.2

# The supervisor's only child.
_KILL: Final = f'kill -9 $(cat "/proc/$(cat {PID_FILE})/task/"*/children)'


class Fight(NamedTuple):
    """When each guest owned the resource (begin and end, in seconds of one clock), how often its
    connection was hung up, how often the first one's engine was killed."""

    one: list[tuple[float, float]]
    two: list[tuple[float, float]]
    hung_up: tuple[int, int]
    kills: int

    @classmethod
    def from_record(cls, record: Sequence[Any]) -> Self:
        """The fight as it comes out of JSON."""
        one, two, hung_up, kills = record
        return cls([(b, e) for b, e in one], [(b, e) for b, e in two], tuple(hung_up), kills)

    @property
    def double_owners(self) -> int:
        """How often both owned it at once."""
        return double_owners(self.one, self.two)

    def __str__(self) -> str:
        return (
            f"{self.double_owners} double owners of {len(self.one)} + {len(self.two)} grants,"
            f" {self.kills} kills, {self.hung_up} times hung up"
        )


def fight(hosts: Network, lockspace: str, *, kills: int) -> Fight:
    """Let them fight until the engine of the first host has been killed so often."""
    one, two = hosts.clients
    one.path(LOG).unlink(missing_ok=True)
    over = Event()
    with lock_daemons(hosts.clients, (LOCKD, LOCKD)), ThreadPoolExecutor() as pool:
        guests = [pool.submit(_play, host, lockspace, over) for host in (one, two)]
        try:
            for kill in range(kills):
                time.sleep(_LIFE)
                one.sh(_KILL)
                _wait_until_up(one, kill + 1)
            time.sleep(_LIFE)
        finally:
            over.set()
        (first, first_hung_up), (second, second_hung_up) = (guest.result() for guest in guests)
    return Fight(first, second, (first_hung_up, second_hung_up), kills)


def _wait_until_up(host: Host, starts: int) -> None:
    """Wait until the engine, which logs to a file of this fight alone, has been started again."""
    log = host.path(LOG)
    deadline = time.monotonic() + PATIENCE
    while log.read_text(errors="replace").count("took over") < starts:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the engine is not up after {starts} kills")
        time.sleep(0.1)


def _play(host: Host, lockspace: str, over: Event) -> tuple[list[tuple[float, float]], int]:
    """What a guest does, as libvirtd would for it: when it owned the resource, and how often it was
    hung up on."""
    owned: list[tuple[float, float]] = []
    hung_up = -1
    while not over.is_set():
        hung_up += 1
        with (
            contextlib.suppress(EOFError, ConnectionError),
            Client(host.path(SOCKET), timeout=PATIENCE) as client,
        ):
            client.register(host.name, 5004242)
            client.create_lockspace(lockspace)
            # It may have been granted when no client was left to be told.
            with contextlib.suppress(CallRefusedError):
                client.release(lockspace, _RESOURCE)
            while not over.is_set():
                try:
                    client.acquire(lockspace, _RESOURCE)
                except CallRefusedError:
                    time.sleep(_PAUSE)
                    continue
                begin = time.monotonic()
                time.sleep(_HOLD)
                owned.append((begin, time.monotonic()))
                client.release(lockspace, _RESOURCE)
    with Client(host.path(SOCKET)) as client:
        client.register(host.name, 5004242)
        with contextlib.suppress(CallRefusedError):
            client.release(lockspace, _RESOURCE)
    return owned, hung_up
