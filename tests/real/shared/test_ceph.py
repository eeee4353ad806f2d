"""CephFS by ceph-fuse: what the model and a probe say of two hosts is what two real lock daemons do
there, a host that dies keeps its locks until its session ends, and an eviction frees them."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import CallRefusedError
from tests.real.model import cases, make_shared, outcomes
from tests.real.shared.ceph import (
    AUTOCLOSE,
    CLUSTER,
    FILE_SYSTEMS,
    MOUNT,
    ceph_network,
    evict,
    mount,
    sessions,
    tell,
)
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.model_hosts import assert_the_model_is_right, make_sides
from tests.real.shared.rounds import Rounds, by_path, findings
from tests.real.shared.silence import guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any, Final

    from tests.conftest import RunLockcfg
    from tests.lockd.client import Client
    from tests.real.model import Side
    from tests.real.shared.hosts import Network

pytestmark = pytest.mark.usefixtures("takes_a_minute")

#: A directory of the first file system, and where the second host has it mounted by itself.
PART: Final = "/part"
OF_PART: Final = "/mnt/part"

#: Where the second host has the other file system.
OTHER: Final = "/mnt/other"

_DISK: Final = "disk"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Network]:
    """Hosts that share a file system of the cluster; one has more of it."""
    with ceph_network() as network:
        one, two = network.clients
        one.sh('mkdir "$1"', f"{MOUNT}{PART}")
        make_shared(one.path(f"{MOUNT}{PART}"))
        mount(two, FILE_SYSTEMS[0], OF_PART, PART)
        mount(two, FILE_SYSTEMS[1], OTHER)
        make_shared(two.path(OTHER))
        yield network


@pytest.fixture(scope="module")
def sides(hosts: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    """The two hosts, of which one has mounted a directory of what the other has, and their
    snapshots."""
    etc = tmp_path_factory.mktemp("etc")
    return make_sides(hosts.clients, (f"{MOUNT}{PART}", OF_PART), etc, made=True)


def test_the_snapshot_tells_what_the_mount_does_not(sides: tuple[Side, Side]) -> None:
    """The cluster, the file system, and which directory of it is mounted."""
    for side, root in zip(sides, ("/", PART), strict=True):
        told: dict[str, Any] = side.directories["/mnt/locks"]["mount"]
        assert (told["type"], told["source"]) == ("fuse.ceph-fuse", "ceph-fuse")
        assert told["ids"] == [
            f"cluster:{CLUSTER}",
            f"filesystem:{FILE_SYSTEMS[0]}",
            f"root:{root}",
        ]
    assert sides[0].place("/mnt/locks").shown == sides[1].place("/mnt/locks").shown


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
    assert_the_model_is_right(hosts, sides, programs, request.config.getoption("--seed"))


def test_another_file_system_of_the_cluster_is_another_one(
    hosts: Network, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its first directories and files have the same names and numbers. Nothing that one host locks
    keeps the other out, and that is never said."""
    sides = make_sides(hosts.clients, (f"{MOUNT}{PART}", OTHER), tmp_path / "etc", made=True)
    seen: Counter[str] = Counter()
    with lock_daemons(hosts.clients, (LOCKD, VIRTLOCKD)):
        pairs = cases(request.config.getoption("--seed"))
        for outcome in outcomes(*sides, pairs, stale=True):
            assert outcome.granted, outcome
            assert outcome.verdict == "no", outcome
            seen[outcome.verdict] += 1
    assert seen["no"] > 30


def test_a_probe_shows_the_same(hosts: Network, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Hosts see each other's bytes on one file system; two file systems are two."""
    one, two = hosts.clients
    for host, source, point in (
        (one, f"{MOUNT}{PART}", "/mnt/as-one"),
        (two, OF_PART, "/mnt/as-one"),
        (one, f"{MOUNT}/apart", "/mnt/apart"),
        (two, f"{OTHER}/apart", "/mnt/apart"),
    ):
        host.sh('mkdir -p "$1" "$2" && mount --bind "$1" "$2"', source, point)
    rounds = Rounds(lockcfg, tmp_path, hosts.clients)
    rounds.make_plan("/mnt/as-one", "/mnt/apart")
    rounds.hold()
    report = findings(lockcfg, rounds.ask())
    rounds.end()
    shown = by_path(report)
    assert [(row["hosts"], row["seen"]) for row in shown["/mnt/as-one"]] == [
        (["one", "two"], "yes")
    ]
    assert sorted(row["hosts"] for row in shown["/mnt/apart"]) == [["one"], ["two"]]
    assert "LA214" not in {each["code"] for each in report["findings"]}


@pytest.mark.parametrize("how", ["eviction", "time"])
def test_a_host_that_dies_keeps_its_locks_until_its_session_ends(hosts: Network, how: str) -> None:
    """A guest elsewhere gets no answer until then: the server asks the dead host first. An
    eviction ends the session at once, and the evicted client can write no more; without one it
    takes the time that the file system is set to."""
    one, two = hosts.clients
    space = f"{MOUNT}/{how}"
    with (
        lock_daemons(hosts.clients, (LOCKD, LOCKD)),
        guest(one, one.name, space) as holder,
        guest(two, two.name, space) as rival,
    ):
        holder.acquire(space, _DISK)
        with pytest.raises(CallRefusedError, match="is locked"):
            rival.acquire(space, _DISK)
        assert len(sessions(hosts, one)) == 1
        hosts.server.sh('ip link set "$1" down', one.name)
        begun = time.monotonic()
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(granted_at, rival, space)
            if how == "eviction":
                time.sleep(2)
                assert not asked.done()
                evict(hosts, one)
            took = asked.result() - begun
        print(f"The lock was free after {took:.0f} s.")
        assert how == "eviction" or took > AUTOCLOSE / 2
        assert one.address in tell(hosts, "osd", "blocklist", "ls")
        rival.release(space, _DISK)
        # What is left on the dead host would wait for the server.
        one.sh("pkill -9 ceph-fuse")
        hosts.server.sh('ip link set "$1" up', one.name)
    one.sh('umount --lazy "$1"', MOUNT)
    mount(one, FILE_SYSTEMS[0], MOUNT)


def granted_at(guest: Client, space: str) -> float:
    """When a guest is granted the lock."""
    deadline = time.monotonic() + 10 * AUTOCLOSE
    while True:
        try:
            guest.acquire(space, _DISK)
        except CallRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return time.monotonic()
