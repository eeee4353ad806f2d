"""The records of the locks: lockspaces, resources that are held, and files that are still open.

A resource has a number for as long as its file is open; then another one may get it.
"""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any, Final

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


class Held:
    """A resource as its record tells of it, in the order of the fields; each owner as the fields of
    its own. ``is_held`` is False if only its file is still open."""

    __slots__ = (
        "create",
        "directory",
        "disk",
        "disk_born",
        "disk_identity",
        "identity",
        "is_held",
        "name",
        "number",
        "owners",
        "posix",
        "shared",
        "since",
    )

    def __init__(self, fields: list[Any]) -> None:
        self.number: int
        self.directory: str
        self.name: str
        self.shared: bool
        self.create: bool
        self.since: int
        self.disk: str
        self.owners: list[tuple[Any, ...]]
        (
            self.number,
            self.directory,
            self.name,
            identity,
            posix,
            self.shared,
            self.create,
            self.since,
            self.disk,
            disk_identity,
            self.owners,
        ) = fields
        self.identity: tuple[int, int] = (*identity,)
        self.posix: Final = bool(posix)
        self.disk_identity: tuple[int, int] | None = (*disk_identity,) or None
        self.disk_born = 0
        self.is_held = True


#: How many fields of a resource this version knows.
_FIELDS: Final = 11


class Records:
    """The lockspaces, and all resources whose files are open."""

    def __init__(self) -> None:
        self.spaces: Final[dict[str, None]] = {}
        self._held: Final[dict[int, list[Any]]] = {}
        self._born: Final[dict[int, int]] = {}
        self._released: Final[set[int]] = set()
        # What many records have is there once.
        self._directories: Final[dict[str, str]] = {}
        self._guests: Final[dict[tuple[Any, ...], tuple[Any, ...]]] = {}
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

    def take_resources(self) -> Iterator[Held]:
        """All resources, in the order in which they came. They are forgotten, one after the other,
        so that what is made of them has their room."""
        left = [*self._held.values()]
        self._held.clear()
        left.reverse()
        while left:
            held = Held(left.pop()[:_FIELDS])
            held.directory = self._directories.setdefault(held.directory, held.directory)
            held.owners = [*map(self._guest, held.owners)]
            held.is_held = held.number not in self._released
            held.disk_born = self._born.get(held.number, 0)
            yield held

    def _space(self, fields: list[Any]) -> None:
        self.spaces[fields[0]] = None

    def _lock(self, fields: list[Any]) -> None:
        # What is much of the time is left to :meth:`take_resources`: most of a long journal's
        # resources are gone by its end.
        number = fields[0]
        if number in self._held:
            self._closed([number])
        self._held[number] = fields

    def _guest(self, owner: Sequence[Any]) -> tuple[Any, ...]:
        known = (*owner,)
        return self._guests.setdefault(known, known)

    def _note_birth(self, fields: list[Any]) -> None:
        self._born[fields[0]] = fields[1]

    def _also(self, fields: list[Any]) -> None:
        self._held[fields[0]][10].append(fields[1])

    def _less(self, fields: list[Any]) -> None:
        self._held[fields[0]][10].remove(fields[1])

    def _relock(self, fields: list[Any]) -> None:
        before, *lock = fields
        self._closed([before])
        self._lock(lock)

    def _unlock(self, fields: list[Any]) -> None:
        self._released.add(fields[0])

    def _closed(self, fields: list[Any]) -> None:
        number = fields[0]
        del self._held[number]
        self._born.pop(number, None)
        self._released.discard(number)
