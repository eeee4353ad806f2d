"""Lockspaces, resources and owners: who holds what, and who may. Pure: nothing here does I/O.

A lockspace is a directory; the default one, ``""``, has no directory, and its resources are named
by their whole paths. A resource is a name in a lockspace that is locked at the moment; while no
owner holds it, it is only a file. An owner is a guest, known by the pid of its process.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quoted

from lockd.escape import escaped
from lockd.wire.fault import (
    FROM_LOCKSPACE,
    FROM_RPC,
    INTERNAL_ERROR,
    INVALID_ARG,
    RESOURCE_BUSY,
    Fault,
    fault,
)
from lockd.wire.xdr import signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from lockd.kernel.filelock import FileLock
    from lockd.kernel.named import Identity


#: How much of a guest's name is shown, in characters.
_LONGEST_NAME: Final = 200


class Owner:
    """A guest, as it registered: ``id`` is libvirt's number of it, ``uuid`` 16 bytes. ``disks`` are
    its disks by the hash of their paths, once they have been read; ``started`` is when its process
    started, in clock ticks since boot, 0 if the process did not exist."""

    __slots__ = ("_text", "disks", "id", "name", "pid", "started", "uuid")

    def __init__(self, name: str, uuid: bytes, id: int, pid: int) -> None:
        self.name: Final = name
        self.uuid: Final = uuid
        self.id: Final = id
        self.pid: Final = pid
        self._text = ""
        self.disks: Mapping[str, str] | None = None
        self.started = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Owner) and self.record() == other.record()

    def __hash__(self) -> int:
        return hash(self.pid)

    @property
    def text(self) -> str:
        """The record as JSON. It is needed often, and made once."""
        if not self._text:
            self._text = json.dumps(self.record())
        return self._text

    def __str__(self) -> str:
        return f"guest '{self.shown_name}' (uuid {self.shown_uuid}, pid {self.pid})"

    @property
    def shown_name(self) -> str:
        """The name as people may see it."""
        return escaped(self.name, _LONGEST_NAME)

    @property
    def shown_uuid(self) -> str:
        """The UUID as people write it. The module of that name takes milliseconds to import."""
        text = self.uuid.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def fields(self) -> dict[str, str | int]:
        """The owner as the fields of an event."""
        shown = {"guest": self.shown_name, "uuid": self.shown_uuid}
        return {**shown, "pid": self.pid}

    def record(self) -> tuple[str, str, int, int]:
        """The owner as JSON can have it; the argument of :meth:`from_record`."""
        return self.name, self.uuid.hex(), self.id, self.pid

    @classmethod
    def from_record(cls, fields: Sequence[Any]) -> Owner:
        """The owner in a record of :meth:`record`. Fields that another version added at the end are
        ignored."""
        name, uuid, number, pid = fields[:4]
        return cls(name, bytes.fromhex(uuid), number, pid)


class Resource:
    """A resource that is held.

    ``owners`` has one entry for every acquisition: an owner may hold a shared resource several
    times. ``create`` tells that the first of them asked lockd to make the file, so the last removes
    it. ``since`` is the time of the first acquisition in seconds since the epoch, ``taken`` the
    same time and ``released`` the time of the last release, both of :func:`time.monotonic`.
    ``disk`` is the path of the disk behind a name that is a hash, if it is known,
    ``disk_identity`` what that file is known by, and ``disk_born`` when it was made (nanoseconds, 0
    if unknown): a file that is made later may be known by the same. ``number`` is the name under
    which the keeper has the descriptor. ``shown`` tells that the lock is visible to ``lslocks``,
    ``noted`` that the file has a note. ``problem`` says what is wrong with the lock; it is empty
    while nothing is. ``unlocks`` counts the failed attempts to unlock it since its release.
    """

    __slots__ = (
        "_file",
        "_file_of",
        "create",
        "disk",
        "disk_born",
        "disk_identity",
        "lock",
        "name",
        "noted",
        "number",
        "owners",
        "problem",
        "released",
        "shared",
        "shown",
        "since",
        "space",
        "taken",
        "unlocks",
    )

    def __init__(
        self,
        space: Lockspace,
        name: str,
        lock: FileLock,
        number: int,
        create: bool,
    ) -> None:
        self.space: Final = space
        self.name: Final = name
        self.lock = lock
        self.number = number
        self.shared = False
        self.create: Final = create
        self.since = 0
        self.taken = 0.0
        self.owners: Final[list[Owner]] = []
        self.disk = ""
        self.disk_identity: Identity | None = None
        self.disk_born = 0
        self.noted = False
        self.shown = False
        self.problem = ""
        self.released = 0.0
        self.unlocks = 0
        self._file = ""
        self._file_of: FileLock | None = None

    @property
    def may_have_note(self) -> bool:
        """Whether the file may get a note on its holder: only a file that exists only to be locked
        may. In the default lockspace the files are the disks themselves."""
        return self.create and bool(self.space.directory) and not self.shared

    @property
    def is_plain(self) -> bool:
        """Whether its file must be a regular file and not a link. A disk may be either."""
        return bool(self.space.directory)

    @property
    def identities(self) -> list[Identity]:
        """What the locked file and the disk are known by."""
        if self.disk_identity is None:
            return [self.lock.identity]
        return [self.lock.identity, self.disk_identity]

    @property
    def path(self) -> str:
        """The file that is locked."""
        return self.space.path(self.name)

    def fields(self) -> dict[str, str | int]:
        """The resource as the fields of an event."""
        disk = self.disk or ("" if self.space.directory else self.name)
        mode = "shared" if self.shared else "exclusive"
        return {**about(self.space.directory, self.name), "disk": disk, "mode": mode}

    def forget_text(self) -> None:
        """Make room: :meth:`record` is not needed again soon."""
        self._file, self._file_of = "", None

    def record(self) -> str:
        """The resource as the fields of a JSON list."""
        # Not json.dumps, which takes as long as the rest of an acquisition. The part that stays the
        # same while the file is open is made once.
        lock = self.lock
        if self._file_of is not lock:
            self._file_of = lock
            self._file = (
                f"{quoted(self.space.directory)},{quoted(self.name)},"
                f"[{lock.identity[0]},{lock.identity[1]}],{lock.posix:d}"
            )
        disk = quoted(self.disk) if self.disk else '""'
        owners = self.owners
        who = owners[0].text if len(owners) == 1 else ",".join([owner.text for owner in owners])
        return (
            f"{self.number},{self._file},{self.shared:d},{self.create:d},{self.since},"
            f"{disk},{list(self.disk_identity or ())},[{who}]"
        )


class Lockspace:
    """A lockspace. It has the resources that are held, and those that were released a moment ago
    and whose files are still open, by name."""

    __slots__ = ("directory", "idle", "resources")

    def __init__(self, directory: str) -> None:
        self.directory: Final = directory
        self.idle: Final[dict[str, Resource]] = {}
        self.resources: Final[dict[str, Resource]] = {}

    def path(self, name: str) -> str:
        """The file of a resource."""
        return f"{self.directory}/{name}" if self.directory else name

    def check_name(self, name: str) -> None:
        """Refuse, with a :class:`Fault`, a name that is not a file of this lockspace."""
        if not self.directory:
            if not name.startswith("/"):
                raise fault(
                    INVALID_ARG, FROM_LOCKSPACE, f"resource '{name}' must be an absolute path"
                )
        elif "/" in name or name in ("", ".", ".."):
            raise fault(
                INVALID_ARG,
                FROM_LOCKSPACE,
                f"resource '{name}' must be the name of a file in {self.directory}",
            )


def check_directory(path: str) -> None:
    """Refuse, with a :class:`Fault`, a lockspace that is not an absolute path without detours."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise fault(
            INVALID_ARG, FROM_LOCKSPACE, f"lockspace '{path}' must be an absolute path without '..'"
        )


def about(directory: str, name: str) -> dict[str, str | int]:
    """The name of a resource as the fields of an event."""
    return {"lockspace": directory, "resource": name}


def no_such_lockspace(path: str) -> Fault:
    """The error for a lockspace that no client has created."""
    return fault(INTERNAL_ERROR, FROM_RPC, f"Lockspace for path {path} does not exist")


def is_locked(name: str, why: str = "") -> Fault:
    """The error for a resource whose lock excludes the caller; ``why`` names the holder."""
    return fault(RESOURCE_BUSY, FROM_LOCKSPACE, f"Lockspace resource '{name}' is locked{why}")


def planted(what: str) -> Fault:
    """The error for a resource whose file is not a lock file; ``what`` says what it is."""
    return fault(INVALID_ARG, FROM_LOCKSPACE, what)


def is_not_locked(name: str) -> Fault:
    """The error for the release of a resource that no owner holds."""
    return fault(RESOURCE_BUSY, FROM_LOCKSPACE, f"Lockspace resource '{name}' is not locked")


def not_the_owner(pid: int) -> Fault:
    """The error for the release of a resource that only others hold."""
    return fault(
        INTERNAL_ERROR, FROM_LOCKSPACE, f"owner {signed(pid)} does not hold the resource lock"
    )
