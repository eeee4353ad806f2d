"""What snapshots of a fleet have in common, each thing once, and a host that is being read."""

from __future__ import annotations

from lockcfg.conf.document import Document
from lockcfg.conf.files import kinds_of
from lockcfg.fleet.model.facts import document_of, lines_of
from lockcfg.fleet.model.uses import is_volume
from lockcfg.fleet.snapshots.format import FILES, SANLOCK_FILES
from lockcfg.fleet.store.packing import BETWEEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.model.uses import NumberedUse, Shape
    from lockcfg.fleet.snapshots.reading import Own


class Section:
    """A member that hosts have in common. ``number`` stands for it, ``document`` is the file
    that it is, parsed, with why libvirt would not start with it, ``lines`` where its settings
    stand."""

    __slots__ = ("document", "lines", "name", "number", "value")

    def __init__(self, number: int, name: str, value: Any) -> None:
        self.number = number
        self.name = name
        self.value = value
        self.document: tuple[Document, str] | None = None
        self.lines: dict[str, int] = {}
        if name in FILES or name in SANLOCK_FILES:
            told = document_of(name, value)
            self.lines = lines_of(told[0])
            self.document = _slim(told)
            self.value = None


class Common:
    """The members that hosts have in common, as sections. ``remote`` are the directories whose
    numbers count, ``profiles`` the facts that follow, by these numbers, and ``last`` the numbers
    and the facts of the last host."""

    __slots__ = ("by_name", "last", "profiles", "remote")

    def __init__(self, by_name: dict[str, Section]) -> None:
        self.by_name = by_name
        self.remote = _remote(by_name["directories"].value)
        self.profiles: dict[tuple[object, ...], Profile] = {}
        self.last: tuple[Mapping[str, Any], Profile] | None = None


class Profile:
    """Distinct facts. ``ways`` are the uses of disks that were seen with them, by shape, and
    ``plain`` those of plain guests by what is written of them, each with the directory of the disk,
    if other hosts might have the disks."""

    __slots__ = ("facts", "number", "plain", "readers", "storages", "ways")

    def __init__(self, number: int, facts: Facts) -> None:
        self.number = number
        self.facts = facts
        self.storages = {storage.path: storage for storage in facts.storages}
        self.ways: dict[Shape, NumberedUse] = {}
        self.plain: dict[tuple[str, ...], tuple[NumberedUse, str]] = {}
        self.readers = [(kind.name, kind.readers) for kind in kinds_of(facts.driver)]


class IngestedHost:
    """A host that is being read: its number, and what its guests come to. ``disks`` are the
    members of the disks that others might have, one after the other, ``keys`` two numbers of each;
    ``below`` are the volumes below its directories that are still to be gone through."""

    __slots__ = (
        "below",
        "boot_id",
        "disks",
        "is_of_version_1",
        "keys",
        "local",
        "number",
        "profile",
        "running",
        "starts",
        "uses",
        "uuids",
        "volumes",
    )

    def __init__(self, number: int, profile: Profile, own: Own, version: int) -> None:
        self.number = number
        self.is_of_version_1 = version == 1
        self.profile = profile
        self.boot_id: str = own.host["boot_id"]
        self.uses: set[int] = set()
        self.disks: list[str] = []
        self.keys: list[int] = []
        self.local: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        self.running: list[str] = []
        self.uuids: list[str] = []
        self.starts: set[int | str] = set()
        # Two hosts may have mounted one volume of a SAN.
        self.volumes = {
            path: volume
            for path, (device, _) in own.identities.items()
            if " " in device and is_volume(volume := device.partition(" ")[2])
        }
        self.below = dict(self.volumes)

    def runs(self, name: str, uuid: str, started: int | str, whose: str) -> None:
        """One of its guests runs, since then; empty if that is not known. ``whose`` is its driver,
        or its instance if that is not the system's libvirt."""
        own = whose == self.profile.facts.driver
        self.running.append(name if own else f"{name}{BETWEEN}{whose}")
        self.uuids.append(uuid)
        self.starts.add(started)

    @property
    def first_start(self) -> int | None:
        """The earliest time that is known at which a guest of it was started."""
        return min((int(start) for start in self.starts if start != ""), default=None)


def _remote(directories: Iterable[Mapping[str, Any]]) -> list[str]:
    """The directories whose numbers count: those on a file system that other hosts may have as
    well, and lockspaces, which this host may serve to others."""
    from lockcfg.fleet.model.place import place_of

    found: list[str] = []
    for directory in directories:
        path = directory["path"]
        place = place_of(directory.get("resolved", path), directory.get("mount"), None)
        if place.system or "lockspace" in directory["holds"]:
            found.append(path)
    return found


def _slim(told: tuple[Document, str]) -> tuple[Document, str]:
    """A document without its text, which is not needed again: there may be many."""
    document, reason = told
    text = None if document.text is None else b""
    return Document(document.kind, document.path, text, document.entries), reason
