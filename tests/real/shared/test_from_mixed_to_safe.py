"""A fleet whose hosts do not exclude each other becomes safe by the steps of its plan, carried out
as its JSON gives them, and on the way nothing is called safe that another host can have."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.real.guest_host import Disk, GuestHost, Result
from tests.real.shared.daemons import LOCKD, VIRTLOCKD
from tests.real.shared.gluster import gluster_network
from tests.real.shared.hosts import SERVER_ADDRESS, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from tests.real.shared.hosts import Host

LOCKCFG: Final = Path(sys.executable).parent / "lockcfg"

#: Where all hosts have the volume.
SHARED: Final = "/srv/shared"

_SPACE: Final = {"file_lockspace_dir": f"{SHARED}/locks"}

#: What each host begins with: its lock daemon, and libvirt's settings; None is a host that locks
#: nothing and runs no lock daemon.
HOSTS: Final[dict[str, tuple[Path, Mapping[str, str] | None]]] = {
    "h1": (VIRTLOCKD, _SPACE),
    "h2": (LOCKD, _SPACE),
    "h3": (VIRTLOCKD, None),
    "h4": (VIRTLOCKD, {}),
    "h5": (LOCKD, {"file_lockspace_dir": f"{SHARED}/other"}),
}

# One kernel has one boot id, and hosts have two: each its own, as each its name.
_MAKE: Final = f"""
ip address add "$2/24" dev lan
ip link set lan up
for file in /etc/machine-id /proc/sys/kernel/random/boot_id; do
    echo "$3" >"/srv/id"
    mount --bind /srv/id "$file"
done
mkdir -p {SHARED} /run/gluster
cp "$4" /srv/client.vol
mount -t tmpfs tmpfs /tmp  # where GlusterFS writes, of all places
glusterfs --volfile=/srv/client.vol --log-file=/srv/gluster.log \\
    --entry-timeout=0 --attribute-timeout=0 --negative-timeout=0 {SHARED}
"""

# There is no systemd: what it would do is done here.
_SYSTEMCTL: Final = """#!/bin/sh -e
case "$*" in
"enable --now virtlockd.socket")
    test -S /run/libvirt/virtlockd-sock || exec {daemon} --daemon --pid-file /run/lock-daemon.pid;;
"is-active --quiet virtqemud")
    exit 3;;
"is-active --quiet libvirtd")
    exit 0;;
"restart libvirtd")
    pid=$(cat /run/libvirtd.pid)
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    libvirtd --daemon
    exec virsh version;;
*)
    echo "systemctl $*: not known here" >&2
    exit 1;;
esac
"""


class FleetHost(GuestHost):
    """A host of the fleet, ``name``, with a guest that runs all the time, and one thief for the
    disk of each other host's."""

    def __init__(self, name: str, directory: Path) -> None:
        daemon, settings = HOSTS[name]
        super().__init__(directory, daemon, settings or {}, first_uuid=int(name[1:]) * 100)
        self.name: Final = name
        self.locks: Final = settings is not None

    def join(self, server: Host, client_graph: Path) -> None:
        """Mount the volume of a server."""
        join(server, self.name, self.pid)
        number = int(self.name[1:])
        address = SERVER_ADDRESS.rpartition(".")[0] + f".{100 + number}"
        self.sh(_MAKE, address, str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name)), str(client_graph))
        program = self.path("/srv/programs/systemctl")
        program.write_text(_SYSTEMCTL.replace("{daemon}", str(self.lock_daemon)))
        program.chmod(0o755)

    def start(self) -> None:
        """Start the daemons and the guest."""
        if self.locks:
            assert self.start_lock_daemon().status == 0
        else:
            qemu = self.path("/etc/libvirt/qemu.conf")
            qemu.write_text(qemu.read_text().replace("lock_manager", "#lock_manager"))
        assert self.start_libvirtd().status == 0
        self.define(f"guest-{self.name}", (Disk(disk_of(self.name)),))
        for other in HOSTS:
            if other != self.name:
                self.define(f"thief-{other}", (Disk(disk_of(other)),))
        started = self.virsh(f"start guest-{self.name}")
        assert started.status == 0, started.said

    def sh(self, script: str, *arguments: str) -> str:
        """Run a shell script as root of a host of that name; it must not fail."""
        path = f"PATH={LOCKCFG.parent}:/srv/programs:$PATH\n"
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


def disk_of(host: str) -> str:
    """The disk of the guest that runs on a host."""
    return f"{SHARED}/images/{host}"


