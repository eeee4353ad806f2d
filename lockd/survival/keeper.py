"""Who keeps our descriptors: the service manager, by the protocol of sd_notify(3).

A descriptor sent with ``FDSTORE=1`` is kept when this process ends, and handed to the next one
with its name (sd_listen_fds(3)). systemd speaks it, and so does :mod:`lockd.survival.supervisor`
where there is no systemd.

A manager is not made for thousands of them: systemd compares each with all others, which takes
seconds for 2,000 and minutes for 16,000, at every ``daemon-reload`` again, and the names of all
must fit into one variable of 128 KiB. So the manager keeps one descriptor, the reading end of a
*queue*: a pair of sockets, into which we send, and from which nobody reads, the descriptors that
are to be kept. They stay open as long as somebody has that end. The next process looks into the
queue without taking anything out (MSG_PEEK), so that it may be killed at that, too. What need not
be kept any more goes with the whole queue, when a new one takes its place.
"""

from __future__ import annotations

import errno
import os
import socket
from array import array
from itertools import chain, islice
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
    from typing import Final

    from lockd.log import Log

#: What a listening socket is called where it is kept, by service: as systemd calls it, by the names
#: of virtlockd's socket units.
LISTENING: Final = {"virtlockd": "virtlockd.socket", "admin": "virtlockd-admin.socket"}

#: What the PID file is called there.
PID_FILE: Final = "pid-file"

#: What our own supervisor is told to become, in a message of the daemon to it.
BECOME: Final = "LOCKD_BECOME"

#: How long a message may wait for a manager that is busy: a struct timeval.
_PATIENCE: Final = Struct("ll").pack(2, 0)

#: socket(7); Python has no name for these.
_SO_SNDBUFFORCE: Final = 32
_SO_PEEK_OFF: Final = 42

#: How many descriptors a message can have (SCM_MAX_FD of the kernel), and how long it can be.
_BATCH: Final = 253
_MAX_MESSAGE: Final = 65536
_ANCILLARY: Final = socket.CMSG_SPACE(_BATCH * array("i").itemsize)

#: After how many single messages a queue is replaced: the kernel looks through all that are before
#: the one it is asked for.
_SINGLES: Final = 1000
_QUEUE_BYTES: Final = 4 * 1024 * 1024

#: What stands between the names in one message.
_BETWEEN: Final = b":"


class Keeper:
    """The manager at an address of ``NOTIFY_SOCKET``; none where that is empty. ``kept`` is what
    it has kept for the process before this one, by name; ``queues`` are those that it has it in.

    ``everything`` has to be set before anything more is kept: it tells what is to be kept in all.
    ``lost`` says, where something could not be kept, why. ``has_forgotten`` tells that something
    is still open that need not be, or that it is worth another try: :meth:`renew`.
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
        self.has_forgotten = False
        self._manager: socket.socket | None = None
        if not address:
            return
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Not settimeout: it would cost a poll(2) for every message.
        self._manager.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        try:
            self._manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError as error:
            self.give_up(error.strerror or str(error))
        self._replace_queue(kept.items())

    def __bool__(self) -> bool:
        return self._manager is not None

    def keep(self, fd: int, name: str) -> None:
        """Have ``fd`` kept under ``name``, which no other has at the time."""
        if self._queue is None:
            return
        if self._singles < _SINGLES:
            self._singles += 1
            try:
                _put(self._queue[0], [(name, fd)])
                return
            except OSError:
                pass  # the queue is full
        # It is not among everything before it is kept.
        self._replace_queue(chain(self.everything(), ((name, fd),)))

    def forget(self) -> None:
        """Something need not be kept any longer. It stays open until :meth:`renew`: a lock must be
        unlocked and a connection shut down, not only closed."""
        self.has_forgotten = True

    def renew(self) -> None:
        """Keep nothing but what is to be kept."""
        self._replace_queue(self.everything())

    def _replace_queue(self, kept: Iterable[tuple[str, int]]) -> None:
        self._singles = 0
        self.has_forgotten = False
        if self._manager is None:
            return
        ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            _fill(ahead, kept)
            self._store(behind.fileno(), _queue_name(self._number + 1))
        except OSError as error:
            ahead.close()
            behind.close()
            self.give_up(error.strerror or str(error))
            # A manager that is busy may have more time soon.
            self.has_forgotten = error.errno == errno.EAGAIN
            return
        if self.lost:
            self._log.warning("the service manager keeps all descriptors again")
            self.lost = ""
        for name, fd in self._old.items():
            self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")
            os.close(fd)
        self._old.clear()
        if self._queue is not None:
            self._send(f"FDSTOREREMOVE=1\nFDNAME={_queue_name(self._number)}")
            for each in self._queue:
                each.close()
        self._queue = ahead, behind
        self._number += 1

    def keep_nothing(self) -> None:
        """Have the manager keep nothing more, until :meth:`renew`: another program goes on."""
        if self._queue is None:
            return
        self._send(f"FDSTOREREMOVE=1\nFDNAME={_queue_name(self._number)}")
        for each in self._queue:
            each.close()
        self._queue = None

    def hand_back(self, program: str) -> None:
        """Have our supervisor become ``program`` when this process has ended: see there."""
        self._send(f"{BECOME}={program}")

    def descriptors(self) -> dict[str, int]:
        """What another process in our place needs, besides what is kept."""
        return {} if self._queue is None else {_queue_name(self._number): self._queue[1].fileno()}

    def packed(self) -> tuple[str, socket.socket]:
        """All that is to be kept in a queue of its own, for another manager: its name there, and
        its end. Raises OSError."""
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
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def stopping(self) -> None:
        """Tell that the service ends because it was asked to."""
        self._send("STOPPING=1")

    def _store(self, fd: int, name: str) -> None:
        assert self._manager is not None
        self._manager.sendmsg(
            (b"FDSTORE=1\nFDPOLL=0\nFDNAME=%b" % name.encode("ascii"),), (_rights([fd]),)
        )

    def _send(self, text: str) -> None:
        if self._manager is None:
            return
        try:
            self._manager.send(text.encode("utf-8", "replace"))
        except OSError as error:
            self.give_up(error.strerror or str(error))

    def give_up(self, why: str) -> None:
        """Say that what is kept is not all of it, or not for long."""
        if not self.lost:
            self._log.error(
                f"the service manager does not keep descriptors any more ({why}):"
                " the locks would not outlive a crash"
            )
        self.lost = why


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
    """The descriptors in a queue, by name, and the queue as it was."""
    found: dict[str, int] = {}
    with socket.socket(fileno=os.dup(fd)) as queue:
        queue.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        while True:
            try:
                names, ancillary, _, _ = queue.recvmsg(_MAX_MESSAGE, _ANCILLARY, flags)
            except BlockingIOError:
                return found
            _add(found, names.decode("ascii").split(_BETWEEN.decode()), received(ancillary))


def received(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a message."""
    fds = array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return [*fds]


def _add(found: dict[str, int], names: list[str], fds: list[int]) -> None:
    """Add descriptors to those found before; who has a name last has it."""
    for name, fd in zip(names, fds, strict=True):
        if name in found:
            os.close(found[name])
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
    """Numbers for what is kept, so that each has a name of its own."""

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
    """What the descriptor of a lock is called where it is kept."""
    return f"l{number:x}"


def client_name(number: int) -> str:
    """What the descriptor of a connection is called where it is kept."""
    return f"c{number:x}"


def journal_name(number: int) -> str:
    """What the descriptor of a journal is called where it is kept."""
    return f"j{number:x}"
