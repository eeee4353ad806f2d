"""``lockd takeover`` and ``lockd handback``: put lockd in the place of a running virtlockd, and
virtlockd in the place of a running lockd, with all guests running and no lock free meanwhile.

Both check first whether the change can succeed, and change nothing if it cannot. Afterwards they
check each lock. The two daemons make the change itself (:mod:`lockd.daemon.virtlockd`).

At SIGUSR1 virtlockd executes the program in its own place. For the moment of the change that is
lockd, by a mount on the file of virtlockd, which stays as it is.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from struct import Struct

from lockcfg import LockcfgError, read_mounts
from lockd.daemon.virtlockd import PLACES
from lockd.kernel import process
from lockd.locks.remote import remote_mounts
from lockd.programs.inspect import HAND_BACK, STATUS
from lockd.query import OtherDaemonError, QueryError, ask, call
from lockd.survival.journal import FORMAT
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final

    #: The identity of a file in /proc/locks: device (major, minor in hex) and inode.
    File = tuple[str, int]

#: How long the change may take, and how long to wait for calls in progress, in seconds.
_PATIENCE: Final = 60.0
_CALLS: Final = 10.0
_LOOK: Final = 0.02
_LOOKS: Final = 20

#: How many descriptors lockd needs besides those of locks and clients.
_DESCRIPTORS: Final = 64

#: How long a file system may take to answer, in seconds.
_ANSWER: Final = 5.0

_PIDFD_GETFD: Final = 438
_CREDENTIALS: Final = Struct("iII")

#: The programs that call for guests: as long as one of them is connected, a call may be in
#: progress.
_LIBVIRT: Final = ("libvirtd", "virtqemud", "virtxend")


class RefusedError(Exception):
    """The change cannot succeed, or has failed. The text has a line for each reason."""


def main(arguments: Sequence[str], address: str, aside: str) -> int:
    """Run the command; returns its exit status. ``address`` is the admin socket, ``aside`` a path
    for virtlockd while lockd is in its place."""
    there = arguments[0] == "takeover"
    parser = argparse.ArgumentParser(
        prog=f"lockd {arguments[0]}",
        description=(
            "Put lockd in the place of the running virtlockd, in the same process: guests keep"
            " running, and no lock is free meanwhile."
            if there
            else "Put virtlockd in the place of the running lockd, in the same process: guests"
            " keep running, and no lock is free meanwhile."
        )
        + " Exit status: 0 done, or nothing to do; 1 refused, nothing has changed; 3 failed.",
        allow_abbrev=False,
    )
    parser.add_argument("--dry-run", action="store_true", help="only say whether it would be done")
    if there:
        parser.add_argument(
            "--pid", type=int, help="the process of virtlockd, if there are several"
        )
    else:
        parser.add_argument("--program", help="virtlockd, if it is not where libvirt puts it")
    options = parser.parse_args(arguments[1:])
    try:
        said = _take_over(options, address, aside) if there else _hand_back(options, address)
    except RefusedError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"lockd {arguments[0]}: {line}\n")
        sys.stderr.write(f"lockd {arguments[0]}: refused: nothing has changed\n")
        return 1
    except (OSError, subprocess.SubprocessError, QueryError) as error:
        sys.stderr.write(f"lockd {arguments[0]}: {error}\n")
        return 3
    sys.stdout.write(f"{said}\n")
    return 0


# --- from virtlockd


def _take_over(options: argparse.Namespace, address: str, aside: str) -> str:
    pid = options.pid or _virtlockd()
    if not pid:
        return "no virtlockd runs: nothing to take over"
    process = _Process(pid)
    reasons = [*_against(process)]
    if reasons:
        raise RefusedError("\n".join(reasons))
    locked = process.locked()
    what = f"{len(locked)} locks of virtlockd (pid {pid})"
    if options.dry_run:
        return f"would take over {what}"
    with _in_place_of(process, aside):
        # What virtlockd is about to execute is not only the same file: it has another place.
        reasons = _does_not_start(process.program, process)
        if reasons:
            raise RefusedError("\n".join(reasons))
        process.wait_for_quiet()
        os.kill(pid, signal.SIGUSR1)
        _wait(lambda: _is_lockd(process, address, aside), process, "lockd has taken over")
    status = ask(address, lambda connection: call(connection, STATUS))
    _check_held(locked, status["pid"])
    return f"took over {what}: they are lockd's now, and all guests run"


def _virtlockd() -> int:
    """The process of this user's virtlockd; 0 if there is none. Raises RefusedError if there are
    several."""
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            program = os.readlink(f"/proc/{entry}/exe").removesuffix(" (deleted)")
            if (
                os.path.basename(program).startswith("virtlockd")
                and os.stat(f"/proc/{entry}").st_uid == os.geteuid()
                and all(_is_same_namespace(int(entry), kind) for kind in ("pid", "mnt"))
            ):
                found.append(int(entry))
    if len(found) > 1:
        pids = ", ".join(map(str, sorted(found)))
        raise RefusedError(f"several virtlockds run ({pids}): tell which one with --pid")
    return found[0] if found else 0


def _is_same_namespace(pid: int, kind: str) -> bool:
    """Whether a process is in the same namespace as this one. Raises OSError."""
    return os.path.samefile(f"/proc/{pid}/ns/{kind}", f"/proc/self/ns/{kind}")


class _Process:
    """A running virtlockd, seen from outside."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
        self.arguments: Final = [os.fsdecode(word) for word in words]

    @property
    def environment(self) -> dict[str, str]:
        """virtlockd's environment, with which the next program starts."""
        with open(f"/proc/{self.pid}/environ", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)

    @property
    def program(self) -> str:
        """The file that it executes at SIGUSR1; empty if unknown."""
        place = self.arguments[0]
        if "/" not in place:
            # As execvp(3) finds it.
            for directory in self.environment.get("PATH", os.defpath).split(":"):
                if os.access(os.path.join(directory, place), os.X_OK):
                    return os.path.realpath(os.path.join(directory, place))
            return ""
        return os.path.realpath(os.path.join(os.readlink(f"/proc/{self.pid}/cwd"), place))

    def locked(self) -> dict[File, list[str]]:
        """The files that it has locked, with their paths."""
        return _locked(self.pid, _LOCK)

    def twice(self) -> Iterator[str]:
        """The locked files that it has open more than once, in words: the kernel reports a lock
        with only one of the descriptors."""
        found: dict[tuple[int, int], list[str]] = {}
        for path, status in _files(self.pid):
            found.setdefault((status.st_dev, status.st_ino), []).append(path)
        locked = {path for paths in self.locked().values() for path in paths}
        for paths in found.values():
            if len(paths) > 1 and not locked.isdisjoint(paths):
                yield " and ".join(paths)

    def callers(self) -> Iterator[str]:
        """The connected programs that call for guests, in words."""
        pidfd = os.pidfd_open(self.pid)
        try:
            for fd in os.listdir(f"/proc/{self.pid}/fd"):
                caller = _caller(pidfd, int(fd))
                if caller:
                    with suppress(OSError):
                        program = os.path.basename(os.readlink(f"/proc/{caller}/exe"))
                        if program in _LIBVIRT:
                            yield f"{program} (pid {caller})"
        finally:
            os.close(pidfd)

    def wait_for_quiet(self) -> None:
        """Wait until no call is in progress: virtlockd would not answer it."""
        end = time.monotonic() + _CALLS
        while callers := [*self.callers()]:
            if time.monotonic() > end:
                raise RefusedError(f"calls are in progress all the time: {', '.join(callers)}")
            time.sleep(_LOOK / 10)


