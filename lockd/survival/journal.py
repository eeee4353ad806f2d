"""What survives the end of this process, however it ends: the state, written down as it changes.

The journal is memory (memfd_create(2)) that the service manager holds a descriptor of. Records are
appended before a call is answered, so whoever comes next, after a crash or after an exec, reads
where this process was; there is no other way of handing over, and so none that is seldom used.

A record is one line of JSON, a list that begins with what it is:

===============  ========================================================================
``format``       the version of this format; always the first record
``settings``     the settings in force
``changed``      a setting that was changed at run time: its name, the value
``space``        a lockspace: its directory
``ids``          the id of the client that comes next: service, id
``client``       a connection: number, service, uid, gid, pid, since, id
``owner``        a client registered: number, name, uuid, id, pid, start time of the process
``restricted``   a client that may do nothing more: number
``received``     the beginning of a message, in hex, with what is to be passed over: number, …
``more``         what came of the same message since, in hex, with what is to be passed over now:
                 number, …
``unsent``       the rest of a reply, in hex: number, …
``sent``         the client has got more of it: number, how many bytes
``waiting``      calls that wait for a file system, each in hex: number, the list of them
``gone``         a connection that is closed: number
``lock``         a resource that is held: see :meth:`lockd.locks.space.Resource.record`
``also``         another acquisition of a resource that is shared: its number, the owner
``less``         one acquisition less: its number, the owner
``relock``       a resource that is locked anew, on another file: its old number, then as ``lock``
``unlock``       a resource that is let go, whose file is still open: its number
``closed``       a file that is not open any more: its number
``dying``        a process that is made to end before its locks are let go: pid, start time, and
                 once it has ended, what could not be let go yet: lockspace, name, owner of each
``dead``         they have been let go: pid, start time
``descriptors``  for an exec: the open descriptors, number by name
===============  ========================================================================

In front of the records there are two numbers. One is how far they go: it grows when a record is
there whole. The other is the client whose call is being looked at, until the answer is sent: if the
process is killed meanwhile, that connection cannot go on, for its call is lost.
"""

from __future__ import annotations

import json
import mmap
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

#: The version of the format that this code writes, and the versions that it can take over.
FORMAT: Final = 1
READABLE: Final = range(1, FORMAT + 1)

#: Where the records begin, in bytes.
_START: Final = mmap.PAGESIZE

#: The journal is written anew when it has grown by this much, in bytes, and to twice its size.
_GROWTH: Final = 1024 * 1024

# The numbers in front.
_SERVING: Final = 0
_LENGTH: Final = 1

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def record(*fields: object) -> str:
    """A record."""
    return _encode(fields)


class JournalError(Exception):
    """The journal is not one that this code can take over; the text says why."""


class Journal:
    """The journal in a memfd. ``number`` tells one journal from the next. Raises
    :class:`JournalError` where that is none."""

    def __init__(self, fd: int, number: int = 0) -> None:
        if os.fstat(fd).st_size < _START:
            raise JournalError("the journal has no beginning")
        self.fd: Final = fd
        self.number = number
        self._head_page: Final = mmap.mmap(fd, _START)
        self._head: Final = memoryview(self._head_page).cast("Q")
        self._end = self._head[_LENGTH]
        if self._end > os.fstat(fd).st_size - _START:
            raise JournalError("the journal is shorter than it says")
        self._limit: Final = 2 * self._end + _GROWTH
        # What is written goes straight into the memory: a write(2) takes ten times as long.
        self._room = max(self._limit + _GROWTH, os.fstat(fd).st_size - _START)
        os.ftruncate(fd, _START + self._room)
        self._records: Final = mmap.mmap(fd, self._room, offset=_START)

    @classmethod
    def create(cls, number: int, records: Iterable[str] = ()) -> Journal:
        """A new journal that begins with ``records``."""
        data = "\n".join((record("format", FORMAT), *records, "")).encode("ascii")
        fd = os.memfd_create(f"lockd-journal-{number}", os.MFD_CLOEXEC)
        os.ftruncate(fd, _START + len(data))
        os.pwrite(fd, data, _START)
        os.pwrite(fd, len(data).to_bytes(8, sys.byteorder), 8 * _LENGTH)
        return cls(fd, number)

    def write(self, *fields: object) -> None:
        """Append a record."""
        self.append(_encode(fields))

    def append(self, text: str) -> None:
        """Append a record that is JSON already, in ASCII."""
        line = text.encode("ascii") + b"\n"
        start, end = self._end, self._end + len(line)
        if end > self._room:
            self._room = 2 * end
            os.ftruncate(self.fd, _START + self._room)
            self._records.resize(self._room)
        self._records[start:end] = line
        self._head[_LENGTH] = self._end = end

    @property
    def is_long(self) -> bool:
        """Whether it is time to write the journal anew."""
        return self._end > self._limit

    def serve(self, client: int) -> None:
        """Note which client is being served; 0 for none."""
        self._head[_SERVING] = client

    @property
    def served(self) -> int:
        """Whom the process that wrote the journal was serving when it ended."""
        return self._head[_SERVING]

    def read(self) -> Iterator[bytes]:
        """The records, each a line, without the first. Raises :class:`JournalError`."""
        self._records.seek(0)
        kind, version = self._first()
        if kind != "format" or version not in READABLE:
            raise JournalError(
                f"the journal has format {version}, which this version does not know"
            )
        while self._records.tell() < self._end:
            yield self._records.readline()

    def _first(self) -> tuple[object, object]:
        try:
            kind, version = json.loads(self._records.readline())
        except (ValueError, TypeError, RecursionError) as error:
            raise JournalError(f"the journal cannot be read: {error}") from error
        return kind, version

    def close(self) -> None:
        """Let it go."""
        self._head.release()
        self._head_page.close()
        self._records.close()
        os.close(self.fd)
