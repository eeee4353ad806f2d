"""Starts the daemon again when it dies, and keeps its descriptors meanwhile.

It replaces systemd on hosts without it. The daemon runs as a child and sends its descriptors to the
supervisor's ``NOTIFY_SOCKET`` (sd_notify(3)). If it ends unexpectedly, the supervisor starts it
again and passes the descriptors back (sd_listen_fds(3)). The supervisor does nothing else, so
little can go wrong in it.

It waits for no file system. The last close of a file may wait for a server, so that has a thread of
its own. And the kernel may not let a daemon end that has files of a silent file system open: the
supervisor starts the next one beside what is left of it.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from select import POLLIN, poll

from lockd.kernel import named
from lockd.kernel.aside import apart
from lockd.kernel.background import write_pid
from lockd.kernel.filelock import hold_whole_life
from lockd.kernel.loaded import files_of_program, is_alone
from lockd.kernel.loop import hold_signals, take_signals
from lockd.kernel.process import is_exiting, open_status
from lockd.survival.handover import ENDING, GUARD, HANDS_BACK, SUPERVISED
from lockd.survival.keeper import BECOME, WATCHDOG_SECONDS
from lockd.survival.kept import PID_FILE
from lockd.survival.queues import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from lockd.log import Log

#: A daemon that ran for less than this, in seconds, is started again only after a pause, which
#: doubles each time, from the first to the last of these.
_SOON: Final = 1.0
_PAUSES: Final = (0.05, 5.0)

_MAX_MESSAGE: Final = 4096
_ANCILLARY: Final = socket.CMSG_SPACE(16 * 4)
_TO_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_FORWARDED: Final = (*_TO_STOP, signal.SIGUSR1, signal.SIGUSR2)

#: How often a daemon is started again that is killed, or fails, while it ends as it was asked to,
#: so that it sees its guests off.
_TRIES_TO_END: Final = 10

#: How long until something is tried again that the system refused, and how often it is looked
#: whether the daemon is there, and gives signs of life, in seconds: to be told of its end takes a
#: signal and a pipe. After how long this process itself has not been running.
_AGAIN: Final = 0.1
_LOOK: Final = 1.0
_SLEPT: Final = 3.0

#: After how many seconds the next daemon is started while the kernel still closes the files of one
#: that has been killed.
_TO_CLOSE: Final = 1.0

#: How long a process is watched over that is to become virtlockd, in seconds: longer than it tries.
_GUARDED: Final = 60.0

#: How likely the kernel kills this process and its child when memory runs out: -1000 to 1000.
_OOM_SCORE: Final = "-900"


class Supervisor:
    """Runs ``command``. ``address`` is the path of its notify socket; ``ready`` is called once,
    when the daemon is up, and is None if an earlier daemon was; ``kept`` are descriptors that the
    daemon gets besides its own. ``daemon`` is the program itself, with these, and whether it is the
    first one: the child runs it as it is loaded here, which takes much less time than to load it.
    It is loaded again if it is not what is installed by then, or if the last one has ended at once.
    Raises OSError if the socket cannot be made."""

    def __init__(
        self,
        command: list[str],
        address: str,
        log: Log,
        ready: Callable[[], object] | None,
        kept: Mapping[str, int],
        daemon: Callable[[dict[str, int], bool], int] | None = None,
    ) -> None:
        self._command: Final = command
        self._log: Final = log
        self._address: Final = address
        self._ready = ready
        self._kept: Final = dict(kept)
        self._daemon: Final = daemon
        self._loaded: Final = files_of_program()
        self._ended_at_once = False
        self._child = 0
        #: The daemons before it that have not ended yet; what the kernel says of this one, and
        #: since when it has been ending.
        self._left: Final[list[int]] = []
        self._status = -1
        self._exiting = 0.0
        self._stopping = False
        self._ending = False
        self._becomes = ""
        #: When the daemon last gave a sign of life; 0 as long as it has not begun to.
        self._alive = 0.0
        self._socket: Final = _listen(address)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> int:
        """Run the daemon until it ends as it was asked to, or does not come up the first time;
        returns its exit status. One that is killed while it ends has not seen its guests off: the
        next one does."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        take_signals()
        _set_oom_score()
        pause, last = _PAUSES
        tries = _TRIES_TO_END
        try:
            while True:
                started = time.monotonic()
                status = self._run_child()
                if self._becomes:
                    self._go_back()
                    continue
                is_asked_to = self._ending or self._stopping
                tries -= is_asked_to
                if status is None:
                    self._log.error(
                        "the daemon was killed, and cannot end before a file system answers:"
                        " starting the next one"
                    )
                    continue
                if self._ready is not None or (is_asked_to and (not status or not tries)):
                    return _exit_status(status)
                self._log.error(f"the daemon ended ({_how(status)}): starting it again")
                self._ended_at_once = time.monotonic() - started < _SOON
                if self._ended_at_once:
                    time.sleep(pause)
                    pause = min(2 * pause, last)
                else:
                    pause = _PAUSES[0]
        finally:
            os.unlink(self._address)

    def _run_child(self) -> int | None:
        """Start the daemon and wait for its end. Returns the status of waitpid, or None if the
        kernel does not let it end."""
        self._child = self._fork()
        if self._status >= 0:
            named.close(self._status)
        self._status, self._exiting = open_status(self._child), 0.0
        poller = poll()
        poller.register(self._socket, POLLIN)
        poller.register(self._wake_read, POLLIN)
        self._alive, looked = 0.0, time.monotonic()
        while True:
            looked = self._look_after_child(looked)
            # The system may allow it the next time; nothing may end this process.
            try:
                ready = {fd for fd, _ in poller.poll(1000 * _LOOK)}
            except OSError:
                ready = {self._wake_read}
                time.sleep(_AGAIN)
            if self._wake_read in ready or not ready:
                ended = self._on_signals()
                if ended is not None or self._cannot_end():
                    # What it sent before its end is still in the socket.
                    while self._receive():
                        pass
                    return ended
            self._receive()

    def _fork(self) -> int:
        """Start the daemon; returns its pid."""
        told: str | None = None
        while True:
            # A signal that comes meanwhile is for the daemon as well.
            hold_signals()
            try:
                pid = os.fork()
            except OSError as error:
                take_signals()
                if told != error.strerror:
                    told = error.strerror
                    self._log.error(f"the daemon cannot be started: {told}; it is tried again")
                time.sleep(_AGAIN)
                continue
            if not pid:
                if self._daemon is not None and self._may_run_as_loaded():
                    self._be_daemon(self._daemon)
                self._become_daemon()
            take_signals()
            if self._stopping:
                # The one before it was killed before it had come to that, or in the midst of it.
                self._pass_on(pid, signal.SIGTERM)
            return pid

    def _may_run_as_loaded(self) -> bool:
        if self._ready is not None:
            return True  # the first one
        if self._ended_at_once or not is_alone():
            return False  # a thread that closes a file would leave its state half way in the child
        return files_of_program([*self._loaded]) == self._loaded

    def _pass_on(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except OSError as error:
            self._log.error(f"the daemon cannot be sent a signal: {error.strerror}")

    def _look_after_child(self, looked: float) -> float:
        """Kill a daemon that hangs; ``looked`` is when this was done last. Returns the time."""
        now = time.monotonic()
        if now - looked > _SLEPT:
            # What the daemon has said meanwhile is still unread.
            self._alive = self._alive and now
        elif self._alive and now - self._alive > WATCHDOG_SECONDS:
            self._log.error(
                f"the daemon has given no sign of life for {now - self._alive:.0f} s: killing it"
            )
            self._alive = 0.0
            self._pass_on(self._child, signal.SIGKILL)
        return now

    def _cannot_end(self) -> bool:
        """Whether the daemon has been killed a while ago, and is still there. If so, it is left
        behind. One that was asked to end is waited for, as nothing follows it."""
        if self._ending or self._stopping or self._ready is not None:
            return False
        if not is_exiting(self._status):
            self._exiting = 0.0
            return False
        now = time.monotonic()
        self._exiting = self._exiting or now
        if now - self._exiting < _TO_CLOSE:
            return False
        self._left.append(self._child)
        return True

    def _be_daemon(self, daemon: Callable[[dict[str, int], bool], int]) -> None:
        """Be the daemon, in the child. Nothing is unwound, so that nothing here closes a descriptor
        whose number another file has by then."""
        status = 1
        try:
            _reset_signals()
            _close_all_but([*range(3), *self._kept.values()])
            for fd in self._kept.values():
                os.set_inheritable(fd, False)
            os.environ.update(self._as_manager())
            status = daemon(dict(self._kept), self._ready is not None)
        except BaseException:  # noqa: BLE001 - as where it is the interpreter's
            import traceback

            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(status)

    def _as_manager(self) -> dict[str, str]:
        """What tells the daemon that this process is its service manager."""
        return {
            SUPERVISED: str(os.getppid()),
            **self._as_predecessor(),
            "NOTIFY_SOCKET": self._address,
            "WATCHDOG_USEC": f"{WATCHDOG_SECONDS * 1e6:.0f}",
        }

    def _as_predecessor(self) -> dict[str, str]:
        """What tells the daemon which ones before it have not ended."""
        return {ENDING: ",".join(map(str, self._left))}

    def _become_daemon(self, guard: int = -1) -> None:
        """Pass on the kept descriptors, and run the daemon: in the child, or in this process, where
        it puts virtlockd in its own place as soon as it has taken over. Then ``guard`` is the
        descriptor by which the process that was left behind is told to end."""
        try:
            _reset_signals()
            if guard >= 0:
                _number_from_three([*self._kept.values(), guard])
                manager = {
                    HANDS_BACK: self._becomes,
                    GUARD: f"{os.getpid()}:{3 + len(self._kept)}",
                    **self._as_predecessor(),
                }
            else:
                _number_from_three([*self._kept.values()])
                manager = self._as_manager()
            environment = {
                **os.environ,
                **manager,
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(self._kept)),
                "LISTEN_FDNAMES": ":".join(self._kept),
            }
            os.execve(self._command[0], self._command, environment)
        except OSError as error:
            self._log.error(f"the daemon cannot be started: {error.strerror}")
        os._exit(3)

    def _go_back(self) -> None:
        """Become the daemon that becomes virtlockd. A process is left behind that supervises the
        next daemon if this one ends before it has come to that: there this returns. So it does in
        this process if no other can be left."""
        try:
            guard = self._leave_guard()
        except OSError as error:
            self._log.error(f"no process would keep the locks meanwhile: {error.strerror}")
        else:
            if guard >= 0:
                self._become_daemon(guard)
            self._log.error(
                f"lockd ended before {self._becomes} had taken over: starting lockd again"
            )
        self._becomes = ""

    def _leave_guard(self) -> int:
        """Leave a process behind; returns the descriptor by which it is told to end. In that
        process it returns -1, when this one has ended. Raises OSError."""
        mine = os.getpid()
        read, write = os.pipe2(os.O_CLOEXEC)
        ended = -1
        try:
            ended = os.pidfd_open(mine)
            child = os.fork()
            if child:
                if os.waitpid(child, 0)[1]:
                    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                return write
        except OSError:
            os.close(write)
            raise
        finally:
            if mine == os.getpid():
                for fd in (read, ended):
                    if fd >= 0:
                        os.close(fd)
        # virtlockd, which does not know of it, is not to have it as its child.
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            os._exit(1)
        os.close(write)
        self._watch_over(mine, ended, read)
        os.close(read)
        os.close(ended)
        return -1

    def _watch_over(self, pid: int, ended: int, told: int) -> None:
        """Wait until that process has ended. If it becomes virtlockd, or a lockd that needs no
        guard, this process ends."""
        poller = poll()
        poller.register(ended, POLLIN)
        poller.register(told, POLLIN)
        last = time.monotonic() + _GUARDED
        while True:
            try:
                ready = {fd for fd, _ in poller.poll(1000 * _AGAIN)}
                if told in ready:
                    if os.read(told, 1):
                        os._exit(0)
                    poller.unregister(told)
            except OSError:
                ready = set()
                time.sleep(_AGAIN)
            if ended in ready:
                break
            if _is(pid, self._becomes):
                with suppress(OSError):
                    os.unlink(self._address)
                os._exit(0)
            if time.monotonic() > last:
                os._exit(0)
        # The PID file tells of this process from now on.
        fd = self._kept.get(PID_FILE, -1)
        with suppress(OSError):
            hold_whole_life(fd)
            write_pid(fd)

    def _on_signals(self) -> int | None:
        """Pass signals on; the child's status, if it has ended."""
        try:
            numbers = os.read(self._wake_read, 256)
        except OSError:
            numbers = b""  # there is none, or it is read when it can be
        for number in dict.fromkeys(numbers):
            if number in _FORWARDED:
                self._stopping |= number in _TO_STOP
                self._pass_on(self._child, number)
        for pid in [*self._left]:
            if self._status_of(pid) is not None:
                self._left.remove(pid)
        return self._status_of(self._child)

    @staticmethod
    def _status_of(pid: int) -> int | None:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except OSError:
            return None  # it is looked for again
        return status if ended else None

    def _receive(self) -> bool:
        """Read one message; False if there is none."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(
                _MAX_MESSAGE, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return False  # there is none, or it is read when it can be
        fds = received(ancillary)
        lines = data.split(b"\n")
        fields = dict(line.split(b"=", 1) for line in lines if b"=" in line)
        name = fields.get(b"FDNAME", b"").decode("ascii", "replace")
        if fields.get(b"FDSTORE") == b"1" and len(fds) == 1 and name not in self._kept:
            self._kept[name] = fds.pop()
        elif fields.get(b"FDSTOREREMOVE") == b"1" and name in self._kept:
            fds.append(self._kept.pop(name))
        for fd in fds:
            if name:
                # It may be the last of a file whose server is away.
                apart(partial(named.close, fd))
            else:
                named.close(fd)
        if b"WATCHDOG" in fields:
            # A program that is being loaded is not watched.
            is_watched = fields.get(b"WATCHDOG_USEC") != b"0"
            self._alive = time.monotonic() if is_watched else 0.0
        self._ending |= fields.get(b"STOPPING") == b"1"
        self._becomes = fields.get(BECOME.encode(), b"").decode("utf-8") or self._becomes
        if fields.get(b"READY") == b"1" and self._ready is not None:
            self._ready()
            self._ready = None
        return True


def _listen(address: str) -> socket.socket:
    """The notify socket, for this user alone. Raises OSError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.setblocking(False)
    try:
        os.unlink(address)
    except FileNotFoundError:
        pass
    before = os.umask(0o077)
    try:
        listening.bind(address)
    finally:
        os.umask(before)
    return listening


def _is(pid: int, program: str) -> bool:
    """Whether a process runs that program."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/exe"), os.stat(program))
    except OSError:
        return False


def _reset_signals() -> None:
    """In the child: what signals do is up to the daemon."""
    signal.set_wakeup_fd(-1)
    hold_signals()
    for number in (*_FORWARDED, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _close_all_but(fds: list[int]) -> None:
    """Close the other descriptors, as an exec does."""
    begin = 0
    for fd in sorted(fds):
        if begin < fd:
            os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _number_from_three(fds: list[int]) -> None:
    """Give the descriptors the numbers from 3 on, in their order, to pass them on."""
    place = {fd: index for index, fd in enumerate(fds)}
    for index, fd in enumerate(fds):
        target = 3 + index
        if fd != target:
            if target in place and place[target] > index:
                # One that comes later is in the way: move it.
                moved = os.dup(target)
                later = place.pop(target)
                fds[later] = moved
                place[moved] = later
            os.dup2(fds[index], target)
        else:
            os.set_inheritable(target, True)


def _set_oom_score() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    except OSError:
        pass  # only root may


def _exit_status(status: int) -> int:
    """The exit status that tells how the child ended, as a shell would."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.WEXITSTATUS(status)}"