class Fleet:
    """The hosts, and what is said of them. ``directory`` takes snapshots and the policy."""

    def __init__(self, hosts: Mapping[str, FleetHost], directory: Path) -> None:
        self.hosts: Final = hosts
        self._snapshots: Final = directory / "snapshots"
        self.policy: Final = directory / "fleet.yaml"

    def collect(self) -> None:
        """Take a snapshot of each host, all at once."""
        self._snapshots.mkdir(exist_ok=True)
        with ThreadPoolExecutor() as pool:
            texts = pool.map(FleetHost.snapshot, self.hosts.values())
        for name, text in zip(self.hosts, texts, strict=True):
            (self._snapshots / f"{name}.json").write_text(text)

    def lockcfg(self, *arguments: str | Path) -> dict[str, Any]:
        """What a command says in JSON of the snapshots."""
        done = subprocess.run(
            [LOCKCFG, *arguments, "--format", "json", self._snapshots],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert done.returncode in (0, 1)
        return dict(json.loads(done.stdout))

    def audit(self) -> dict[str, Any]:
        """What the audit says of the hosts as they are."""
        self.collect()
        policy = ("--policy", self.policy) if self.policy.exists() else ()
        return self.lockcfg("audit", *policy)

    def write_policy(self) -> None:
        """The first policy, with more clients than there were."""
        subprocess.run(
            [LOCKCFG, "audit", "--write-policy", self.policy, self._snapshots], check=True
        )
        policy = yaml.safe_load(self.policy.read_text())
        (group,) = policy["groups"].values()
        assert group["settings"]["file_lockspace_dir"] == _SPACE["file_lockspace_dir"]
        group["settings"]["max_clients"] = 2048
        policy["groups"] = {"all": group}
        self.policy.write_text(yaml.safe_dump(policy))

    def safe_disks(self, audit: Mapping[str, Any]) -> list[str]:
        """The hosts whose guest's disk nobody else gets, as the audit says."""
        said = {disk["name"].rpartition("/")[2]: disk["safe"] for disk in audit["disks"]}
        assert set(said) == set(self.hosts)
        unheld = {
            host
            for finding in audit["findings"]
            if finding["code"] in ("LA101", "LA109", "LA110")
            for host in finding["hosts"]
        }
        return [host for host in self.hosts if said[host] == "yes" and host not in unheld]

    def thieves(self, disks: list[str]) -> Iterator[tuple[str, str, Result]]:
        """Each other host tries to have those disks: the thief, the disk, what came of it."""

        def tries(host: FleetHost) -> list[tuple[str, str, Result]]:
            return [(host.name, d, host.steal(d)) for d in disks if d != host.name]

        with ThreadPoolExecutor() as pool:
            yield from itertools.chain.from_iterable(pool.map(tries, self.hosts.values()))

    def guests(self) -> dict[str, tuple[str, ...]]:
        """The guests that run on each host."""
        return {name: host.state().guests for name, host in self.hosts.items()}


def test_a_mixed_fleet_becomes_safe_by_its_plan(tmp_path: Path) -> None:
    """With all guests running, and not one granted that is called safe."""
    with ExitStack() as stack:
        network = stack.enter_context(gluster_network(tmp_path, "plain"))
        hosts = {name: stack.enter_context(FleetHost(name, tmp_path / name)) for name in HOSTS}
        for host in hosts.values():
            host.join(network.server, tmp_path / "client.vol")
        hosts["h1"].sh(f"mkdir {SHARED}/images {SHARED}/locks {SHARED}/other")
        for name in HOSTS:
            hosts["h1"].sh(f"truncate -s 1M {shlex.quote(disk_of(name))}")
        with ThreadPoolExecutor() as pool:
            list(pool.map(FleetHost.start, hosts.values()))
        fleet = Fleet(hosts, tmp_path)
        running = {name: (f"guest-{name}",) for name in HOSTS}
        assert fleet.guests() == running

        audit = fleet.audit()
        assert audit["verdict"]["level"] == "unsafe", json.dumps(audit, indent=1)
        assert "h3" not in fleet.safe_disks(audit)
        # It is not too careful either: this is so.
        assert hosts["h4"].steal("h3").status == 0
        fleet.write_policy()
        fleet.collect()
        plan = fleet.lockcfg("plan", "--policy", fleet.policy)
        assert [each for each in plan["uncovered"] if each["severity"] != "info"] == []
        tried = 0
        for step in plan["steps"]:
            for work in step["work"]:
                for name in work["hosts"]:
                    hosts[name].sh("\n".join(work["commands"]))
            audit = fleet.audit()
            for thief, disk, result in fleet.thieves(fleet.safe_disks(audit)):
                assert result.status != 0, f"{step['action']}: {thief} has the disk of {disk}"
                assert "Lock" in result.said or "lock" in result.said, result.said
                tried += 1
            assert fleet.guests() == running
        assert audit["verdict"]["level"] == "safe", json.dumps(audit["findings"], indent=1)
        assert fleet.safe_disks(audit) == list(hosts)
        assert tried >= len(hosts) * (len(hosts) - 1)
        assert [step["action"] for step in plan["steps"]].count("limit") == 1
        assert fleet.lockcfg("plan", "--policy", fleet.policy)["steps"] == []
