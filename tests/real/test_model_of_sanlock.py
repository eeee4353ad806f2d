"""The audit's model of hosts with sanlock, against two real sanlock daemons on one directory.

What each case makes two hosts do is what libvirt's plugin does: join the lockspace
``__LIBVIRT__DISKS__`` of the lease directory with the number of the host, and lease for a disk the
file that is called by the MD5 of its path.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg.fleet.model.locks import (
    Disk,
    Exclusion,
    LockAnswer,
    Locking,
    exclusion,
    exclusion_of,
    lock_of,
)
from lockcfg.fleet.model.place import Location
from tests.real.test_sanlock import SanlockHost, no_limits, two_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPACE = "__LIBVIRT__DISKS__"
ONE, OTHER = "/srv/vm/one.qcow2", "/mnt/vm/one.qcow2"


def made(path: Path, kind: str, what: str) -> Path:
    """A lockspace or a lease, as libvirt's plugin makes it."""
    path.write_bytes(bytes(1 << 20))
    subprocess.run(
        ["sanlock", "direct", "init", kind, f"{what}:{path}:0", "-o", "1"],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[SanlockHost]]:
    with two_hosts(tmp_path, no_limits(tmp_path)) as found:
        yield found


def said(one: tuple[str, Path, str, int], other: tuple[str, Path, str, int]) -> Exclusion:
    """What the model says of two hosts: manager, directory, path of the disk, number."""
    answers: list[LockAnswer] = []
    for manager, directory, path, number in (one, other):
        inode = directory.stat().st_ino
        place = Location("glusterfs://volume", str(directory), inode, "yes", "a test")
        locking = (
            Locking(manager, leases=place, host_id=number)
            if manager == "sanlock"
            else Locking(manager, spaces={"file_lockspace_dir": place})
        )
        disk = Disk("file", path, Location("glusterfs://volume", "/vm", 8, "yes", "a test"))
        answers.append(lock_of(locking, disk))
    mine, yours = answers
    return exclusion_of(mine, yours) or exclusion(mine.lock, yours.lock, one_disk=True)


def done(hosts: list[SanlockHost], cases: tuple[tuple[str, Path, str, int], ...]) -> bool:
    """Whether the second host is kept from the disk while the first one has it."""
    resources = []
    for host, (_, directory, path, number) in zip(hosts, cases, strict=True):
        space = directory / SPACE
        if not space.exists():
            made(space, "-s", f"{SPACE}:0")
        joined = host.client("add_lockspace", "-s", f"{SPACE}:{number}:{space}:0", "-o", "1")
        assert not joined.returncode, joined
        name = hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()
        if not (directory / name).exists():
            made(directory / name, "-r", f"{SPACE}:{name}")
        resources.append(f"{SPACE}:{name}:{directory / name}:0")
    holder = hosts[0].holding(resources[0])
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert "held\n" in iter(holder.stdout.readline, "")
    try:
        return bool(hosts[1].client("command", "-r", resources[1], "-c", "/bin/true").returncode)
    finally:
        holder.communicate("\n")


@pytest.mark.parametrize(
    ("paths", "directories"),
    [((ONE, ONE), ("a", "a")), ((ONE, OTHER), ("a", "a")), ((ONE, ONE), ("a", "b"))],
    ids=["one lease", "two paths", "two directories"],
)
def test_two_hosts_with_sanlock(
    hosts: list[SanlockHost], tmp_path: Path, paths: tuple[str, str], directories: tuple[str, str]
) -> None:
    """They exclude each other on one path, with their leases in one directory, and else not."""
    for each in directories:
        (tmp_path / each).mkdir(exist_ok=True)
    one, other = (
        ("sanlock", tmp_path / directory, path, number)
        for number, (path, directory) in enumerate(zip(paths, directories, strict=True), 1)
    )
    expected = "yes" if done(hosts, (one, other)) else "no"
    assert said(one, other).verdict == expected


def test_two_hosts_with_one_number(hosts: list[SanlockHost], tmp_path: Path) -> None:
    """The second cannot join: it is never told to be safe, and the rules say that it is wrong."""
    space = made(tmp_path / SPACE, "-s", f"{SPACE}:0")
    joining = ("add_lockspace", "-s", f"{SPACE}:1:{space}:0", "-o", "1")
    assert not hosts[0].client(*joining).returncode
    with pytest.raises(subprocess.TimeoutExpired):
        hosts[1].client(*joining, seconds=5)
    pair = [("sanlock", tmp_path, ONE, 1)] * 2
    assert said(*pair).verdict == "unknown"


def test_one_host_of_each_kind(hosts: list[SanlockHost], tmp_path: Path) -> None:
    """lockd's lock can be had while sanlock's lease is held, also on the very same file."""
    space = made(tmp_path / SPACE, "-s", f"{SPACE}:0")
    name = hashlib.md5(ONE.encode(), usedforsecurity=False).hexdigest()
    lease = made(tmp_path / name, "-r", f"{SPACE}:{name}")
    assert not hosts[0].client("add_lockspace", "-s", f"{SPACE}:1:{space}:0", "-o", "1").returncode
    holder = hosts[0].holding(f"{SPACE}:{name}:{lease}:0")
    assert holder.stdout is not None
    assert "held\n" in iter(holder.stdout.readline, "")
    with open(lease, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    holder.communicate("\n")
    one, other = ("sanlock", tmp_path, ONE, 1), ("lockd", tmp_path, ONE, 0)
    assert said(one, other).verdict == said(other, one).verdict == "no"
