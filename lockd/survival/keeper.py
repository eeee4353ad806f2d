"""The keeper of the daemon's descriptors: the service manager, by the protocol of sd_notify(3).

A descriptor sent with ``FDSTORE=1`` is kept when this process ends, and handed to the next one with
its name (sd_listen_fds(3)). systemd speaks it, and so does :mod:`lockd.survival.supervisor` on
hosts without systemd. It keeps one descriptor, a queue (:mod:`lockd.survival.queues`), which has
all the others.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import chain

from lockd.kernel import named
from lockd.kernel.reserve import insist
from lockd.survival.kept import queue_name, queue_number
from lockd.survival.queues import (
    close,
    fill,
    look_into_all,
    make_ready,
    put,
    put_some,
    rights_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Final

    from lockd.log import Log

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

#: How many queues a manager has at most while one is not complete: systemd keeps up to 16
#: descriptors for us.
_MOST_QUEUES: Final = 4

#: After how many single messages a queue is replaced: the kernel goes through all messages before
#: the one that is asked for.
_SINGLES: Final = 1000


def _at_once(work: Callable[[], object]) -> None:
    work()


class Keeper:
    """The manager at an address of ``NOTIFY_SOCKET``; empty means none. ``kept`` is what it has
    kept for the previous process, by name, ``queues`` the queues with it. ``after_crash`` tells
    that the manager has them for certain: then the first queue is empty, and the others stay until
    a complete one replaces them all, a moment after the start.

    ``everything`` must be set before anything more is kept: it returns all descriptors to keep. A
    new queue takes some of them at a time, while others are kept and forgotten: ``everything``
    passes over those that are no longer needed when it comes to them.
    ``lost`` says why something is not kept, or may not be; it is empty otherwise.

    lockd never waits for the manager. If the manager is stopped, or its socket is full, descriptors
    go into the queue that it already has, and messages wait. A *barrier* (sd_notify(3)) tells
    whether the manager is awake: a pipe whose other end it closes when it reads the message.

    To close a queue may take any time: it may have the last descriptor of a file on a server that
    does not answer. So that is done ``apart``.
    """

    def __init__(
        self,
        address: str,
        log: Log,
        kept: Mapping[str, int],
        queues: Mapping[str, int],
        apart: Callable[[Callable[[], object]], object] = _at_once,
        *,
        after_crash: bool = False,
    ) -> None:
        self.everything: Callable[[], Iterable[tuple[str, int]]]
        self.lost = ""
        self._log: Final = log
        self._old: Final = dict(queues)
        self._number = max(map(queue_number, self._old), default=0)
        self._queue: tuple[socket.socket, socket.socket] | None = None
        self._singles = 0
        #: A new queue that does not have everything yet, and what it lacks.
        self._next: tuple[socket.socket, socket.socket] | None = None
        self._left: Iterator[tuple[str, int]] = iter(())
        self._has_forgotten = False
        self._untold: Final[deque[str]] = deque()
        self._barrier = -1
        self._asked = 0.0
        self._failed = 0.0
        self.address: Final = address
        self._address: Final = f"\0{address[1:]}" if address.startswith("@") else address
        self._apart: Final = apart
        self._manager: socket.socket | None = None
        if not address:
            return
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if not (after_crash and self._old and self._add_queue()):
            self._replace_queue(kept.items())

    def __bool__(self) -> bool:
        return self._manager is not None

    def keep(self, fd: int, name: str) -> None:
        """Have ``fd`` kept under ``name``, which no other has at the time."""
        if self._manager is None:
            return
        if self._singles >= _SINGLES and not (self._is_silent or self._has_failed_just_now):
            self._begin_next_queue()
        error = self._put(fd, name)
        if error is None:
            return
        self._has_forgotten = True
        if self._has_failed_just_now:
            # That is not tried again at once, and until then no process has it but this one.
            self.give_up(_reason(error))
        else:
            # It is not among everything before it is kept.
            self._replace_queue(chain(self.everything(), ((name, fd),)))

    def _put(self, fd: int, name: str) -> OSError | None:
        """Put a descriptor into the manager's queue. Returns why that was not possible."""
        if self._queue is None:
            return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._singles += 1
        try:
            put(self._queue[0], [(name, fd)])
        except OSError as error:
            return error
        if self._next is not None:
            try:
                put(self._next[0], [(name, fd)])
            except OSError:
                self._drop_next_queue()
        return None

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

    @property
    def _has_failed_just_now(self) -> bool:
        return time.monotonic() - self._failed < _PAUSE

    @property
    def has_next_queue(self) -> bool:
        """Whether :meth:`go_on` must be called in a moment."""
        return self._next is not None

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
            if self.lost:
                self._replace_queue(self.everything())
            elif self._has_forgotten:
                self._begin_next_queue()
        elif self.lost:
            self.ask()  # first check for the manager: there may be thousands of descriptors
        elif self._has_forgotten:
            self._begin_next_queue()

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
            named.close(read)
            self.give_up(_reason(error))
        else:
            self._barrier, self._asked = read, time.monotonic()
        finally:
            named.close(write)

    def _is_answered(self) -> bool:
        try:
            os.read(self._barrier, 1)
        except BlockingIOError:
            return False
        except OSError:
            pass  # nothing can be learned from this one
        named.close(self._barrier)
        self._barrier = -1
        return True

    def _begin_next_queue(self) -> None:
        """Begin a queue with exactly what is needed. The manager gets it once it has everything."""
        if self._next is not None:
            return
        try:
            self._next = insist(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
            make_ready(self._next[0])
        except OSError as error:
            self._drop_next_queue()
            self._fail(error)
            return
        self._left = iter(self.everything())
        self._singles = 0
        self._has_forgotten = False

    def go_on(self) -> None:
        """Put some more into the queue that was begun, and let it replace the other."""
        if self._next is None:
            return
        try:
            if put_some(self._next[0], self._left):
                return
            self._hand_over(*self._next)
        except OSError as error:
            self._drop_next_queue()
            self._fail(error)

    def _drop_next_queue(self) -> None:
        """Begin again later."""
        if self._next is not None:
            self._apart(partial(close, *self._next))
            self._next = None
            self._has_forgotten = True

    def _replace_queue(self, kept: Iterable[tuple[str, int]]) -> bool:
        """Make the manager keep exactly these, at once; False if nothing has changed."""
        self._drop_next_queue()
        try:
            ahead, behind = insist(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        except OSError as error:
            self._fail(error)
            return False
        try:
            fill(ahead, kept)
            self._hand_over(ahead, behind)
        except OSError as error:
            close(ahead, behind)
            self._fail(error)
            return False
        self._singles = 0
        self._has_forgotten = False
        return True

    def _add_queue(self) -> bool:
        """Have the manager keep an empty queue besides those that it has; False if it does not take
        it, or has many already because no process has come to the next one."""
        if len(self._old) >= _MOST_QUEUES:
            return False
        try:
            ahead, behind = insist(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        except OSError:
            return False
        try:
            make_ready(ahead)
            self._tell_of_queue(behind)
        except OSError:
            close(ahead, behind)
            return False
        self._queue = ahead, behind
        self._has_forgotten = True
        return True

    def _tell_of_queue(self, behind: socket.socket) -> None:
        """Have the manager keep the end of the next queue. Raises OSError."""
        name = queue_name(self._number + 1)
        self._tell(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}".encode("ascii"), behind.fileno())
        self._number += 1

    def _hand_over(self, ahead: socket.socket, behind: socket.socket) -> None:
        """Give the manager a queue that has everything, in the place of the other. Raises OSError:
        then nothing has changed."""
        if not self._flush():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        before = self._number
        self._tell_of_queue(behind)
        if self.lost:
            self._log.warning("the service manager keeps all descriptors again")
            self.lost = ""
        self._drop_old_queues()
        if self._queue is not None:
            self._post(f"FDSTOREREMOVE=1\nFDNAME={queue_name(before)}")
            self._apart(partial(close, *self._queue))
        self._queue = ahead, behind
        self._next = None
        self.ask()

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
        self._drop_next_queue()
        if self._queue is None:
            return
        self._drop_old_queues()
        self._post(f"FDSTOREREMOVE=1\nFDNAME={queue_name(self._number)}")
        self._apart(partial(close, *self._queue))
        self._queue = None

    def _drop_old_queues(self) -> None:
        for old, fd in self._old.items():
            self._post(f"FDSTOREREMOVE=1\nFDNAME={old}")
            self._apart(partial(named.close, fd))
        self._old.clear()

    def hand_back(self, program: str) -> None:
        """Have our supervisor become ``program`` when this process has ended: see there."""
        self._post(f"{BECOME}={program}")

    def descriptors(self) -> dict[str, int]:
        """The descriptors that a successor needs besides the kept ones: the queue, and the queues
        of the process before this one until a new one replaces them. Their names are in use."""
        if self._queue is None:
            return {**self._old}
        return {**self._old, queue_name(self._number): self._queue[1].fileno()}

    def contents(self) -> dict[str, int]:
        """All that the queues have, by name, each once more. Raises OSError."""
        return {} if self._queue is None else look_into_all(self.descriptors())

    def packed(self) -> tuple[str, socket.socket]:
        """All needed descriptors in a queue of their own, for another manager: the queue's name
        there, and its end. Raises OSError."""
        ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ahead:
            try:
                fill(ahead, self.everything())
            except OSError:
                behind.close()
                raise
        return queue_name(self._number + 1), behind

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
        rights = (rights_of([*fds]),) if fds else ()
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


def _reason(error: OSError) -> str:
    if error.errno == errno.EAGAIN:
        return "it does not take messages"
    return error.strerror or str(error)
