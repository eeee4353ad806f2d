"""Guests that were started while nothing was locked get their locks, and libvirt's own calls do to
them what they do to any other; and hosts with real guests move from virtlockd to lockd and back."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost, Lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

VIRTLOCKD: Final = Path("/usr/sbin/virtlockd")
INDIRECT: Final[Mapping[str, int | str]] = {"file_lockspace_dir": LOCKSPACE}
DIRECT: Final[Mapping[str, int | str]] = {}
CONFIGURATION: Final = "/etc/libvirt/qemu.conf"
#: The number of the call of the system on this kind of machine.
CLOCK_NANOSLEEP: Final = 230 if platform.machine() == "x86_64" else 115
SCHEMA: Final = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/lockd-output.schema.json").read_text()
)
OUTPUT: Final = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/output.schema.json").read_text()
)


def hashed(path: str) -> str:
    """The lock file of a disk in an indirect lockspace."""
    return f"{LOCKSPACE}/{hashlib.sha256(path.encode()).hexdigest()}"


def start(host: GuestHost, *daemons: str) -> None:
    """Start the lock daemon and libvirtd, or one of them."""
    if "lock daemon" in daemons:
        result = host.start_lock_daemon()
        assert result.status == 0, result.said
    if "libvirtd" in daemons:
        result = host.start_libvirtd()
        assert result.status == 0, result.said


def is_asleep(pid: int) -> bool:
    """Whether the last of a chain of processes sleeps for a time: nsenter has a child."""
    try:
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid = int(children[-1])
        return Path(f"/proc/{pid}/syscall").read_text().startswith(f"{CLOCK_NANOSLEEP} ")
    except OSError:
        return False  # it has just ended, or become another


def virsh(host: GuestHost, command: str) -> str:
    """Run a command of virsh, which has to do."""
    result = host.virsh(command)
    assert result.status == 0, f"{command}: {result.said}"
    return result.said


def switch_on(host: GuestHost, configuration: str) -> None:
    """Configure the lock manager, and restart libvirtd; the guests go on."""
    host.path(CONFIGURATION).write_text(configuration)
    host.end_libvirtd(signal.SIGTERM)
    start(host, "lock daemon", "libvirtd")


@pytest.fixture(params=["indirect", "direct"])
def unlocked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GuestHost]:
    """A host on which guests run that were started while nothing was locked, and lockd is
    configured since: ``one`` (two disks, of which one is read-only), ``two`` and ``three``, which
    share a disk, and ``four``, which is paused."""
    settings = INDIRECT if request.param == "indirect" else DIRECT
    with GuestHost(tmp_path / "host", Path(PROGRAM), settings) as host:
        configuration = host.path(CONFIGURATION).read_text()
        host.path(CONFIGURATION).write_text(configuration.replace('lock_manager = "lockd"\n', ""))
        start(host, "libvirtd")
        disk = {name: host.make_disk(name) for name in "abcd"}
        host.define("one", (Disk(disk["a"]), Disk(disk["b"], "readonly")))
        host.define("two", (Disk(disk["c"], "shareable"),))
        host.define("three", (Disk(disk["c"], "shareable"),))
        host.define("four", (Disk(disk["d"]),))
        for guest in ("one", "two", "three", "four"):
            virsh(host, f"start {guest}")
        virsh(host, "suspend four")
        switch_on(host, configuration)
        assert not host.state().locks
        yield host


def locked(host: GuestHost) -> dict[str, str]:
    """The disks that are locked, and how."""
    # The kernel's list is read in pieces: one may be missed while others release theirs.
    seen = host.state().locks
    while (again := host.state().locks) != seen:
        seen = again
    names = {hashed(f"{DISKS}/{each}"): f"{DISKS}/{each}" for each in "abcd"}
    return {names.get(lock.file, lock.file).rpartition("/")[2]: lock.mode for lock in seen}


def adopt(host: GuestHost, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of ``lockd adopt``, and what it says of each disk."""
    result = host.run(str(PROGRAM), "adopt", "--json", *arguments)
    assert result.status in (0, 1), result.said
    rows = json.loads(result.said)
    jsonschema.validate(rows, {**SCHEMA, "$ref": "#/$defs/adopt"})
    return result.status, rows


