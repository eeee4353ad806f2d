"""Hosts whose guests want the same disks, faults meanwhile, and the referee's record of it.

Each host starts a guest on a disk as soon as no other has it, lets it write for a moment and ends
it, in one thread; another thread does harm to the lock daemons and to libvirtd. All that is random
comes from one seed; what comes of it depends on how fast the machine is.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.real.guest_host import DISKS, LOCKSPACE, GuestHost
from tests.real.referee.record import judge, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

    from tests.real.referee.record import Verdict

_WRITER: Final = Path(__file__).with_name("writer.S")
_FIRMWARE: Final = "/srv/writer.rom"
_PATIENCE: Final = 60.0

#: What virsh says where libvirtd has been killed.
_OF_LIBVIRTD: Final = ("libvirt-sock'", "Disconnected from", "End of file", "reset by peer")


class Outcome(NamedTuple):
    """What came of a contest: the verdict, how many guests were started and how many refused
    because another has the disk, how often which fault was done, and what else went wrong."""

    verdict: Verdict
    started: int
    refused: int
    faults: dict[str, int]
    unexpected: list[str]


def contest(
    directory: Path,
    daemon: Path,
    faults: Mapping[str, Callable[[GuestHost], None]],
    *,
    seed: int,
    hosts: int = 3,
    disks: int = 1,
    life: float = 0.4,
    seconds: float,
    to_the_end: bool = True,
    lockspace: Callable[[GuestHost, int], None] | None = None,
) -> Outcome:
    """Run one: ``hosts`` with that lock daemon, guests on each of them for each of the disks, which
    live for ``life`` seconds at most. Unless it goes ``to_the_end``, the first write that must not
    be ends it. The lockspace is a directory of this kernel, unless ``lockspace`` mounts it on a
    host of that number."""
    names = [f"disk{number}" for number in range(disks)]
    record = directory / "record"
    with ExitStack() as stack:
        shared = {DISKS: directory / "disks"}
        if lockspace is None:
            shared[LOCKSPACE] = directory / "locks"
        for path in shared.values():
            path.mkdir(parents=True)
        stack.enter_context(_mounted(shared[DISKS], record, names))
        firmware = _assembled(directory)
        running = []
        for number in range(hosts):
            host = GuestHost(
                directory / f"host{number}",
                daemon,
                {"file_lockspace_dir": LOCKSPACE},
                first_uuid=1000 * number + 1,
                shared=shared,
            )
            stack.enter_context(host)
            if lockspace is not None:
                lockspace(host, number)
            running.append(_Contender(host, number, names, firmware))
        over = threading.Event()
        nemesis = _Nemesis(running, faults, random.Random(seed))
        threads = [
            threading.Thread(
                target=each.play, args=(random.Random(f"{seed} {each.number}"), over, life)
            )
            for each in running
        ]
        threads.append(threading.Thread(target=nemesis.play, args=(over,)))
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and (to_the_end or not _judged(record).interleaved):
            time.sleep(0.5)
        over.set()
        for thread in threads:
            thread.join()
        verdict = _judged(record)
    return Outcome(
        verdict,
        sum(each.started for each in running),
        sum(each.refused for each in running),
        nemesis.done,
        [said for each in running for said in each.unexpected] + nemesis.unexpected,
    )


def _judged(record: Path) -> Verdict:
    with record.open() as lines:
        # The last line may not be whole yet.
        return judge(read(line for line in lines if line.endswith("\n")))


class _Contender:
    """A host, with a guest for each disk."""

    def __init__(self, host: GuestHost, number: int, disks: list[str], firmware: bytes) -> None:
        self.host: Final = host
        self.number: Final = number
        self.started = self.refused = 0
        self.unexpected: Final[list[str]] = []
        self._disks: Final = disks
        conf = host.path("/etc/libvirt/libvirtd.conf")
        uuid = f"11111111-2222-4333-8444-{number:012}"
        conf.write_text(f'{conf.read_text()}host_uuid = "{uuid}"\n')
        for result in (host.start_lock_daemon(), host.start_libvirtd()):
            assert result.status == 0, result.said
        host.path(_FIRMWARE).write_bytes(firmware)
        for place, disk in enumerate(disks):
            file = f"/srv/{disk}.xml"
            host.path(file).write_text(self._domain(disk, 1000 * number + place))
            result = host.virsh(f"define {file}")
            assert result.status == 0, result.said

    def guest(self, disk: str) -> str:
        """The name of this host's guest for a disk."""
        return f"{disk}-{self.number}"

    def play(self, chance: random.Random, over: threading.Event, life: float) -> None:
        """Start guests and end them, until it is over; then end them all."""
        while not over.is_set():
            disk = chance.choice(self._disks)
            result = self.host.virsh(f"start {self.guest(disk)}")
            if result.status == 0 or "already active" in result.said:
                self.started += 1
                over.wait(chance.uniform(0, life))
                self._end(disk, chance)
            elif "is locked" in result.said or "resource busy" in result.said:
                self.refused += 1
            elif not any(text in result.said for text in _OF_LIBVIRTD):
                self.unexpected.append(result.said)
        for disk in self._disks:
            self._end(disk, chance)

    def _end(self, disk: str, chance: random.Random) -> None:
        """Have a guest end: by libvirt, or because its QEMU is killed."""
        if chance.random() < 0.3:
            with suppress(KeyError, ProcessLookupError):  # it has ended
                self.host.signal_guest(self.guest(disk), signal.SIGKILL)
        else:
            self.host.virsh(f"destroy {self.guest(disk)}")

    def _domain(self, disk: str, number: int) -> str:
        # QEMU would lock the image itself, and hide what lockd does.
        return f"""
            <domain type='{self.host.domain_type}'
                xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
              <name>{self.guest(disk)}</name>
              <uuid>00000000-0000-4000-9000-{number:012}</uuid>
              <memory unit='MiB'>16</memory>
              <os>
                <type arch='x86_64' machine='pc'>hvm</type>
                <loader readonly='yes' type='rom'>{_FIRMWARE}</loader>
              </os>
              <cpu mode='custom' match='exact' check='none'>
                <model fallback='allow'>qemu64</model><feature policy='disable' name='apic'/>
              </cpu>
              <devices>
                <emulator>/usr/bin/qemu-system-x86_64</emulator>
                <controller type='usb' model='none'/>
                <memballoon model='none'/>
                <disk type='file'><driver name='qemu' type='raw'/>
                  <source file='{DISKS}/{disk}'/><target dev='hda' bus='ide'/>
                  <alias name='ua-disk'/>
                </disk>
              </devices>
              <qemu:override><qemu:device alias='ua-disk'><qemu:frontend>
                <qemu:property name='share-rw' type='bool' value='true'/>
              </qemu:frontend></qemu:device></qemu:override>
            </domain>"""


