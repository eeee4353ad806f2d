"""The keeper of the daemon's descriptors: the service manager, by the protocol of sd_notify(3).

A descriptor sent with ``FDSTORE=1`` is kept when this process ends, and handed to the next one with
its name (sd_listen_fds(3)). systemd speaks it, and so does :mod:`lockd.survival.supervisor` on
hosts without systemd.

A manager is not made for thousands of descriptors: systemd compares each with all others, which
takes seconds for 2,000 and minutes for 16,000, again at every ``daemon-reload``, and all names must
fit into one variable of 128 KiB. So the manager keeps one descriptor, the reading end of a *queue*:
a pair of sockets. lockd sends the descriptors into it, and nobody reads them; they stay open as
long as a process has that end. The next process looks into the queue without taking anything out
(MSG_PEEK), so a kill at that moment does no harm. A descriptor that is no longer needed goes with
the whole queue, when a new queue replaces it.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from array import array
from collections import deque
from contextlib import suppress
from itertools import chain, islice

from lockd.kernel.reserve import insist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
    from typing import Final

    from lockd.log import Log

#: The names under which listening sockets are kept, by service: as systemd calls them, by
#: virtlockd's socket units.
LISTENING: Final = {"virtlockd": "virtlockd.socket", "admin": "virtlockd-admin.socket"}

#: The name of the PID file there.
PID_FILE: Final = "pid-file"

#: The message by which the daemon tells lockd's supervisor to become another program.
BECOME: Final = "LOCKD_BECOME"

#: After how many seconds without a sign of life the daemon is killed and started again.
WATCHDOG_SECONDS: Final = 10.0

#: After how many seconds of silence of the manager to log it, and after how many to send again what
#: it did not take.
_PATIENCE: Final = 2.0
_PAUSE: Final = 0.5

#: The errors that mean that the manager cannot take anything just now.
_BUSY: Final = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)

#: socket(7); Python has no name for these.
_SO_SNDBUFFORCE: Final = 32
_SO_PEEK_OFF: Final = 42

#: How many descriptors a message can have (SCM_MAX_FD of the kernel), and how long it can be.
_BATCH: Final = 253
_MAX_MESSAGE: Final = 65536
_ANCILLARY: Final = socket.CMSG_SPACE(_BATCH * array("i").itemsize)

#: After how many single messages a queue is replaced: the kernel goes through all messages before
#: the one that is asked for.
_SINGLES: Final = 1000
_QUEUE_BYTES: Final = 4 * 1024 * 1024

#: The separator of the names in one message.
_BETWEEN: Final = b":"


class Keeper:
    """The manager at an address of ``NOTIFY_SOCKET``; empty means none. ``kept`` is what it has
    kept for the previous process, by name, ``queues`` the queues with it.

    ``everything`` must be set before anything more is kept: it returns all descriptors to keep.
    ``lost`` says why something is not kept, or may not be; it is empty otherwise.

    lockd never waits for the manager. If the manager is stopped, or its socket is full, descriptors
    go into the queue that it already has, and messages wait. A *barrier* (sd_notify(3)) tells
    whether the manager is awake: a pipe whose other end it closes when it reads the message.
    """

    def __init__(
        self, address: str, log: Log, kept: Mapping[str, int], queues: Mapping[str, int]
    ) -> None:
        self.everything: Callable[[], Iterable[tuple[str, int]]]
        self.lost = ""
        self._log: Final = log
        self._old: Final = dict(queues)
        self._number = max(map(_queue_number, self._old), default=0)
        self._queue: tuple[socket.socket, socket.socket] | None = None
        self._singles = 0
        self._has_forgotten = False
        self._untold: Final[deque[str]] = deque()
        self._barrier = -1
        self._asked = 0.0
        self._failed = 0.0
        self._address: Final = f"\0{address[1:]}" if address.startswith("@") else address
        self._manager: socket.socket | None = None
        if not address:
            return
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._replace_queue(kept.items())

    def __bool__(self) -> bool:
        return self._manager is not None

    def keep(self, fd: int, name: str) -> None:
        """Have ``fd`` kept under ``name``, which no other has at the time."""
        if self._manager is None:
            return
        is_short = self._singles < _SINGLES or self._is_silent
        if is_short and self._put(fd, name):
            return
        self._has_forgotten = True
        # It is not among everything before it is kept.
        if time.monotonic() - self._failed < _PAUSE or not self._replace_queue(
            chain(self.everything(), ((name, fd),))
        ):
            self._put(fd, name)  # into a queue that is longer than it should be

    def _put(self, fd: int, name: str) -> bool:
        """Put a descriptor into the manager's queue; False if that is full."""
        if self._queue is None:
            return False
        self._singles += 1
        try:
            _put(self._queue[0], [(name, fd)])
        except OSError:
            return False
        return True

    def forget(self) -> None:
        """Something need not be kept any longer. It stays open until :meth:`tend`: a lock must be
        unlocked and a connection shut down, not only closed."""
        self._has_forgotten = True

    @property
    def is_busy(self) -> bool:
        """Whether :meth:`tend` must be called in a moment."""
        return self._manager is not None and (
            self._has_forgotten or self._barrier >= 0 or bool(self._untold or self.lost)
        )

    @property
    def _is_silent(self) -> bool:
        return bool(self._untold or self.lost)

    def tend(self) -> None:
        """Drop descriptors that are no longer needed, send messages that waited, and check whether
        the manager is awake."""
        self._flush()
        if self._barrier >= 0:
            if not self._is_answered():
                since = time.monotonic() - self._asked
                if since > _PATIENCE:
                    self.give_up(f"it has not answered for {since:.0f} s")
                return
            if self.lost or self._has_forgotten:
                self._replace_queue(self.everything())
        elif self.lost:
            self.ask()  # first check for the manager: there may be thousands of descriptors
        elif self._has_forgotten:
            self._replace_queue(self.everything())

    def ask(self) -> None:
        """See whether the manager is awake: :meth:`tend` will tell."""
        if self._manager is None or self._barrier >= 0 or not self._flush():
            return
        try:
            read, write = insist(lambda: os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError:
            return  # the next time
        try:
            self._tell(b"BARRIER=1", write)
        except OSError as error:
            end(read)
            self.give_up(_reason(error))
        else:
            self._barrier, self._asked = read, time.monotonic()
        finally:
            end(write)

    def _is_answered(self) -> bool:
        try:
            os.read(self._barrier, 1)
        except BlockingIOError:
            return False
        except OSError:
            pass  # nothing can be learned from this one
        end(self._barrier)
        self._barrier = -1
        return True

    def _replace_queue(self, kept: Iterable[tuple[str, int]]) -> bool:
        """Make the manager keep exactly these; False if nothing has changed."""
        try:
            ahead, behind = insist(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        except OSError as error:
            self._fail(error)
            return False
        try:
            _fill(ahead, kept)
            if not self._flush():
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            name = _queue_name(self._number + 1)
            self._tell(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}".encode("ascii"), behind.fileno())
        except OSError as error:
            _close(ahead, behind)
            self._fail(error)
            return False
        self._singles = 0
        self._has_forgotten = False
        if self.lost:
            self._log.warning("the service manager keeps all descriptors again")
            self.lost = ""
        for name, fd in self._old.items():
            self._post(f"FDSTOREREMOVE=1\nFDNAME={name}")
            end(fd)
        self._old.clear()
        if self._queue is not None:
            self._post(f"FDSTOREREMOVE=1\nFDNAME={_queue_name(self._number)}")
            _close(*self._queue)
        self._queue = ahead, behind
        self._number += 1
        self.ask()
        return True

    def _fail(self, error: OSError) -> None:
        """What is kept could not be changed: it is tried again."""
        self._failed = time.monotonic()
        self._has_forgotten = True
        self.give_up(_reason(error))

    def renew(self) -> None:
        """Make the manager keep exactly the needed descriptors, at once."""
        self._replace_queue(self.everything())

    def keep_nothing(self) -> None:
        """Have the manager keep nothing more, until :meth:`renew`: another program goes on."""
        if self._queue is None:
            return
        self._post(f"FDSTOREREMOVE=1\nFDNAME={_queue_name(self._number)}")
        _close(*self._queue)
        self._queue = None

    def hand_back(self, program: str) -> None:
        """Have our supervisor become ``program`` when this process has ended: see there."""
        self._post(f"{BECOME}={program}")

    def descriptors(self) -> dict[str, int]:
        """The descriptors that a successor needs besides the kept ones: the queue, or the queues of
        the process before this one until a new one replaces them. Their names are in use."""
        if self._queue is None:
            return {**self._old}
        return {_queue_name(self._number): self._queue[1].fileno()}

    def contents(self) -> dict[str, int]:
        """All that the queue has, by name, each once more. Raises OSError."""
        return {} if self._queue is None else _look_into(self._queue[1].fileno())

    def packed(self) -> tuple[str, socket.socket]:
        """All needed descriptors in a queue of their own, for another manager: the queue's name
        there, and its end. Raises OSError."""
        ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ahead:
            try:
                _fill(ahead, self.everything())
            except OSError:
                behind.close()
                raise
        return _queue_name(self._number + 1), behind

    def ready(self, status: str) -> None:
        """Tell that the service has started, or has started again in place."""
        self._post(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def watch(self, seconds: float) -> bool:
        """Ask the manager to kill this process if it gives no sign of life for so long; 0 ends
        this. Returns whether the manager has been told."""
        self._post(f"WATCHDOG_USEC={seconds * 1e6:.0f}\nWATCHDOG=1")
        return not self._untold

    def alive(self) -> None:
        """Give a sign of life. One that the manager does not take is not worth a second try."""
        if self._manager is not None:
            with suppress(OSError):
                self._tell(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Tell that the service ends because it was asked to."""
        self._post("STOPPING=1")

    def finish(self) -> None:
        """This process ends: send messages that waited, within a moment."""
        until = time.monotonic() + _PATIENCE
        while not self._flush() and time.monotonic() < until:
            time.sleep(_PAUSE / 10)

    def _post(self, text: str) -> None:
        """Tell the manager something, as soon as it can be told."""
        if self._manager is not None:
            self._untold.append(text)
            self._flush()

    def _flush(self) -> bool:
        """Send messages that waited; False if the manager takes no more for now."""
        while self._untold:
            try:
                self._tell(self._untold[0].encode("utf-8", "replace"))
            except OSError as error:
                self.give_up(_reason(error))
                if error.errno in _BUSY:
                    return False
            self._untold.popleft()
        return True

    def _tell(self, message: bytes, *fds: int) -> None:
        """Send a message. Raises OSError, at once, if the manager cannot take it."""
        assert self._manager is not None
        rights = (_rights([*fds]),) if fds else ()
        # Not connected: a manager that restarts may make its socket again.
        self._manager.sendmsg((message,), rights, socket.MSG_DONTWAIT, self._address)

    def give_up(self, why: str) -> None:
        """Note that not everything is kept, or not for long."""
        if not self.lost:
            self._log.error(
                f"the service manager no longer keeps descriptors ({why}):"
                " the locks would not outlive a crash"
            )
        self.lost = why


def _close(*sockets: socket.socket) -> None:
    """Close sockets. They are closed even if the system reports an error."""
    for each in sockets:
        with suppress(OSError):
            each.close()


def end(fd: int) -> None:
    """Close a descriptor. It is closed even if the system reports an error."""
    with suppress(OSError):
        os.close(fd)


def _reason(error: OSError) -> str:
    if error.errno == errno.EAGAIN:
        return "it does not take messages"
    return error.strerror or str(error)


def _rights(fds: list[int]) -> tuple[int, int, array[int]]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds)


def _put(queue: socket.socket, items: list[tuple[str, int]]) -> None:
    """Send descriptors into a queue, with their names. Raises OSError."""
    names = _BETWEEN.join(name.encode("ascii") for name, _ in items)
    queue.sendmsg((names,), (_rights([fd for _, fd in items]),))


def _fill(queue: socket.socket, kept: Iterable[tuple[str, int]]) -> None:
    """Send all of them into a new queue. Raises OSError."""
    queue.setblocking(False)
    _enlarge(queue)
    left = iter(kept)
    while batch := list(islice(left, _BATCH)):
        _put(queue, batch)


def _enlarge(queue: socket.socket) -> None:
    """Have room for all messages that a queue gets; a user has room for fewer."""
    try:
        queue.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _QUEUE_BYTES)
    except PermissionError:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_BYTES)


def _look_into(fd: int) -> dict[str, int]:
    """The descriptors in a queue, by name, and the queue as it was. Raises OSError if they are more
    than this process may have."""
    found: dict[str, int] = {}
    queue = socket.socket(fileno=os.dup(fd))
    try:
        queue.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        while True:
            try:
                names, ancillary, said, _ = queue.recvmsg(_MAX_MESSAGE, _ANCILLARY, flags)
            except BlockingIOError:
                return found
            if said & socket.MSG_CTRUNC:
                # There are more of them than this process may have. They stay in the queue.
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            _add(found, names.decode("ascii").split(_BETWEEN.decode()), received(ancillary))
    except BaseException:
        for each in found.values():
            end(each)
        raise
    finally:
        _close(queue)


def received(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a message."""
    fds = array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return [*fds]


def _add(found: dict[str, int], names: list[str], fds: list[int]) -> None:
    """Add descriptors to those found before; the last one with a name counts."""
    for name, fd in zip(names, fds, strict=True):
        if name in found:
            end(found[name])
        found[name] = fd


def passed(environment: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors that the service manager passed on, by name; takes the variables that tell
    of them out of ``environment``."""
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    # libvirt's daemons go by the names, and without them as if nothing had been passed on.
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) != len(names):
        return {}
    found: dict[str, int] = {}
    _add(found, names, [*range(3, 3 + int(count))])
    return found


def inherited(environment: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors that the service manager passed on, and the queues among them with what is
    in them, by name, as :func:`passed` finds them."""
    given = passed(environment)
    found: dict[str, int] = {}
    for name in sorted(filter(is_queue, given), key=_queue_number):
        queued = _look_into(given[name])
        _add(found, [*queued], [*queued.values()])
    # A socket of systemd's own is what it says it is now, whatever it was when it was kept.
    _add(found, [*given], [*given.values()])
    return found


def _queue_name(number: int) -> str:
    return f"q{number:x}"


def _queue_number(name: str) -> int:
    return int(name[1:], 16)


def is_queue(name: str) -> bool:
    """Whether a name is that of a queue, whose descriptor is the keeper's own."""
    return name[:1] == "q" and name[1:].isalnum()


class Numbers:
    """Numbers that give each kept descriptor a name of its own."""

    def __init__(self) -> None:
        self._next = 1
        self._free: Final[list[int]] = []

    def take(self) -> int:
        """A number that nothing has."""
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """The number is free again."""
        self._free.append(number)

    def go_on_from(self, used: Collection[int]) -> None:
        """Take those numbers, which were given out by the process before this one."""
        self._next = max(used, default=0) + 1
        self._free.extend(set(range(1, self._next)).difference(used))


def lock_name(number: int) -> str:
    """The keeper's name for the descriptor of a lock."""
    return f"l{number:x}"


def client_name(number: int) -> str:
    """The keeper's name for the descriptor of a connection."""
    return f"c{number:x}"


def is_lock(name: str) -> bool:
    """Whether a name is that of a lock."""
    return name[:1] == "l" and name[1:].isalnum()


def is_client(name: str) -> bool:
    """Whether a name is that of a connection."""
    return name[:1] == "c" and name[1:].isalnum()


def is_journal(name: str) -> bool:
    """Whether a name is that of a journal."""
    return name[:1] == "j" and name[1:].isalnum()


def journal_name(number: int) -> str:
    """The keeper's name for the descriptor of a journal."""
    return f"j{number:x}"
