"""lockd as the service that libvirt's virtlockd is, under the real systemd."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM, wait_for
from tests.real.systemd_host import PROJECT, SERVICE, SystemdHost

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET = "/run/libvirt/virtlockd-sock"
LOCKSPACE = "/srv/lockspace"
SOCKETS = ("virtlockd.socket", "virtlockd-admin.socket")

#: Has a look at a lock as another process does: free or not.
LOOK = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
except BlockingIOError:
    sys.exit("held")
"""

#: Tries to lock a file all the time, and tells of it when it could, until its input ends.
THIEF = """
import fcntl, select, sys
file = open(sys.argv[1], "r+b")
print("trying", flush=True)
while not select.select([0], [], [], 0)[0]:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    except BlockingIOError:
        continue
    sys.exit("got it")
"""

#: Connects as many guests as it is told, each with three locks, and makes sure of all of them each
#: time it is asked to.
CROWD = """
import resource, sys
from tests.lockd.client import CallRefusedError, Client
number, socket, lockspace = int(sys.argv[1]), sys.argv[2], sys.argv[3]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
guests = []
for index in range(number):
    client = Client(socket, timeout=120)
    client.register(f"guest-{index}", 1_000_000 + index)
    client.create_lockspace(lockspace)
    for disk in range(3):
        client.acquire(lockspace, f"{index}-{disk}")
    guests.append(client)
print("there", flush=True)
for line in sys.stdin:
    for index, client in enumerate(guests):
        for disk in range(3):
            try:
                client.acquire(lockspace, f"{index}-{disk}")
            except CallRefusedError as error:
                assert f"guest 'guest-{index}'" in error.refused.message, error
            else:
                raise AssertionError(f"the lock {index}-{disk} was lost")
    print("well", flush=True)
"""


class Guest:
    """A process inside that holds locks, with its own connection."""

    def __init__(self, host: SystemdHost, *names: str) -> None:
        self._name = names[0]
        self._host = host
        self.process = host.popen(
            sys.executable, "-m", "tests.lockd.guest", SOCKET, LOCKSPACE, *names, directory=PROJECT
        )
        assert self._line() == "holds"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def is_well(self) -> bool:
        """Whether it has its connection and its locks, and no other process can get them."""
        assert self.process.stdin is not None
        self.process.stdin.write("asked\n")
        self.process.stdin.flush()
        return "is locked by guest 'guest'" in self._line() and self.is_held()

    def is_held(self) -> bool:
        """Whether another process finds the lock held."""
        return is_held(self._host, self._name)

    def end(self) -> None:
        """End the guest; its locks go with it."""
        self.process.kill()
        self.process.communicate()
        wait_for(lambda: f'/{self._name}"' not in locks(self._host), "the lock is let go")


def locks(host: SystemdHost) -> str:
    """What is locked, by lockd's account."""
    return host.run("lockd", "locks", "--json", check=False)


def is_held(host: SystemdHost, name: str) -> bool:
    """Whether another process finds a lock held."""
    return "held" in host.run(sys.executable, "-c", LOOK, f"{LOCKSPACE}/{name}", check=False)


def kill(host: SystemdHost) -> None:
    """Kill lockd as memory pressure would."""
    host.run("kill", "-KILL", host.property("MainPID"))


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    """A host with lockd installed as docs/explanation/lockd.md says."""
    with SystemdHost(tmp_path_factory.mktemp("systemd")) as host:
        host.run(PROJECT / "packaging/install-lockd", PROGRAM)
        host.write("/etc/libvirt/virtlockd.conf", "max_clients = 5000\n")
        host.run("systemctl", "daemon-reload")
        yield host


@pytest.fixture
def host(booted: SystemdHost) -> Iterator[SystemdHost]:
    """With the sockets listening; the service is stopped afterwards."""
    booted.run("systemctl", "start", *SOCKETS)
    yield booted
    booted.end_started()
    booted.run("systemctl", "stop", *SOCKETS, SERVICE)
    booted.run("systemctl", "reset-failed")