class _Nemesis:
    """Does one fault after another to hosts, and counts them."""

    def __init__(
        self,
        hosts: list[_Contender],
        faults: Mapping[str, Callable[[GuestHost], None]],
        chance: random.Random,
    ) -> None:
        self.done: Final = dict.fromkeys(faults, 0)
        self.unexpected: Final[list[str]] = []
        self._hosts: Final = hosts
        self._faults: Final = faults
        self._chance: Final = chance

    def play(self, over: threading.Event) -> None:
        """Until it is over."""
        while not over.is_set():
            host = self._chance.choice(self._hosts)
            name = self._chance.choice(sorted(self._faults))
            try:
                self._faults[name](host.host)
            except Exception as error:  # noqa: BLE001 - the contest tells of it
                self.unexpected.append(f"{name}: {error!r}")
            self.done[name] += 1
            over.wait(self._chance.uniform(0, 0.5))


def kill_lock_daemon(host: GuestHost) -> None:
    """kill -9 of the process that has the locks; if no supervisor starts it again, this does."""
    host.kill_lock_daemon()
    if not host.wait(lambda: host.virsh("version").status == 0 and _answers(host), 1):
        host.start_lock_daemon()


def upgrade_lock_daemon(host: GuestHost) -> None:
    """It starts itself again in place."""
    host.signal_lock_daemon(signal.SIGUSR1)


def stop_lock_daemon_for_a_moment(host: GuestHost) -> None:
    """SIGSTOP, and SIGCONT after a while."""
    host.signal_lock_daemon(signal.SIGSTOP)
    time.sleep(0.3)
    host.signal_lock_daemon(signal.SIGCONT)


def kill_libvirtd(host: GuestHost) -> None:
    """kill -9; the next one finds the guests that run."""
    host.kill_libvirtd()
    host.start_libvirtd()


def kill_both(host: GuestHost) -> None:
    """Both are killed and started again; libvirtd tells virtlockd of its lockspaces only then."""
    kill_lock_daemon(host)
    kill_libvirtd(host)


#: What may happen to a host on which no guest may lose its lock.
FAULTS: Final = {
    "kill the lock daemon": kill_lock_daemon,
    "upgrade the lock daemon": upgrade_lock_daemon,
    "stop the lock daemon for a moment": stop_lock_daemon_for_a_moment,
    "kill libvirtd": kill_libvirtd,
}


def _answers(host: GuestHost) -> bool:
    """Whether a lock daemon listens."""
    return host.path("/run/libvirt/virtlockd-sock").exists() and any(
        str(host.lock_daemon) in process.arguments[:3] for process in host.processes()
    )


def _assembled(directory: Path) -> bytes:
    """The firmware that writes."""
    program, rom = directory / "writer.o", directory / "writer.rom"
    subprocess.run(("as", "--32", "-o", program, _WRITER), check=True)
    link = ("ld", "-m", "elf_i386", "-Ttext=0", "-e", "start", "--oformat=binary", "-o", rom)
    subprocess.run((*link, program), check=True)
    return rom.read_bytes()


@contextmanager
def _mounted(directory: Path, record: Path, names: list[str]) -> Iterator[None]:
    """The referee's file system, as long as this goes on."""
    record.touch()
    command = [
        sys.executable,
        "-m",
        "tests.real.referee.disks",
        str(directory),
        str(record),
        *names,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + _PATIENCE
            while not directory.is_mount():
                assert process.poll() is None, "the file system has ended"
                assert time.monotonic() < end, "the file system is not there"
                time.sleep(0.05)
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_PATIENCE)
