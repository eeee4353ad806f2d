"""Every way in which a guest of a real libvirtd can end, whatever state it and libvirtd are in:
afterwards it has no lock left, can be started again, and another guest has lost none."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

#: A monitor that is the test's own, and a file system that is full.
MONITOR: Final = "/srv/monitor"
FULL: Final = f"{DISKS}/full"

#: What is added to the description of the guest that ends, each in front of something.
MORE_OF_ONE: Final = {
    # Without ACPI the machine has nothing that powers it off.
    "<devices>": """
        <features><acpi/></features>
        <on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
    """,
    "<memballoon": f"""
        <panic model='isa'/>
        <disk type='file'>
          <driver name='qemu' type='raw' error_policy='stop'/>
          <source file='{FULL}/disk'/><target dev='hda' bus='ide'/>
        </disk>
    """,
    "</domain>": f"""
        <qemu:commandline>
          <qemu:arg value='-qmp'/><qemu:arg value='unix:{MONITOR},server=on,wait=off'/>
        </qemu:commandline>
    """,
}

#: What the processor writes to its ports to power the machine off, to panic, to reset it, and to
#: write a sector to an IDE disk: size, port, value.
POWER_OFF: Final = (
    *(("w", 0xCF8, 0x80000B40), ("w", 0xCFC, 0x601), ("w", 0xCF8, 0x80000B80)),
    *(("b", 0xCFC, 1), ("h", 0x604, 0x2000)),
)
PANIC: Final = (("b", 0x505, 1),)
RESET: Final = (("b", 0x64, 0xFE),)
WRITE: Final = (
    *(("b", 0x1F2, 1), ("b", 0x1F3, 0), ("b", 0x1F4, 0), ("b", 0x1F5, 0), ("b", 0x1F6, 0xE0)),
    *(("b", 0x1F7, 0x30), *[("h", 0x1F0, 0x4141)] * 256),
)


class EndingHost(GuestHost):
    """A host with a guest that ends, ``one``, and one that stays, ``two``."""

    def prepare(self) -> None:
        """Define and start them."""
        for start in (self.start_lock_daemon, self.start_libvirtd):
            result = start()
            assert result.status == 0, result.said
        full = self.path(FULL)
        full.mkdir()
        self.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", FULL)
        self.make_disk("full/disk")
        self.run("sh", "-c", f"cat /dev/zero >{FULL}/rest")
        self.define("one", (Disk(self.make_disk("a")),))
        self.define("two", (Disk(self.make_disk("b")),))
        file = self.path("/srv/one.xml")
        text = file.read_text()
        for before, more in MORE_OF_ONE.items():
            text = text.replace(before, more + before)
        file.write_text(text)
        self.do("define /srv/one.xml")
        self.do("start two")

    def do(self, command: str) -> str:
        """Run a command of virsh, which has to succeed."""
        result = self.virsh(command)
        assert result.status == 0, f"{command}: {result.said}"
        return result.said

    def monitor(self, *commands: str) -> None:
        """Tell QEMU something, not by libvirt."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.path(MONITOR)))
            with connection.makefile("rw") as monitor:
                monitor.readline()
                for command in ('{"execute": "qmp_capabilities"}', *commands):
                    monitor.write(command)
                    monitor.flush()
                    while '"event"' in (said := monitor.readline()):
                        pass
                    assert '"error"' not in said, said

    def ports(self, writes: Sequence[tuple[str, int, int]]) -> None:
        """Write to the ports of the machine, as its processor would."""
        self.monitor(
            *(
                json.dumps(
                    {
                        "execute": "human-monitor-command",
                        "arguments": {"command-line": f"o /{size} {port:#x} {value:#x}"},
                    }
                )
                for size, port, value in writes
            )
        )

    def locked(self) -> set[str]:
        """The disks that are locked."""
        # The kernel's list is read in pieces: one may be missed while others release theirs.
        seen = self.state().locks
        while (again := self.state().locks) != seen:
            seen = again
        disks = (f"{DISKS}/a", f"{DISKS}/b", f"{FULL}/disk")
        names = {f"{LOCKSPACE}/{hashlib.sha256(each.encode()).hexdigest()}": each for each in disks}
        return {names[lock.file].removeprefix(f"{DISKS}/") for lock in seen}

    def clean(self) -> None:
        """End what a test that failed has left."""
        if not self._libvirtd():
            assert self.start_libvirtd().status == 0
        if not self.is_ended():
            self.virsh("destroy one")
        self.virsh("managedsave-remove one")

    def is_ended(self) -> bool:
        """Whether ``one`` has ended, as far as libvirt knows and as its process tells."""
        return (
            self.state().guests == ("two",)
            and self.virsh("domstate one").said.partition("\n")[0] == "shut off"
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndingHost]:
    """A host with lockd."""
    directory = tmp_path_factory.mktemp("ends") / "host"
    with EndingHost(directory, Path(PROGRAM), {"file_lockspace_dir": LOCKSPACE}) as host:
        host.prepare()
        yield host


