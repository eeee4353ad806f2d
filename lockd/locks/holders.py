"""Names for people: of the guest that holds a lock, and of the disk behind a hash.

In an indirect lockspace a disk is known by the SHA-256 of its path alone. The path is in the
guest's description: libvirt has a file of every guest, by its name, and the owner of a lock is
known by that name. The name of the host and what it found go into the lock file, as a note for
other hosts.
"""

from __future__ import annotations

import errno
import json
import os
import time

from lockd.escape import escaped
from lockd.kernel import process
from lockd.locks.space import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final
    from xml.etree.ElementTree import Element

    from lockd.locks.outside import Arguments, Patient, Result
    from lockd.locks.space import Resource

#: The largest description of a guest that is read, in bytes, and the longest text that is taken
#: from a note, in characters.
_MAX_DESCRIPTION: Final = 4 * 1024 * 1024
_MAX_TEXT: Final = 1024

#: How many of the holders of a resource are named.
_MOST_NAMED: Final = 4


class Holders:
    """``directories`` are those of the descriptions, of running guests first, because these are
    current. A description may be elsewhere, by a link: it is read by what ``patient`` makes."""

    def __init__(self, host: str, directories: Sequence[str]) -> None:
        self._host: Final = host
        self._directories: Final = directories
        self.patient: Patient = _as_it_is

    def held_by(self, resource: Resource) -> str:
        """The holders of a resource on this host, as the end of a sentence that says that it is
        held."""
        # Each once, however often it has acquired it; there may be thousands.
        owners = [*dict(zip(map(id, resource.owners), resource.owners, strict=True)).values()]
        named = [*dict.fromkeys(map(str, owners[:_MOST_NAMED]))]
        if len(owners) > _MOST_NAMED:
            named.append("others")
        who = " and ".join(named)
        return f" by {who} on this host since {_when(resource.since)}{_of_disk(resource.disk)}"

    def held_elsewhere(self, note: bytes, pid: int) -> str:
        """The holder of a resource elsewhere: by the note in its file, which is not trusted, or
        else by the ``pid`` of the process, if that is not 0."""
        fields = _fields(note)
        guest, host = fields.get("guest"), fields.get("host")
        if not guest or not host:
            program = process.name(pid) if pid else ""
            if not program:
                return " by another process or host"
            return f" by '{escaped(program, _MAX_TEXT)}' (pid {pid}) on this host"
        known = ", ".join(f"{key} {fields[key]}" for key in ("uuid", "pid") if fields.get(key))
        where = "on this host" if host == self._host else f"on host '{host}'"
        since = f" since {fields['since']}" if fields.get("since") else ""
        return f" by guest '{guest}' ({known}) {where}{since}{_of_disk(fields.get('disk', ''))}"

    def note(self, resource: Resource) -> bytes:
        """The note on the holder of a resource that goes into its lock file."""
        owner = resource.owners[0]
        fields = {
            "lockd": 1,
            "host": self._host,
            "guest": owner.shown_name,
            "uuid": owner.shown_uuid,
            "pid": owner.pid,
            "since": _when(resource.since),
            "disk": resource.disk,
        }
        return json.dumps(fields).encode("ascii") + b"\n"

    def owner(self, pid: int) -> Owner:
        """The guest with that pid, if nothing else is known of it: as libvirt describes it, or else
        by the name of its program."""
        for path in self._running():
            try:
                root = _description(path)
            except OSError:
                continue
            domain = None if root is None else root.find("domain")
            if root is not None and domain is not None and root.get("pid") == str(pid):
                import uuid

                number = domain.get("id") or ""
                try:
                    who = uuid.UUID(domain.findtext("uuid") or "").bytes
                except ValueError:
                    who = bytes(16)
                known = int(number) if number.isdigit() and len(number) < 10 else 0
                return Owner(domain.findtext("name") or "", who, known, pid)
        return Owner(process.name(pid) or "unknown", bytes(16), 0, pid)

    def on_lockfailure(self, owner: Owner, check: Callable[[str], object]) -> str:
        """The action on the loss of a lock in the description of a running guest (``poweroff``,
        ``restart``, ``pause``, ``ignore``); empty if it has none. Raises what ``check`` raises for
        the path of the description."""
        if not self._directories or not _is_name(owner.name):
            return ""
        path = os.path.join(self._directories[0], f"{owner.name}.xml")
        check(path)
        try:
            root = self.patient(_description)(path)
        except OSError:
            return ""
        if root is None or root.get("pid") != str(owner.pid):
            return ""
        return root.findtext("domain/on_lockfailure") or ""

    def _running(self) -> list[str]:
        """The descriptions of guests that run."""
        directory = self._directories[0] if self._directories else "/nowhere"
        try:
            names = os.listdir(directory)
        except OSError:
            return []
        return [os.path.join(directory, name) for name in names if name.endswith(".xml")]

    def directories_seen(self) -> tuple[tuple[int, int], ...]:
        """What changes when a description does, of all guests. libvirt writes a new file and
        renames it, which changes its directory."""
        return tuple(map(_seen, self._directories))

    def descriptions_seen(
        self, owner: Owner, check: Callable[[str], object]
    ) -> tuple[tuple[int, int], ...]:
        """What changes when a description of this guest does. Raises what ``check`` raises for the
        path of one."""
        seen = []
        for path in self._described(owner):
            check(path)
            seen.append(self.patient(_seen)(path))
        return tuple(seen)

    def disk(self, owner: Owner, name: str, check: Callable[[str], object] = lambda _: None) -> str:
        """The path of a guest's disk, by its hash; empty if unknown. Raises OSError if the
        description of the guest cannot be read, and what ``check`` raises for the path of a
        disk."""
        disks = owner.disks
        if disks is None:
            # Once for each connection: libvirt makes one for everything that it does with a guest.
            disks = owner.disks = {_hash(path): path for path in self._disks(owner, check)}
        return disks.get(name, "")

    def _disks(self, owner: Owner, check: Callable[[str], object]) -> list[str]:
        """The disks of a guest, by its descriptions."""
        found: list[str] = []
        for path in self._described(owner):
            check(path)
            found += self.patient(_disks_in)(path)
        return found

    def _described(self, owner: Owner) -> list[str]:
        """Where a guest is described."""
        if not _is_name(owner.name):
            return []
        return [os.path.join(directory, f"{owner.name}.xml") for directory in self._directories]


