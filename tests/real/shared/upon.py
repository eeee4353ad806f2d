"""Runs in the virtual machine: what the collector tells of devices of DRBD, bcache and
device-mapper, which a real kernel has.

    python -m tests.real.shared.upon PROGRAMS

PROGRAMS is where Debian's packages drbd-utils and bcache-tools are unpacked. Prints the disks of
the guests as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lockcfg.fleet.snapshots import collector
from tests.real.lock_hosts import disk_xml, guest_xml

if TYPE_CHECKING:
    from typing import Final

#: One of each kind, by the name of the guest that has it. There is no udev, which would make nodes.
DEVICES: Final = {
    "drbd": "/dev/drbd0",
    "bcache": "/dev/bcache0",
    "linear": "/dev/mapper/linear",
    "striped": "/dev/mapper/striped",
    "crypt": "/dev/mapper/crypt",
    "upper": "/dev/mapper/upper",
}

_MAKE: Final = """
set -e
for module in loop dm-mod dm-crypt bcache drbd; do modprobe "$module"; done
cd /run
for number in 0 1 2 3; do
    truncate -s 512M "disk$number"
    losetup "/dev/loop$number" "disk$number"
done
ip address add 10.7.7.1/24 dev lo
drbdmeta --force 0 v08 /dev/loop0 internal create-md
drbdsetup new-resource r0
drbdsetup new-minor r0 0 3
drbdsetup attach 0 /dev/loop0 /dev/loop0 internal
drbdsetup connect r0 ipv4:10.7.7.1:7788 ipv4:10.7.7.2:7788 --protocol=C
drbdsetup primary 0 --force
mount -t debugfs debugfs /sys/kernel/debug
make-bcache -B /dev/loop1
make-bcache -C --bucket 64k /dev/loop2
printf /dev/loop1 >/sys/fs/bcache/register
printf /dev/loop2 >/sys/fs/bcache/register
until [ -e /sys/block/bcache0/bcache/attach ]; do sleep 0.1; done
printf "$(ls /sys/fs/bcache | grep -e -)" >/sys/block/bcache0/bcache/attach
mkdir -p /dev/mapper
[ -e /dev/mapper/control ] || dmsetup mknodes
make() { dmsetup create "$1" --noudevsync --table "$2"; }
make linear "0 2048 linear /dev/loop3 0"
make striped "0 4096 striped 2 8 /dev/loop3 8192 /dev/loop3 16384"
make crypt "0 2048 crypt aes-xts-plain64 $(printf %0128d 7) 0 /dev/loop3 4096"
make upper "0 1024 linear $(cat /sys/block/dm-0/dev) 512"
dmsetup mknodes
"""


def main(unpacked: str) -> None:
    """Make the devices, and look at them."""
    programs = Path(unpacked)
    shutil.copytree(programs / "lib/drbd", "/lib/drbd", dirs_exist_ok=True)
    # Root runs only what stands where the system's programs are.
    shutil.copy(programs / "sbin/drbdsetup", "/usr/local/sbin/drbdsetup")
    for directory in ("/run/drbd", "/run/lock", "/var/lib/drbd"):
        Path(directory).mkdir(parents=True, exist_ok=True)
    path = f"{os.environ['PATH']}:{programs}/sbin:{programs}/usr/sbin"
    done = subprocess.run(
        ["sh", "-c", _MAKE], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    etc = Path("/run/etc")
    (etc / "qemu").mkdir(parents=True)
    (etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
    for name, device in DEVICES.items():
        (etc / f"qemu/{name}.xml").write_text(guest_xml(name, [disk_xml(device)]))
    # The machine is emulated, and starts no program within a second.
    collector.PATIENCE, collector.DEADLINE = 60.0, 300.0
    told = collector.Collector(etc=str(etc), probe=False).snapshot("host")
    disks = {guest["name"]: guest["disks"][0] for guest in told["guests"]}
    json.dump(disks, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
