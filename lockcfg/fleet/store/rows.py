"""Rows of the fleet store, as the audit gets them."""

from __future__ import annotations

from typing import NamedTuple

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class StoredHost(NamedTuple):
    """A snapshot of a host. ``taken`` is in seconds since the epoch; ``running`` and ``defined``
    are how many guests run and are defined; ``cell`` is a number of a cell."""

    number: int
    name: str
    machine_id: str
    boot_id: str
    taken: int
    running: int
    defined: int
    cell: int
    source: str


class StoredCell(NamedTuple):
    """A cell: ``profile`` is a number of a profile, ``circumstances`` is JSON."""

    number: int
    profile: int
    circumstances: str


class StoredDisk(NamedTuple):
    """A disk of a guest. ``host`` and ``way`` are numbers of a host and of a use; ``number`` is
    that of the file, as :mod:`lockcfg.fleet.store.ingester` makes it, or 0."""

    key: int
    host: int
    way: int
    name: str
    path: str
    lvm_uuid: str
    scsi_id: str
    guest: str
    uuid: str
    number: int


class FoundDisk(Frozen):
    """A disk of a guest: on which host, by a snapshot ``taken`` when (seconds since the epoch)."""

    __slots__ = ("guest", "host", "path", "runs", "taken", "uuid")

    def __init__(
        self, host: str, taken: int, guest: str, uuid: str, path: str, *, runs: bool
    ) -> None:
        self.host: Final = host
        self.taken: Final = taken
        self.guest: Final = guest
        self.uuid: Final = uuid
        self.path: Final = path
        self.runs: Final = runs
