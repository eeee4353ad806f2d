"""What becomes of a guest whose lock is lost: it stops before another host is given the lock, and
goes on when the lock is held again and no other host has had it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.real.shared.failing import Failure, forgotten, with_a_rival, with_nobody
from tests.real.shared.gluster import CLIENT_PID_FILE, MOUNT, gluster_network, restart_brick
from tests.real.shared.nfs import cut_off, plug_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real.shared.hosts import Network


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the volume's graphs and logs are."""
    return tmp_path_factory.mktemp("gluster")


@pytest.fixture(scope="module")
def hosts(directory: Path) -> Iterator[Network]:
    """Hosts that share a volume with its default caches."""
    with gluster_network(directory) as network:
        yield network


def signal_client(hosts: Network, name: str) -> None:
    """Stop the volume's client of the first host, or have it go on."""
    hosts.clients[0].sh(f'kill -"$1" "$(cat {CLIENT_PID_FILE})"', name)


def assert_it_stopped_in_time(failure: Failure) -> None:
    """Before the other host had the lock, until a person said that it may go on."""
    assert failure.stopped < failure.granted
    assert failure.writes <= 1
    assert any("another host has it now" in each for each in failure.taken)
    assert any("it is paused" in each for each in failure.taken)
    assert "is not held" in failure.refused
    assert any("lockd resume" in each for each in failure.over)
    assert failure.goes_on


def test_a_silent_server(hosts: Network) -> None:
    """It is back before it has given the lock to another: the guest goes on by itself."""
    cut, mend = partial(signal_client, hosts, "STOP"), partial(signal_client, hosts, "CONT")
    stopped, goes_on = with_nobody(hosts, f"{MOUNT}/silent", cut=cut, mend=mend, deadline=3)
    print(f"stopped {stopped:.2f} s after the silence began, with 3 s allowed")
    assert stopped < 3 + 2.5
    assert goes_on


def test_a_lock_that_was_forgotten_and_that_nobody_had(hosts: Network, directory: Path) -> None:
    """lockd takes it again, as its note shows that no other host has had it: the guest does not
    notice."""
    forget = partial(restart_brick, hosts, directory)
    stopped, problems = forgotten(hosts, f"{MOUNT}/nobody", forget=forget, rival=False)
    assert (stopped, problems) == (0.0, [])


def test_a_lock_that_another_took(hosts: Network, directory: Path) -> None:
    """The file system can tell, and the guest stops."""
    forget = partial(restart_brick, hosts, directory)
    stopped, problems = forgotten(hosts, f"{MOUNT}/taken", forget=forget, rival=True)
    print(f"stopped {stopped:.2f} s after the brick began to restart")
    assert stopped < 10
    assert any("it is paused" in each for each in problems)


@pytest.mark.usefixtures("takes_a_minute")
def test_glusterfs_gives_the_lock_to_another(hosts: Network) -> None:
    """A host that is cut off has stopped its guest before the 42 seconds are over."""
    cut, mend = partial(cut_off, hosts), partial(plug_in, hosts)
    failure = with_a_rival(hosts, f"{MOUNT}/cut", cut=cut, mend=mend)
    print(failure)
    assert_it_stopped_in_time(failure)


def test_nfs_gives_the_lock_to_another(nfs_failures: dict[str, Any]) -> None:
    """The same within the lease of NFSv4."""
    failure = Failure(*nfs_failures["rival"])
    print(failure)
    assert_it_stopped_in_time(failure)


def test_an_nfs_server_that_is_back_in_time(nfs_failures: dict[str, Any]) -> None:
    """The guest goes on by itself."""
    stopped, goes_on = nfs_failures["nobody"]
    assert stopped < 3 + 2.5
    assert goes_on
