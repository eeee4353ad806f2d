"""What guests do to their locks: one scenario a function, and what was seen after each step.

A scenario runs on a host of its own, with any lock daemon, and is the same every time. It asserts
nothing: it leaves a transcript, which a test looks at or compares with another daemon's.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
from typing import TYPE_CHECKING, NamedTuple

from tests.real.admin_transcript import STARTS_AGAIN
from tests.real.guest_host import DISKS, LOCKSPACE, RUNTIME, Disk, GuestHost, Lease, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Final

    from tests.real.guest_host import Result

DIRECT: Final[Mapping[str, int | str]] = {}
INDIRECT: Final[Mapping[str, int | str]] = {"file_lockspace_dir": LOCKSPACE}
ONLY_LEASES: Final[Mapping[str, int | str]] = {
    **INDIRECT,
    "auto_disk_leases": 0,
    "require_lease_for_disks": 1,
}

#: What differs from one run to the next, and what is written in its place.
VOLATILE: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b(pid|process) \d+"), r"\1 PID"),
    # Whether libvirtd sees QEMU's end or its words first.
    (
        re.compile(
            r"process exited while connecting to monitor"
            r"|QEMU unexpectedly closed the monitor \(vm='\w+'\)"
        ),
        "qemu unexpectedly closed the monitor",
    ),
    # What QEMU says of this machine's processor.
    (re.compile(r"TIME qemu-system-x86_64: warning: .*\n"), ""),
)


class Step(NamedTuple):
    """What was done, what it answered (status and text), and what could be seen then."""

    did: str
    status: int
    said: str
    state: State


def released_files(state: State) -> set[str]:
    """The lock files that no lock is on, as they are in ``state``. Those of leases stay."""
    locked = {lock.file for lock in state.locks}
    return {
        file
        for file in state.files
        if re.search(r"/(sha256\(.*\)|[0-9a-f]{64}) ", file) and file.split()[0] not in locked
    }


class Stage:
    """A host on which a scenario is played; each of its methods is a step of the transcript.

    ``locks`` and ``guests`` say how many of them there will be where a step returns before its
    effect is there: the test waits for it, for a while, and writes down the state.
    """

    def __init__(self, host: GuestHost) -> None:
        self.host: Final = host
        self.steps: Final[list[Step]] = []
        self._names: Final[dict[str, str]] = {}

    def disk(self, name: str) -> str:
        """Make an empty disk and return its path. No step of the transcript."""
        path = self.host.make_disk(name)
        self.know(path)
        return path

    def know(self, path: str) -> None:
        """Write the SHA-256 of ``path`` as what it is."""
        self._names[hashlib.sha256(path.encode()).hexdigest()] = f"sha256({path})"

    def define(self, name: str, *devices: Disk | Lease) -> None:
        """Define a guest. No step of the transcript."""
        self.host.define(
            name,
            tuple(device for device in devices if isinstance(device, Disk)),
            tuple(device for device in devices if isinstance(device, Lease)),
        )

    def virsh(self, command: str, locks: int | None = None, guests: int | None = None) -> None:
        self._record(f"virsh {command}", self.host.virsh(command), locks, guests)

    def end_of(self, guest: str) -> None:
        """Wait until libvirtd knows that a guest has ended, and write down what it says of it."""
        command = f"domstate {guest} --reason"
        self.host.wait(lambda: self.host.virsh(command).said.startswith("shut off"))
        self.virsh(command)

    def start_lock_daemon(self) -> None:
        self._record("start of the lock daemon", self.host.start_lock_daemon())

    def signal_lock_daemon(
        self, number: signal.Signals, locks: int | None = None, guests: int | None = None
    ) -> None:
        self.host.signal_lock_daemon(number)
        self._record(f"{number.name} to the lock daemon", None, locks, guests)

    def kill_lock_daemon(self) -> None:
        self.host.kill_lock_daemon()
        self._record("SIGKILL to the process that holds the locks")

    def start_libvirtd(self) -> None:
        self._record("start of libvirtd", self.host.start_libvirtd())

    def end_libvirtd(self, number: signal.Signals) -> None:
        self.host.end_libvirtd(number)
        self._record(f"{number.name} to libvirtd")

    def signal_guest(
        self,
        name: str,
        number: signal.Signals,
        locks: int | None = None,
        guests: int | None = None,
    ) -> None:
        self.host.signal_guest(name, number)
        self._record(f"{number.name} to the QEMU of {name}", None, locks, guests)

    def cut_off(self, name: str, locks: int | None = None, guests: int | None = None) -> None:
        self.host.cut_off(name)
        self._record(f"end of the connection of {name}", None, locks, guests)

    def look(self, at: str) -> None:
        """Write down the files that a pattern of the host's shell finds, and their modes."""
        self._record(f"look at {at}", self.host.run("sh", "-c", f"stat -c '%a %U %F %n' {at}"))

    def wait_a_moment(self) -> None:
        """Wait until there are no lock files but those of locks: the last step of a scenario."""
        self.host.wait(lambda: not released_files(self.host.state()))
        self._record("a moment later")

    def _record(
        self,
        did: str,
        result: Result | None = None,
        locks: int | None = None,
        guests: int | None = None,
    ) -> None:
        state = self._settled(locks, guests)
        self.steps.append(
            Step(
                did,
                0 if result is None else result.status,
                "" if result is None else self._written(result.said),
                State(
                    tuple(lock._replace(file=self._written(lock.file)) for lock in state.locks),
                    tuple(map(self._written, state.files)),
                    state.guests,
                ),
            )
        )

    def _settled(self, locks: int | None, guests: int | None) -> State:
        # /proc/locks is read in pieces: while others on this machine release locks, one of ours
        # may be missed. So only what was seen twice counts.
        seen: list[State] = []

        def settled() -> bool:
            seen.append(self.host.state())
            return (
                seen[-2:-1] == seen[-1:]
                and locks in (None, len(seen[-1].locks))
                and guests in (None, len(seen[-1].guests))
            )

        self.host.wait(settled)
        return seen[-1]

    def _written(self, text: str) -> str:
        for pattern, word in VOLATILE:
            text = pattern.sub(word, text)
        return re.sub(r"[0-9a-f]{64}", lambda found: self._names.get(found[0], found[0]), text)


