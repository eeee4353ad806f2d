"""The journal: the state of the daemon, recorded as it changes. It survives the end of the process,
however that ends.

The journal is memory (memfd_create(2)) that the service manager holds a descriptor of. Records are
appended before a call is answered, so the next process, after a crash or an exec, finds the last
state. This is the only way of handing over, so it is used all the time.

A record is one line of JSON, a list that begins with its kind: :mod:`lockd.survival.records` has
them all. The first record of every journal is ``format``, the version of the format.

In front of the records there are some numbers. One is the length: it grows once a record is
complete. Another is the client whose call is being handled, until the answer is sent: if the
process is killed meanwhile, that connection cannot continue, because its call is lost. Once there
is an answer, that is recorded too, and the next process can send it.
"""

from __future__ import annotations

import json
import mmap
import os
import sys

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

#: The version of the format that this code writes, and the versions that it can take over.
FORMAT: Final = 1
READABLE: Final = range(1, FORMAT + 1)

#: Where the records begin, in bytes.
_START: Final = mmap.PAGESIZE

#: The journal is rewritten when it has grown by this much, in bytes, and to twice its size.
_GROWTH: Final = 1024 * 1024

# The numbers in front.
_SERVING: Final = 0
_LENGTH: Final = 1
_ANSWER_LENGTH: Final = 2

#: The offset of the answer that is being sent, and its greatest length, in bytes.
_ANSWER: Final = 64
MOST_ANSWERED: Final = _START - _ANSWER


class JournalError(Exception):
    """This version cannot take over the journal; the text says why."""


class Journal:
    """The journal in a memfd. ``number`` tells one journal from the next. Raises
    :class:`JournalError` if the memory is not a journal."""

    def __init__(self, fd: int, number: int = 0) -> None:
        self._open(fd, number)

    def _open(self, fd: int, number: int) -> None:
        """Open the memory. If it raises JournalError or OSError, nothing has changed."""
        size = os.fstat(fd).st_size - _START
        if size < 0:
            raise JournalError("the journal has no beginning")
        head_page = mmap.mmap(fd, _START)
        head = memoryview(head_page).cast("Q")
        try:
            end = head[_LENGTH]
            if end > size:
                raise JournalError("the journal is shorter than it says")
            limit = 2 * end + _GROWTH
            # Records go straight into mapped memory: a write(2) takes ten times as long.
            room = max(limit + _GROWTH, size)
            os.ftruncate(fd, _START + room)
            self._records = mmap.mmap(fd, room, offset=_START)
        except BaseException:
            head.release()
            head_page.close()
            raise
        self.fd, self.number = fd, number
        self._head_page, self._head = head_page, head
        self._end, self._limit, self._room = end, limit, room

    @classmethod
    def create(cls, number: int) -> Journal:
        """A new journal."""
        return cls(_new_memory(number, ()), number)

    def rewrite(self, records: Iterable[str], keep: Callable[[], object]) -> None:
        """Continue in new memory, with a new number, that begins with ``records`` and so contains
        no obsolete records. ``keep`` is called before the old memory is released, which the next
        process would find until then. If it raises OSError, nothing has changed."""
        old = self._head, self._head_page, self._records, self.fd
        number = self.number + 1
        fd = _new_memory(number, records)
        try:
            self._open(fd, number)
        except BaseException:
            os.close(fd)
            raise
        keep()
        _let_go(*old)

    def append(self, text: str) -> None:
        """Append a record that is JSON already, in ASCII."""
        line = text.encode("ascii") + b"\n"
        start, end = self._end, self._end + len(line)
        if end > self._room:
            self._make_room(2 * end)
        self._records[start:end] = line
        self._head[_LENGTH] = self._end = end

    def _make_room(self, room: int) -> None:
        os.ftruncate(self.fd, _START + room)
        self._records.resize(room)
        self._room = room

    @property
    def is_long(self) -> bool:
        """Whether it is time to rewrite the journal."""
        return self._end > self._limit

    def serve(self, client: int) -> None:
        """Note which client is being served and has no answer yet; 0 means none."""
        head = self._head
        head[_SERVING] = 0
        head[_ANSWER_LENGTH] = 0
        head[_SERVING] = client

    def answer(self, data: bytes) -> None:
        """Note the answer for the client that is being served, of at most :data:`MOST_ANSWERED`
        bytes."""
        self._head_page[_ANSWER : _ANSWER + len(data)] = data
        self._head[_ANSWER_LENGTH] = len(data)

    @property
    def served(self) -> int:
        """The client that the process that wrote the journal was serving when it ended."""
        return self._head[_SERVING]

    @property
    def answered(self) -> bytes:
        """The answer that it was about to send to that client, or had sent; empty if there was none
        yet."""
        length = min(self._head[_ANSWER_LENGTH], MOST_ANSWERED)
        return self._head_page[_ANSWER : _ANSWER + length]

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
        """Release the memory."""
        _let_go(self._head, self._head_page, self._records, self.fd)


def _new_memory(number: int, records: Iterable[str]) -> int:
    """The memory of a new journal. Raises OSError."""
    data = "\n".join((record("format", FORMAT), *records, "")).encode("ascii")
    fd = os.memfd_create(f"lockd-journal-{number}", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, _START + len(data))
        _write(fd, data, _START)
        _write(fd, len(data).to_bytes(8, sys.byteorder), 8 * _LENGTH)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _write(fd: int, data: bytes, at: int) -> None:
    """Write all of it: if memory is short, the system may write only a part."""
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


def _let_go(head: memoryview, head_page: mmap.mmap, records: mmap.mmap, fd: int) -> None:
    head.release()
    head_page.close()
    records.close()
    os.close(fd)
