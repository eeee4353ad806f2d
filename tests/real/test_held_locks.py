"""What the collector says of the locks of running guests is what a lock daemon holds, and the audit
calls no guest safe whose lock is not held."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.snapshots import collector
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Where the collector looks for a lockd to ask.
PLACE = "/usr/local/sbin"

DAEMONS = {
    "virtlockd": Path(shutil.which("virtlockd") or "/usr/sbin/virtlockd"),
    "lockd": Path(sys.executable).parent / "lockd",
}


class _Host(GuestHost):
    """A host that is looked at as a fleet of one."""

    def snapshot(self) -> dict[str, Any]:
        """What the collector tells of it."""
        told = self.run(sys.executable, "-I", str(collector.__file__), "--no-probe")
        return dict(json.loads(told.said))

    def install(self, daemon: Path) -> None:
        """Have a lockd where the collector looks for one to ask."""
        assert self.run("mount", "-t", "tmpfs", "-o", "mode=755", "none", PLACE).status == 0
        installed = self.path(f"{PLACE}/lockd")
        installed.write_text(f'#!/bin/sh\nexec {daemon} "$@"\n')
        installed.chmod(0o755)

    def held(self) -> tuple[str | None, bool]:
        """What is held for the disk of its guest, and whether the file was replaced."""
        (guest,) = self.snapshot()["guests"]
        (disk,) = guest["disks"]
        return disk.get("lock"), disk.get("replaced", False)

    def since(self) -> dict[str, int]:
        """The files that its lock daemon holds locks on, and since when."""
        found = [each for each in self.snapshot()["daemons"] if each.get("held")]
        assert found
        for daemon in found:
            command = self.run("cat", f"/proc/{daemon['pid']}/cmdline").said
            assert str(self.lock_daemon.name) in command
        return dict(found[0]["held"])

    def codes(self) -> set[str]:
        """The rules of the audit that have something to say of it."""
        store = Store.create()
        ingester = Ingester(store)
        told = self.snapshot()
        ingester.snapshot(f"{told['host']['name']}.json", collector.render(told).encode())
        ingester.read([])
        store.finish()
        result = audit_of(read_fleet(store, now=told["host"]["taken"]))
        return {finding.code for finding in result.findings}


@pytest.fixture(params=DAEMONS)
def daemon(request: pytest.FixtureRequest) -> Path:
    """Each lock daemon."""
    return DAEMONS[str(request.param)]


def started(
    top: Path, daemon: Path, settings: Mapping[str, int | str], *, locking: bool = True
) -> Iterator[_Host]:
    """A host on which one guest runs."""
    host = _Host(top / "host", daemon, settings)
    with host:
        if not locking:
            qemu = host.path("/etc/libvirt/qemu.conf")
            qemu.write_text(qemu.read_text().replace("lock_manager", "#lock_manager"))
        assert host.start_lock_daemon().status == 0
        assert host.start_libvirtd().status == 0
        host.define("one", (Disk(host.make_disk("a")),))
        assert host.virsh("start one").status == 0
        yield host


def test_a_lock_is_seen_until_it_is_lost(tmp_path: Path, daemon: Path) -> None:
    """As a file of its own, and not on a file that took its place; a new daemon holds none."""
    before = int(time.time())
    for host in started(tmp_path, daemon, {"file_lockspace_dir": LOCKSPACE}):
        assert host.held() == (LOCKSPACE, False)
        digest = hashlib.sha256(f"{DISKS}/a".encode()).hexdigest()
        # A daemon that is not asked does not say since when, and virtlockd is not asked.
        assert host.since() == {f"{LOCKSPACE}/{digest}": 0}
        if daemon.name == "lockd":
            host.install(daemon)
            ((path, since),) = host.since().items()
            assert path == f"{LOCKSPACE}/{digest}"
            assert before <= since <= time.time()
        assert not host.codes() & {"LA109", "LA110"}
        if daemon.name == "virtlockd":  # lockd mends that by itself
            (file,) = host.path(LOCKSPACE).iterdir()
            file.unlink()
            file.touch()
            assert host.held() == (LOCKSPACE, True)
            assert "LA109" in host.codes()
            host.kill_lock_daemon()
            os.unlink(host.path("/run/lock-daemon.pid"))
            assert host.start_lock_daemon().status == 0
            assert host.held() == ("", False)
            assert "LA109" in host.codes()


def test_a_disk_that_is_locked_itself(tmp_path: Path, daemon: Path) -> None:
    """The lock is on the disk; no lockspace that is set later makes that one of there."""
    for host in started(tmp_path, daemon, {}):
        assert host.held() == (".", False)
        assert "LA109" not in host.codes()
        lockd = host.path("/etc/libvirt/qemu-lockd.conf")
        lockd.write_text(f'file_lockspace_dir = "{LOCKSPACE}"\n')
        host.run("mkdir", "-p", LOCKSPACE)
        host.end_libvirtd(signal.SIGTERM)
        assert host.start_libvirtd().status == 0
        assert host.held() == (".", False)
        assert "LA109" in host.codes()


def test_a_guest_of_before_the_lock_manager(tmp_path: Path, daemon: Path) -> None:
    """It runs without a lock, and a restart of libvirt's daemon turns nothing green."""
    for host in started(tmp_path, daemon, {"file_lockspace_dir": LOCKSPACE}, locking=False):
        assert host.held() == ("", False)
        assert "LA101" in host.codes()
        qemu = host.path("/etc/libvirt/qemu.conf")
        qemu.write_text(qemu.read_text().replace("#lock_manager", "lock_manager"))
        host.end_libvirtd(signal.SIGTERM)
        assert host.start_libvirtd().status == 0
        assert host.held() == ("", False)
        assert "LA109" in host.codes()


