"""The guests that run on this host, from libvirt's own live descriptions.

libvirt keeps one of each guest that runs, with the pid of its process: ``/run/libvirt/qemu/*.xml``,
which root alone may read, and for a user ``$XDG_RUNTIME_DIR/libvirt/qemu/run``. They are there also
while libvirtd is not. They are read as the collector of a fleet reads them, so there is one reader.
"""

from __future__ import annotations

import os

from lockcfg.errors import ReadError
from lockcfg.fleet.snapshots.collector import Collector
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final


class GuestDisk(Frozen):
    """A disk: its ``type`` and ``path`` as the guest names them (``path`` is empty for a drive with
    no medium), what lvs and scsi_id say of it, and ``unknown``: why they could not be asked, or
    empty. ``layers`` is how many images are below it, which are not locked."""

    __slots__ = (
        "layers",
        "lvm_uuid",
        "path",
        "readonly",
        "scsi_id",
        "shareable",
        "type",
        "unknown",
    )

    def __init__(
        self,
        type: str,
        path: str,
        *,
        shareable: bool = False,
        readonly: bool = False,
        lvm_uuid: str = "",
        scsi_id: str = "",
        layers: int = 0,
        unknown: str = "",
    ) -> None:
        self.type: Final = type
        self.path: Final = path
        self.shareable: Final = shareable
        self.readonly: Final = readonly
        self.lvm_uuid: Final = lvm_uuid
        self.scsi_id: Final = scsi_id
        self.layers: Final = layers
        self.unknown: Final = unknown


class GuestLease(Frozen):
    """A ``<lease>``: the file ``key`` in the directory ``lockspace`` below ``target``."""

    __slots__ = ("key", "lockspace", "target")

    def __init__(self, lockspace: str, key: str, target: str) -> None:
        self.lockspace: Final = lockspace
        self.key: Final = key
        self.target: Final = target


class RunningGuest(Frozen):
    """A guest that runs. ``id`` is libvirt's number of it, ``pid`` its process, ``state`` libvirt's
    word (``running``, ``paused``, …), and ``why`` libvirt's reason for it (``user``, ``starting
    up``, …). A paused guest holds no locks: libvirt takes them when it goes on."""

    __slots__ = ("disks", "id", "leases", "name", "pid", "state", "uuid", "why")

    def __init__(
        self,
        name: str,
        uuid: str,
        id: int,
        pid: int,
        state: str,
        disks: Sequence[GuestDisk],
        leases: Sequence[GuestLease] = (),
        why: str = "",
    ) -> None:
        self.name: Final = name
        self.uuid: Final = uuid
        self.id: Final = id
        self.pid: Final = pid
        self.state: Final = state
        self.disks: Final = tuple(disks)
        self.leases: Final = tuple(leases)
        self.why: Final = why

    @property
    def is_starting(self) -> bool:
        """Whether libvirt is starting it: it is paused until its processors start."""
        return self.state == "paused" and self.why == "starting up"

    @property
    def is_paused(self) -> bool:
        """Whether its processors are stopped, so that it writes nothing and holds no locks."""
        return self.state in ("paused", "shutoff", "crashed")


def descriptions(*, session: bool = False) -> str:
    """Where libvirt describes the guests that run; those of this user's ``session``."""
    if not session:
        return "/run/libvirt/qemu"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        return os.path.join(cache, "libvirt/qemu/run")
    return os.path.join(runtime, "libvirt/qemu/run")


def running_guests(
    *, session: bool = False, directory: str | None = None, ask_names: bool = True
) -> list[RunningGuest]:
    """The guests of QEMU that run on this host, by name; from ``directory`` instead of where
    libvirt has its descriptions. With ``ask_names`` lvs and scsi_id are asked for the names of
    their block devices, as libvirt asks them.

    Raises :class:`ReadError` if a description cannot be read: what runs there is not known.
    """
    where = descriptions(session=session) if directory is None else directory
    collector = Collector(run=os.path.dirname(where), probe=False)
    found = collector.running(where)
    if collector.incomplete:
        path, _, reason = collector.incomplete[0].rpartition(": ")
        raise ReadError(path, f"the guests that run are not known: {reason}")
    if ask_names:
        tools = {name: collector.has(name) for name in ("lvs", "scsi_id")}
        collector.devices(found, tools)
    why = _reasons(collector)
    return [_guest(each, why) for each in found]


def named_disks(disks: Sequence[GuestDisk]) -> list[GuestDisk]:
    """The same disks with the names that lvs and scsi_id tell of those that are block devices, or
    with why these could not be asked."""
    collector = Collector(probe=False)
    guest: dict[str, Any] = {"disks": [{"type": each.type, "path": each.path} for each in disks]}
    tools = {name: collector.has(name) for name in ("lvs", "scsi_id")}
    collector.devices([guest], tools)
    why = _reasons(collector)
    return [
        GuestDisk(
            disk.type,
            disk.path,
            shareable=disk.shareable,
            readonly=disk.readonly,
            lvm_uuid=named.get("lvm_uuid", ""),
            scsi_id=named.get("scsi_id", ""),
            layers=disk.layers,
            unknown=why.get(disk.path, ""),
        )
        for disk, named in zip(disks, guest["disks"], strict=True)
    ]


def _reasons(collector: Collector) -> dict[str, str]:
    """Why block devices could not be asked for their names, by their paths."""
    unknown = [note.rpartition(": ")[::2] for note in collector.incomplete]
    return {
        path.rpartition("/dev/")[1] + path.rpartition("/dev/")[2]: what for path, what in unknown
    }


def defined_guests(directory: str) -> list[RunningGuest]:
    """The guests of QEMU that are defined in a directory of libvirt's configuration, and may not
    run: their ``pid`` is 0, their ``state`` empty. One that cannot be read is left out."""
    found = Collector(probe=False).defined(directory)
    return [_guest({**each, "id": 0, "pid": 0, "state": ""}, {}) for each in found]


def _guest(guest: dict[str, Any], why: dict[str, str]) -> RunningGuest:
    return RunningGuest(
        guest["name"],
        guest["uuid"],
        guest["id"],
        guest["pid"],
        guest["state"],
        [
            GuestDisk(
                disk["type"],
                disk.get("path", ""),
                shareable=disk.get("shareable", False),
                readonly=disk.get("readonly", False),
                lvm_uuid=disk.get("lvm_uuid", ""),
                scsi_id=disk.get("scsi_id", ""),
                layers=disk.get("layers", 0),
                unknown=why.get(disk.get("path", ""), ""),
            )
            for disk in guest["disks"]
        ],
        [GuestLease(**lease) for lease in guest.get("leases", ())],
        guest.get("why", ""),
    )
