"""A disk on GlusterFS that is locked itself, and locked again as soon as it is released (LA318)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.real.lock_hosts import grants_both
from tests.real.model import Case
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.gluster import MOUNT, gluster_network
from tests.real.shared.model_hosts import make_sides

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

#: By when a lock is dropped once: that takes some seconds.
_SECONDS: Final = 180


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
    program: Path, graph: str, is_dropped: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """virtlockd's may be dropped, so that another host is granted the disk."""
    rounds = 20_000 if request.config.getoption("exhaustive") else 1_000
    with gluster_network(tmp_path, graph) as hosts:
        one, other = make_sides(hosts.clients, (MOUNT, MOUNT), tmp_path / "etc")
        case = Case(None, "/mnt/images/disk", shareable=False)
        first, second = one.lock(case), other.lock(case)
        # A check may hold the lock for a moment longer, and the other one is refused then.
        options = ["--check-interval=3600"] if program == LOCKD else []
        with lock_daemons(hosts.clients, (program, program), *options):
            done, until = 0, time.monotonic() + _SECONDS
            granted = False
            while not granted and (time.monotonic() < until if is_dropped else done < rounds):
                granted = grants_both(one.run, other.run, first, second)
                done += 1
    print(f"both were granted it: {granted}, after {done} times")
    assert granted == is_dropped