def test_files_count_as_the_lock_daemon_sees_them(tmp_path: Path) -> None:
    """A mount that it alone has is what its locks are on."""
    virtlockd = DAEMONS["virtlockd"]
    with _Host(tmp_path / "host", virtlockd, {"file_lockspace_dir": LOCKSPACE}) as host:
        assert host.run("mkdir", "-p", LOCKSPACE).status == 0
        start = f"mount -t tmpfs inner {LOCKSPACE} && exec {virtlockd} --daemon"
        assert host.run("unshare", "--mount", "sh", "-c", start).status == 0
        told = json.loads(host.run(sys.executable, "-I", str(collector.__file__)).said)
        (space,) = [each for each in told["directories"] if "lockspace" in each["holds"]]
        assert space["mount"]["source"] == "inner"
        assert space["probe"]["outcome"] == "excludes"
        assert "namespace" in next(each for each in told["daemons"] if each["name"] == "virtlockd")


def test_a_guest_without_libvirt_is_seen(tmp_path: Path) -> None:
    """By what QEMU has open to write, except for memory: a newer one has its screen there."""
    with _Host(tmp_path / "host", DAEMONS["virtlockd"], {}) as host:
        disk = host.make_disk("lone")
        options = f"-name lone -blockdev driver=file,filename={disk},node-name=a"
        options += " -object memory-backend-memfd,id=b,size=2M"
        options += " -object memory-backend-file,id=c,size=2M,mem-path=/srv,share=on"
        qemu = f"qemu-system-x86_64 -M none -display none -daemonize {options}"
        assert host.run("sh", "-c", qemu).status == 0
        told = json.loads(
            host.run(sys.executable, "-I", str(collector.__file__), "--no-probe").said
        )
        (guest,) = told["guests"]
        assert (guest["name"], guest["instance"], guest["running"]) == ("lone", "process", True)
        assert [each["path"] for each in guest["disks"]] == [disk]
        assert "inode" in guest["disks"][0]


def test_a_guest_of_lockd_run_is_judged_by_the_configuration(tmp_path: Path) -> None:
    """It is not known to libvirt, and lockd holds the locks of its disks for it."""
    daemon = DAEMONS["lockd"]
    with _Host(tmp_path / "host", daemon, {"file_lockspace_dir": LOCKSPACE}) as host:
        assert host.start_lock_daemon().status == 0
        host.install(daemon)
        disk = host.make_disk("lone")
        options = f"-name lone -blockdev driver=file,filename={disk},node-name=a"
        qemu = f"qemu-system-x86_64 -M none -display none -S {options}"
        with host.popen(str(daemon), "run", "--", *qemu.split()) as process:
            try:
                end = time.monotonic() + 60
                while not (guests := host.snapshot()["guests"]):
                    assert time.monotonic() < end, process.poll()
                (guest,) = guests
                assert (guest["name"], guest["running"]) == ("lone", True)
                assert "instance" not in guest
                (found,) = guest["disks"]
                assert (found["path"], found["lock"]) == (disk, LOCKSPACE)
                assert not host.codes() & {"LA109", "LA111"}
            finally:
                process.kill()
        qemu = qemu.replace("-S", "-S -daemonize")
        assert host.run("sh", "-c", qemu).status == 0
        assert "LA111" in host.codes()


def test_the_images_below_one_are_told(tmp_path: Path) -> None:
    """Of a qcow2 image all of them; a raw one may look like anything."""
    with _Host(tmp_path / "host", DAEMONS["virtlockd"], {}) as host:
        base = host.make_disk("base")
        top, raw = base.replace("base", "top"), base.replace("base", "raw")
        # The head of an image of version 3 (docs/interop/qcow2.txt of QEMU) with a name at 104.
        head = struct.pack(">4sIQI", b"QFI\xfb", 3, 104, len("base")).ljust(104, b"\0")
        for path in (top, raw):
            host.path(path).write_bytes(head + b"base")
        # Of these it is unknown what is below: the data is elsewhere (bit 2 of the features), what
        # is named is not there, it is itself, and it is of a format that is not read.
        elsewhere, lost, itself, other = (
            base.replace("base", name) for name in ("data", "lost", "same", "else")
        )
        features = head[:72] + struct.pack(">Q", 4) + head[80:]
        host.path(elsewhere).write_bytes(features + b"base")
        host.path(lost).write_bytes(head + b"gone")
        host.path(itself).write_bytes(head + b"same")
        host.path(other).write_bytes(b"")
        images = ((top, "qcow2"), (raw, "raw"), (elsewhere, "qcow2"), (lost, "qcow2"))
        disks = "".join(
            f"<disk type='file'><driver name='qemu' type='{form}'/><source file='{path}'/></disk>"
            for path, form in (*images, (itself, "qcow2"), (other, "qed"))
        )
        host.run("mkdir", "-p", "/etc/libvirt/qemu")
        text = f"<domain><name>a</name><uuid/><devices>{disks}</devices></domain>"
        host.path("/etc/libvirt/qemu/a.xml").write_text(text)
        told = json.loads(
            host.run(sys.executable, "-I", str(collector.__file__), "--no-probe").said
        )
        layered, plain, *unknown = told["guests"][0]["disks"]
        assert [each["path"] for each in layered["chain"]] == [base]
        assert layered["layers"] == 1
        assert "chain" not in plain
        assert "layers" not in plain
        assert len(unknown) == 4
        for each in unknown:
            assert each["layers"] > 0
            assert "chain" not in each
