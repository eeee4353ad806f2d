"""Storage that two hosts reach as a disk: what the audit says of their guests, and what real lock
daemons grant. It is for use inside :class:`tests.real.shared.machine.Machine`, whose kernel has
device-mapper.

The disk is a loop device with two partitions, and on the second one is a volume group of LVM. Each
host has device nodes of its own, as two machines on a SAN have: a lock on a node is that host's.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockcfg.fleet.model.locks import Disk, Lock, Locking, lock_of
from lockcfg.fleet.model.place import place_of
from lockcfg.fleet.snapshots import collector
from tests.real.lock_hosts import disk_xml, grants_both, guest_xml
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.nfs import MOUNTS
from tests.real.test_model_on_devices import audited

if TYPE_CHECKING:
    from typing import Any, Final

    from tests.real.shared.hosts import Host, Network

#: Where both hosts have their locks, on NFS.
_SPACE: Final = f"{MOUNTS['4.2']}/devices"
_IMAGES: Final = f"{MOUNTS['4.2']}/chain"

#: What a host's qemu-lockd.conf may say.
_DIRECT: Final = ""
_BY_PATH: Final = f'file_lockspace_dir = "{_SPACE}"\n'
_BY_LVM: Final = f'{_BY_PATH}lvm_lockspace_dir = "{_SPACE}"\n'

#: The machine has no udev, so LVM makes its nodes.
_MAKE: Final = """
modprobe dm-mod
modprobe loop max_part=8
mkdir -p /dev/mapper /run/lvm /run/lock/lvm
[ -e /dev/mapper/control ] || dmsetup mknodes
truncate -s 64M /run/disk.img
printf 'label: gpt\\nsize=16M\\nsize=40M\\n' | sfdisk -q /run/disk.img
disk=$(losetup --find --show --partscan /run/disk.img)
export LVM_SUPPRESS_FD_WARNINGS=1
lvm="--config activation/udev_sync=0"
pvcreate $lvm -q "${disk}p2" >&2
vgcreate $lvm -q vg "${disk}p2" >&2
lvcreate $lvm -q -an -Zn -L 8M -n a vg >&2
lvcreate $lvm -q -an -Zn -L 8M -n b vg >&2
vgchange $lvm -q -ay vg >&2
vgmknodes $lvm -q vg >&2
ls -l /dev/mapper /dev/vg >&2
echo "$disk"
"""
_OWN_NODES: Final = """
mkdir /run/nodes
mount -t tmpfs tmpfs /run/nodes
cp -a /dev/null /dev/zero /dev/urandom /dev/loop* /dev/mapper /dev/vg /run/nodes
for node in /dev/dm-*; do [ ! -e "$node" ] || cp -a "$node" /run/nodes; done
mount --move /run/nodes /dev
mkdir -p /run/lvm /run/lock/lvm
mount --bind "$1" /etc/libvirt
"""


class Pair(NamedTuple):
    """What two guests have, each on a host of its own."""

    name: str
    one: str
    other: str
    conf: str


def pairs(disk: str) -> list[Pair]:
    """By what the disk is called."""
    a, b = "/dev/vg/a", "/dev/vg/b"
    return [
        Pair("a volume, by its id", a, a, _BY_LVM),
        Pair("a volume by two names, by its id", a, "/dev/mapper/vg-a", _BY_LVM),
        Pair("two volumes, by their ids", a, b, _BY_LVM),
        Pair("a volume, by its path", a, a, _BY_PATH),
        Pair("a volume by two names, by its path", a, "/dev/mapper/vg-a", _BY_PATH),
        Pair("a volume, by its node", a, a, _DIRECT),
        Pair("a volume and the partition that it is on", a, f"{disk}p2", _BY_LVM),
        Pair("a volume and the disk that it is on", a, disk, _BY_LVM),
        Pair("two partitions", f"{disk}p1", f"{disk}p2", _BY_PATH),
        Pair("a partition", f"{disk}p1", f"{disk}p1", _DIRECT),
        Pair("a partition and its disk", f"{disk}p1", disk, _BY_PATH),
        Pair("an image", f"{_IMAGES}/base", f"{_IMAGES}/base", _BY_PATH),
        Pair("an image and the one above it", f"{_IMAGES}/base", f"{_IMAGES}/top", _BY_PATH),
        Pair("two images above one", f"{_IMAGES}/top", f"{_IMAGES}/other", _BY_PATH),
    ]


def report(hosts: Network) -> list[dict[str, Any]]:
    """Of each pair: its name, what the audit says of the fleet (``level``) and of the disk that
    both guests have (``disk``, empty if it is none), and whether lock daemons ``granted`` both."""
    found: list[dict[str, Any]] = []
    disk = hosts.server.sh(_MAKE).split()[-1]
    etc = Path(tempfile.mkdtemp())
    (etc / "qemu").mkdir()
    (etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
    one, _ = hosts.clients
    one.sh('mkdir "$1" "$2"', _SPACE, _IMAGES)
    images = one.path(_IMAGES)
    (images / "base").write_bytes(bytes(1 << 20))
    for name in ("top", "other"):
        (images / name).write_bytes(qcow2_above("base"))
    for host in hosts.clients:
        host.sh(_OWN_NODES, etc)
    with lock_daemons(hosts.clients, (LOCKD, VIRTLOCKD)):
        for pair in pairs(disk):
            (etc / "qemu-lockd.conf").write_text(pair.conf)
            told = []
            for host, path in zip(hosts.clients, (pair.one, pair.other), strict=True):
                disk_of_guest = disk_xml(path)
                if path.endswith(("/top", "/other")):
                    form = "device='disk'><driver name='qemu' type='qcow2'/>"
                    disk_of_guest = disk_of_guest.replace("device='disk'>", form)
                (etc / "qemu/guest.xml").write_text(guest_xml(host.name, [disk_of_guest]))
                told.append(snapshot(host))
            locks = lock(told[0], pair.conf), lock(told[1], pair.conf)
            mine, yours = (host.path("/run") for host in hosts.clients)
            granted = grants_both(mine, yours, *locks, stale=True)
            result = audited(*told)
            both = [each.safe for each in result.disks if len({u.host for u in each.users}) > 1]
            found.append(
                {
                    "pair": pair.name,
                    "level": result.verdict.level,
                    "codes": sorted({each.code for each in result.findings}),
                    "disk": min(both, default=""),
                    "granted": granted,
                    "seen": [each["guests"][0]["disks"] for each in told],
                }
            )
    return found


def qcow2_above(base: str) -> bytes:
    """The header of an image whose backing file is a raw one."""
    form = struct.pack(">II", 0xE2792ACA, 3) + b"raw".ljust(8, b"\0") + bytes(8)
    head = struct.pack(">4sIQI", b"QFI\xfb", 3, 104 + len(form), len(base)).ljust(100, b"\0")
    return head + struct.pack(">I", 104) + form + base.encode()


def snapshot(host: Host) -> dict[str, Any]:
    """What the collector tells of a host."""
    text = host.run(sys.executable, "-I", str(collector.__file__), "--name", host.name)
    told: dict[str, Any] = json.loads(text)
    return told


def lock(told: dict[str, Any], conf: str) -> Lock | None:
    """What a host locks for the disk of its guest."""
    (found,) = told["guests"][0]["disks"]
    path: str = found["path"]
    space = {each["path"]: each for each in told["directories"]}.get(_SPACE)
    spaces, paths = {}, {}
    for setting in ("file_lockspace_dir", "lvm_lockspace_dir"):
        if setting in conf and space is not None:
            spaces[setting] = place_of(_SPACE, space["mount"], None)
            paths[setting] = _SPACE
    it = Disk(found["type"], path, place_of(path, None, None), lvm_uuid=found.get("lvm_uuid", ""))
    return lock_of(Locking("lockd", spaces=spaces, paths=paths), it).lock
