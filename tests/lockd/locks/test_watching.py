"""Which processes of owners are watched, and whose end ends what, on a host in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lockd.kernel import process
from lockd.locks.owners import Owners
from lockd.locks.space import Owner
from lockd.log import Logging
from tests.lockd.locks.simulation import SPACE, two_hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PID, STARTED = 4242, 99


def test_whose_end_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of another process with the pid, nor of one whose connection tells of it. As long as
    an owner holds something its process is watched."""
    host, _, _, _ = two_hosts()
    due: list[Callable[[], object]] = []
    watched: list[int] = []
    ended: list[tuple[int, int]] = []
    guarded: set[int] = set()

    class Loop:
        def after(self, _: float, call: Callable[[], object]) -> None:
            due.append(call)

        def watch(self, fd: int, *_: object) -> None:
            watched.append(fd)

        def unwatch(self, fd: int) -> None:
            watched.remove(fd)

    class Guests:
        def end(self, pid: int, started: int) -> None:
            ended.append((pid, started))

    monkeypatch.setattr(process, "open_process", lambda *_: os.open("/dev/null", os.O_RDONLY))
    loop: Any = Loop()
    guests: Any = Guests()
    owners = Owners(
        host.engine, guests, loop, guarded.__contains__, Logging().part("locking.lock_daemon")
    )
    owner = Owner("guest", bytes(16), 1, PID)
    owner.started = STARTED
    host.engine.acquire(SPACE, "a", owner, shared=False, create=True)
    owners.look()
    for _ in range(10):
        due.pop(0)()
        assert len(watched) == 1
    owners._let_go((PID, STARTED - 1))
    guarded.add(PID)
    owners._let_go((PID, STARTED))
    assert ended == []
    guarded.clear()
    owners._let_go((PID, STARTED))
    assert ended == [(PID, STARTED)]
    host.engine.release(SPACE, "a", owner)
    while due:
        due.pop(0)()
    assert watched == []