def test_the_units_are_sound(host: SystemdHost) -> None:
    """By systemd's own account, which warns of what it does not know."""
    assert host.run("systemd-analyze", "verify", SERVICE, *SOCKETS) == ""


def test_it_starts_when_it_is_asked(host: SystemdHost) -> None:
    """The first connection starts it, and systemd knows when it is up."""
    assert host.property("ActiveState") == "inactive"
    assert "kept by the service manager" in host.run("lockd", "status")
    assert host.property("ActiveState") == "active"
    assert host.property("StatusText") == "0 locks"
    assert "lockd" in host.run("cat", f"/proc/{host.property('MainPID')}/comm")
    # Whether the kernel lets it be so depends on the machine.
    assert host.property("OOMScoreAdjust") == "-900"


def test_libvirtd_asks_for_it(host: SystemdHost) -> None:
    """By the names that libvirt's own unit has: nothing of libvirt is changed for it."""
    host.run("systemctl", "stop", *SOCKETS)
    host.write("/etc/libvirt/qemu.conf", 'lock_manager = "lockd"\n')
    host.write("/etc/libvirt/qemu-lockd.conf", f'file_lockspace_dir = "{LOCKSPACE}"\n')
    try:
        host.run("systemctl", "start", "libvirtd.service")
        wait_for(lambda: host.property("ActiveState") == "active", "libvirtd uses lockd")
        assert LOCKSPACE in host.run("lockd", "status")
        assert "Name" in host.run("virsh", "--connect", "qemu:///system", "list")
        host.run("systemctl", "enable", "libvirtd.service")
        # libvirt 9.0 also enables it then, 11.3 and newer only want it.
        enables = f"Also={SOCKETS[0]}" in host.run("systemctl", "cat", "libvirtd.service")
        state = host.run("systemctl", "is-enabled", SOCKETS[0], check=False)
        assert state == ("enabled\n" if enables else "disabled\n")
        host.run("systemctl", "disable", "libvirtd.service")
    finally:
        host.run("systemctl", "stop", "libvirtd.service", "libvirtd.socket")
        host.run("rm", "-f", "/etc/libvirt/qemu.conf", "/etc/libvirt/qemu-lockd.conf")


def test_killed_with_locks(host: SystemdHost) -> None:
    """systemd starts it again, and no lock was free for an instant."""
    guest = Guest(host, "killed")
    thief = host.popen(sys.executable, "-c", THIEF, f"{LOCKSPACE}/killed")
    assert thief.stdout is not None
    assert thief.stdout.readline() == "trying\n"
    for count in (1, 2, 3):
        before = host.property("MainPID")
        kill(host)
        assert guest.is_well()
        assert host.property("MainPID") != before
        assert host.property("NRestarts") == str(count)
    thief.communicate("enough\n")
    assert thief.returncode == 0
    guest.end()


