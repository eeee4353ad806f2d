"""Sits in the namespaces together with a daemon, plays plays against it and tells what it saw.

Run as a module, with the daemon's command line as its arguments; plays come in on standard input
and transcripts go out on standard output, both pickled. None ends the daemon, and asks what files
the plays that it was in have left.

The daemon is asked for nothing but to be alive: between steps the player sends pings on a
connection of its own until whatever the daemon had to do must be done, for both daemons work
through what is ready before they look for more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.real.protocol import messages
from tests.real.protocol.steps import (
    DIRECTORIES,
    FILES,
    LINKS,
    ROOT,
    Close,
    Hold,
    Open,
    Play,
    Remove,
    Seen,
    Send,
    Transcript,
    home,
    pid,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, NoReturn

    from tests.real.protocol.steps import Files, Step

LOCK_SOCKET: Final = "/run/libvirt/virtlockd-sock"
ADMIN_SOCKET: Final = "/run/libvirt/virtlockd-admin-sock"
LOG: Final = "/run/daemon.log"

# From here on are those of the daemon and what it starts: below those of the plays.
_OTHER_PIDS: Final = 100

# How often to try for a pid that another process was given.
_ATTEMPTS: Final = 20

_START_SECONDS: Final = 60
_HANG_SECONDS: Final = 15

# Round trips: after anything, and besides for every message sent.
_TRIPS: Final = 4
_TRIPS_A_MESSAGE: Final = 2

# How long a process may take to die of its connection, and how long a careful player rests
# between two round trips. In seconds.
_DEATH: Final = {False: 0.1, True: 1.0}
_REST: Final = 0.005

# After how long a daemon has tidied up, in seconds.
_LATER: Final = 0.5


def _next_pid(number: int) -> None:
    """Say which one the kernel is to take next, as long as it is free."""
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(number - 1))


class TroubleError(Exception):
    """The daemon no longer answers."""


class Daemon:
    """The daemon, and the player's own connection to each of its sockets."""

    def __init__(self, command: list[str]) -> None:
        _next_pid(_OTHER_PIDS)
        with open(LOG, "wb") as log:
            self._process: Final = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pings: Final = self._connect(LOCK_SOCKET)
        self._admin: Final = self._connect(ADMIN_SOCKET)

    def _connect(self, path: str) -> socket.socket:
        until = time.monotonic() + _START_SECONDS
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(path)
            except OSError:
                connection.close()
                if self._process.poll() is not None or time.monotonic() > until:
                    raise TroubleError(f"it does not start: {self.last_words()}") from None
                time.sleep(0.005)
            else:
                connection.settimeout(_HANG_SECONDS)
                return connection

    def last_words(self) -> str:
        """The end of its log."""
        with open(LOG, "rb") as log:
            return log.read().decode(errors="replace")[-4000:]

    def ping(self) -> None:
        """One round trip."""
        try:
            self.pings.sendall(messages.PING)
            answer = self.pings.recv(messages.HEADER_SIZE)
        except TimeoutError:
            raise TroubleError("it hangs") from None
        except OSError:
            answer = b""
        if not answer:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            raise TroubleError(f"it ended with {self._process.returncode}")

    def stop(self) -> None:
        self.pings.close()
        self._admin.close()
        self._process.terminate()
        try:
            self._process.wait(_HANG_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Process:
    """A process that makes connections and hands them over. It keeps nothing of them."""

    def __init__(self, number: int) -> None:
        self._control, theirs = socket.socketpair()
        self.number: Final = number
        for _ in range(_ATTEMPTS):
            _next_pid(number)
            child = os.fork()
            if not child:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self._serve(theirs)
            if child == number:
                break
            # The daemon started a thread at that moment.
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        else:
            raise TroubleError(f"the play's pid {number} is not to be had")
        _next_pid(_OTHER_PIDS)
        theirs.close()

    @staticmethod
    def _serve(control: socket.socket) -> NoReturn:
        try:
            while path := control.recv(100):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(path.decode())
                    socket.send_fds(control, [b"."], [connection.fileno()])
        finally:
            os._exit(0)

    def connect(self, path: str) -> socket.socket:
        self._control.sendall(path.encode())
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not descriptors:
            raise ConnectionError("the process is gone")
        return socket.socket(fileno=descriptors[0])

    def close(self) -> None:
        self._control.close()


class Stage:
    """One play in progress."""

    def __init__(self, daemon: Daemon, play: Play, *, careful: bool) -> None:
        self._daemon: Final = daemon
        self._play: Final = play
        self._careful: Final = careful
        self._home: Final = home(play.number)
        self._device: Final = os.stat(ROOT).st_dev
        self._paths: Final[dict[int, str]] = {}
        self._connections: Final[dict[int, socket.socket]] = {}
        self._makers: Final[dict[int, int]] = {}
        self._unread: Final[dict[int, bytes]] = {}
        self._held: Final[dict[str, int]] = {}
        self._processes: Final[list[Process]] = []
        self._ended: Final[dict[int, int]] = {}
        self._told: Final[set[int]] = set()
        self._lay_out()

    def _lay_out(self) -> None:
        os.mkdir(self._home)
        for name in DIRECTORIES:
            os.mkdir(f"{self._home}/{name}")
        for name in FILES:
            with open(f"{self._home}/{name}", "w"):
                pass
        for name, target in LINKS.items():
            os.symlink(f"{self._home}/{target}", f"{self._home}/{name}")

    def _reap(self, *_: object) -> None:
        # At once: virtlockd stands still while it kills one that is not reaped.
        for index, process in enumerate(self._processes):
            if index not in self._ended:
                with contextlib.suppress(ChildProcessError):
                    found, status = os.waitpid(process.number, os.WNOHANG)
                    if found:
                        self._ended[index] = os.waitstatus_to_exitcode(status)

    def run(self) -> Transcript:
        """Play it."""
        seen: list[Seen] = []
        trouble = ""
        signal.signal(signal.SIGCHLD, self._reap)
        try:
            # Before there are connections, which they would inherit.
            for index in range(self._play.processes):
                self._processes.append(Process(pid(self._play.number, index)))
            for step in self._play.steps:
                sent = self._perform(step)
                seen.append(self._see(sent, step))
        except TroubleError as error:
            trouble = str(error)
        self._clear_away()
        return Transcript(tuple(seen), trouble, self._daemon.last_words() if trouble else "")

    def _clear_away(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for connection in self._connections.values():
            connection.close()
        for descriptor in self._held.values():
            os.close(descriptor)
        for index, process in enumerate(self._processes):
            process.close()
            if index not in self._ended:
                with contextlib.suppress(ChildProcessError):
                    os.kill(process.number, signal.SIGKILL)
                    os.waitpid(process.number, 0)

    def _perform(self, step: Step) -> int:
        """Do it; how many messages the daemon has to deal with."""
        match step:
            case Open(number, process, admin):
                self._open(number, process, ADMIN_SOCKET if admin else LOCK_SOCKET)
            case Send(number, pieces):
                self._send(number, pieces)
                return 1 + len(step.data) // messages.HEADER_SIZE
            case Close(number, half):
                self._close(number, half=half)
            case Hold(path, shared, release):
                self._hold(path, shared=shared, release=release)
            case Remove(path, replace):
                with contextlib.suppress(OSError):
                    os.unlink(path)
                if replace:
                    with contextlib.suppress(OSError), open(path, "x"):
                        pass
        return 0

    def _open(self, number: int, process: int | None, path: str) -> None:
        if number in self._connections or process in self._ended:
            return
        if process is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
        else:
            try:
                connection = self._processes[process].connect(path)
            except OSError:
                return
            self._makers[number] = process
        connection.setblocking(False)
        self._connections[number] = connection
        self._unread[number] = b""

    def _send(self, number: int, pieces: tuple[bytes, ...]) -> None:
        for index, piece in enumerate(pieces):
            if index:
                self._settle(1)
            left = piece
            until = time.monotonic() + _HANG_SECONDS
            while left and number in self._connections:
                try:
                    left = left[self._connections[number].send(left) :]
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise TroubleError("it reads nothing") from None
                    self._settle(1)
                except OSError:
                    return  # It is closed, which is seen when it is read from.

    def _close(self, number: int, *, half: bool) -> None:
        if number not in self._connections:
            return
        if half:
            with contextlib.suppress(OSError):
                self._connections[number].shutdown(socket.SHUT_WR)
        else:
            self._connections.pop(number).close()

    def _hold(self, path: str, *, shared: bool, release: bool) -> None:
        # Closing any descriptor of the file gives up the lock, so there is one for each.
        if release or path in self._held:
            if path in self._held:
                os.close(self._held.pop(path))
            return
        with contextlib.suppress(OSError):
            self._held[path] = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.lockf(self._held[path], kind | fcntl.LOCK_NB, 1, 0)

    def _settle(self, trips: int) -> None:
        for _ in range(trips):
            self._daemon.ping()
            if self._careful:
                time.sleep(_REST)

    def _see(self, sent: int, step: Step) -> Seen:
        self._settle(_TRIPS + _TRIPS_A_MESSAGE * sent)
        came: dict[int, bytes] = {}
        gone: list[int] = []
        while self._drain(came, gone):
            self._settle(_TRIPS)
        self._await_deaths([*gone, step.connection] if isinstance(step, Close) else gone)
        ended = sorted(set(self._ended) - self._told)
        self._told.update(ended)
        for entry in _walk(self._home):
            self._paths[entry.inode()] = entry.path.removeprefix(f"{self._home}/")
        return Seen(
            tuple((number, self._messages(number, data)) for number, data in sorted(came.items())),
            tuple(sorted(gone)),
            tuple((index, self._ended[index]) for index in ended),
            files_of(self._play.number),
            self._locks(),
        )

    def _await_deaths(self, closed: list[int]) -> None:
        """Leave the daemon time to end the processes whose connections are closed."""
        doomed = {self._makers[number] for number in closed if number in self._makers}
        until = time.monotonic() + _DEATH[self._careful]
        while doomed - set(self._ended) and time.monotonic() < until:
            time.sleep(0.001)
        if doomed:
            self._settle(_TRIPS)

    def _drain(self, came: dict[int, bytes], gone: list[int]) -> bool:
        """Read what there is; whether there was any."""
        found = False
        for number, connection in list(self._connections.items()):
            with contextlib.suppress(BlockingIOError):
                while True:
                    try:
                        data = connection.recv(1 << 20)
                    except ConnectionResetError:
                        data = b""
                    found = True
                    if not data:
                        gone.append(number)
                        self._connections.pop(number).close()
                        break
                    came[number] = came.get(number, b"") + data
        return found

    def _messages(self, number: int, data: bytes) -> tuple[bytes, ...]:
        found, rest = messages.split(self._unread[number] + data)
        found = [messages.without_chance(reply) for reply in found]
        self._unread[number] = rest
        return (*found, rest) if rest and number not in self._connections else tuple(found)

    def _locks(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            sorted(
                (self._paths[inode], kind)
                # The kernel may tell of one twice, where others come and go meanwhile.
                for kind, inode in set(self._kernel_locks())
                if inode in self._paths
            )
        )

    def _kernel_locks(self) -> Iterator[tuple[str, int]]:
        """Kind and inode of every lock on byte 0 where plays have files that is not ours."""
        own = str(os.getpid())
        with open("/proc/locks") as table:
            for line in table:
                match line.split():
                    case [_, "POSIX" | "OFDLCK", _, kind, holder, place, "0", "0"]:
                        major, minor, inode = place.split(":")
                        device = os.makedev(int(major, 16), int(minor, 16))
                        if device == self._device and holder != own:
                            yield kind, int(inode)


def _walk(directory: str) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(directory):
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)


def files_of(number: int) -> Files:
    """The files of a play; to the size counts what is in extended attributes."""
    found = []
    for entry in _walk(home(number)):
        state = entry.stat(follow_symlinks=False)
        size = 0 if stat.S_ISDIR(state.st_mode) else state.st_size
        if stat.S_ISREG(state.st_mode):
            size += sum(len(os.getxattr(entry.path, name)) for name in os.listxattr(entry.path))
        path = entry.path.removeprefix(f"{home(number)}/")
        found.append((path, stat.filemode(state.st_mode), size))
    return tuple(sorted(found))


def _clean_up() -> None:
    for entry in os.scandir(ROOT):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)


def main(command: list[str]) -> None:
    """Play what comes in until nothing more does."""
    daemon: Daemon | None = None
    played: list[int] = []
    requests, answers = os.fdopen(0, "rb"), os.fdopen(1, "wb")
    with contextlib.suppress(EOFError):
        while True:
            request: tuple[Play, bool] | None = pickle.load(requests)
            if request is None:
                time.sleep(_LATER if played else 0)
                answer: object = {number: files_of(number) for number in played}
                played.clear()
                if daemon is not None:
                    daemon.stop()
                daemon = None
            else:
                if daemon is None:
                    _clean_up()
                    daemon = Daemon(command)
                play, careful = request
                played.append(play.number)
                answer = Stage(daemon, play, careful=careful).run()
            pickle.dump(answer, answers)
            answers.flush()
    if daemon is not None:
        daemon.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
