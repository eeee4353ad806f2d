"""A disk that libvirt locks before it describes it: its other name is refused all the same.

Lockd is asked for that name as libvirt does for the guest ``two``: QEMU has a lock of its own,
which it asks for first, but not on every file system.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import CallRefusedError, Client
from tests.lockd.engine import PROGRAM
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost
from tests.real.test_adoption import start, virsh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_COPY: Final = "blockcopy one sda {later} --format raw --transient-job --reuse-external --wait"

#: How the guest ``one`` comes by the disk ``later``.
WAYS: Final = {
    "copied": f"{_COPY} --pivot",
    "being copied": _COPY,
    "attached": "attach-disk one {later} sdb --targetbus scsi",
    "overlay": "snapshot-create-as one s --disk-only --no-metadata --diskspec sda,file={later}",
}

SOCKET: Final = "/run/libvirt/virtlockd-sock"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GuestHost]:
    """A host with an indirect lockspace, on which the guest ``one`` runs."""
    with GuestHost(tmp_path / "host", Path(PROGRAM), {"file_lockspace_dir": LOCKSPACE}) as host:
        start(host, "lock daemon", "libvirtd")
        host.define("one", (Disk(host.make_disk("a")),))
        virsh(host, "start one")
        yield host


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kill", [False, True])
def test_by_another_name(host: GuestHost, way: str, kill: bool) -> None:
    """Also when the engine was killed in between; and when the first guest is gone, it is free."""
    later, link = f"{DISKS}/later", f"{DISKS}/link"
    if way != "overlay":
        host.make_disk("later")
    virsh(host, WAYS[way].format(later=later))
    if kill:
        host.kill_lock_daemon()
    host.path(link).symlink_to("later")
    host.define("two", (Disk(link),))
    name = hashlib.sha256(link.encode()).hexdigest()
    with Client(host.path(SOCKET)) as two:
        two.register("two", 5004242)
        two.create_lockspace(LOCKSPACE)
        with pytest.raises(CallRefusedError, match=f"by guest 'one'.* its other name '{later}'$"):
            two.acquire(LOCKSPACE, name)
        virsh(host, "destroy one")
        assert host.wait(lambda: not host.state().locks)
        two.acquire(LOCKSPACE, name)
