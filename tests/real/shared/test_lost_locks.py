"""Locks that a file system loses while an engine holds them: it says so, as loud as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.real.shared.gluster import CLIENT_PID_FILE, MOUNT, gluster_network, restart_brick
from tests.real.shared.losses import Loss, with_a_rival, with_nobody
from tests.real.shared.nfs import MOUNTS

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


def assert_is_told(loss: Loss) -> None:
    """Every stage of a loss was told, and the lock was had again in the end."""
    assert "does not answer" in loss.silent[0]
    assert loss.taken == ["the file system has lost the lock, and another host has it now"]
    assert loss.command == 1
    assert loss.taken[0] in loss.shown
    assert loss.over == []
    assert loss.kept_out
    told = [line for line in loss.log if "DISK IN DANGER: the lock" in line]
    assert any("does not answer" in line for line in told), loss.log
    assert any("another host has it now" in line for line in told), loss.log
    assert all("guest 'one'" in line for line in told)


def test_a_restarted_brick_forgets_locks(hosts: Network, directory: Path) -> None:
    """GlusterFS sends no message: the engine finds it, reports it, and locks again."""
    log, kept_out = with_nobody(
        hosts, f"{MOUNT}/nobody", forget=lambda: restart_brick(hosts, directory)
    )
    assert any("DISK IN DANGER: the file system had lost the lock" in line for line in log), log
    assert kept_out


def test_a_lock_that_another_host_took_meanwhile(hosts: Network, directory: Path) -> None:
    """While the client of the volume hangs, the brick is restarted and the other host is faster."""

    def signal_client(name: str) -> None:
        hosts.clients[0].sh(f'kill -"$1" "$(cat {CLIENT_PID_FILE})"', name)

    loss = with_a_rival(
        hosts,
        f"{MOUNT}/rival",
        cut=lambda: signal_client("STOP"),
        forget=lambda: restart_brick(hosts, directory),
        mend=lambda: signal_client("CONT"),
    )
    assert_is_told(loss)


@pytest.mark.parametrize("version", MOUNTS)
def test_a_client_that_the_server_has_given_up(nfs_rivals: dict[str, Any], version: str) -> None:
    """While its cable is pulled, as it is when the lease has run out; the other host is faster."""
    assert_is_told(Loss(*nfs_rivals[version]))


def test_a_lease_that_was_lost_and_that_nobody_used(nfs_lost: tuple[list[str], bool]) -> None:
    """NFSv4 sends no message: the engine finds it, reports it, and locks again."""
    log, kept_out = nfs_lost
    assert any("DISK IN DANGER: the file system had lost the lock" in line for line in log), log
    assert kept_out