def doctor(host: GuestHost) -> tuple[int, dict[str, Any]]:
    """The exit status of ``lockcfg doctor``, and what it says."""
    result = host.run(str(PROGRAM.with_name("lockcfg")), "doctor", "--json")
    report = json.loads(result.said)
    jsonschema.validate(report, {**OUTPUT, "$ref": "#/$defs/doctor"})
    return result.status, report


def verdicts(host: GuestHost) -> dict[tuple[str, str], str]:
    """What ``lockcfg doctor`` says of each disk, by guest and the last letter of its path."""
    return {(disk["guest"], disk["disk"][-1]): disk["verdict"] for disk in doctor(host)[1]["disks"]}


def test_all_are_locked_afterwards(unlocked: GuestHost) -> None:
    status, report = doctor(unlocked)
    assert (status, report["status"], report["daemon"]) == (1, "critical", "lockd")
    assert verdicts(unlocked) == {
        ("one", "a"): "missing",
        ("one", "b"): "none",
        ("two", "c"): "missing",
        ("three", "c"): "missing",
        ("four", "d"): "paused",
    }
    status, rows = adopt(unlocked, "--all", "--dry-run")
    assert status == 0
    assert {row["outcome"] for row in rows} == {"would", "none", "paused"}
    assert not locked(unlocked)
    status, rows = adopt(unlocked, "--all")
    assert status == 0
    assert {(row["guest"], row["disk"][-1]): row["outcome"] for row in rows} == {
        ("one", "a"): "taken",
        ("one", "b"): "none",
        ("two", "c"): "taken",
        ("three", "c"): "taken",
        ("four", "d"): "paused",
    }
    assert locked(unlocked) == {"a": "exclusive", "c": "shared"}
    status, rows = adopt(unlocked, "one", "two", "three")
    assert status == 0
    assert {row["outcome"] for row in rows} == {"held", "none"}
    assert {*verdicts(unlocked).values()} == {"locked", "none", "paused"}
    assert doctor(unlocked)[1]["status"] in ("ok", "warning")
    assert locked(unlocked) == {"a": "exclusive", "c": "shared"}


def test_libvirt_does_what_it_does_for_any_other(unlocked: GuestHost) -> None:
    """Suspend and resume, attach and detach, save and destroy."""
    assert adopt(unlocked, "--all")[0] == 0
    virsh(unlocked, "suspend one")
    assert locked(unlocked) == {"c": "shared"}
    virsh(unlocked, "resume one")
    assert locked(unlocked) == {"a": "exclusive", "c": "shared"}
    new = unlocked.make_disk("d")
    virsh(unlocked, "destroy four")
    virsh(unlocked, f"attach-disk one {new} sdc --targetbus scsi")
    assert locked(unlocked) == {"a": "exclusive", "c": "shared", "d": "exclusive"}
    virsh(unlocked, "detach-disk one sdc")
    unlocked.wait(lambda: "d" not in locked(unlocked))
    assert locked(unlocked) == {"a": "exclusive", "c": "shared"}
    virsh(unlocked, "save two /srv/saved")
    assert locked(unlocked) == {"a": "exclusive", "c": "shared"}
    virsh(unlocked, "restore /srv/saved")
    assert locked(unlocked) == {"a": "exclusive", "c": "shared"}
    virsh(unlocked, "destroy two")
    virsh(unlocked, "destroy three")
    unlocked.wait(lambda: "c" not in locked(unlocked))
    assert locked(unlocked) == {"a": "exclusive"}
    virsh(unlocked, "destroy one")
    unlocked.wait(lambda: not locked(unlocked))
    assert not locked(unlocked)
    virsh(unlocked, "start one")
    assert locked(unlocked) == {"a": "exclusive"}


def test_two_guests_write_one_disk(unlocked: GuestHost) -> None:
    """The alarm: the second one is refused, with who has the disk, and nothing else is changed."""
    unlocked.define("five", (Disk(f"{DISKS}/a"),))
    unlocked.signal_lock_daemon(signal.SIGTERM)
    without = unlocked.path(CONFIGURATION).read_text()
    unlocked.path(CONFIGURATION).write_text(without.replace('lock_manager = "lockd"\n', ""))
    unlocked.end_libvirtd(signal.SIGTERM)
    start(unlocked, "libvirtd")
    virsh(unlocked, "start five")
    switch_on(unlocked, without)
    assert adopt(unlocked, "one")[0] == 0
    status, rows = adopt(unlocked, "five", "--dry-run")
    assert (status, rows[0]["outcome"]) == (1, "refused")
    before = unlocked.state()
    status, rows = adopt(unlocked, "five")
    assert status == 1
    assert re.search(r"locked by guest 'one' \(uuid .*, pid \d+\) on this host", rows[0]["reason"])
    assert unlocked.state() == before
    assert verdicts(unlocked)["five", "a"] == "other"
    assert doctor(unlocked)[1]["status"] == "critical"