# With both kinds of lockspaces.


def start_and_destroy(stage: Stage) -> None:
    stage.look("/run/libvirt/virtlockd*")
    stage.define("one", Disk(stage.disk("a")))
    stage.virsh("start one")
    stage.virsh("reset one")
    stage.virsh("destroy one", locks=0)
    stage.virsh("start one")


def second_start(stage: Stage) -> None:
    disk = Disk(stage.disk("a"))
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh("destroy one", locks=0)
    stage.virsh("start two")
    stage.virsh("start one")


def shareable_disk(stage: Stage) -> None:
    path = stage.disk("a")
    stage.define("one", Disk(path, "shareable"))
    stage.define("two", Disk(path, "shareable"))
    stage.define("three", Disk(path))
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh("start three")
    stage.virsh("destroy one", locks=1)
    stage.virsh("start three")
    stage.virsh("destroy two", locks=0)
    stage.virsh("start three")
    stage.virsh("start one")


def pause_and_resume(stage: Stage) -> None:
    disk = Disk(stage.disk("a"))
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one")
    stage.virsh("suspend one")
    stage.virsh("resume one")
    stage.virsh("suspend one")
    stage.virsh("start two")
    stage.virsh("resume one")
    stage.virsh("domstate one --reason")
    stage.virsh("destroy two", locks=0)
    stage.virsh("resume one")


