"""A host with guests: the real libvirtd, QEMU and virsh, and a lock daemon, in namespaces.

Everything that a host writes is its own and goes with it: its /etc/libvirt, /run, /srv and the
directories below /var; so do its processes, whichever way the test ends. What is seen of the host
is seen from outside: its processes in /proc, its locks in the /proc/locks of its namespace.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, NamedTuple

from lockcfg import libvirt_release
from tests.real.libvirtd_host import UNSHARE, environment, namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final, Self

NOBODY: Final = 65534

#: Where guests have their disks, and where a configuration may put its lockspaces.
DISKS: Final = "/srv/disks"
LOCKSPACE: Final = "/srv/locks"

#: What an unprivileged user has instead of the directories in / (a lockspace excepted).
HOME: Final = "/srv/home"
RUNTIME: Final = "/srv/runtime"

#: The directory in which an unprivileged libvirtd looks for ``virtlockd``.
_PROGRAMS: Final = "/srv/programs"

#: A guest's firmware halts its processor: no more is asked of a guest, and nothing is faster.
_FIRMWARE: Final = "/srv/firmware"
_HALT: Final = b"\xf4"

_REPOSITORY: Final = Path(__file__).parent.parent.parent
_SECONDS: Final = 120
#: How long a daemon has to do what no call waits for.
_PATIENCE: Final = 5.0
_PID_FILE: Final = "/run/lock-daemon.pid"

# /proc/locks names a file by its file system and inode, which a tmpfs has no second opinion of.
# The capabilities of QEMU take half a second to find out, once for all hosts.
_MOUNTS: Final = (
    "mount -t tmpfs -o mode=755 tmpfs /srv",
    f"mkdir {DISKS} {HOME} {RUNTIME} {_PROGRAMS}",
    'mount --bind "$1/cache" /var/cache/libvirt',
)

# The first process has no child but the orphans, and takes them in. It ends with the test: its
# standard input is a pipe from there.
_FIRST_PROCESS: Final = """
exec 3<&0
echo ready
cat <&3 &
wait $!
"""

_QEMU_CONF: Final = """\
lock_manager = "lockd"
stdio_handler = "file"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
"""
# QEMU's own user could not open what root makes for it.
_QEMU_CONF_ROOT: Final = """\
user = "+0"
group = "+0"
"""

_LIBVIRTD_CONF: Final = """\
log_outputs = "4:file:/srv/libvirtd.log"
"""

_KVM_CREATE_VM: Final = 0xAE01
_PIDFD_GETFD: Final = 438


class Result(NamedTuple):
    """What a command answered: its exit status, and all that it printed."""

    status: int
    said: str


class Lock(NamedTuple):
    """A lock that covers byte 0 of a file, POSIX or of an open file description.

    ``file`` is its path on the host, ``mode`` is ``exclusive`` or ``shared``; the lock is on the
    bytes ``first`` to ``last``, which is ``EOF`` or a number.
    """

    file: str
    mode: str
    first: str
    last: str


class State(NamedTuple):
    """What can be seen of a host: locks, lockspaces (path and mode of each file), guests."""

    locks: tuple[Lock, ...]
    files: tuple[str, ...]
    guests: tuple[str, ...]


class Disk(NamedTuple):
    """A disk of a guest: a path on the host, and ``shareable``, ``readonly`` or neither.

    With ``qemu_locks`` QEMU takes its own locks on the image too, as it does by default.
    """

    path: str
    mode: str = ""
    qemu_locks: bool = False


class Lease(NamedTuple):
    """A ``<lease>`` of a guest."""

    lockspace: str
    key: str
    target: str
    offset: int = 0


class Process(NamedTuple):
    """A process of a host: its number here and there, and its command line."""

    pid: int
    inner_pid: int
    arguments: tuple[str, ...]


class GuestHost:
    """A running host; a context manager.

    ``directory`` takes its files, its parent what all hosts share. ``lock_daemon`` is the path of a
    program that has virtlockd's options, ``settings`` is qemu-lockd.conf. With ``session`` all is
    run by an unprivileged user, whose libvirtd starts the lock daemon. ``first_uuid`` numbers the
    guests, for several hosts of which no two are to have one guest. ``shared`` are directories of
    the host, and where they are here: several hosts may have one.
    """

    def __init__(
        self,
        directory: Path,
        lock_daemon: Path,
        settings: Mapping[str, int | str],
        *,
        session: bool = False,
        first_uuid: int = 1,
        shared: Mapping[str, Path] = {},
    ) -> None:
        self.lock_daemon: Final = lock_daemon
        self.session: Final = session
        self._directory: Final = directory
        self._settings: Final = settings
        self._shared: Final = shared
        self.domain_type: Final = "kvm" if not session and _has_kvm() else "qemu"
        self._uuids: Final = itertools.count(first_uuid)

    def __enter__(self) -> Self:
        cache = self._directory.parent / "cache"
        cache.mkdir(exist_ok=True)
        for name in ("etc", "run"):
            (self._directory / name).mkdir(parents=True)
        (self._directory / "cache").symlink_to(cache)
        mounts = [*_MOUNTS]
        for inside, outside in self._shared.items():
            mounts += [f"mkdir -p {inside}", f"mount --bind {shlex.quote(str(outside))} {inside}"]
        self._environment = environment(self._directory / "run")
        self._environment["LIBVIRT_DRIVER_DIR"] = "/run/modules"
        if self.session:
            mounts += _opened_to_everyone(_REPOSITORY, Path(sys.base_prefix))
            self._environment |= {
                "HOME": HOME,
                "XDG_RUNTIME_DIR": RUNTIME,
                # Not the program: the directory that has a "virtlockd" in it.
                "VIRTLOCKD_PATH": _PROGRAMS,
            }
        self._process = subprocess.Popen(
            [*UNSHARE, namespace(" && ".join(mounts)) + _FIRST_PROCESS, "sh", self._directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
        )
        try:
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # With its first process the namespace ends, and every process in it.
        with self._process:
            self._process.kill()

    def _set_up(self) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if said != "ready\n":
            raise RuntimeError(f"no namespaces for a host:\n{said}{self._process.stdout.read()}")
        pid = self._process.pid
        self.root = Path(f"/proc/{pid}/root")
        self._namespace = os.stat(f"/proc/{pid}/ns/pid_for_children").st_ino
        self._enter: tuple[str, ...] = (
            *("nsenter", "--target", str(pid), "--mount", "--net"),
            f"--pid=/proc/{pid}/ns/pid_for_children",
            *(("--setgid", str(NOBODY), "--setuid", str(NOBODY)) if self.session else ()),
            "--",
        )
        if self.session:
            self.path(f"{_PROGRAMS}/virtlockd").symlink_to(self.lock_daemon)
            for path in ("/srv", DISKS, HOME, RUNTIME):
                os.chown(self.path(path), NOBODY, NOBODY)
        lockd = "".join(
            f"{key} = {value}\n" if isinstance(value, int) else f'{key} = "{value}"\n'
            for key, value in self._settings.items()
        )
        configuration = f"{HOME}/.config/libvirt" if self.session else "/etc/libvirt"
        self.run("mkdir", "-p", configuration)
        for name, text in (
            ("qemu.conf", _QEMU_CONF + ("" if self.session else _QEMU_CONF_ROOT)),
            ("qemu-lockd.conf", lockd),
            ("libvirtd.conf", _LIBVIRTD_CONF),
        ):
            self.path(f"{configuration}/{name}").write_text(text)
        self.path(_FIRMWARE).write_bytes(_HALT * (64 << 10))

    @property
    def pid(self) -> int:
        """A process that is in the host's namespaces."""
        return self._process.pid

    def path(self, path: str) -> Path:
        """Where a path of the host is here."""
        return self.root / path.lstrip("/")

    @property
    def enter(self) -> tuple[str, ...]:
        """What is in front of a command that is to run on the host."""
        return self._enter

    def popen(self, *command: str) -> subprocess.Popen[str]:
        """Start a command on the host."""
        return subprocess.Popen(
            [*self._enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
        )

    def qemu_pids(self) -> list[int]:
        """The processes of the guests, as they are known here."""
        return [process.pid for process in self._guests().values()]

    def run(self, *command: str) -> Result:
        """Run a command on the host, to its end."""
        done = subprocess.run(
            [*self._enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env=self._environment,
        )
        return Result(done.returncode, done.stdout.strip())

    def virsh(self, command: str) -> Result:
        """Run a command of virsh, or several that ``;`` parts."""
        uri = "qemu:///session" if self.session else "qemu:///system"
        return self.run("virsh", "--connect", uri, command)

    # The daemons.

    def start_lock_daemon(self) -> Result:
        """Start it in the background; it is ready when this returns."""
        return self.run(str(self.lock_daemon), "--daemon", "--pid-file", _PID_FILE)

    def signal_lock_daemon(self, number: signal.Signals) -> None:
        """Send the process of the PID file a signal; where that ends it, wait until it is gone."""
        inner_pid = int(self.path(_PID_FILE).read_text())
        self._signal(number, lambda process: process.inner_pid == inner_pid)

    def kill_lock_daemon(self) -> None:
        """Kill the process that holds the locks, whether or not another watches over it."""
        pids = [process.pid for process in self._lock_daemon()]
        self._signal(
            signal.SIGKILL,
            lambda process: process.pid in pids and not _children(process.pid) & set(pids),
        )

    def _lock_daemon(self) -> list[Process]:
        program = str(self.lock_daemon)
        return [process for process in self.processes() if program in process.arguments[:3]]

    def _signal(self, number: signal.Signals, which: Callable[[Process], bool]) -> None:
        (process,) = filter(which, self.processes())
        os.kill(process.pid, number)
        if number in (signal.SIGTERM, signal.SIGKILL):
            self.wait(lambda: process not in self.processes())

    def start_libvirtd(self) -> Result:
        """Start it in the background, and wait until its drivers are ready.

        Where one is not, it ends itself, and what it says of the driver is the answer.
        """
        started = self.run("libvirtd", "--daemon")
        if started.status or self.virsh("version").status == 0:
            return started
        self.wait(lambda: not self._libvirtd())
        log = self.path("/srv/libvirtd.log").read_text()
        return Result(1, "\n".join(re.findall(r"Initialization of .*", log)))

    def end_libvirtd(self, number: signal.Signals) -> None:
        """End it with a signal; it is gone when this returns."""
        self._signal(number, lambda process: process.arguments[0] == "libvirtd")

    def kill_libvirtd(self) -> None:
        """Kill it, also in the midst of a start: a child that is about to become QEMU has its name
        still. All of them are gone when this returns."""
        for process in self._libvirtd():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.wait(lambda: not self._libvirtd())

    def _libvirtd(self) -> list[Process]:
        return [each for each in self.processes() if each.arguments[0] == "libvirtd"]

    # The guests.

    def make_disk(self, name: str) -> str:
        """Make an empty disk; the path on the host is returned."""
        path = f"{DISKS}/{name}"
        self.path(path).touch()
        os.truncate(self.path(path), 1 << 20)
        if self.session:
            os.chown(self.path(path), NOBODY, NOBODY)
        return path

    def define(
        self,
        name: str,
        disks: tuple[Disk, ...],
        leases: tuple[Lease, ...] = (),
        *,
        on_lockfailure: str = "",
    ) -> None:
        """Define a guest: firmware and disks, which can be attached and detached."""
        file = f"/srv/{name}.xml"
        domain = self._domain(name, disks, leases)
        if on_lockfailure:
            domain = domain.replace(
                "<devices>", f"<on_lockfailure>{on_lockfailure}</on_lockfailure><devices>"
            )
        self.path(file).write_text(domain)
        result = self.virsh(f"define {file}")
        if result.status:
            raise RuntimeError(result.said)

    def _domain(self, name: str, disks: tuple[Disk, ...], leases: tuple[Lease, ...]) -> str:
        devices = "".join(
            "<disk type='file'><driver name='qemu' type='raw'/>"
            f"<source file='{disk.path}'/><target dev='sd{letter}' bus='scsi'/>"
            f"{f'<{disk.mode}/>' if disk.mode else ''}<alias name='ua-sd{letter}'/></disk>"
            for letter, disk in zip(ascii_lowercase, disks, strict=False)
        ) + "".join(
            f"<lease><lockspace>{lease.lockspace}</lockspace><key>{lease.key}</key>"
            f"<target path='{lease.target}' offset='{lease.offset}'/></lease>"
            for lease in leases
        )
        # A disk that is not shareable QEMU locks for itself, before its lock is asked for.
        shared = [
            f"ua-sd{letter}"
            for letter, disk in zip(ascii_lowercase, disks, strict=False)
            if not disk.mode and not disk.qemu_locks
        ]
        if libvirt_release() >= (8, 2, 0):
            element = "qemu:override"
            overrides = "".join(
                f"<qemu:device alias='{alias}'><qemu:frontend>"
                "<qemu:property name='share-rw' type='bool' value='true'/>"
                "</qemu:frontend></qemu:device>"
                for alias in shared
            )
        else:
            element = "qemu:commandline"
            overrides = "".join(
                f"<qemu:arg value='-set'/><qemu:arg value='device.{alias}.share-rw=on'/>"
                for alias in shared
            )
        return f"""
            <domain type='{self.domain_type}'
                xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
              <name>{name}</name>
              <uuid>00000000-0000-4000-8000-{next(self._uuids):012}</uuid>
              <memory unit='MiB'>16</memory>
              <os>
                <type arch='x86_64'>hvm</type>
                <loader readonly='yes' type='rom'>{_FIRMWARE}</loader>
              </os>
              <devices>
                <emulator>/usr/bin/qemu-system-x86_64</emulator>
                <controller type='usb' model='none'/>
                <controller type='scsi' model='virtio-scsi'/>
                <memballoon model='none'/>
                {devices}
              </devices>
              {f"<{element}>{overrides}</{element}>" if overrides else ""}
            </domain>"""

    def signal_guest(self, name: str, number: signal.Signals) -> None:
        """Send a guest's QEMU a signal."""
        os.kill(self._guests()[name].pid, number)

    def cut_off(self, name: str) -> None:
        """End the connection that a guest's QEMU itself has to the lock daemon; QEMU goes on."""
        pid = self._guests()[name].pid
        with _pidfd(pid) as pidfd:
            for number in os.listdir(f"/proc/{pid}/fd"):
                if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
                    continue
                fd = ctypes.CDLL(None).syscall(_PIDFD_GETFD, pidfd, int(number), 0)
                with socket.socket(fileno=fd) as connection, suppress(OSError):
                    if str(connection.getpeername()).endswith("/virtlockd-sock"):
                        connection.shutdown(socket.SHUT_RDWR)
                        return
        raise RuntimeError(f"{name} has no connection to the lock daemon")

    # What can be seen.

    def processes(self) -> Iterator[Process]:
        """The running processes of the host, without zombies."""
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/pid").st_ino != self._namespace:
                    continue
                arguments = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                status = Path(f"/proc/{pid}/status").read_text(errors="replace")
                if arguments:
                    inner_pid = re.findall(r"^NSpid:.*\t(\d+)$", status, re.M)[0]
                    words = tuple(arguments.rstrip("\0").split("\0"))
                    yield Process(int(pid), int(inner_pid), words)

    def _guests(self) -> dict[str, Process]:
        return {
            name[1]: process
            for process in self.processes()
            if (name := re.search(r"^guest=([^,]*)", " ".join(process.arguments[2:3])))
        }

    def state(self) -> State:
        """What can be seen now."""
        return State(
            # Two owners who share a file have one lock of a process, or two of open files.
            tuple(sorted(set(self._locks()))),
            tuple(sorted(self._lockspace_files())),
            tuple(sorted(self._guests())),
        )

    def _locks(self) -> Iterator[Lock]:
        names: dict[tuple[int, int], str] = {}
        for directory in (DISKS, LOCKSPACE):
            for path in sorted(self.path(directory).rglob("*")):
                with suppress(FileNotFoundError):
                    status = path.lstat()
                    name = f"/{path.relative_to(self.root)}"
                    names.setdefault((status.st_dev, status.st_ino), name)
        for line in self.path("/proc/locks").read_text().splitlines():
            words = line.split()
            # Neither the locks of flock(2) nor the wish for a lock that another has.
            if words[1] not in ("POSIX", "OFDLCK"):
                continue
            mode, file, first, last = words[3], words[5], words[6], words[7]
            major, minor, inode = file.split(":")
            path_name = names.get((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
            # QEMU has its own locks, on bytes 100 to 203 of its disks.
            if path_name is not None and first == "0":
                yield Lock(path_name, "exclusive" if mode == "WRITE" else "shared", first, last)

    def _lockspace_files(self) -> Iterator[str]:
        directory = self.path(LOCKSPACE)
        for path in (directory, *directory.rglob("*")):
            with suppress(FileNotFoundError):
                yield f"/{path.relative_to(self.root)} {path.stat().st_mode & 0o7777:04o}"

    def wait(self, condition: Callable[[], bool], patience: float = _PATIENCE) -> bool:
        """Wait until something is so, for so many seconds at most. Whether it is so is returned."""
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def _has_kvm() -> bool:
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(fcntl.ioctl(kvm, _KVM_CREATE_VM, 0))
    except OSError:
        return False
    finally:
        os.close(kvm)
    return True


def _opened_to_everyone(*trees: Path) -> Iterator[str]:
    """Commands that make directories reachable for everyone on a host, wherever they are here.

    A directory above them that is not everyone's is covered with one that has only them in it.
    """
    covers: dict[Path, list[Path]] = {}
    for tree in trees:
        for parent in reversed(tree.parents):
            if not parent.stat().st_mode & 0o001:
                covers.setdefault(parent, []).append(tree)
                break
    for cover, hidden in covers.items():
        paths = [
            (f'"$1/run/kept-{number}"', shlex.quote(str(t))) for number, t in enumerate(hidden)
        ]
        for kept, path in paths:
            yield from (f"mkdir -p {kept}", f"mount --bind {path} {kept}")
        yield f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(cover))}"
        for kept, path in paths:
            yield from (f"mkdir -p {path}", f"mount --move {kept} {path}")
