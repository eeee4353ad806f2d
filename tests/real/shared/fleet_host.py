"""A host with guests on a shared volume, in a fleet of such hosts: each its own name, machine id,
boot id and address, as hosts that are machines have. There is no systemd: a program of that name
does what it would do."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import Disk, GuestHost, Result
from tests.real.shared.hosts import SERVER_ADDRESS, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Final

    from tests.real.shared.hosts import Host

#: Where all hosts have the volume.
SHARED: Final = "/srv/shared"

# One kernel has one boot id, and hosts have two: each its own, as each its name. With the graph of
# the volume mount(8) can mount it.
_MAKE: Final = """
ip address add "$2/24" dev lan
ip link set lan up
for file in /etc/machine-id /proc/sys/kernel/random/boot_id; do
    echo "$3" >"/srv/id"
    mount --bind /srv/id "$file"
done
mkdir -p /run/gluster
cp "$4" /srv
mount -t tmpfs tmpfs /tmp  # where GlusterFS writes, of all places
"""

_MOUNT: Final = f"""
mkdir -p {SHARED}
glusterfs --volfile="/srv/$2" --volfile-id="/${{2%.vol}}" --log-file=/srv/gluster.log \\
    --entry-timeout=0 --attribute-timeout=0 --negative-timeout=0 {SHARED}
"""

_SYSTEMCTL: Final = """#!/bin/sh -e
case "$*" in
"enable --now virtlockd.socket")
    test -S /run/libvirt/virtlockd-sock || exec {daemon} --daemon --pid-file /run/lock-daemon.pid;;
"is-active --quiet {libvirt}")
    exit 0;;
"is-active --quiet "*)
    exit 3;;
"restart {libvirt}")
    pid=$(cat /run/{libvirt}.pid)
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    {libvirt} --daemon --pid-file /run/{libvirt}.pid
    exec virsh version;;
*)
    echo "systemctl $*: not known here" >&2
    exit 1;;
esac
"""


def disk_of(host: str) -> str:
    """The disk of the guest that runs on a host."""
    return f"{SHARED}/images/{host}"


def address_of(host: str) -> str:
    """Where a host is reached, of a name like ``h7``."""
    return SERVER_ADDRESS.rpartition(".")[0] + f".{100 + int(host[1:])}"


class FleetHost(GuestHost):
    """A host of the fleet, ``name``, with a guest that runs all the time, and one thief for the
    disk of each of the ``others``. ``settings`` are libvirt's; None is a host that locks nothing
    and runs no lock daemon. ``mode`` is that of the guest's disk, such as ``shareable``; it
    has ``more`` disks. If it is ``modular``, libvirt's daemon is called virtqemud there."""

    def __init__(
        self,
        name: str,
        directory: Path,
        daemon: Path,
        settings: Mapping[str, str] | None,
        others: Iterable[str],
        *,
        mode: str = "",
        more: tuple[Disk, ...] = (),
        modular: bool = False,
    ) -> None:
        super().__init__(directory, daemon, settings or {}, first_uuid=int(name[1:]) * 100)
        self.name: Final = name
        self.locks: Final = settings is not None
        self._others: Final = [other for other in others if other != name]
        self._disks: Final = (Disk(disk_of(name), mode), *more)
        self.modular: Final = modular

    def join(self, server: Host, client_graph: Path, *, mount: bool = True) -> None:
        """Get into the network of a server, and ``mount`` its volume."""
        join(server, self.name, self.pid)
        machine = str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name))
        self.sh(_MAKE, address_of(self.name), machine, str(client_graph))
        if mount:
            self.sh(_MOUNT, client_graph.name)
        program = self.path("/srv/programs/systemctl")
        libvirt = "virtqemud" if self.modular else "libvirtd"
        script = _SYSTEMCTL.replace("{daemon}", str(self.lock_daemon))
        program.write_text(script.replace("{libvirt}", libvirt))
        program.chmod(0o755)
        if self.modular:
            shutil.copy("/usr/sbin/libvirtd", self.path("/srv/programs/virtqemud"))

    def start_libvirtd(self) -> Result:
        """Start libvirt's daemon in the background, and wait until its drivers are ready."""
        if not self.modular:
            return super().start_libvirtd()
        virtqemud = "/srv/programs/virtqemud"
        started = self.run(virtqemud, "--daemon", "--pid-file", "/run/virtqemud.pid")
        return self.virsh("version") if started.status == 0 else started

    def start_daemons(self) -> None:
        """Start libvirt's daemon, and the lock daemon if it has one."""
        if self.locks:
            assert self.start_lock_daemon().status == 0
        else:
            qemu = self.path("/etc/libvirt/qemu.conf")
            qemu.write_text(qemu.read_text().replace("lock_manager", "#lock_manager"))
        assert self.start_libvirtd().status == 0

    def start(self) -> None:
        """Start the daemons and the guest."""
        self.start_daemons()
        self.define(f"guest-{self.name}", self._disks)
        self.define_thieves()
        started = self.virsh(f"start guest-{self.name}")
        assert started.status == 0, started.said

    def define_thieves(self) -> None:
        """Have guests that would take the disks of other hosts' guests."""
        for other in self._others:
            self.define(f"thief-{other}", (Disk(disk_of(other)),))

    def sh(self, script: str, *arguments: str) -> str:
        """Run a shell script as root of a host of that name; it must not fail."""
        path = f"PATH={PROGRAM.parent}:/srv/programs:$PATH\n"
        named = f'hostname "$1"\n{path}{script}'
        done = self.run("unshare", "--uts", "sh", "-euc", named, "sh", self.name, *arguments)
        assert done.status == 0, f"{self.name}: {script}\n{done.said}"
        return done.said

    def snapshot(self) -> str:
        """What the collector says."""
        return self.sh("lockcfg collect")

    def steal(self, other: str) -> Result:
        """Start the thief of another host's disk, and end it if that went well."""
        result = self.virsh(f"start thief-{other}")
        if result.status == 0:
            assert self.virsh(f"destroy thief-{other}").status == 0
        return result
