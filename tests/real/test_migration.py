"""Live migration between two libvirtds, each with a lock daemon of its own, and one lockspace or
direct locks: the guest's lock is held by one of them before and after, also if the migration
fails half way."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost
from tests.real.moving_host import can_lock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

VIRTLOCKD = Path("/usr/sbin/virtlockd")
SOCKETS = "/srv/sockets"


class Pair:
    """Two hosts that share the lockspace and, where ``disks`` is so, the disks; where locks are
    ``direct``, there is no lockspace."""

    def __init__(
        self, stack: ExitStack, directory: Path, daemon: Path, *, disks: bool, direct: bool
    ) -> None:
        shared = {LOCKSPACE: directory / "locks", SOCKETS: directory / "sockets"}
        if disks:
            shared[DISKS] = directory / "disks"
        for path in shared.values():
            path.mkdir()
        self._directory = directory
        self._direct = direct
        settings = {} if direct else {"file_lockspace_dir": LOCKSPACE}
        self.one, self.two = (
            stack.enter_context(GuestHost(directory / name, daemon, settings, shared=shared))
            for name in ("one", "two")
        )
        for number, host in enumerate((self.one, self.two), 1):
            conf = host.path("/etc/libvirt/libvirtd.conf")
            uuid = f"11111111-2222-4333-8444-{number:012}"
            conf.write_text(f'{conf.read_text()}host_uuid = "{uuid}"\n')
            for result in (host.start_lock_daemon(), host.start_libvirtd()):
                assert result.status == 0, result.said
        self.disk = self.one.make_disk("a")
        if not disks:
            self.two.make_disk("a")
        self.one.define("guest", (Disk(self.disk),))
        virsh(self.one, "start guest")

    def migrate(self, *options: str) -> subprocess.Popen[str]:
        """Begin to move the guest from the first host to the second."""
        socket = self._directory / "two/run/libvirt/libvirt-sock"
        return self.one.popen(
            *("virsh", "--connect", "qemu:///system", "migrate", "--live", *options, "guest"),
            f"qemu+unix:///system?socket={socket}",
            *("--migrateuri", f"unix://{SOCKETS}/migration"),
        )

    def is_locked(self) -> bool:
        """Whether the disk's lock is held on one of the hosts."""
        name = hashlib.sha256(self.disk.encode()).hexdigest()
        # Of a copied disk each host has its own.
        files = {host.path(self.disk if self._direct else f"{LOCKSPACE}/{name}") for host in self}
        return any(file.exists() and not can_lock(file) for file in files)

    def __iter__(self) -> Iterator[GuestHost]:
        return iter((self.one, self.two))

    def holds(self, host: GuestHost) -> bool:
        """Whether one of them holds it, as lockd says; of virtlockd, where the guest runs."""
        if host.lock_daemon == VIRTLOCKD:
            return runs(host) and self.is_locked()
        return "guest" in host.run(str(PROGRAM), "locks").said


def virsh(host: GuestHost, command: str) -> None:
    """Run a command of virsh, which has to do."""
    result = host.virsh(command)
    assert result.status == 0, f"{command}: {result.said}"


def runs(host: GuestHost) -> bool:
    """Whether the guest runs there, by libvirt."""
    return host.virsh("domstate guest").said.strip() == "running"


@pytest.fixture(params=[VIRTLOCKD, Path(PROGRAM)], ids=["virtlockd", "lockd"])
def daemon(request: pytest.FixtureRequest) -> Path:
    """Either lock daemon."""
    path: Path = request.param
    return path


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("storage", ["shared", "copied"])
@pytest.mark.parametrize("direct", [False, True], ids=["indirect", "direct"])
def test_it_is_moved(
    stack: ExitStack, tmp_path: Path, daemon: Path, storage: str, direct: bool
) -> None:
    """And is a guest like any other there."""
    pair = Pair(stack, tmp_path, daemon, disks=storage == "shared", direct=direct)
    copying = ("--copy-storage-all", "--disks-uri", f"unix://{SOCKETS}/disks")
    migration = pair.migrate("--unsafe", *(() if storage == "shared" else copying))
    said, _ = migration.communicate(timeout=60)
    assert migration.returncode == 0, said
    assert runs(pair.two)
    assert not runs(pair.one)
    assert pair.is_locked()
    assert pair.holds(pair.two)
    assert not pair.holds(pair.one)
    if storage == "shared" or not direct:
        refused = pair.one.virsh("start guest")
        assert refused.status, refused.said
    virsh(pair.two, "suspend guest")
    assert pair.two.wait(lambda: not pair.is_locked())
    virsh(pair.two, "resume guest")
    assert pair.is_locked()
    virsh(pair.two, "destroy guest")
    assert pair.two.wait(lambda: not pair.is_locked())
    virsh(pair.one, "start guest")
    assert pair.is_locked()


@pytest.mark.parametrize("direct", [False, True], ids=["indirect", "direct"])
def test_it_fails_half_way(stack: ExitStack, tmp_path: Path, daemon: Path, direct: bool) -> None:
    """The guest goes on where it was, and the lock is held there."""
    pair = Pair(stack, tmp_path, daemon, disks=True, direct=direct)
    migration = pair.migrate("--unsafe")
    deadline = time.monotonic() + 30
    while not (there := pair.two.qemu_pids()):
        assert time.monotonic() < deadline, "no guest has come"
    for pid in there:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    for pid in there:
        os.kill(pid, signal.SIGKILL)
    said, _ = migration.communicate(timeout=60)
    assert migration.returncode, said
    assert pair.one.wait(lambda: runs(pair.one))
    assert pair.is_locked()
    assert pair.holds(pair.one)
    assert not pair.holds(pair.two)
    virsh(pair.one, "suspend guest")
    virsh(pair.one, "resume guest")
    assert pair.is_locked()
    migration = pair.migrate("--unsafe")
    said, _ = migration.communicate(timeout=60)
    assert migration.returncode == 0, said
    assert pair.holds(pair.two)
