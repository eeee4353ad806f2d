"""What the model says of two hosts on GlusterFS is what two real lock daemons do there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.real.model import cases, outcomes
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.gluster import MOUNT, gluster_network
from tests.real.shared.model_hosts import make_sides

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real.model import Side
    from tests.real.shared.hosts import Network


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Hosts that share a volume with its default caches."""
    with gluster_network(tmp_path_factory.mktemp("gluster")) as network:
        yield network


@pytest.fixture(scope="module")
def sides(hosts: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    """The two hosts and their snapshots."""
    return make_sides(hosts.clients, (MOUNT, MOUNT), tmp_path_factory.mktemp("etc"))


@pytest.mark.parametrize(
    "programs",
    [(VIRTLOCKD, VIRTLOCKD), (LOCKD, LOCKD), (LOCKD, VIRTLOCKD)],
    ids=lambda pair: "-".join(program.name for program in pair),
)
def test_the_model_is_what_two_lock_daemons_do(
    hosts: Network,
    sides: tuple[Side, Side],
    programs: tuple[Path, Path],
    request: pytest.FixtureRequest,
) -> None:
    """For every generated pair; and pairs of both outcomes are among them."""
    assert {side.directories["/mnt/locks"]["mount"]["type"] for side in sides} == {"fuse.glusterfs"}
    seen: Counter[bool] = Counter()
    with lock_daemons(hosts.clients, programs):
        pairs = cases(request.config.getoption("--seed"))
        for outcome in outcomes(*sides, pairs, stale=VIRTLOCKD in programs):
            assert outcome.agrees, outcome
            seen[outcome.granted] += 1
    print(seen)
    assert seen[True] > 20
    assert seen[False] > 20
