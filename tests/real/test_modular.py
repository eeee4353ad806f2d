"""A host whose libvirt is modular: each driver in a daemon of its own, which its socket starts.

No package of Debian has these daemons. What can be held against the real thing is held: libvirt's
own daemon under the name ``virtqemud``, with guests, and systemd with units of these names. What a
virtqemud itself does was not seen.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockcfg.fleet.plan.plan import restart_command
from tests.lockd.engine import PROGRAM
from tests.real.guest_host import LOCKSPACE, Disk, GuestHost
from tests.real.systemd_host import SystemdHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

LOCKCFG: Final = str(PROGRAM.with_name("lockcfg"))

UNIT: Final = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep infinity\n"
DAEMONS: Final = ("libvirtd", "virtqemud", "virtxend")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GuestHost]:
    """A host with virtqemud, virtlockd and a guest."""
    lock_daemon = Path("/usr/sbin/virtlockd")
    with GuestHost(tmp_path / "host", lock_daemon, {"file_lockspace_dir": LOCKSPACE}) as host:
        shutil.copy("/usr/sbin/libvirtd", host.path("/srv/virtqemud"))
        assert host.start_lock_daemon().status == 0
        start(host)
        host.define("guest", (Disk(host.make_disk("disk")),))
        assert host.virsh("start guest").status == 0
        yield host


def start(host: GuestHost) -> None:
    """Start virtqemud."""
    started = host.run("/srv/virtqemud", "--daemon")
    assert started.status == 0, started.said
    assert host.virsh("version").status == 0


def doctor(host: GuestHost) -> dict[str, Any]:
    """What ``lockcfg doctor`` says."""
    report = json.loads(host.run(LOCKCFG, "doctor", "--json").said)
    assert isinstance(report, dict)
    return report


def newer(host: GuestHost) -> list[tuple[str, str]]:
    """What it says of files that are newer than their daemon."""
    problems = doctor(host)["problems"]
    return [(each["message"], each["help"]) for each in problems if each["code"] == "file-newer"]


def test_the_doctor_knows_the_daemon(host: GuestHost) -> None:
    """The disk is locked, and a file that it has not read is one of virtqemud's."""
    assert [each["verdict"] for each in doctor(host)["disks"]] == ["locked"]
    assert newer(host) == []
    time.sleep(1.1)  # the start of a process is known to a second
    host.path("/etc/libvirt/qemu.conf").touch()
    ((what, advice),) = newer(host)
    assert what.startswith("qemu.conf was changed after virtqemud (pid ")
    assert advice == "restart virtqemud; guests keep running"
    (process,) = (each for each in host.processes() if each.arguments[0] == "/srv/virtqemud")
    host.run("kill", str(process.inner_pid))
    host.wait(lambda: process not in host.processes())
    start(host)
    assert newer(host) == []
    assert [each["verdict"] for each in doctor(host)["disks"]] == ["locked"]


def test_the_collector_knows_the_daemon(host: GuestHost) -> None:
    """And the audit: a host whose libvirt is away while guests run is a finding."""
    result = host.run(LOCKCFG, "collect", "--name", "kvm01", "--output", "/srv/kvm01.json")
    assert result.status == 0, result.said
    snapshot = json.loads(host.path("/srv/kvm01.json").read_text())
    assert [each["name"] for each in snapshot["daemons"]] == ["virtlockd", "virtqemud"]
    assert "LA103" not in host.run(LOCKCFG, "audit", "/srv/kvm01.json").said
    del snapshot["daemons"][1]
    host.path("/srv/kvm01.json").write_text(json.dumps(snapshot))
    assert "LA103" in host.run(LOCKCFG, "audit", "/srv/kvm01.json").said


def test_the_host_moves(host: GuestHost) -> None:
    """To lockd and back, with the guest that runs, and libvirt goes on with both."""
    before = host.state()
    for command in ("takeover", "handback"):
        result = host.run(str(PROGRAM), command)
        assert result.status == 0, result.said
        assert host.state() == before
        assert host.virsh("suspend guest").status == 0
        assert not host.state().locks
        assert host.virsh("resume guest").status == 0
        assert host.state() == before


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    """A host with units of that name, whatever they start."""
    with SystemdHost(tmp_path_factory.mktemp("systemd")) as host:
        for name in DAEMONS:
            host.write(f"/etc/systemd/system/{name}.service", UNIT)
        host.run("systemctl", "daemon-reload")
        yield host


@pytest.mark.parametrize("driver", ["qemu", "libxl"])
@pytest.mark.parametrize("running", [(), *((name,) for name in DAEMONS)])
def test_what_runs_is_restarted(units: SystemdHost, driver: str, running: tuple[str, ...]) -> None:
    """Of the driver's daemons, and nothing is started that did not run: libvirtd beside a virtqemud
    that its socket is to start would be a second daemon for the same guests."""
    units.run("systemctl", "stop", *DAEMONS)
    if running:
        units.run("systemctl", "start", *running)
    before = {name: pid(units, name) for name in DAEMONS}
    units.run("sh", "-ec", restart_command(driver))
    after = {name: pid(units, name) for name in DAEMONS}
    own = {"qemu": "virtqemud", "libxl": "virtxend"}[driver]
    for name in DAEMONS:
        assert (after[name] == "0") == (name not in running)
        if name in running:
            assert (after[name] != before[name]) == (name in (own, "libvirtd"))


def pid(host: SystemdHost, name: str) -> str:
    """The main process of a unit; 0 is none."""
    return host.run("systemctl", "show", "--property=MainPID", "--value", f"{name}.service").strip()