#: The ends by libvirt.
COMMANDS: Final = ("destroy one", "destroy one --graceful", "managedsave one")

#: The ends that libvirt only hears of. Those in which the processor has a part need one that runs;
#: so does that of its connection, which guards nothing while the guest has no lock.
EVENTS: Final[dict[str, Callable[[EndingHost], object]]] = {
    "quit": lambda host: host.monitor('{"execute": "quit"}'),
    "SIGTERM": lambda host: host.signal_guest("one", signal.SIGTERM),
    "SIGKILL": lambda host: host.signal_guest("one", signal.SIGKILL),
    "reset and quit": lambda host: host.monitor(
        '{"execute": "system_reset"}', '{"execute": "quit"}'
    ),
    "its own connection": lambda host: host.cut_off("one"),
    "powered off": lambda host: host.ports(POWER_OFF),
    "panic": lambda host: host.ports(PANIC),
    "reset from inside": lambda host: host.ports(RESET),
}
RUNNING: Final = ("its own connection", "powered off", "panic", "reset from inside")

GUEST: Final = ("runs", "paused", "failed to write")
LIBVIRTD: Final = ("runs", "restarted", "stopped", "killed")

Case = tuple[str, str, str]
EVERYTHING: Final[tuple[Case, ...]] = tuple(
    case
    for case in itertools.product((*COMMANDS, *EVENTS), LIBVIRTD, GUEST)
    if case[2] == "runs" or case[0] not in RUNNING
)

#: Each end, each state of libvirtd, each state of the guest.
FEW: Final[tuple[Case, ...]] = (
    ("destroy one", "killed", "failed to write"),
    ("destroy one --graceful", "runs", "paused"),
    ("managedsave one", "stopped", "runs"),
    ("quit", "stopped", "runs"),
    ("SIGTERM", "restarted", "runs"),
    ("SIGKILL", "killed", "failed to write"),
    ("reset and quit", "killed", "paused"),
    ("its own connection", "killed", "runs"),
    ("powered off", "stopped", "runs"),
    ("panic", "killed", "runs"),
    ("reset from inside", "runs", "runs"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All cases, or a few."""
    if "end" in metafunc.fixturenames:
        cases = EVERYTHING if metafunc.config.getoption("exhaustive") else FEW
        metafunc.parametrize(("end", "libvirtd", "guest"), cases)


def test_nothing_is_left_and_nothing_is_lost(
    host: EndingHost, end: str, libvirtd: str, guest: str
) -> None:
    host.clean()
    host.do("start one")
    assert host.wait(lambda: host.locked() == {"a", "b", "full/disk"})
    if guest == "paused":
        host.do("suspend one")
    elif guest == "failed to write":
        host.ports(WRITE)
        assert host.wait(
            lambda: bool(re.search(r"paused \(I/O error\)", host.do("domstate one --reason")))
        )
    if guest != "runs":
        assert host.wait(lambda: host.locked() == {"b"})  # who writes nothing needs no lock
    number = signal.SIGKILL if libvirtd == "killed" else signal.SIGTERM
    is_away = libvirtd in ("stopped", "killed")
    if libvirtd == "restarted":
        host.end_libvirtd(signal.SIGTERM)
        assert host.start_libvirtd().status == 0
    if end in COMMANDS and is_away:
        with host.popen("virsh", "--connect", "qemu:///system", end):
            host.end_libvirtd(number)
    elif end in COMMANDS:
        host.do(end)
    else:
        if is_away:
            host.end_libvirtd(number)
        EVENTS[end](host)
    if is_away:
        if guest == "runs" and "one" in host.state().guests:
            assert "b" in host.locked()
        assert host.start_libvirtd().status == 0
    if not host.wait(host.is_ended):
        # libvirt was away when it was to act, and a person does.
        assert is_away
        host.do("destroy one")
        assert host.wait(host.is_ended)
    assert host.wait(lambda: host.locked() == {"b"})
    host.virsh("managedsave-remove one")
    host.do("start one")
    assert host.wait(lambda: host.locked() == {"a", "b", "full/disk"})
    host.do("destroy one")
    assert host.wait(lambda: host.locked() == {"b"})


@pytest.mark.parametrize("libvirtd", LIBVIRTD[:2])
def test_a_paused_guest_loses_its_connection(host: EndingHost, libvirtd: str) -> None:
    """It has no lock that this could guard, and goes on; so does the lock that it gets later, until
    its process ends."""
    host.clean()
    host.do("start one")
    host.do("suspend one")
    assert host.wait(lambda: host.locked() == {"b"})
    host.cut_off("one")
    if libvirtd == "restarted":
        host.end_libvirtd(signal.SIGTERM)
        assert host.start_libvirtd().status == 0
    assert not host.wait(host.is_ended, patience=1)
    host.do("resume one")
    assert host.locked() == {"a", "b", "full/disk"}
    host.signal_guest("one", signal.SIGKILL)
    assert host.wait(host.is_ended)
    assert host.wait(lambda: host.locked() == {"b"})
