"""A host under the real systemd moves from virtlockd to lockd and back, in one step each way, with
guests that hold locks: ``packaging/install-lockd``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM, wait_for
from tests.real.systemd_host import PROJECT, SERVICE, SystemdHost
from tests.real.test_systemd import LOCKSPACE, SOCKETS, THIEF, Guest

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALLER = PROJECT / "packaging/install-lockd"


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    """A host with libvirt's own units, and no more."""
    with SystemdHost(tmp_path_factory.mktemp("systemd")) as host:
        host.run("systemctl", "start", *SOCKETS)
        yield host
        host.end_started()


def program(host: SystemdHost) -> str:
    """What the process of the service is."""
    comm = host.run("cat", f"/proc/{host.property('MainPID')}/comm").strip()
    return "lockd" if comm == "lockd" else comm


def since(host: SystemdHost) -> int:
    """The second in which the lockd that runs was started; 0 if none answers."""
    said = host.run("lockd", "status", "--json", check=False)
    return int(json.loads(said)["since"]) if said.startswith("{") else 0


def test_there_and_back_twice(host: SystemdHost) -> None:
    """In the same process, which systemd goes on with, and which is what it says: lockd's locks are
    kept, and survive a kill."""
    guest = Guest(host, "disk")
    assert program(host) == "virtlockd"
    pid = host.property("MainPID")
    thief = host.popen(sys.executable, "-c", THIEF, f"{LOCKSPACE}/disk")
    assert thief.stdout is not None
    assert thief.stdout.readline() == "trying\n"
    for _ in range(2):
        said = host.run(INSTALLER, PROGRAM)
        assert "took over 1 lock" in said
        assert (program(host), host.property("MainPID")) == ("lockd", pid)
        assert host.property("ActiveState") == "active"
        assert "kept by the service manager" in host.run("lockd", "status")
        wait_for(lambda: host.property("NFileDescriptorStore") == "1", "systemd keeps the locks")
        said = host.run(INSTALLER, "--remove")
        assert "handed back 1 lock" in said
        assert (program(host), host.property("MainPID")) == ("virtlockd", pid)
        assert host.property("ActiveState") == "active"
        assert host.property("FileDescriptorStoreMax") == "0"
        assert "lockd" not in host.run("ls", "/usr/local/sbin", "/etc/systemd/system")
    # virtlockd is what it was, and can do what it does.
    host.run("systemctl", "reload", SERVICE)
    host.run(INSTALLER, PROGRAM)
    assert guest.is_well()
    # So can lockd, whose process systemd has started as virtlockd: the next version continues in
    # its place, with its sockets.
    started = since(host)
    wait_for(lambda: int(time.time()) > started, "a later second")
    host.run("systemctl", "reload", SERVICE)
    wait_for(lambda: since(host) > started, "the next version runs")
    assert guest.is_well()
    assert (program(host), host.property("MainPID")) == ("lockd", pid)
    assert "kept by the service manager" in host.run("lockd", "status")
    host.run("kill", "-KILL", pid)
    assert guest.is_well()
    assert host.property("MainPID") != pid
    assert thief.stdin is not None
    thief.communicate("")
    assert thief.returncode == 0
    guest.end()


def test_refused(host: SystemdHost) -> None:
    """With the reason, and nothing has changed: no file is there, the daemon is what it was."""
    guest = Guest(host, "disk")
    host.write("/etc/libvirt/virtlockd.conf", "max_clients = x\n")
    said = host.run(INSTALLER, PROGRAM, check=False)
    assert "virtlockd.conf:1:15" in said
    assert "nothing has changed" in said
    assert host.run("find", "/usr/local", "/etc/systemd", "/etc/init.d", "-name", "*lockd*") == ""
    assert program(host) == "virtlockd"
    host.run("rm", "/etc/libvirt/virtlockd.conf")
    host.run(INSTALLER, PROGRAM)
    host.write("/etc/libvirt/virtlockd.conf", "max_clients = x\n")
    said = host.run(INSTALLER, "--remove", check=False)
    assert "virtlockd does not start with this configuration" in said
    assert program(host) == "lockd"
    assert "lockd" in host.run("ls", "/usr/local/sbin")
    assert guest.is_well()
    guest.end()


def test_libvirts_package_is_removed(host: SystemdHost) -> None:
    """While lockd is in virtlockd's place: the package's own script has systemd stop the units, and
    that ends no guest. With virtlockd back in its place the script does what it did."""
    unit = "/usr/lib/systemd/system/virtlockd.service"
    owners = [unit, unit.removeprefix("/usr")]
    listed = subprocess.run(["dpkg", "-S", *owners], capture_output=True, text=True).stdout
    package = listed.split(":")[0]
    script = Path(f"/var/lib/dpkg/info/{package}.prerm").read_text()
    assert "virtlockd.service" in script
    host.write("/srv/host/prerm", script)
    guest = Guest(host, "disk")
    host.run(INSTALLER, PROGRAM)
    said = host.run("sh", "/srv/host/prerm", "remove")
    assert "/usr/sbin/policy-rc.d returned 101" in said
    assert guest.is_well()
    assert host.property("ActiveState") == "active"
    host.run(INSTALLER, "--remove")
    assert guest.is_held()
    host.run("sh", "/srv/host/prerm", "remove")
    wait_for(lambda: host.property("ActiveState") == "inactive", "virtlockd is stopped")
    assert host.run("find", "/usr/sbin", "-name", "policy-rc.d") == ""


def test_another_policy_is_left_alone(host: SystemdHost) -> None:
    """What an administrator has written stays, and where it lets the package stop lockd, that is
    said."""
    for policy, warned in (("exit 0\n", True), ("exit 101\n", False)):
        host.write("/usr/sbin/policy-rc.d", f"#!/bin/sh\n{policy}")
        host.run("chmod", "755", "/usr/sbin/policy-rc.d")
        said = host.run(INSTALLER, PROGRAM)
        assert ("would end the guests" in said) is warned
        host.run(INSTALLER, "--remove")
        assert policy in host.run("cat", "/usr/sbin/policy-rc.d")