def test_a_guest_that_is_starting(tmp_path: Path) -> None:
    """lockd waits for it, takes the locks of those that run meanwhile, and says what it is, if it
    starts for longer. One whose start fails has ended."""
    with GuestHost(tmp_path / "host", Path(PROGRAM), INDIRECT) as host:
        configuration = host.path(CONFIGURATION).read_text()
        host.path(CONFIGURATION).write_text(configuration.replace('lock_manager = "lockd"\n', ""))
        start(host, "lock daemon", "libvirtd")
        # QEMU itself waits at its start.
        slow = host.path("/srv/slow")
        slow.write_text(
            "#!/bin/sh\ncase $* in *guest=*) until [ -e /srv/go ]; do sleep 0.05; done;; esac\n"
            'exec /usr/bin/qemu-system-x86_64 "$@"\n'
        )
        slow.chmod(0o755)
        host.define("runs", (Disk(host.make_disk("a")),))
        virsh(host, "start runs")
        for name, disk in (("slow", "b"), ("fails", "c")):
            host.define(name, (Disk(host.make_disk(disk)),))
            file = host.path(f"/srv/{name}.xml")
            emulator = "/srv/slow" if name == "slow" else "/srv/fails"
            file.write_text(file.read_text().replace("/usr/bin/qemu-system-x86_64", emulator))
        # libvirtd stays as it is, so that it takes no lock itself.
        host.path(CONFIGURATION).write_text(configuration)
        virsh(host, "define /srv/slow.xml")
        described = host.path("/run/libvirt/qemu/slow.xml")
        with host.popen("virsh", "-c", "qemu:///system", "start", "slow") as starting:
            assert host.wait(lambda: described.exists() and "starting up" in described.read_text())
            status, rows = adopt(host, "--all", "--wait", "0")
            assert (status, {row["guest"]: row["outcome"] for row in rows}) == (
                0,
                {"runs": "taken", "slow": "paused"},
            )
            assert "still starting" in rows[1]["reason"]
            waits = host.popen(str(PROGRAM), "adopt", "--json", "slow", "--wait", "600")
            assert host.wait(lambda: is_asleep(waits.pid))
            host.path("/srv/go").touch()
            said, _ = waits.communicate(timeout=120)
            assert starting.wait(120) == 0
        assert (waits.returncode, [row["outcome"] for row in json.loads(said)]) == (0, ["taken"])
        assert locked(host) == {"a": "exclusive", "b": "exclusive"}

        # And one whose start comes to nothing.
        host.path("/srv/go").unlink()
        fails = host.path("/srv/fails")
        fails.write_text(slow.read_text().replace("done;;", "done; exit 1;;"))
        fails.chmod(0o755)
        virsh(host, "define /srv/fails.xml")
        described = host.path("/run/libvirt/qemu/fails.xml")
        with host.popen("virsh", "-c", "qemu:///system", "start", "fails") as starting:
            assert host.wait(lambda: described.exists() and "starting up" in described.read_text())
            waits = host.popen(str(PROGRAM), "adopt", "--json", "fails")
            assert host.wait(lambda: is_asleep(waits.pid))
            host.path("/srv/go").touch()
            said, _ = waits.communicate(timeout=120)
            assert starting.wait(120) != 0
        assert (waits.returncode, [row["outcome"] for row in json.loads(said)]) == (0, ["ended"])


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "3601", "1.2.3"])
def test_a_wait_that_is_none(tmp_path: Path, wait: str) -> None:
    ran = subprocess.run(
        [PROGRAM, "adopt", "--all", f"--wait={wait}", "--socket", tmp_path / "none"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "seconds from 0 to 3600" in ran.stderr


def test_by_itself(tmp_path: Path) -> None:
    """With --adopt: when lockd starts, and when libvirtd does, which makes its lockspace."""
    program = tmp_path / "lockd-that-adopts"
    program.write_text(f'#!/bin/sh\nexec {PROGRAM} --adopt "$@"\n')
    program.chmod(0o755)
    with GuestHost(tmp_path / "host", program, INDIRECT) as host:
        configuration = host.path(CONFIGURATION).read_text()
        without = configuration.replace('lock_manager = "lockd"\n', "")
        host.path(CONFIGURATION).write_text(without)
        start(host, "libvirtd", "lock daemon")
        host.define("one", (Disk(host.make_disk("a")),))
        virsh(host, "start one")
        assert not locked(host)
        # lockd runs already: it is the start of libvirtd that counts.
        host.path(CONFIGURATION).write_text(configuration)
        host.end_libvirtd(signal.SIGTERM)
        start(host, "libvirtd")
        assert host.wait(lambda: locked(host) == {"a": "exclusive"})


def test_a_lease_and_a_name_that_is_nobodys(tmp_path: Path) -> None:
    settings = {**INDIRECT, "auto_disk_leases": 0}
    with GuestHost(tmp_path / "host", Path(PROGRAM), settings) as host:
        configuration = host.path(CONFIGURATION).read_text()
        host.path(CONFIGURATION).write_text(configuration.replace('lock_manager = "lockd"\n', ""))
        start(host, "libvirtd")
        host.run("mkdir", "-p", f"{LOCKSPACE}/space")
        host.path(f"{LOCKSPACE}/space/key").touch()
        lease = Lease("space", "key", LOCKSPACE)
        host.define("one", (Disk(host.make_disk("a")),), (lease,))
        virsh(host, "start one")
        switch_on(host, configuration)
        status, rows = adopt(host, "--all")
        assert {row["disk"]: row["outcome"] for row in rows} == {
            f"{DISKS}/a": "none",
            "lease key": "refused",
        }
        assert (status, "does not exist" in rows[1]["reason"]) == (1, True)
        result = host.run(str(PROGRAM), "adopt", "nobody")
        assert result.status == 3
        assert result.said == "lockd adopt: no guest 'nobody' runs on this host"


@pytest.mark.parametrize("settings", [INDIRECT, DIRECT], ids=["indirect", "direct"])
def test_a_host_moves(
    tmp_path: Path, settings: Mapping[str, int | str], request: pytest.FixtureRequest
) -> None:
    """From nothing to virtlockd, to lockd, back, and to lockd again, with guests that run all the
    time, and that libvirt goes on with."""
    guests = [f"guest{n}" for n in range(50 if request.config.getoption("--exhaustive") else 3)]
    with GuestHost(tmp_path / "host", VIRTLOCKD, settings) as host:
        start(host, "lock daemon", "libvirtd")
        common = Disk(host.make_disk("common"), "shareable")
        for name in guests:
            host.define(name, (Disk(host.make_disk(name)), common))
            virsh(host, f"start {name}")
        before = host.state()
        assert len(before.locks) == len(guests) + 1
        pid = host.path("/run/lock-daemon.pid").read_text()
        for command in ("takeover", "handback", "takeover"):
            result = host.run(str(PROGRAM), command)
            assert result.status == 0, result.said
            # The kernel's list is read in pieces: one may be missed while others release theirs.
            assert host.wait(lambda: host.state().locks == before.locks)
            assert host.state().guests == before.guests
            daemon = "virtlockd" if command == "handback" else "lockd"
            assert doctor(host)[1]["daemon"] == daemon
            assert {*verdicts(host).values()} == {"locked"}
            assert host.path("/run/lock-daemon.pid").read_text() == pid
            virsh(host, "suspend guest0")
            assert host.wait(lambda: len(host.state().locks) == len(guests))
            virsh(host, "resume guest0")
            assert host.wait(lambda: host.state().locks == before.locks)
        virsh(host, "destroy guest1")
        host.wait(lambda: len(host.state().locks) == len(guests))
        virsh(host, "start guest1")
        assert host.wait(lambda: host.state().locks == before.locks)
        result = host.run(str(PROGRAM), "locks", "--json")
        assert {owner["guest"] for lock in json.loads(result.said) for owner in lock["owners"]} == {
            *guests
        }
