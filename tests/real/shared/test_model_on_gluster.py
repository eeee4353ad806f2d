"""What the model says of two hosts on GlusterFS is what two real lock daemons do there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.real.model import cases, make_shared, outcomes
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.gluster import BRICK, MOUNT, gluster_network, mount_second_volume
from tests.real.shared.model_hosts import assert_the_model_is_right, make_sides

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real.model import Side
    from tests.real.shared.hosts import Host, Network


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
    assert_the_model_is_right(hosts, sides, programs, request.config.getoption("--seed"))


def test_another_volume_is_another_one(
    hosts: Network, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """On the same server, with the same name and the same paths."""
    point = "/mnt/second"
    mount_second_volume(hosts, hosts.clients[1], tmp_path, point)
    make_shared(hosts.clients[1].path(point))
    assert_never_wrong(
        (hosts.clients[0], hosts.clients[1]), (MOUNT, point), tmp_path / "etc", request
    )


def test_the_server_itself_does_not_see_the_locks_of_its_clients(
    hosts: Network, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """They are in its brick's process, and not in its kernel. On the disks themselves, as GlusterFS
    answers with errors if another program makes and removes files in a brick."""
    assert_never_wrong(
        (hosts.clients[0], hosts.server), (MOUNT, BRICK), tmp_path / "etc", request, direct=True
    )


def assert_never_wrong(
    hosts: tuple[Host, Host],
    mounts: tuple[str, str],
    etc: Path,
    request: pytest.FixtureRequest,
    *,
    direct: bool = False,
) -> None:
    """Nothing that one host locks keeps the other out, and that is never said; and what both are
    granted is never called safe."""
    made = hosts[0].path(mounts[0]).joinpath("locks").exists()
    sides = make_sides(hosts, mounts, etc, made=made)
    seen: Counter[str] = Counter()
    with lock_daemons(hosts, (LOCKD, VIRTLOCKD)):
        pairs = [
            pair
            for pair in cases(request.config.getoption("--seed"))
            if not direct or {each.lockspace for each in pair} == {None}
        ]
        for outcome in outcomes(*sides, pairs, stale=True):
            assert outcome.granted, outcome
            assert outcome.verdict != "yes", outcome
            seen[outcome.verdict] += 1
    print(seen)
    assert sum(seen.values()) > 30
