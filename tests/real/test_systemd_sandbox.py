"""The unit takes from lockd what it does not need, and nothing that it does. The other tests under
systemd run with the same unit."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import wait_for
from tests.real.systemd_host import PROJECT, SERVICE
from tests.real.test_systemd import LOCKSPACE, SOCKET, booted, host, is_held, kill, locks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.systemd_host import SystemdHost

__all__ = ["booted", "host"]

UNIT = PROJECT / "packaging/systemd" / SERVICE
LIBVIRTS = "/lib/systemd/system/virtlockd.service"

#: A user who is not root.
SOMEBODY = 65534


def exposure(unit: Path | str) -> float:
    """What systemd thinks of a unit: from 0, nothing, to 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    (found,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    return float(found)


def test_it_is_exposed_at_most_half_as_much_as_libvirts_own() -> None:
    """By systemd's own account."""
    assert exposure(UNIT) <= exposure(LIBVIRTS) / 2


def test_what_it_needs_is_there(host: SystemdHost) -> None:
    """Neither the log nor the status says that it lacks something of the unit."""
    host.run("lockd", "status", "--json")
    status = host.run("lockd", "status", "--json")
    assert "CAP_KILL" not in status
    assert host.property("NoNewPrivileges") == "yes"


def test_files_and_guests_of_others(host: SystemdHost) -> None:
    """Disks that only their owner may open are locked in place, and lockd ends their guest,
    who is not root, when it hangs up."""
    host.run("mkdir", "-p", "/srv/images")
    host.run("chmod", "0700", "/srv/images")
    host.run("dd", "if=/dev/zero", "of=/srv/images/disk", "bs=4096", "count=1", "status=none")
    host.run("chmod", "0600", "/srv/images/disk")
    host.run("chown", "-R", f"{SOMEBODY}:{SOMEBODY}", "/srv/images")
    guest = host.popen(sys.executable, "-c", OTHERS_GUEST, SOCKET, LOCKSPACE, directory=PROJECT)
    assert guest.stdout is not None
    assert guest.stdin is not None
    assert guest.stdout.readline() == "holds\n"
    assert "/srv/images/disk" in locks(host)
    assert is_held(host, "../images/disk")
    kill(host)
    wait_for(lambda: "/srv/images/disk" in locks(host), "the next has taken over")
    assert is_held(host, "../images/disk")
    guest.stdin.write("hang up\n")
    guest.stdin.flush()
    wait_for(lambda: guest.poll() is not None, "the guest is made to end", 20)
    wait_for(lambda: "/srv/images/disk" not in locks(host), "its lock is released")
    assert not is_held(host, "../images/disk")


#: Locks by a connection of its own, then becomes another user, as QEMU does; SIGTERM is ignored.
OTHERS_GUEST = f"""
import os, signal, sys
from tests.lockd.client import Client
signal.signal(signal.SIGTERM, signal.SIG_IGN)
client = Client(sys.argv[1], timeout=60)
client.register("guest")
client.create_lockspace(sys.argv[2])
client.acquire(sys.argv[2], "of-a-guest")
client.acquire("", "/srv/images/disk", 0)
os.setuid({SOMEBODY})
print("holds", flush=True)
sys.stdin.readline()
client.close()
signal.pause()
"""


def test_mounts_that_come_and_go(host: SystemdHost) -> None:
    """What the host mounts after lockd has started is where its locks are, and can be unmounted."""
    host.run("lockd", "status")
    host.run("mkdir", "-p", "/srv/later")
    host.run("mount", "-t", "tmpfs", "later", "/srv/later")
    guest = host.popen(
        sys.executable, "-m", "tests.lockd.guest", SOCKET, "/srv/later", "disk", directory=PROJECT
    )
    assert guest.stdout is not None
    assert guest.stdout.readline() == "holds\n"
    assert host.run("stat", "-f", "-c", "%T", "/srv/later/disk").strip() == "tmpfs"
    assert is_held(host, "../later/disk")
    guest.kill()
    guest.communicate()
    wait_for(lambda: "/srv/later" not in locks(host), "the lock is released")

    def is_unmounted() -> bool:
        return "busy" not in host.run("umount", "/srv/later", check=False)

    wait_for(is_unmounted, "nothing keeps it")


def in_its_place(host: SystemdHost, program: str) -> list[str]:
    """The words that a program prints that is run as lockd is by the unit."""
    taken = "(Capability|NoNew|Restrict|Protect|Lock|Memory|SystemCall|Device|UMask|IPAddress)"
    sandbox = [line for line in UNIT.read_text().splitlines() if re.match(taken, line)]
    assert len(sandbox) > 12
    host.write("/srv/program.py", program)
    unit = [
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={PROJECT}",
        f"ExecStart={sys.executable} /srv/program.py",
        "Environment=PYTHONPATH=.",
        "StandardOutput=truncate:/srv/said",
        "StandardError=inherit",
        *sandbox,
    ]
    host.write("/etc/systemd/system/in-its-place.service", "\n".join([*unit, ""]))
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "start", "in-its-place.service", check=False)
    return host.run("cat", "/srv/said").split()


def test_what_it_calls_of_the_c_library(host: SystemdHost) -> None:
    """On file systems that hosts share the kernel is asked by way of ctypes, which may want memory
    that it can write and run."""
    asks = (
        "import os; from lockd.kernel import statx; f = '/srv/asked'; open(f, 'w').close();"
        "fd = os.open(f, os.O_RDWR); print(statx.refresh(fd, f, flush=True)); os.unlink(f);"
        "print(statx.refresh(fd, f, flush=True))"
    )
    assert in_its_place(host, asks) == ["True", "False"]


@pytest.mark.parametrize(
    "what",
    [
        "ctypes.CDLL(None).mount(b'x', b'/srv', b'tmpfs', 0, 0) and fail()",
        "ctypes.CDLL(None).init_module(0, 0, b'') and fail()",
        "time.clock_settime(time.CLOCK_REALTIME, time.time())",
        "ctypes.CDLL(None).ptrace(16, 1, 0, 0) and fail()",
        "os.mknod('/srv/node', 0o20600, os.makedev(1, 1))",
        "os.chown('/srv', 1, 1)",
        "os.setuid(1)",
        "__import__('socket').socket(2, 1)",
        "ctypes.CDLL(None).unshare(0x10000000) and fail()",
    ],
)
def test_what_it_may_not(host: SystemdHost, what: str) -> None:
    """A program in its place is refused this."""
    program = (
        "import ctypes, os, time\n"
        "def fail():\n    raise PermissionError\n"
        f"try:\n    {what}\n    print('done')\n"
        "except OSError:\n    print('refused')\n"
    )
    assert in_its_place(host, program) == ["refused"]
