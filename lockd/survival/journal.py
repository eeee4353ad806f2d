"""The journal: the state of the daemon, recorded as it changes. It survives the end of the process,
however that ends.

The journal is memory (memfd_create(2)) that the service manager holds a descriptor of. Records are
appended before a call is answered, so the next process, after a crash or an exec, finds the last
state. This is the only way of handing over, so it is used all the time.

A record is one line of JSON, a list that begins with its kind: :mod:`lockd.survival.records` has
them all. The first record of every journal is ``format``, the version of the format.

A journal that has grown long is replaced by a new one, which has only what is still true. It is
written in small parts while calls go on, and until it is complete, the old one counts: each record
goes into both, unless it changes something that has not been written into the new one yet.

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
    from typing import Any, Final

#: The version of the format that this code writes, and the versions that it can take over.
FORMAT: Final = 1
READABLE: Final = range(1, FORMAT + 1)

#: Where the records begin, in bytes.
_START: Final = mmap.PAGESIZE

#: A new journal is begun when this one has grown by this much, in bytes, and by half.
_GROWTH: Final = 1024 * 1024

#: How many things are written into a new journal at a time: that takes less than a millisecond.
_AT_ONCE: Final = 64

#: How much is read at a time, in bytes.
_BLOCK: Final = 65536

# The numbers in front.
_SERVING: Final = 0
_LENGTH: Final = 1
_ANSWER_LENGTH: Final = 2

#: The offset of the answer that is being sent, and its greatest length, in bytes.
_ANSWER: Final = 64
MOST_ANSWERED: Final = _START - _ANSWER


class JournalError(Exception):
    """This version cannot take over the journal; the text says why."""


class Part:
    """Things of one sort that a new journal still lacks, by number, and what writes the records of
    one as it is now.

    ``kinds`` are the records that change such a thing; each has its number in front. The first kind
    tells all of it. ``end`` is the kind after which it is no longer there. ``renumbers`` is the
    kind that has its new number next, and then what the first kind has.
    """

    def __init__(
        self,
        left: dict[int, Any],
        records_of: Callable[[Any], Iterable[str]],
        kinds: tuple[str, ...],
        *,
        end: str = "",
        renumbers: str = "",
    ) -> None:
        self.left: Final = left
        self.kinds: Final = kinds
        self._records_of: Final = records_of
        self._end: Final = end
        self._renumbers: Final = renumbers

    def records(self) -> Iterator[str]:
        """The records of all of them."""
        for each in self.left.values():
            yield from self._records_of(each)

    def take_one(self) -> Iterable[str]:
        """The records of one of them, which are written now."""
        return self._records_of(self.left.pop(next(iter(self.left))))

    def to_write(self, kind: str, text: str) -> str:
        """What to write of a record: nothing if the thing is still lacking, and so is written
        later as it is then."""
        first, _, rest = text[len(kind) + 4 :].partition(",")
        number = int(first.rstrip("]"))
        if number not in self.left:
            return text
        if kind in (self._end, self._renumbers):
            del self.left[number]
        return f'["{self.kinds[0]}",{rest}' if kind == self._renumbers else ""


class Journal:
    """The journal in a memfd. ``number`` tells one journal from the next. Raises
    :class:`JournalError` if the memory is not a journal."""

    def __init__(self, fd: int, number: int = 0) -> None:
        self._next: Journal | None = None
        self._parts: list[Part] = []
        self._part_of: dict[str, Part] = {}
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
            # Records go straight into mapped memory: a write(2) takes ten times as long.
            room = max(2 * (end + _GROWTH), size)
            os.ftruncate(fd, _START + room)
            self._records = mmap.mmap(fd, room, offset=_START)
        except BaseException:
            head.release()
            head_page.close()
            raise
        self.fd, self.number = fd, number
        self._head_page, self._head = head_page, head
        # How much of one that an earlier process has written is obsolete is not known.
        self._end, self._limit, self._room = end, _GROWTH, room

    @classmethod
    def create(cls, number: int) -> Journal:
        """A new journal."""
        return cls(_new_memory(number, ()), number)

    def begin_next(self, records: Iterable[str], parts: Iterable[Part] = ()) -> None:
        """Begin a new journal, with a new number, that has ``records`` and then all ``parts``, and
        so no obsolete records. If it raises OSError, nothing has changed."""
        fd = _new_memory(self.number + 1, records)
        try:
            self._next = Journal(fd, self.number + 1)
        except BaseException:
            os.close(fd)
            raise
        self._parts = [*parts]
        self._part_of = {kind: part for part in self._parts for kind in part.kinds}

    @property
    def has_next(self) -> bool:
        """Whether a new journal has been begun, which :meth:`go_on` completes."""
        return self._next is not None

    def go_on(self, keep: Callable[[], object]) -> None:
        """Write some more into the new journal. If it is complete, continue in it; ``keep`` is
        called before the old memory is released, which the next process would find until then. If
        it raises OSError, this is still the old journal, and there is no new one."""
        if self._next is None:
            return
        try:
            for _ in range(_AT_ONCE):
                while self._parts and not self._parts[0].left:
                    del self._parts[0]
                if not self._parts:
                    self._change_over(self._next, keep)
                    return
                for each in self._parts[0].take_one():
                    self._next.append(each)
        except OSError:
            self._drop_next()
            raise

    def _change_over(self, new: Journal, keep: Callable[[], object]) -> None:
        old = self._head, self._head_page, self._records, self.fd
        self.fd, self.number = new.fd, new.number
        self._head_page, self._head, self._records = new._head_page, new._head, new._records
        self._end, self._room = new._end, new._room
        self._limit = self._end + max(_GROWTH, self._end // 2)
        self._forget_next()
        keep()
        _let_go(*old)

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next.close()
            self._forget_next()

    def _forget_next(self) -> None:
        self._next = None
        # An empty table keeps the room of all that it had.
        self._parts, self._part_of = [], {}

    def append(self, text: str) -> None:
        """Append a record that is JSON already, in ASCII."""
        line = text.encode("ascii") + b"\n"
        start, end = self._end, self._end + len(line)
        if end > self._room:
            self._make_room(2 * end)
        self._records[start:end] = line
        self._head[_LENGTH] = self._end = end
        if self._next is not None:
            self._append_to_next(self._next, text)

    def _append_to_next(self, new: Journal, text: str) -> None:
        kind = text[2 : text.index('"', 2)]
        part = self._part_of.get(kind)
        if part is not None:
            text = part.to_write(kind, text)
        try:
            if text:
                new.append(text)
        except OSError:
            self._drop_next()  # another one is begun later

    def _make_room(self, room: int) -> None:
        os.ftruncate(self.fd, _START + room)
        self._records.resize(room)
        self._room = room

    @property
    def is_long(self) -> bool:
        """Whether it is time to begin a new journal."""
        return self._end > self._limit and self._next is None

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
        """The records without the first, in blocks of whole lines. Raises :class:`JournalError`."""
        self._records.seek(0)
        kind, version = self._first()
        if kind != "format" or version not in READABLE:
            raise JournalError(
                f"the journal has format {version}, which this version does not know"
            )
        at = self._records.tell()
        while at < self._end:
            whole = self._records.rfind(b"\n", at, min(at + _BLOCK, self._end))
            if whole < 0:
                whole = self._records.find(b"\n", at, self._end)  # one that is longer than a block
            end = self._end if whole < 0 else whole + 1
            yield self._records[at:end]
            at = end

    def last(self) -> bytes:
        """The last record."""
        return self._records[self._records.rfind(b"\n", 0, self._end - 1) + 1 : self._end]

    def _first(self) -> tuple[object, object]:
        try:
            kind, version = json.loads(self._records.readline())
        except (ValueError, TypeError, RecursionError) as error:
            raise JournalError(f"the journal cannot be read: {error}") from error
        return kind, version

    def close(self) -> None:
        """Release the memory."""
        self._drop_next()
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
