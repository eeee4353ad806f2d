"""What survives the end of this process, however it ends: the state, written down as it changes.

The journal is memory (memfd_create(2)) that the service manager holds a descriptor of. Records are
appended before a call is answered, so whoever comes next, after a crash or after an exec, reads
where this process was; there is no other way of handing over, and so none that is seldom used.

A record is one line of JSON, a list that begins with what it is:

===============  ========================================================================
``format``       the version of this format; always the first record
``settings``     the settings in force
``space``        a lockspace: its directory
``client``       a connection: number, service, uid, gid, pid, since
``owner``        a client registered: number, name, uuid, id, pid, start time of the process
``restricted``   a client that may do nothing more: number
``received``     the beginning of a message, in hex, with what is to be passed over: number, …
``unsent``       the rest of a reply, in hex: number, …
``gone``         a connection that is closed: number
``lock``         a resource that is held: see :meth:`lockd.space.Resource.record`
``owners``       another set of owners of a resource: its number, the owners
``relock``       a resource that is locked anew, on another file: its old number, then as ``lock``
``unlock``       a resource that is let go: its number
``dying``        a process that is made to end before its locks are let go: pid, start time
``dead``         it has ended: pid
``descriptors``  for an exec: the open descriptors, number by name
===============  ========================================================================

What is half done when the process is killed is told by one number in front of the records: the
client whose bytes are being read and answered. Its connection cannot go on: nobody knows what it
has been answered.
"""

from __future__ import annotations

import json
import mmap
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    Record = list[Any]

#: The version of the format that this code writes, and the versions that it can take over.
FORMAT: Final = 1
READABLE: Final = range(1, FORMAT + 1)

#: Where the records begin, in bytes.
_START: Final = mmap.PAGESIZE

#: The journal is written anew when it has grown by this much, in bytes, and to twice its size.
_GROWTH: Final = 4 * 1024 * 1024

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


class JournalError(Exception):
    """The journal is not one that this code can take over; the text says why."""


class Journal:
    """The journal in an open memfd. ``number`` tells one journal from the next."""

    def __init__(self, fd: int, number: int = 0) -> None:
        self.fd: Final = fd
        self.number = number
        size = os.lseek(fd, 0, os.SEEK_END)
        self._size = size
        self._limit = 2 * size + _GROWTH
        self._page = mmap.mmap(fd, _START)
        self._serving = memoryview(self._page).cast("I")

    @classmethod
    def create(cls, number: int, records: Iterable[Record] = ()) -> Journal:
        """A new journal that begins with ``records``."""
        fd = os.memfd_create(f"lockd-journal-{number}", os.MFD_CLOEXEC)
        lines = [_encode(["format", FORMAT]), *map(_encode, records), ""]
        with open(fd, "wb", closefd=False) as file:
            file.write(bytes(_START) + "\n".join(lines).encode("ascii"))
        return cls(fd, number)

    def write(self, *record: object) -> None:
        """Append a record."""
        self._size += os.write(self.fd, (_encode(record) + "\n").encode("ascii"))

    @property
    def is_long(self) -> bool:
        """Whether it is time to write the journal anew."""
        return self._size > self._limit

    def serve(self, client: int) -> None:
        """Note which client is being served; 0 for none. Not zero when a process begins, it tells
        whom the one before it was serving when it ended."""
        self._serving[0] = client

    @property
    def served(self) -> int:
        """The client that was being served."""
        return self._serving[0]

    def read(self) -> Iterator[Record]:
        """The records, without the first. Raises :class:`JournalError`."""
        with open(os.dup(self.fd), "rb") as file:
            file.seek(_START)
            lines = file.read().split(b"\n")
            file.seek(0, os.SEEK_END)
        lines.pop()  # nothing, or a record that was being written
        try:
            first, *records = map(json.loads, lines)
            kind, version = first
        except ValueError as error:
            raise JournalError(f"the journal cannot be read: {error}") from error
        if kind != "format" or version not in READABLE:
            raise JournalError(
                f"the journal has format {version}, which this version does not know"
            )
        yield from records

    def close(self) -> None:
        """Let it go."""
        self._serving.release()
        self._page.close()
        os.close(self.fd)
