"""A disk on GlusterFS that is locked itself, and locked again as soon as it is released (LA318)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.real.lock_hosts import Client, grants_both
from tests.real.model import Case
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.gluster import MOUNT, gluster_network
from tests.real.shared.model_hosts import make_sides

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

    from lockcfg.fleet.model.locks import Lock

#: How long the server takes for each flush, in seconds: a busy one does.
_FLUSH_TAKES: Final = 0.2


@pytest.mark.parametrize(
    ("program", "graph", "is_dropped"),
    [
        (VIRTLOCKD, "default", True),
        (VIRTLOCKD, "no flush-behind", False),
        (LOCKD, "default", False),
    ],
    ids=["virtlockd", "virtlockd, no flush-behind", "lockd"],
)
def test_a_lock_soon_after_a_release(
    program: Path, graph: str, is_dropped: bool, tmp_path: Path
) -> None:
    """virtlockd's is dropped when the server sees the release, and another host gets the disk."""
    with gluster_network(tmp_path, graph, _FLUSH_TAKES) as hosts:
        one, other = make_sides(hosts.clients, (MOUNT, MOUNT), tmp_path / "etc")
        case = Case(None, "/mnt/images/disk", shareable=False)
        first, second = one.lock(case), other.lock(case)
        assert first is not None
        assert second is not None
        with lock_daemons(hosts.clients, (program, program), *_options(program)):
            granted = [_is_granted(one.run, other.run, first, second) for _ in range(5)]
    assert granted == [is_dropped] * 5


def test_again_and_again(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """With a server that is as fast as it can be, lockd's is not dropped either."""
    rounds = 20_000 if request.config.getoption("exhaustive") else 1_000
    with gluster_network(tmp_path) as hosts:
        one, other = make_sides(hosts.clients, (MOUNT, MOUNT), tmp_path / "etc")
        case = Case(None, "/mnt/images/disk", shareable=False)
        first, second = one.lock(case), other.lock(case)
        with lock_daemons(hosts.clients, (LOCKD, LOCKD), *_options(LOCKD)):
            for _ in range(rounds):
                assert not grants_both(one.run, other.run, first, second)


def _options(program: Path) -> list[str]:
    """A check may hold the lock for a moment longer, and the other one is refused then."""
    return ["--check-interval=3600"] if program == LOCKD else []


def _is_granted(one: Path, other: Path, first: Lock, second: Lock) -> bool:
    """Whether the other one gets what the first one has locked, released and locked again."""
    pid = os.getppid()  # not the client's: the daemon kills no process when it hangs up
    with Client(one, pid) as client, Client(other, pid + 1) as rival:
        assert client.acquire(first)
        client.release(first)
        assert client.acquire(first)
        time.sleep(2 * _FLUSH_TAKES)
        granted = rival.acquire(second)
        if granted:
            rival.release(second)
        client.release(first)
        time.sleep(2 * _FLUSH_TAKES)
    return granted