#: A lock on byte 0 in /proc/PID/fdinfo and in /proc/locks; that of a PID file is longer.
_LOCK_WORDS: Final = r" +ADVISORY +(?:READ|WRITE) +-?\d+ +([0-9a-f]+:[0-9a-f]+):(\d+) 0 0$"
_LOCK: Final = re.compile(r"^lock:\s+\d+: POSIX" + _LOCK_WORDS, re.M)
_OWN_LOCK: Final = re.compile(r"^lock:\s+\d+: (?:OFDLCK|POSIX)" + _LOCK_WORDS, re.M)
_HELD: Final = re.compile(r"^\d+: (?:OFDLCK|POSIX)" + _LOCK_WORDS, re.M)


def _files(pid: int) -> Iterator[tuple[str, os.stat_result]]:
    """The lock files and disks that a process has open: path and status."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            status = os.stat(f"/proc/{pid}/fd/{fd}")
            is_file = stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)
            if path.startswith("/") and is_file and not path.endswith((".pid", ".log")):
                yield path, status


def _locked(pid: int, pattern: re.Pattern[str]) -> dict[File, list[str]]:
    """The files that a process has locked, except for its PID file, with their paths."""
    found: dict[File, list[str]] = {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with suppress(OSError), open(f"/proc/{pid}/fdinfo/{fd}") as file:
            lock = pattern.search(file.read())
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            if lock is not None and not path.endswith(".pid"):
                found.setdefault((lock[1], int(lock[2])), []).append(path)
    return found


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _caller(pidfd: int, number: int) -> int:
    """The process at the other end of a process's descriptor; 0 if that is not a connection."""
    fd = _LIBC.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        return 0
    try:
        with socket.socket(fileno=fd) as connection:
            if connection.family != socket.AF_UNIX or connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                return 0
            return int(
                _CREDENTIALS.unpack(
                    connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                )[0]
            )
    except OSError:
        os.close(fd)
        return 0