def attach_and_detach(stage: Stage) -> None:
    first, second, third = stage.disk("a"), stage.disk("b"), stage.disk("c")
    stage.define("one", Disk(first))
    stage.define("two", Disk(second))
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh(f"attach-disk one {second} sdb --targetbus scsi")
    stage.virsh(f"attach-disk one {third} sdb --targetbus scsi")
    stage.virsh(f"attach-disk two {third} sdb --targetbus scsi")
    stage.virsh("detach-disk one sdb", locks=2)
    stage.virsh(f"attach-disk two {third} sdb --targetbus scsi")
    stage.virsh(f"attach-disk one {third} sdb --targetbus scsi --mode shareable")
    stage.virsh(f"attach-disk one {third} sdb --targetbus scsi --mode readonly")
    stage.virsh("destroy two", locks=1)


def killed_guest(stage: Stage) -> None:
    disk = Disk(stage.disk("a"))
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one")
    stage.signal_guest("one", signal.SIGKILL, locks=0, guests=0)
    stage.end_of("one")
    stage.virsh("start two")


def two_names(stage: Stage) -> None:
    """One disk by a symbolic link, a hard link and a doubled slash."""
    path = stage.disk("a")
    directory = stage.host.path(DISKS)
    (directory / "symbolic").symlink_to(path)
    (directory / "hard").hardlink_to(directory / "a")
    names = (path, f"{DISKS}/symbolic", f"{DISKS}/hard", f"{DISKS}//a")
    guests = ("one", "two", "three", "four")
    for guest, name in zip(guests, names, strict=True):
        stage.know(name)
        stage.define(guest, Disk(name))
    for guest in guests:
        stage.virsh(f"start {guest}")
    stage.virsh("destroy four")
    stage.virsh("destroy one")


# With an indirect lockspace.


def refused_by_qemu(stage: Stage) -> None:
    """What can be seen if QEMU's own lock comes first."""
    disk = Disk(stage.disk("a"), qemu_locks=True)
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh("suspend one")
    stage.virsh("start two")


def read_only_disk(stage: Stage) -> None:
    path = stage.disk("a")
    stage.define("one", Disk(path, "readonly"))
    stage.define("two", Disk(path, "readonly"))
    stage.virsh("start one")
    stage.virsh("start two")


def several_disks(stage: Stage) -> None:
    """Where one disk is another's: a guest that starts ends, one that resumes keeps what it got."""
    first, second, third = (Disk(stage.disk(name)) for name in "abc")
    stage.define("one", second)
    stage.define("two", first, second, third)
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh("destroy one", locks=0)
    stage.virsh("start two")
    stage.virsh("suspend two")
    stage.virsh("start one")
    stage.virsh("resume two")
    stage.virsh("destroy one", locks=1)
    stage.virsh("resume two")


def started_paused(stage: Stage) -> None:
    disk = Disk(stage.disk("a"))
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one --paused")
    stage.virsh("start two")
    stage.virsh("resume one")
    stage.virsh("destroy two", locks=0)
    stage.virsh("resume one")


def saved_and_restored(stage: Stage) -> None:
    disk = Disk(stage.disk("a"))
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one")
    stage.virsh("save one /srv/saved", locks=0)
    stage.virsh("start two")
    stage.virsh("restore /srv/saved")
    stage.virsh("destroy two", locks=0)
    stage.virsh("restore /srv/saved")


def committed(stage: Stage) -> None:
    """A snapshot's overlay is committed, and the guest goes back to the disk below."""
    disk = Disk(stage.disk("a"))
    stage.know(f"{DISKS}/overlay")
    stage.define("one", disk)
    stage.define("two", disk)
    stage.virsh("start one")
    stage.virsh(
        "snapshot-create-as one before --disk-only --no-metadata --diskspec"
        f" sda,file={DISKS}/overlay"
    )
    stage.virsh("blockcommit one sda --active --wait --pivot")
    stage.virsh("start two")
    stage.virsh("suspend one", locks=0)
    stage.virsh("resume one")
    stage.virsh("destroy one", locks=0)
    stage.virsh("start two")