def _as_it_is(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    return call


def _is_name(name: str) -> bool:
    """Whether a guest may have that name, and so a file that is called by it."""
    return bool(name) and "/" not in name and "\0" not in name


def _hash(path: str) -> str:
    """libvirt's name of a disk in an indirect lockspace."""
    import hashlib

    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()


def _description(path: str) -> Element | None:
    """A description of a guest; None if there is none, or if it is invalid. Raises OSError if it
    cannot be read."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_DESCRIPTION)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return None
        raise
    from xml.etree import ElementTree

    try:
        return ElementTree.fromstring(text)  # noqa: S314 - libvirt wrote it, where only root may
    except ElementTree.ParseError:
        return None


def _seen(path: str) -> tuple[int, int]:
    """What changes when a file does, or what is in a directory."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _disks_in(path: str) -> list[str]:
    """The sources of the disks in a description of a guest: also those below an image, and the one
    that a disk is being copied to."""
    root = _description(path)
    if root is None:
        return []
    return [
        source.get(kind, "")
        for source in root.iterfind(".//disk//source")
        for kind in ("file", "dev", "dir")
        if source.get(kind)
    ]


def _fields(note: bytes) -> dict[str, str]:
    """The fields of a note, as text that can be shown."""
    try:
        fields: Any = json.loads(note or b"{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    return {
        key: escaped(str(value), _MAX_TEXT)
        for key, value in fields.items()
        if isinstance(value, (str, int))
    }


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _of_disk(path: str) -> str:
    return f", for the disk {escaped(path, _MAX_TEXT)}" if path else ""