def _against(process: _Process) -> Iterator[str]:
    """Why lockd could not take over, a sentence each."""
    if any(not _is_same_namespace(process.pid, kind) for kind in ("pid", "mnt")):
        yield "virtlockd sees other files than this command: run it where virtlockd runs (nsenter)"
        return
    program = process.program
    if not program or not os.access(program, os.X_OK):
        yield f"the place of virtlockd is not known: it was started as {process.arguments[0]!r}"
    yield from _does_not_start(_program(), process)
    locked = process.locked()
    for names in process.twice():
        yield (
            f"two guests write one disk: virtlockd has granted {names}, which is one file; shut"
            " one of them down"
        )
    for paths in locked.values():
        if paths[0].endswith(" (deleted)"):
            yield f"the lock file {paths[0]} was removed: pause its guest and resume it"
    yield from _silent([path for paths in locked.values() for path in paths])
    most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]
    needed = len(os.listdir(f"/proc/{process.pid}/fd")) + _DESCRIPTORS
    if needed > most:
        yield f"virtlockd may have {most} descriptors, and lockd needs {needed} in its place"


def _does_not_start(program: str, process: _Process) -> list[str]:
    """Why lockd would not start in virtlockd's process, a sentence each: ``program`` is started
    once, with the arguments and the environment that it would have."""
    checked = subprocess.run(
        [program, f"--takes-over={FORMAT}", *process.arguments[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=process.environment,
        timeout=_PATIENCE,
    )
    if not checked.returncode:
        return []
    return checked.stderr.strip().splitlines() or [f"{program} does not start"]


def _silent(paths: Sequence[str]) -> Iterator[str]:
    """The file systems of some files that do not answer, a sentence each."""
    try:
        mounts = {each.point: each for each in read_mounts()}
    except LockcfgError as error:
        yield error.message
        return
    silent: set[str] = set()
    for path in paths:
        for _, asked in remote_mounts(path, mounts):
            thread = threading.Thread(target=_ask_file_system, args=(asked,), daemon=True)
            thread.start()
            thread.join(_ANSWER)
            if thread.is_alive():
                silent.add(asked)
                break  # no further: a look behind it would wait
    for asked in sorted(silent):
        yield f"{asked}: the file system does not answer"


def _ask_file_system(path: str) -> None:
    with suppress(OSError):
        os.statvfs(path)


@contextmanager
def _in_place_of(process: _Process, aside: str) -> Iterator[None]:
    """Put lockd in virtlockd's place, and virtlockd ``aside`` for the way back."""
    place = process.program
    with open(aside, "wb"):
        pass
    mounted: list[str] = []
    try:
        for source, target in ((place, aside), (_program(), place)):
            done = _run("mount", "--bind", source, target)
            if done:
                raise RefusedError(f"{source} cannot be mounted on {target}: {done}")
            mounted.append(target)
        yield
    finally:
        for target in reversed(mounted):
            _run("umount", "--lazy", target)
        with suppress(OSError):
            os.unlink(aside)


def _program() -> str:
    """The executable file of lockd, which works wherever it is mounted."""
    beside = os.path.dirname(sys.executable)
    # The program that people start looks for its interpreter beside itself; another one names it.
    places = [os.path.join(beside, "lockd-in-place"), sys.argv[0], os.path.join(beside, "lockd")]
    for place in places:
        with suppress(OSError), open(place, "rb") as file:
            if file.read(2) == b"#!" and os.access(place, os.X_OK):
                return os.path.realpath(place)
    raise RefusedError("the program 'lockd' is not beside its interpreter")


def _run(*command: str) -> str:
    """Run a command. Returns what is wrong, or empty text."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE
    )
    return (done.stderr.strip() or f"exit status {done.returncode}") if done.returncode else ""


def _is_lockd(process: _Process, address: str, aside: str) -> bool:
    """Whether lockd answers in virtlockd's place, and its locks are kept. Raises RefusedError if
    virtlockd has continued."""
    program = os.path.basename(os.readlink(f"/proc/{process.pid}/exe"))
    if program == os.path.basename(aside):
        raise RefusedError("lockd cannot take over what virtlockd left: see virtlockd's log")
    if program.startswith("virtlockd"):
        return False
    try:
        status = ask(address, lambda connection: call(connection, STATUS))
    except QueryError:
        return False
    return bool(status["keeper"] == "ok")


# --- back to virtlockd


def _hand_back(options: argparse.Namespace, address: str) -> str:
    try:
        status = ask(address, lambda connection: call(connection, STATUS))
    except OtherDaemonError:
        return "virtlockd holds the locks already"
    except QueryError:
        return "no lockd runs: nothing to hand back"
    program = options.program or next((each for each in PLACES if os.path.exists(each)), "")
    reasons = [*_against_virtlockd(os.path.realpath(program) if program else "")]
    if reasons:
        raise RefusedError("\n".join(reasons))
    program = os.path.realpath(program)
    what = f"{status['locks']} locks of lockd (pid {status['pid']})"
    if options.dry_run:
        return f"would hand back {what}"
    held = _locked(status["pid"], _OWN_LOCK)
    main_pid = _main_process(status["pid"])
    end = time.monotonic() + _CALLS
    while why := _ask_to_hand_back(program, address):
        if time.monotonic() > end:
            raise RefusedError(why)
        time.sleep(_LOOK)
    end = time.monotonic() + _PATIENCE
    while not _is_virtlockd(address):
        if time.monotonic() > end or not _runs(main_pid):
            raise QueryError("virtlockd has not continued: see lockd's log for the reason")
        time.sleep(_LOOK)
    _check_held(held, _virtlockd())
    return f"handed back {what}: they are virtlockd's now, and all guests run"


def _ask_to_hand_back(program: str, address: str) -> str:
    answer: dict[str, Any] = ask(
        address,
        lambda connection: call(connection, HAND_BACK, pack_string(program)),
    )
    return str(answer["refused"])


def _main_process(pid: int) -> int:
    """The process that becomes virtlockd: lockd's supervisor, or the daemon if it has none."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        parent = next(int(line[5:]) for line in file if line.startswith("PPid:"))
    return parent if process.name(parent) == "lockd" else pid


def _is_virtlockd(address: str) -> bool:
    try:
        ask(address, lambda connection: call(connection, STATUS))
    except OtherDaemonError:
        return True
    except QueryError:
        return False
    return False


def _against_virtlockd(program: str) -> Iterator[str]:
    """Why virtlockd could not start, a sentence each: it is started once, with a /run of its own,
    on the current configuration."""
    if not program or not os.access(program, os.X_OK):
        yield "virtlockd is not installed: tell where it is with --program"
        return
    version = subprocess.run(
        [program, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    if version.returncode or "(libvirt)" not in version.stdout:
        said = (version.stdout + version.stderr).strip()
        yield f"{program} is not libvirt's virtlockd: {said!r}"
        return
    script = 'mount -t tmpfs tmpfs /run && mkdir /run/libvirt && exec "$0" --timeout 1'
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE,
    )
    if tried.returncode:
        yield f"virtlockd does not start with this configuration: {tried.stderr.strip()}"


# --- afterwards


def _runs(pid: int) -> bool:
    """Whether a process runs, and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in (b"Z", b"X")


def _wait(is_so: Callable[[], bool], process: _Process, what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > end or not _runs(process.pid):
            raise QueryError(f"cannot see that {what}: see the log, and 'lockd status'")
        time.sleep(_LOOK)


def _check_held(locked: dict[File, list[str]], pid: int) -> None:
    """Check that all files are still locked, except those released since, which the process ``pid``
    no longer has open. Raises QueryError."""
    missing = locked
    for _ in range(_LOOKS):
        # It is read in pieces: while others release locks, a lock may be missed.
        with open("/proc/locks") as file:
            held = {(lock[1], int(lock[2])) for lock in _HELD.finditer(file.read())}
        is_open = {path for path, _ in _files(pid)}
        missing = {
            known: paths
            for known, paths in missing.items()
            if known not in held and not is_open.isdisjoint(paths)
        }
        if not missing:
            return
        time.sleep(_LOOK)
    for paths in missing.values():
        raise QueryError(f"{paths[0]} is no longer locked: see the log")