def copied(stage: Stage) -> None:
    """A disk is copied, and the guest goes on with the copy."""
    disk = Disk(stage.disk("a"))
    copy = stage.disk("b")
    stage.define("one", disk)
    stage.define("two", disk)
    stage.define("three", Disk(copy))
    stage.virsh("start one")
    stage.virsh(
        f"blockcopy one sda {copy} --format raw --transient-job --reuse-external --wait --pivot"
    )
    stage.virsh("start three")
    stage.virsh("start two")
    stage.virsh("destroy one")


def killed_libvirtd(stage: Stage) -> None:
    first, second = stage.disk("a"), stage.disk("b")
    stage.define("one", Disk(first))
    stage.define("two", Disk(second))
    stage.define("three", Disk(first))
    stage.virsh("start one")
    stage.virsh("start two")
    stage.end_libvirtd(signal.SIGKILL)
    stage.signal_guest("two", signal.SIGKILL, locks=1, guests=1)
    stage.start_libvirtd()
    stage.virsh("list --all")
    stage.virsh("start three")
    stage.virsh("suspend one")
    stage.virsh("resume one")
    stage.virsh("start two")
    stage.virsh("destroy one", locks=1)
    stage.virsh("start three")


def restarted_libvirtd(stage: Stage) -> None:
    first, second = stage.disk("a"), stage.disk("b")
    stage.define("one", Disk(first))
    stage.define("two", Disk(first))
    stage.virsh("start one")
    for _ in range(2):
        stage.end_libvirtd(signal.SIGTERM)
        stage.start_libvirtd()
    stage.virsh("list --all")
    stage.virsh("start two")
    stage.virsh(f"attach-disk one {second} sdb --targetbus scsi")
    stage.end_libvirtd(signal.SIGTERM)
    stage.start_libvirtd()
    stage.virsh("detach-disk one sdb", locks=1)
    stage.virsh("destroy one", locks=0)
    stage.virsh("start two")


def lost_connection(stage: Stage) -> None:
    """A guest whose own connection ends may no longer write, and no longer be."""
    path = stage.disk("a")
    stage.define("one", Disk(path))
    stage.define("two", Disk(stage.disk("b")))
    stage.virsh("start one")
    stage.virsh("start two")
    stage.cut_off("one", locks=1, guests=1)
    stage.end_of("one")
    stage.virsh("start one")
    # One that does not react to the first signal.
    stage.signal_guest("one", signal.SIGSTOP)
    stage.cut_off("one", locks=1, guests=1)
    stage.end_of("one")
    # One that has no locks.
    stage.virsh("suspend two")
    stage.cut_off("two")
    stage.virsh("domstate two --reason")
    stage.virsh("resume two")
    stage.virsh("suspend two")


def unusable_lockspace(stage: Stage) -> None:
    """A file is in the way of the lockspace, from which libvirtd learns as it starts."""
    stage.end_libvirtd(signal.SIGTERM)
    stage.signal_lock_daemon(signal.SIGTERM)
    shutil.rmtree(stage.host.path(LOCKSPACE))
    stage.host.path(LOCKSPACE).touch()
    stage.start_lock_daemon()
    stage.start_libvirtd()
    stage.virsh("list")


def removed_lockspace(stage: Stage) -> None:
    """The directory goes while the daemon knows it: nothing brings it back."""
    stage.define("one", Disk(stage.disk("a")))
    shutil.rmtree(stage.host.path(LOCKSPACE))
    stage.virsh("start one")
    stage.end_libvirtd(signal.SIGTERM)
    stage.start_libvirtd()
    stage.virsh("start one")


def reexecuted_lock_daemon(stage: Stage) -> None:
    first, second = stage.disk("a"), stage.disk("b")
    stage.define("one", Disk(first), Disk(second, "shareable"))
    stage.define("two", Disk(first))
    stage.define("three", Disk(second, "shareable"))
    stage.virsh("start one")
    stage.signal_lock_daemon(signal.SIGUSR1, locks=2, guests=1)
    stage.virsh("start two")
    stage.virsh("start three")
    stage.signal_lock_daemon(signal.SIGUSR1, locks=2, guests=2)
    stage.virsh("suspend one")
    stage.virsh("resume one")
    stage.virsh("destroy one", locks=1)
    stage.virsh("start two")
    stage.cut_off("two", locks=1, guests=1)


