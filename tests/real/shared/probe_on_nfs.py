"""What a probe shows of hosts whose mounts of NFS keep locks on the host. It is for use inside
:class:`tests.real.shared.machine.Machine`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real.shared.nfs import mount
from tests.real.shared.rounds import Rounds, by_path, findings

if TYPE_CHECKING:
    from typing import Any, Final

    from tests.real.shared.hosts import Network

_LOCKCFG: Final = Path(sys.executable).parent / "lockcfg"

#: The options of the first host's mount, by where both hosts have it; the second one's are plain.
MOUNTS: Final = {
    "/mnt/probed-plain": "vers=3",
    "/mnt/probed-nolock": "vers=3,nolock",
    "/mnt/probed-local": "vers=3,local_lock=all",
    "/mnt/probed-posix": "vers=3,local_lock=posix",
    "/mnt/probed-4": "vers=4.2,nolock",
}

#: Where the hosts have their lockspaces, by setting.
LOCKSPACES: Final = {
    "file": "/mnt/probed-nolock",
    "lvm": "/mnt/probed-plain",
    "scsi": "/mnt/probed-posix",
}


def report(hosts: Network) -> dict[str, Any]:
    """By where it is mounted: what the probe saw (``seen``), and the rules that found something
    there (``codes``, with their severity); and under ``silent`` the same of :data:`MOUNTS` if the
    snapshots had not told how they are mounted."""
    one, two = hosts.clients
    for point, options in MOUNTS.items():
        mount(one, f"{options},nosharecache", point)
        mount(two, f"{options.split(',')[0]},nosharecache", point)
        one.sh('mkdir "$1"', f"{point}/{Path(point).name}")
    work = Path(tempfile.mkdtemp())
    (work / "etc").mkdir()
    (work / "etc/qemu.conf").write_text('lock_manager = "lockd"\n')
    (work / "etc/qemu-lockd.conf").write_text(
        "".join(
            f'{kind}_lockspace_dir = "{point}/{Path(point).name}"\n'
            for kind, point in LOCKSPACES.items()
        )
    )
    for host in hosts.clients:
        host.sh('mount --bind "$1" /etc/libvirt', work / "etc")
    rounds = Rounds(_lockcfg, work, hosts.clients)
    rounds.make_plan(*(f"{point}/{Path(point).name}" for point in MOUNTS))
    rounds.hold()
    snapshots = rounds.ask()
    rounds.end()
    told = _told(findings(_lockcfg, snapshots))
    for path in snapshots.iterdir():
        snapshot = json.loads(path.read_text())
        for each in snapshot["directories"]:
            options = each.get("mount", {}).get("options", [])
            options[:] = [it for it in options if it != "nolock" and "local_lock" not in it]
        path.write_text(json.dumps(snapshot))
    return {**told, "silent": _told(findings(_lockcfg, snapshots))}


def _told(said: dict[str, Any]) -> dict[str, Any]:
    return {
        point: {
            "seen": [
                (row["hosts"], row["seen"])
                for row in by_path(said).get(f"{point}/{Path(point).name}", [])
            ],
            "codes": sorted(
                (each["code"], each["severity"])
                for each in said["findings"]
                if f"/{Path(point).name}" in json.dumps(each)
            ),
        }
        for point in MOUNTS
    }


def _lockcfg(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_LOCKCFG, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
