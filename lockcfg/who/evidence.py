"""Gathers what this host can see of the locks in question: lock files and their notes, the kernel's
locks, lockd's own report, this host's guests and, on an NFS server, its clients.

A file system may be silent. So a thread gathers the evidence, and the command waits only for a
moment: what the thread has found by then counts, and the rest is unknown.
"""

from __future__ import annotations

import json
import os
import stat

from lockcfg.doctor.evidence import image_locks
from lockcfg.doctor.lockd_answers import Answers, NoLockdError
from lockcfg.filelock import lock_on
from lockcfg.frozen import Frozen
from lockcfg.running.guests import defined_guests, running_guests
from lockcfg.who import nfs_server
from lockcfg.who.names import devices_named, hash_of, names_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final, Literal

    from lockcfg.running.guests import RunningGuest
    from lockcfg.who.clues import Clue
    from lockcfg.who.nfs_server import NfsClient

    #: Whether the kernel says that a lock is held.
    Locked = Literal["exclusive", "shared", "no", "unknown"]

#: The extended attribute of a note, and the beginning of one: lockd's own format
#: (``lockd/kernel/note.py``).
_ATTRIBUTE: Final = "user.lockd"
_NOTE: Final = b'{"lockd"'

#: How many bytes of a note are read, and how many characters of each of its fields are kept.
_MOST: Final = 4096
_MOST_FIELD: Final = 1024

#: The bytes of an image that QEMU locks.
_QEMU_FIRST: Final = 100
_QEMU_BYTES: Final = 104


class LockFile(Frozen):
    """A lock: ``name`` in the lockspace ``space``, or a disk itself if that is empty. ``note`` is
    the note that lockd has written into it. ``locked`` says whether it is held, and ``pid`` by
    which process of this host (0: unknown). ``owners`` are the owners that lockd reports,
    ``clients`` the clients of this NFS server that have it. ``why`` says what could not be found
    out."""

    __slots__ = ("clients", "locked", "name", "note", "owners", "path", "pid", "space", "why")

    def __init__(
        self,
        space: str,
        name: str,
        path: str,
        *,
        note: Mapping[str, str] | None = None,
        locked: Locked = "unknown",
        pid: int = 0,
        owners: Iterable[Mapping[str, Any]] = (),
        clients: Iterable[NfsClient] = (),
        why: str = "",
    ) -> None:
        self.space: Final = space
        self.name: Final = name
        self.path: Final = path
        self.note: Final = dict(note or {})
        self.locked: Final[Locked] = locked
        self.pid: Final = pid
        self.owners: Final = tuple(owners)
        self.clients: Final = tuple(clients)
        self.why: Final = why


class ImageLock(Frozen):
    """QEMU's own lock of an image: the guests of this host that have it, by name and pid. There is
    no guest if another process or another host has it."""

    __slots__ = ("guests", "path")

    def __init__(self, path: str, guests: Iterable[tuple[str, int]]) -> None:
        self.path: Final = path
        self.guests: Final = tuple(guests)


