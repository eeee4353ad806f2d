"""A lock that the file system loses while an engine holds it, and what the engine says of that."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.real.shared.daemons import LOCKD, LOG, lock_daemons
from tests.real.shared.silence import guest, status, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from tests.lockd.client import Client
    from tests.real.shared.hosts import Host, Network

#: How often the engines look at their locks, in seconds.
_INTERVAL: Final = 0.5

_DISK: Final = "disk"

#: After how long all is done that follows from an acquisition, in seconds.
_SETTLED: Final = 1.0


class Loss(NamedTuple):
    """What was seen of a loss that another host took advantage of.

    ``silent``, ``taken`` and ``over`` are what the holder's engine said was wrong: while the file
    system was silent, once it answered again, and when the other host had released it. ``command``
    is the exit status of ``lockd locks`` and ``shown`` its table, while the other one had the lock.
    ``log`` are the errors that were logged, ``kept_out`` is whether the other host was in the end.
    """

    silent: list[str]
    taken: list[str]
    command: int
    shown: str
    over: list[str]
    log: list[str]
    kept_out: bool


def with_a_rival(
    hosts: Network,
    lockspace: str,
    *,
    cut: Callable[[], object],
    forget: Callable[[], object],
    mend: Callable[[], object],
) -> Loss:
    """``cut`` the first host off, have its locks forgotten, let the second one take the lock, and
    ``mend`` what was cut."""
    one, _ = hosts.clients
    with _guests(hosts, lockspace) as (holder, rival):
        holder.acquire(lockspace, _DISK)
        assert not rival.can_acquire(lockspace, _DISK)
        time.sleep(_SETTLED)
        cut()
        silent = _wait_for_problem(one, "does not answer")
        forget()
        wait_for(lambda: rival.can_acquire(lockspace, _DISK), "the other host has the lock")
        mend()
        taken = _wait_for_problem(one, "another host has it now")
        table = subprocess.run(
            one.command(LOCKD, "locks"), stdout=subprocess.PIPE, text=True, check=False
        )
        rival.release(lockspace, _DISK)
        wait_for(lambda: not _problems(one), "the lock is healthy again")
        kept_out = not rival.can_acquire(lockspace, _DISK)
        over = _problems(one)
        holder.release(lockspace, _DISK)
        log = _errors(one, lockspace)
    return Loss(silent, taken, table.returncode, table.stdout, over, log, kept_out)


def with_nobody(
    hosts: Network, lockspace: str, *, forget: Callable[[], object]
) -> tuple[list[str], bool]:
    """Have a lock forgotten that no other host wants at the time: what the engine logged as errors,
    and whether the other host was kept out after that."""
    one, _ = hosts.clients
    with _guests(hosts, lockspace) as (holder, rival):
        holder.acquire(lockspace, _DISK)
        time.sleep(_SETTLED)
        forget()
        wait_for(
            lambda: "had lost the lock" in "".join(_errors(one, lockspace)), "the loss is logged"
        )
        wait_for(lambda: not _problems(one), "the lock is healthy")
        kept_out = not rival.can_acquire(lockspace, _DISK)
        holder.release(lockspace, _DISK)
        return _errors(one, lockspace), kept_out


@contextmanager
def _guests(hosts: Network, lockspace: str) -> Iterator[tuple[Client, Client]]:
    """A guest on each of the hosts, whose engines look at their locks often."""
    one, two = hosts.clients
    with (
        lock_daemons(hosts.clients, (LOCKD, LOCKD), f"--check-interval={_INTERVAL}"),
        guest(one, one.name, lockspace) as holder,
        guest(two, two.name, lockspace) as rival,
    ):
        yield holder, rival


def _problems(host: Host) -> list[str]:
    """What the engine on a host says is wrong with its locks."""
    return [each["problem"] for each in status(host)["problems"]]


def _errors(host: Host, lockspace: str) -> list[str]:
    """The errors about a lockspace in the log of a host's engine."""
    lines = host.path(LOG).read_text(errors="replace").splitlines()
    return [line for line in lines if ": error :" in line and lockspace in line]


def _wait_for_problem(host: Host, words: str) -> list[str]:
    wait_for(lambda: words in " ".join(_problems(host)), f"it says that it {words}")
    return _problems(host)
