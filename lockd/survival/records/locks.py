"""The records of the locks: lockspaces, resources that are held, and files that are still open.

A resource has a number for as long as its file is open; then another one may get it.
"""

from __future__ import annotations

from lockd.survival.records.encoding import parsed, record
from lockd.wire.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any, Final, Literal

    from lockd.kernel.named import Identity
    from lockd.survival.records.encoding import Replay


#: The kinds of records that tell of one resource. ``born`` comes with ``lock`` and ``relock``.
OF_RESOURCE: Final = ("lock", "also", "less", "relock", "unlock", "closed")


def space(directory: str) -> str:
    """``space``: a lockspace: its directory."""
    return record("space", directory)


# What follows is written at every call, and not by way of a list: that would take as long as all
# of the rest. ``fields`` and ``owner`` are JSON already.


def lock(fields: str, born: int = 0) -> str:
    """``lock``: a resource that is held, as the fields of :class:`Held`; then ``born``, unless the
    time is unknown."""
    return f'["lock",{fields}]{_born(fields, born)}'


def _born(fields: str, born: int) -> str:
    """``born``: when the disk of a resource was made: its number, nanoseconds. It is no field of
    the resource because the first versions do not pass over one that they do not know."""
    return f'\n["born",{fields.partition(",")[0]},{born}]' if born else ""


def also(number: int, owner: str) -> str:
    """``also``: another acquisition of a resource that is shared: its number, the owner."""
    return f'["also",{number},{owner}]'


def less(number: int, owner: str) -> str:
    """``less``: one acquisition less: the number of the resource, the owner."""
    return f'["less",{number},{owner}]'


def relock(before: int, fields: str, born: int = 0) -> str:
    """``relock``: a resource that is locked again, on another file: the number that it had, then
    as ``lock``."""
    return f'["relock",{before},{fields}]{_born(fields, born)}'


def unlock(number: int) -> str:
    """``unlock``: a resource that was released, whose file is still open: its number."""
    return f'["unlock",{number}]'


def closed(number: int) -> str:
    """``closed``: a file that is no longer open: its number."""
    return f'["closed",{number}]'


class Held(Record):
    """A resource as its record tells of it, in the order of the fields; each owner as the fields of
    its own. ``is_held`` is False if only its file is still open."""

    kind: Literal["lock"]
    number: int
    directory: str
    name: str
    identity: Identity
    posix: bool
    shared: bool
    create: bool
    since: int
    disk: str
    disk_identity: Identity | None
    owners: Sequence[Any]
    disk_born: int
    is_held: bool


#: The kind of the records that are parsed only if the resource is still there at the end.
LATE: Final = "lock"

#: How many fields of such a record this version knows, with the kind. The last are the owners.
_FIELDS: Final = 12
_OWNERS: Final = 11

#: How many of these are parsed at a time.
_AT_ONCE: Final = 128


class Records:
    """The lockspaces, and all resources whose files are open."""

    def __init__(self) -> None:
        self.spaces: Final[dict[str, None]] = {}
        #: The record of each, and its owners where these have changed since.
        self._held: Final[dict[int, bytes]] = {}
        self._owners: Final[dict[int, list[Any]]] = {}
        self._born: Final[dict[int, int]] = {}
        self._released: Final[set[int]] = set()
        self.replays: Final[dict[str, Replay]] = {
            "space": self._space,
            "lock": self._lock,
            "born": self._note_birth,
            "also": self._also,
            "less": self._less,
            "relock": self._relock,
            "unlock": self._unlock,
            "closed": self._closed,
        }

    @property
    def numbers(self) -> Collection[int]:
        """Those that are in use."""
        return self._held.keys()

    def take_resources(self) -> Iterator[tuple[Any, ...]]:
        """The fields of all resources (:class:`Held`), in the order in which they came; each owner
        is a list. Their records are forgotten, some after others, so that what is made of them has
        their room. To give thousands of them names takes milliseconds."""
        left = [*self._held.values()]
        self._held.clear()
        left.reverse()
        born, changed, released = self._born, self._owners, self._released
        while left:
            some = [left.pop() for _ in left[-_AT_ONCE:]]
            for fields in parsed((b"\n".join(some),)):
                kind, number, path, name, file, posix, shared, create, since, disk, of, owners = (
                    fields[:_FIELDS]
                )
                yield (
                    kind,
                    number,
                    path,
                    name,
                    tuple(file),
                    posix,
                    shared,
                    create,
                    since,
                    disk,
                    tuple(of) or None,
                    changed.get(number, owners),
                    born.get(number, 0),
                    number not in released,
                )

    def _space(self, fields: list[Any]) -> None:
        self.spaces[fields[0]] = None

    def _lock(self, fields: list[Any]) -> None:
        number, line = fields
        if number in self._held:
            self._closed([number])
        self._held[number] = line

    def _note_birth(self, fields: list[Any]) -> None:
        self._born[fields[0]] = fields[1]

    def _also(self, fields: list[Any]) -> None:
        self._owners_of(fields[0]).append(fields[1])

    def _less(self, fields: list[Any]) -> None:
        self._owners_of(fields[0]).remove(fields[1])

    def _owners_of(self, number: int) -> list[Any]:
        owners = self._owners.get(number)
        if owners is None:
            (fields,) = parsed((self._held[number],))
            owners = self._owners[number] = fields[_OWNERS]
        return owners

    def _relock(self, fields: list[Any]) -> None:
        before, *lock = fields
        self._closed([before])
        self._lock([lock[0], record(LATE, *lock).encode("ascii")])

    def _unlock(self, fields: list[Any]) -> None:
        self._released.add(fields[0])

    def _closed(self, fields: list[Any]) -> None:
        number = fields[0]
        del self._held[number]
        self._owners.pop(number, None)
        self._born.pop(number, None)
        self._released.discard(number)