class Evidence:
    """The evidence that has been found so far."""

    def __init__(self) -> None:
        #: The guests of this host, the running ones first; None if they cannot be seen.
        self.guests: list[RunningGuest] | None = None
        self.locks: Final[list[LockFile]] = []
        self.images: Final[list[ImageLock]] = []
        #: The paths of the disks in question.
        self.disks: Final[list[str]] = []
        #: Whether it is known where the locks are: in lockspaces, or on the disks themselves.
        self.sees_locks = False
        self.lockd = False
        #: What lockd says is wrong, by the lock or by ``guest 'NAME' (pid PID)``.
        self.problems: Final[dict[str, str]] = {}
        self.is_nfs_server = False
        #: What could not be found out.
        self.unknown: Final[list[str]] = []

    def gather(
        self, clues: Iterable[Clue], spaces: Iterable[str], *, session: bool, etc: str, address: str
    ) -> None:
        """Gather the evidence. ``etc`` is the directory of libvirt's configuration, ``address`` the
        admin socket of the lock daemon."""
        asked = [*clues]
        self._find_guests(session=session, etc=etc)
        answers = self._ask_lockd(address)
        known = [*dict.fromkeys([*spaces, *(answers.status["lockspaces"] if answers else ())])]
        held = answers.locks if answers else []
        names = self._names(asked, known, held)
        clients = self._nfs_clients()
        for space, name in names:
            path = os.path.join(space, name) if space else name
            owners = [
                {**owner, "since": each["since"], "mode": each["mode"], "disk": each["disk"]}
                for each in held
                if (each["lockspace"], each["resource"]) == (space, name)
                for owner in each["owners"]
            ]
            lock = look_at(space, name, path, owners, clients)
            if lock is not None:
                self.locks.append(lock)
                disk = lock.note.get("disk", "")
                if disk:
                    self._add_disk(disk)
        for disk in self.disks:
            self._look_at_image(disk)
        for clue in asked:
            if clue.value in self.disks and not os.path.lexists(clue.value):
                self.unknown.append(f"{clue.value} is not on this host: ask on one that has it")

    # --- guests and clients

    def _find_guests(self, *, session: bool, etc: str) -> None:
        from lockcfg.errors import ReadError

        try:
            runs = [
                guest
                for guest in running_guests(session=session, ask_names=False)
                if not guest.pid or os.path.exists(f"/proc/{guest.pid}")
            ]
        except ReadError as error:
            self.unknown.append(f"cannot read the guests of this host: {error.message}")
            return
        names = {guest.name for guest in runs}
        defined = defined_guests(os.path.join(etc, "qemu"))
        self.guests = [*runs, *(each for each in defined if each.name not in names)]

    def _ask_lockd(self, address: str) -> Answers | None:
        try:
            answers = Answers(address)
        except NoLockdError:
            return None
        self.lockd = True
        self.problems.update({each["path"]: each["problem"] for each in answers.status["problems"]})
        return answers

    def _nfs_clients(self) -> list[NfsClient]:
        self.is_nfs_server = nfs_server.is_server()
        if not self.is_nfs_server:
            return []
        try:
            return nfs_server.clients()
        except OSError as error:
            self.unknown.append(f"cannot read the NFS clients of this server: {error.strerror}")
            return []

    # --- locks

    def _add_disk(self, path: str) -> None:
        if path not in self.disks:
            self.disks.append(path)

    def _names(
        self, clues: list[Clue], spaces: list[str], held: list[dict[str, Any]]
    ) -> list[tuple[str, str]]:
        """The locks that the clues may mean, each as lockspace and name."""
        found: dict[tuple[str, str], None] = {}
        paths = [disk.path for guest in self.guests or () for disk in guest.disks if disk.path]
        hashes = {hash_of(path): path for path in paths}

        def add_disk(path: str) -> None:
            self._add_disk(path)
            for name in names_of(path):
                found.update({(space, name): None for space in spaces})
            found["", path] = None

        for clue in sorted(clues, key=lambda clue: clue.kind == "guest"):
            value = clue.value
            if clue.kind == "guest" and self.disks:
                continue  # a text that names the disk is not about the others of its guest
            if clue.kind == "path":
                space, name = os.path.split(value)
                if space in spaces:
                    found[space, name] = None
                    for path in [hashes[name]] if name in hashes else devices_named(name):
                        self._add_disk(path)
                else:
                    add_disk(value)
                    for path in _same_file(value, paths):
                        add_disk(path)
            elif clue.kind == "name":
                if "/" not in value and value not in (".", ".."):
                    found.update({(space, value): None for space in spaces})
                for path in [hashes[value]] if value in hashes else devices_named(value):
                    self._add_disk(path)
            else:
                for guest in self.guests_named(value):
                    for disk in guest.disks:
                        if disk.path and not disk.readonly:
                            add_disk(disk.path)
                    for lease in guest.leases:
                        found[os.path.join(lease.target, lease.lockspace), lease.key] = None
                for each in held:
                    if any(value in (owner["guest"], owner["uuid"]) for owner in each["owners"]):
                        found[each["lockspace"], each["resource"]] = None
        for each in held:
            if (each["lockspace"], each["resource"]) in found and each["disk"]:
                self._add_disk(each["disk"])
        return [*found]

    def guests_named(self, name: str) -> list[RunningGuest]:
        """The guests of this host with a name or a UUID."""
        return [guest for guest in self.guests or () if name in (guest.name, guest.uuid)]

    def guests_with(self, path: str) -> list[RunningGuest]:
        """The guests of this host that have a disk."""
        return [
            guest for guest in self.guests or () if any(disk.path == path for disk in guest.disks)
        ]

    # --- QEMU's own

    def _look_at_image(self, path: str) -> None:
        try:
            if not os.path.isabs(path) or stat.S_ISDIR(os.stat(path).st_mode):
                return
            if lock_on(path, _QEMU_FIRST, _QEMU_BYTES) is None:
                return
            status = os.stat(path)
        except (OSError, ValueError):
            return
        file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}", status.st_ino
        guests = [
            (guest.name, guest.pid)
            for guest in self.guests or ()
            if guest.pid and file in image_locks(guest.pid)
        ]
        self.images.append(ImageLock(path, guests))


def _same_file(path: str, others: Iterable[str]) -> list[str]:
    """The guests' disks that are the same file by another name."""
    try:
        mine = os.stat(path)
    except (OSError, ValueError):
        return []
    found = []
    for other in dict.fromkeys(others):
        try:
            if other != path and os.path.samestat(mine, os.stat(other)):
                found.append(other)
        except (OSError, ValueError):
            continue
    return found


def look_at(
    space: str,
    name: str,
    path: str,
    owners: Iterable[Mapping[str, Any]] = (),
    clients: Iterable[NfsClient] = (),
) -> LockFile | None:
    """A lock as it is now; None if there is no such file."""
    try:
        status = os.stat(path) if not space else os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        return LockFile(space, name, path, owners=owners, why=error.strerror or str(error))
    is_plain = stat.S_ISREG(status.st_mode)
    if not is_plain and (space or not stat.S_ISBLK(status.st_mode)):
        return (
            LockFile(space, name, path, owners=owners, why="it is not a lock file")
            if space
            else None
        )
    number = nfs_server.file_of(status)
    mine = [client for client in clients if number in client.locked]
    try:
        note = note_in(path) if space else {}
        found = lock_on(path, 0, 1)
    except OSError as error:
        why = f"{path} cannot be looked at: {error.strerror}"
        return LockFile(space, name, path, owners=owners, clients=mine, why=why)
    locked: Locked = "no" if found is None else "shared" if found[0] else "exclusive"
    pid = found[1] if found is not None else 0
    return LockFile(
        space, name, path, note=note, locked=locked, pid=pid, owners=owners, clients=mine
    )


def note_in(path: str) -> dict[str, str]:
    """The note that lockd has written into a lock file. Anyone may have written the text, so only a
    short part is read. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            data = os.getxattr(fd, _ATTRIBUTE)
        except OSError:  # the file system keeps no notes, or the file has none
            data = os.read(fd, _MOST)
    finally:
        os.close(fd)
    if not data.startswith(_NOTE):
        return {}
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        str(key): str(value)[:_MOST_FIELD]
        for key, value in content.items()
        if isinstance(value, (str, int))
    }