def stopped_lock_daemon(stage: Stage) -> None:
    """A daemon that is told to end takes the guests with it that have locks, and not the others."""
    first, second = stage.disk("a"), stage.disk("b")
    stage.define("one", Disk(first))
    stage.define("two", Disk(second))
    stage.define("three", Disk(first))
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh("suspend two")
    stage.signal_lock_daemon(signal.SIGTERM, locks=0, guests=1)
    stage.look("/run/libvirt/virtlockd* || true")
    stage.end_of("one")
    stage.virsh("start three")
    stage.virsh("resume two")
    stage.start_lock_daemon()
    stage.virsh("start three")
    stage.virsh("resume two")
    stage.end_libvirtd(signal.SIGTERM)
    stage.start_libvirtd()
    stage.virsh("resume two")
    stage.virsh("start three")
    stage.virsh("start one")


def killed_lock_daemon(stage: Stage) -> None:
    """A daemon that is killed: its locks go and its guests go on."""
    stage.define("one", Disk(stage.disk("a")))
    stage.virsh("start one")
    stage.kill_lock_daemon()
    _go_on(stage)


def killed_first_process(stage: Stage) -> None:
    """The same with the process whose PID file it is, where that is another one."""
    stage.define("one", Disk(stage.disk("a")))
    stage.virsh("start one")
    stage.signal_lock_daemon(signal.SIGKILL)
    _go_on(stage)


def _go_on(stage: Stage) -> None:
    stage.define("two", Disk(f"{DISKS}/a"))
    stage.virsh("start two")
    stage.virsh("suspend one")
    stage.virsh("resume one")
    stage.start_lock_daemon()
    stage.virsh("resume one")
    stage.virsh("start two")
    stage.end_libvirtd(signal.SIGTERM)
    stage.start_libvirtd()
    stage.virsh("start two")
    stage.virsh("suspend one")
    stage.virsh("resume one")


# Leases. The lockspace of one is TARGET/LOCKSPACE, which the daemon has to know.


def leases(stage: Stage) -> None:
    lease = Lease("locks", "key", "/srv")
    stage.define("one", Disk(stage.disk("a")), lease)
    stage.define("two", Disk(stage.disk("b")), lease)
    stage.define("unknown", Disk(stage.disk("c")), Lease("elsewhere", "key", "/srv"))
    stage.define("offset", Disk(stage.disk("d")), Lease("locks", "other", "/srv", 512))
    stage.virsh("start one")
    stage.host.path(f"{LOCKSPACE}/key").touch(0o600)
    stage.virsh("start one")
    stage.virsh("start two")
    stage.virsh("start unknown")
    stage.virsh("start offset")
    stage.virsh("suspend one")
    stage.virsh("start two")
    stage.virsh("resume one")
    stage.virsh("destroy two", locks=0)
    stage.virsh("destroy one", locks=0)
    stage.virsh("start one --paused")


def leases_only(stage: Stage) -> None:
    """Without automatic ones no lockspace of the configuration is made known to the daemon."""
    stage.host.path(LOCKSPACE).mkdir(exist_ok=True)
    stage.host.path(f"{LOCKSPACE}/key").touch(0o600)
    lease = Lease("locks", "key", "/srv")
    stage.define("none", Disk(stage.disk("a")))
    stage.define("readonly", Disk(stage.disk("b"), "readonly"))
    stage.define("one", Disk(stage.disk("c")), lease)
    stage.virsh("start none")
    stage.virsh("start readonly")
    stage.virsh("start one")


# The unprivileged session, whose libvirtd starts the lock daemon.


def session(stage: Stage) -> None:
    second_start(stage)
    stage.look(f"{RUNTIME}/libvirt/virtlockd*")
    stage.virsh("suspend two")
    stage.virsh("resume two")
    stage.cut_off("two", locks=0, guests=0)


