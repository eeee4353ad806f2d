"""Block devices that have no name that holds between hosts, and guests of a user's own libvirt:
what two real lock daemons let happen is never called safe."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.model.locks import Lock
from lockcfg.fleet.model.place import Location
from lockcfg.fleet.snapshots import collector
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from tests.real.guest_host import Disk, GuestHost
from tests.real.lock_hosts import LockHost, disk_xml, grants_both, guest_xml
from tests.real.shared.daemons import LOCKD, VIRTLOCKD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from lockcfg.fleet.comparison.result import AuditResult


def audited(*snapshots: dict[str, Any]) -> AuditResult:
    """What is said of hosts as they are now; one machine has one boot id, and they are two."""
    store = Store.create()
    ingester = Ingester(store)
    for number, told in enumerate(snapshots):
        told["host"] |= {"boot_id": f"boot-{number}", "machine_id": f"machine-{number}"}
        ingester.snapshot(f"{told['host']['name']}.json", collector.render(told).encode())
    ingester.read([])
    store.finish()
    return audit_of(read_fleet(store, now=snapshots[0]["host"]["taken"]))


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two loop devices on one file, as two hosts would have it each by a number of its own."""
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    made: list[str] = []
    try:
        for _ in range(2):
            found = subprocess.run(
                ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
            )
            made.append(found.stdout.strip())
        yield made[0], made[1]
    finally:
        for device in made:
            subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.parametrize("program", [VIRTLOCKD, LOCKD], ids=lambda program: program.name)
def test_two_loop_devices_on_one_file(
    tmp_path: Path, loops: tuple[str, str], program: Path
) -> None:
    """Both hosts get their lock, on the node of each: it is not called safe, and neither device is
    passed over in silence."""
    hosts: list[LockHost] = []
    try:
        snapshots = []
        for name, device in zip(("one", "two"), loops, strict=True):
            hosts.append(LockHost(tmp_path / name, {}, (str(program),)))
            etc = hosts[-1].etc
            (etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
            (etc / f"qemu/{name}.xml").write_text(guest_xml(name, [disk_xml(device)]))
            snapshots.append(hosts[-1].collect(name))
        nowhere = Location("", "", None, "no", "")
        locks = [Lock(nowhere, "", device, "block", shared=False) for device in loops]
        assert grants_both(hosts[0].run, hosts[1].run, *locks)
        result = audited(*snapshots)
        assert result.verdict.level != "safe"
        of_devices = [each for each in result.findings if each.code == "LA310"]
        assert {host for each in of_devices for host in each.hosts} == {"one", "two"}
    finally:
        for host in hosts:
            host.stop()


@pytest.mark.parametrize("program", [VIRTLOCKD, LOCKD], ids=lambda program: program.name)
def test_a_loop_device_and_its_file(tmp_path: Path, loops: tuple[str, str], program: Path) -> None:
    """The daemon gives a guest the device and another one the file, and that is told of."""
    host = LockHost(tmp_path / "one", {}, (str(program),))
    try:
        image = str(tmp_path / "image")
        (host.etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
        for name, path in (("v", loops[0]), ("w", image)):
            (host.etc / f"qemu/{name}.xml").write_text(guest_xml(name, [disk_xml(path)]))
        snapshot = host.collect("one")
        nowhere = Location("", "", None, "no", "")
        locks = (
            Lock(nowhere, "", loops[0], "block", shared=False),
            Lock(nowhere, "", image, "image", shared=False),
        )
        assert grants_both(host.run, host.run, *locks)
        result = audited(snapshot)
        assert result.verdict.level == "unsafe"
        (row,) = [disk for disk in result.disks if disk.safe == "no"]
        assert [user.guest for user in row.users] == ["v", "w"]
    finally:
        host.stop()


def test_an_image_that_is_mounted_by_itself(tmp_path: Path) -> None:
    """As containers have it: it is not on the file system of its directory, so it is unknown which
    other guests have it, unless only this host has both file systems."""
    for kind, level in (("ramfs", "unknown"), ("tmpfs", "unsafe")):
        host = LockHost(tmp_path / kind, {}, (str(VIRTLOCKD),))
        try:
            there, name = tmp_path / kind / "images", tmp_path / kind / "disk"
            there.mkdir()
            name.touch()
            host.inside("mount", "-t", kind, "none", str(there))
            host.inside("sh", "-c", f"echo data >{there}/a; mount --bind {there}/a {name}")
            (host.etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
            for guest, path in (("v", there / "a"), ("w", name)):
                (host.etc / f"qemu/{guest}.xml").write_text(guest_xml(guest, [disk_xml(str(path))]))
            snapshot = host.collect(kind)
            (disk,) = snapshot["guests"][1]["disks"]
            assert ("error" in disk, "inode" in disk) == (level == "unknown", level != "unknown")
            assert audited(snapshot).verdict.level == level
        finally:
            host.stop()


def test_a_guest_of_a_users_own_libvirt(tmp_path: Path) -> None:
    """The system's lock daemon knows nothing of it: the collector sees it, and it is told of."""
    with GuestHost(tmp_path / "host", VIRTLOCKD, {}, session=True) as host:
        assert host.start_libvirtd().status == 0
        host.define("mine", (Disk(host.make_disk("a")),))
        assert host.virsh("start mine").status == 0
        enter = ("nsenter", f"--target={host.pid}", "--mount", "--net")
        inner = f"--pid=/proc/{host.pid}/ns/pid_for_children"
        program = (sys.executable, "-I", str(collector.__file__), "--no-probe", "--name", "host")
        told = subprocess.run(
            [*enter, inner, "--", *program], check=True, capture_output=True, text=True
        )
        snapshot = json.loads(told.stdout)
        (guest,) = snapshot["guests"]
        assert (guest["name"], guest["running"]) == ("mine", True)
        assert guest["instance"]
        result = audited(snapshot)
        assert "LA111" in {finding.code for finding in result.findings}
        assert result.verdict.level != "safe"
