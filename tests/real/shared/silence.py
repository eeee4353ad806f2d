"""What happens on a host, one of whose file systems is silent for a while."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lockd.programs.inspect import PROGRAM, STATUS
from lockd.wire.xdr import Reader
from tests.lockd.client import (
    ACQUIRE,
    AUTOCREATE,
    MAX_ERROR,
    RELEASE,
    CallRefusedError,
    Client,
    resource,
)
from tests.real.shared.daemons import ADMIN_SOCKET, LOCKD, LOG, SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from tests.real.shared.hosts import Host

#: A lockspace that has nothing to do with the silent file system.
LOCAL: Final = "/run/lockspace"

#: The longest that a call of one who does not need the file system may take, in seconds.
AT_ONCE: Final = 1.0

#: How long something may take to come true, in seconds: TCP tries again ever more seldom.
_PATIENCE: Final = 90.0


class Silence(NamedTuple):
    """What was seen of it.

    ``waited`` is whether those who need the file system had no answer, each time that was looked
    at, ``longest`` how long the longest call of another one took, in seconds. ``path`` and
    ``problem`` are what the daemon said is wrong, ``command`` the exit status of ``lockd status``
    and ``shown`` its table; ``over`` is what was wrong afterwards. ``refused`` is what who wanted
    the lock then was told. ``log`` are the lines of the log.
    """

    waited: list[bool]
    longest: float
    path: str
    problem: str
    command: int
    shown: str
    over: list[str]
    refused: str
    log: list[str]


def others_go_on(
    host: Host, lockspace: str, *, cut: Callable[[], object], mend: Callable[[], object]
) -> Silence:
    """``cut`` a host, which runs lockd, off from the server of a lockspace, let one guest ask for a
    lock there and another let one go, and ``mend`` it."""
    with (
        guest(host, "web", lockspace) as web,
        guest(host, "db", lockspace, LOCAL) as db,
        guest(host, "other") as other,
    ):
        db.acquire(lockspace, "held")
        time.sleep(0.3)  # what the server said before does not count any more
        cut()
        web.send(ACQUIRE, resource(lockspace, "disk", AUTOCREATE))
        db.send(RELEASE, resource(lockspace, "held", 0))
        waited = [waits(web), waits(db)]
        took = longest(other)
        wait_for(lambda: bool(_problems(host)), "it is told")
        (problem,) = _problems(host)
        table = subprocess.run(
            host.command(LOCKD, "status"), stdout=subprocess.PIPE, text=True, check=False
        )
        waited += [waits(web), waits(db)]
        mend()
        web.reply()
        db.reply()
        refused = ""
        try:
            db.acquire(lockspace, "disk")
        except CallRefusedError as error:
            refused = str(error)
        web.release(lockspace, "disk")
        over = [each["problem"] for each in _problems(host)]
    log = host.path(LOG).read_text(errors="replace").splitlines()
    return Silence(
        waited,
        took,
        problem["path"],
        problem["problem"],
        table.returncode,
        table.stdout,
        over,
        refused,
        log,
    )


@contextmanager
def guest(host: Host, name: str, *spaces: str) -> Iterator[Client]:
    """A guest that libvirt acts for."""
    with Client(host.path(SOCKET), timeout=_PATIENCE) as client:
        client.register(name, 4242)
        for space in spaces:
            client.create_lockspace(space)
        yield client


def status(host: Host) -> dict[str, Any]:
    """What ``lockd status`` asks for."""
    with Client(host.path(ADMIN_SOCKET), timeout=_PATIENCE) as client:
        answer: dict[str, Any] = json.loads(
            Reader(client.call(STATUS, program=PROGRAM)).string(MAX_ERROR)
        )
    return answer


def _problems(host: Host) -> list[dict[str, str]]:
    problems: list[dict[str, str]] = status(host)["problems"]
    return problems


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"this has not come true in {_PATIENCE} s: {what}")
        time.sleep(0.02)


def longest(client: Client, count: int = 50) -> float:
    """How long the longest of some calls takes that need nothing of the file system, in seconds."""
    took = []
    for index in range(count):
        begun = time.monotonic()
        client.acquire(LOCAL, f"disk-{index}")
        client.release(LOCAL, f"disk-{index}")
        took.append(time.monotonic() - begun)
    return max(took)


def waits(client: Client) -> bool:
    """Whether a client has no answer yet."""
    client.socket.settimeout(0.3)
    try:
        client.reply()
    except TimeoutError:
        return True
    finally:
        client.socket.settimeout(_PATIENCE)
    return False