def session_restarted_libvirtd(stage: Stage) -> None:
    stage.define("one", Disk(stage.disk("a")))
    stage.virsh("start one")
    stage.end_libvirtd(signal.SIGKILL)
    stage.start_libvirtd()
    stage.virsh("suspend one")
    stage.virsh("resume one")
    stage.signal_guest("one", signal.SIGKILL, locks=0, guests=0)
    stage.end_of("one")
    stage.virsh("start one")


class Scenario(NamedTuple):
    """A scenario: what is played, with which qemu-lockd.conf, and whose libvirtd it is."""

    play: Callable[[Stage], None]
    settings: Mapping[str, int | str] = INDIRECT
    session: bool = False


def _in_both(play: Callable[[Stage], None]) -> dict[str, Scenario]:
    return {
        f"{play.__name__}-direct": Scenario(play, DIRECT),
        f"{play.__name__}-indirect": Scenario(play, INDIRECT),
    }


SCENARIOS: Final[Mapping[str, Scenario]] = {
    **_in_both(start_and_destroy),
    **_in_both(second_start),
    **_in_both(shareable_disk),
    **_in_both(pause_and_resume),
    **_in_both(attach_and_detach),
    **_in_both(killed_guest),
    **_in_both(two_names),
    "refused_by_qemu": Scenario(refused_by_qemu),
    "read_only_disk": Scenario(read_only_disk),
    "several_disks": Scenario(several_disks),
    "started_paused": Scenario(started_paused),
    **_in_both(saved_and_restored),
    **_in_both(committed),
    **_in_both(copied),
    "killed_libvirtd": Scenario(killed_libvirtd),
    "restarted_libvirtd": Scenario(restarted_libvirtd),
    "lost_connection": Scenario(lost_connection),
    "unusable_lockspace": Scenario(unusable_lockspace),
    "removed_lockspace": Scenario(removed_lockspace),
    **({"reexecuted_lock_daemon": Scenario(reexecuted_lock_daemon)} if STARTS_AGAIN else {}),
    "stopped_lock_daemon": Scenario(stopped_lock_daemon),
    "killed_lock_daemon": Scenario(killed_lock_daemon),
    "killed_first_process": Scenario(killed_first_process),
    "leases": Scenario(leases),
    "leases_only": Scenario(leases_only, ONLY_LEASES),
    "session-direct": Scenario(session, DIRECT, session=True),
    "session-indirect": Scenario(session, session=True),
    "session_restarted_libvirtd": Scenario(session_restarted_libvirtd, session=True),
}

#: Those that are played on every release of Debian: starts, refusals, ends and restarts.
FEW_SCENARIOS: Final = (
    *("start_and_destroy-direct", "start_and_destroy-indirect", "second_start-indirect"),
    *("attach_and_detach-indirect", "killed_guest-indirect", "refused_by_qemu"),
    *("saved_and_restored-indirect", "restarted_libvirtd", "reexecuted_lock_daemon", "leases"),
)


def transcript(directory: Path, lock_daemon: Path, name: str) -> list[Step]:
    """Play the scenario ``name`` on a new host with a lock daemon; what could be seen."""
    scenario = SCENARIOS[name]
    with GuestHost(directory, lock_daemon, scenario.settings, session=scenario.session) as host:
        if not scenario.session:
            host.start_lock_daemon()
        host.start_libvirtd()
        stage = Stage(host)
        scenario.play(stage)
        stage.wait_a_moment()
        return stage.steps


def rendered(steps: list[Step]) -> str:
    """A transcript as text, for people and for failed tests."""
    lines: list[str] = []
    for step in steps:
        lines.append(f"{step.did} -> {step.status}")
        lines += [f"    | {line}" for line in step.said.splitlines()]
        lines += [f"    lock  {' '.join(lock)}" for lock in step.state.locks]
        lines += [f"    file  {file}" for file in step.state.files]
        lines += [f"    guest {guest}" for guest in step.state.guests]
    return "\n".join(lines)
