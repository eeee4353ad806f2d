"""A queue of descriptors: a pair of sockets in which a service manager keeps any number of them.

A manager is not made for thousands of descriptors: systemd compares each with all others, which
takes seconds for 2,000 and minutes for 16,000, again at every ``daemon-reload``, and all names must
fit into one variable of 128 KiB. So the manager keeps one descriptor, the reading end of a *queue*:
a pair of sockets. lockd sends the descriptors into it, and no process reads them; they stay open as
long as a process has that end. The next process looks into the queue without taking anything out
(MSG_PEEK), so a kill at that moment does no harm. A descriptor that is no longer needed goes with
the whole queue, when a new queue replaces it.
"""

from __future__ import annotations

import errno
import os
import socket
from array import array
from contextlib import suppress
from functools import partial
from itertools import islice

from lockd.kernel import named
from lockd.kernel.aside import apart
from lockd.survival.kept import is_queue, queue_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final

#: socket(7); Python has no name for these.
_SO_SNDBUFFORCE: Final = 32
_SO_PEEK_OFF: Final = 42

#: How many descriptors a message can have (SCM_MAX_FD of the kernel), and how long it can be.
_BATCH: Final = 253
_MAX_MESSAGE: Final = 65536
_ANCILLARY: Final = socket.CMSG_SPACE(_BATCH * array("i").itemsize)

#: How much a queue has room for.
_QUEUE_BYTES: Final = 4 * 1024 * 1024

#: The separator of the names in one message.
_BETWEEN: Final = b":"


def put(queue: socket.socket, items: list[tuple[str, int]]) -> None:
    """Send descriptors into a queue, with their names. Raises OSError."""
    names = _BETWEEN.join(name.encode("ascii") for name, _ in items)
    queue.sendmsg((names,), (rights_of([fd for _, fd in items]),))


def fill(queue: socket.socket, kept: Iterable[tuple[str, int]]) -> None:
    """Send all of them into a new queue. Raises OSError."""
    make_ready(queue)
    left = iter(kept)
    while put_some(queue, left):
        pass


def make_ready(queue: socket.socket) -> None:
    """Prepare a new queue: a process that sends into it never waits. Raises OSError."""
    queue.setblocking(False)
    _enlarge(queue)


def put_some(queue: socket.socket, left: Iterator[tuple[str, int]]) -> bool:
    """Send as many of them as one message carries. Returns whether there were any. Raises
    OSError."""
    batch = list(islice(left, _BATCH))
    if batch:
        put(queue, batch)
    return bool(batch)


def _enlarge(queue: socket.socket) -> None:
    """Have room for all messages that a queue gets; a user has room for fewer."""
    try:
        queue.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _QUEUE_BYTES)
    except PermissionError:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_BYTES)


def rights_of(fds: list[int]) -> tuple[int, int, array[int]]:
    """The part of a message that carries descriptors."""
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds)


def look_into_all(given: Mapping[str, int]) -> dict[str, int]:
    """The descriptors in the queues among these, by name: of a name that is there twice, that of
    the newer queue. Raises OSError."""
    found: dict[str, int] = {}
    for name in sorted(filter(is_queue, given), key=queue_number):
        queued = look_into(given[name])
        if found:
            add(found, [*queued], [*queued.values()])
        else:
            found = queued  # of thousands, mostly all
    return found


def look_into(fd: int) -> dict[str, int]:
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
                for each in received(ancillary):
                    named.close(each)
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            add(found, names.decode("ascii").split(_BETWEEN.decode()), received(ancillary))
    except BaseException:
        for each in found.values():
            named.close(each)
        raise
    finally:
        close(queue)


def received(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a message."""
    fds = array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return [*fds]


def add(found: dict[str, int], names: list[str], fds: list[int]) -> None:
    """Add descriptors to those found before; the last one with a name counts."""
    for name, fd in zip(names, fds, strict=True):
        if name in found:
            # Its file system may be silent, and closing waits for it.
            apart(partial(named.close, found[name]))
        found[name] = fd


def close(*sockets: socket.socket) -> None:
    """Close sockets. They are closed even if the system reports an error."""
    for each in sockets:
        with suppress(OSError):
            each.close()
