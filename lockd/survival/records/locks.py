"""The records of the locks: lockspaces, resources that are held, and files that are still open.

A resource has a number for as long as its file is open; then another one may get it.
"""

from __future__ import annotations

from lockd.survival.records.encoding import parsed, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
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

    def __init__(
        self,
        number: int,
        directory: str,
        name: str,
        identity: list[int],
        posix: int,
        shared: int,
        create: int,
        since: int,
        disk: str,
        disk_identity: list[int],
        owners: list[list[Any]],
    ) -> None:
        self.number: Final = number
        self.directory: Final = directory
        self.name: Final = name
        self.identity: Final = identity
        self.posix: Final = bool(posix)
        self.shared: Final = bool(shared)
        self.create: Final = bool(create)
        self.since: Final = since
        self.disk: Final = disk
        self.disk_identity: Final = disk_identity
        self.owners: Final = owners
        self.disk_born = 0
        self.is_held = True


#: How many fields of a resource this version knows.
_FIELDS: Final = 11


class Records:
    """The lockspaces, and all resources whose files are open."""

    def __init__(self) -> None:
        self.spaces: Final[dict[str, None]] = {}
        # By number: the records as they are, which take the least room; later changes of the
        # owners; which are no longer held; and when their disks were made.
        self._lines: Final[dict[int, bytes]] = {}
        self._owners: Final[dict[int, list[tuple[bool, list[Any]]]]] = {}
        self._idle: Final[set[int]] = set()
        self._born: Final[dict[int, int]] = {}
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
        return self._lines.keys()

    def resources(self) -> Iterator[Held]:
        """All resources, in the order in which they came."""
        for (_, number, *fields), _ in parsed(self._lines.values()):
            held = Held(number, *fields[: _FIELDS - 1])
            for more, owner in self._owners.get(number, ()):
                if more:
                    held.owners.append(owner)
                else:
                    held.owners.remove(owner)
            held.disk_born = self._born.get(number, 0)
            held.is_held = number not in self._idle
            yield held

    def _space(self, fields: list[Any], _: bytes) -> None:
        self.spaces[fields[0]] = None

    def _lock(self, fields: list[Any], line: bytes) -> None:
        number = fields[0]
        self._lines[number] = line
        self._idle.discard(number)
        self._owners.pop(number, None)
        self._born.pop(number, None)

    def _note_birth(self, fields: list[Any], _: bytes) -> None:
        self._born[fields[0]] = fields[1]

    def _also(self, fields: list[Any], _: bytes) -> None:
        self._owners.setdefault(fields[0], []).append((True, fields[1]))

    def _less(self, fields: list[Any], _: bytes) -> None:
        self._owners.setdefault(fields[0], []).append((False, fields[1]))

    def _relock(self, fields: list[Any], line: bytes) -> None:
        before, *lock = fields
        self._drop(before)
        self._lock(lock, line.replace(b'"relock",%d,' % before, b'"lock",', 1))

    def _unlock(self, fields: list[Any], _: bytes) -> None:
        self._idle.add(fields[0])

    def _closed(self, fields: list[Any], _: bytes) -> None:
        self._drop(fields[0])

    def _drop(self, number: int) -> None:
        """Nothing has that number, for now."""
        del self._lines[number]
        self._idle.discard(number)
        self._owners.pop(number, None)
        self._born.pop(number, None)