@pytest.mark.parametrize(
    ("command", "same_process"),
    [
        (("reload", SERVICE), True),
        (("restart", SERVICE), False),
        (("restart", SOCKETS[0]), False),
        (("daemon-reload",), True),
        (("daemon-reexec",), True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_keeps_the_locks(
    host: SystemdHost, command: tuple[str, ...], same_process: bool
) -> None:
    """An upgrade and a restart of lockd, and those of systemd itself; and what is kept after that
    outlives a crash as well."""
    guest = Guest(host, "kept")
    before = host.property("MainPID")
    host.run("systemctl", *command)
    assert guest.is_well()
    assert (host.property("MainPID") == before) is same_process
    assert host.property("Result") == "success"
    later = Guest(host, "kept-later")
    kill(host)
    assert guest.is_well()
    assert later.is_well()
    guest.end()
    later.end()


def test_stop_ends_the_guests(host: SystemdHost) -> None:
    """As virtlockd does: none writes on without a lock. What is started next knows of nothing."""
    guest = Guest(host, "stopped")
    host.run("systemctl", "stop", SERVICE)
    assert guest.process.wait(10)
    assert host.property("Result") == "success"
    assert host.property("NFileDescriptorStore") == "0"
    assert host.run("ls", LOCKSPACE) == ""
    assert locks(host) == "[]\n"


def test_a_reload_that_is_refused(host: SystemdHost) -> None:
    """With an error in the configuration it fails and tells why; lockd goes on, even if it is
    killed then. It is started no more only if there is nothing to take over."""
    guest = Guest(host, "refused")
    host.write("/etc/libvirt/virtlockd.conf", "max_clients = many\n")
    try:
        assert "failed" in host.run("systemctl", "reload", SERVICE, check=False)
        assert guest.is_well()
        kill(host)
        assert guest.is_well()
        guest.end()
        host.run("systemctl", "stop", SERVICE)
        assert "failed" in host.run("systemctl", "start", SERVICE, check=False)
        assert host.property("ExecMainStatus") == "78"
        assert host.property("NRestarts") == "0"
        assert host.property("ActiveState") == "failed"
    finally:
        host.write("/etc/libvirt/virtlockd.conf", "max_clients = 5000\n")


def test_a_program_that_does_not_start(host: SystemdHost) -> None:
    """systemd tries again and again, and holds the locks meanwhile; when the program is whole
    again, it takes over."""
    guest = Guest(host, "broken")
    host.run("ln", "-sfn", "/usr/bin/false", "/usr/local/sbin/lockd")
    kill(host)
    wait_for(lambda: int(host.property("NRestarts")) > 8, "systemd tries again", 60)
    assert guest.is_held()
    host.run("ln", "-sfn", PROGRAM, "/usr/local/sbin/lockd")
    assert guest.is_well()
    guest.end()


def test_there_and_back(host: SystemdHost) -> None:
    """virtlockd's place is taken, and given back, as docs/explanation/lockd.md says."""
    installer = PROJECT / "packaging/install-lockd"

    def comm() -> str:
        host.run("virt-admin", "--connect", "virtlockd:///system", "srv-list", check=False)
        wait_for(lambda: host.property("MainPID") != "0", "the service runs")
        return host.run("cat", f"/proc/{host.property('MainPID')}/comm").strip()

    assert comm() == "lockd"
    host.run("systemctl", "stop", SERVICE)
    host.run(installer, "--remove")
    host.run("systemctl", "daemon-reload")
    assert host.run("find", "/usr/local", "/etc/systemd", "/etc/init.d", "-name", "*lockd*") == ""
    assert comm() == "virtlockd"
    host.run("systemctl", "stop", SERVICE)
    host.run(installer, PROGRAM)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", *SOCKETS)  # a newer virtlockd has removed what they listen on
    assert comm() == "lockd"


def test_many_guests(host: SystemdHost, pytestconfig: pytest.Config) -> None:
    """However many descriptors there are, systemd keeps one, except for a moment after a crash, and
    all come back."""
    number = 4000 if pytestconfig.getoption("--exhaustive") else 500
    crowd = host.popen(
        sys.executable, "-c", CROWD, str(number), SOCKET, "/srv/crowd", directory=PROJECT
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == "there\n"
    for command in (
        ("kill", "-KILL", host.property("MainPID")),
        ("systemctl", "restart", SERVICE),
        ("systemctl", "reload", SERVICE),
        ("systemctl", "daemon-reload"),
        ("systemctl", "daemon-reexec"),
    ):
        host.run(*command)
        crowd.stdin.write("all well?\n")
        crowd.stdin.flush()
        assert crowd.stdout.readline() == "well\n", command
        wait_for(lambda: host.property("NFileDescriptorStore") == "1", "it keeps one again")
