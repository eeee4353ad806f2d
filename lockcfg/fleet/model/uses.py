"""How the guests of a host use its disks.

A guest's disk is reduced to what counts for the audit: the kind of disk and the rule that locks
it (a :class:`Use`, of which a host has few), and, where another host could reach the same disk, a
name of it that is the same on all hosts.
"""

from __future__ import annotations

import json
import posixpath

from lockcfg.fleet.model.locks import Disk, lock_of
from lockcfg.fleet.model.place import Place
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from lockcfg.fleet.model.facts import Directory, Facts

    #: What makes two disks of a host one use.
    Shape = tuple[str, str, str, str, bool]


class Use(Frozen):
    """A way in which disks of a host are used.

    ``kind`` is one of the model's kinds of disk, or ``network`` for what takes no part.
    ``storage`` is the directory that the disk is in, without links. ``rule`` is what names the
    lock: ``lvm``, ``scsi``, ``path``, ``direct`` or ``none``; ``fallback`` the setting that
    should have named it and got no answer, or empty. ``linked`` is whether the guest's path leads
    to the disk by way of a link.
    """

    __slots__ = (
        "fallback",
        "kind",
        "layers",
        "linked",
        "readonly",
        "rule",
        "running",
        "shareable",
        "storage",
        "type",
    )

    def __init__(
        self,
        kind: str,
        type: str,
        storage: str,
        rule: str,
        *,
        fallback: str = "",
        shareable: bool = False,
        readonly: bool = False,
        layers: bool = False,
        linked: bool = False,
        running: bool = False,
    ) -> None:
        self.kind: Final = kind
        self.type: Final = type
        self.storage: Final = storage
        self.rule: Final = rule
        self.fallback: Final = fallback
        self.shareable: Final = shareable
        self.readonly: Final = readonly
        self.layers: Final = layers
        self.linked: Final = linked
        self.running: Final = running

    @classmethod
    def from_json(cls, text: str) -> Use:
        """The use that was written as JSON."""
        return cls(**json.loads(text))


def shape_of(disk: Mapping[str, Any], path: str, running: bool) -> Shape:
    """What of a snapshot's disk with that path decides its use."""
    directory = path[: path.rfind("/")]
    if len(disk) == FEWEST and "inode" in disk:
        # Nothing but type, path, device and inode, as nearly all of them.
        return disk["type"], directory, directory, "", running
    resolved = disk.get("resolved", path)
    traits = ",".join(name for name in _TRAITS if disk.get(name))
    return disk["type"], directory, resolved[: resolved.rfind("/")], traits, running


#: How many members the disk of a snapshot has at least when its file was looked at.
FEWEST: Final = 4

#: Members that decide the use of a disk if they are there and neither false nor 0.
_TRAITS: Final = ("lvm_uuid", "scsi_id", "shareable", "readonly", "layers")


def use_of(shape: Shape, facts: Facts) -> Use:
    """The use that disks of a shape are put to on a host."""
    of, directory, resolved, traits, running = shape
    lvm, scsi, shareable, readonly, layers = (name in traits.split(",") for name in _TRAITS)
    if of not in ("file", "block", "dir") or not directory:
        return Use("network", of, "", "none", shareable=shareable, readonly=readonly)
    device = directory.startswith("/dev")
    kind = "image" if not device else "lvm" if lvm else "scsi" if scsi else "block"
    example = Disk(
        of,
        f"{directory}/disk",
        Place("", resolved, None, "unknown", ""),
        lvm_uuid="uuid" if lvm else "",
        scsi_id="id" if scsi else "",
        readonly=readonly,
    )
    locking = facts.locking
    lock = lock_of(locking, example).lock
    rule = "none"
    if lock is not None:
        rule = "direct" if not lock.space else lock.rule if lock.rule in ("lvm", "scsi") else "path"
    fallback = ""
    if device and rule in ("direct", "path", "scsi"):
        for setting, name in (("lvm_lockspace_dir", "lvm"), ("scsi_lockspace_dir", "scsi")):
            if setting in locking.spaces and rule != name and not fallback:
                fallback = setting
    return Use(
        kind,
        of,
        resolved,
        rule,
        fallback=fallback,
        shareable=shareable,
        readonly=readonly,
        layers=layers,
        linked=directory != resolved,
        running=running,
    )


class Way:
    """A use of disks on a host, with a number, and what all hosts call the directory of theirs."""

    __slots__ = ("number", "prefix", "system", "use")

    def __init__(self, number: int, use: Use, storage: Directory | None) -> None:
        self.number: Final = number
        self.use: Final = use
        self.prefix: Final = _prefix(storage) if storage and use.kind == "image" else ""
        self.system: Final = storage.place.system if storage else ""

    def name_of(self, disk: Mapping[str, Any], path: str) -> str:
        """What all hosts call a disk; empty for one that only this host has, or that nobody can
        name for others."""
        use = self.use
        if use.kind == "network" or use.readonly:
            return ""
        if use.kind == "image":
            if not self.prefix:
                # A link to a device is no image file, wherever the link is.
                return _device_name(disk) if len(disk) > FEWEST else ""
            if disk.get("links", 1) > 1 and "inode" in disk:
                # It has other names in the same file system.
                return f"{self.system}:inode {disk['inode']}"
            resolved: str = disk.get("resolved", path)
            return self.prefix + resolved[resolved.rfind("/") + 1 :]
        return _device_name(disk)


def _prefix(storage: Directory) -> str:
    place = storage.place
    return f"{place.system}:{place.path.rstrip('/')}/" if place.system else ""


def _device_name(disk: Mapping[str, Any]) -> str:
    """What the kernel, or lvs and scsi_id, call a block device, the same on all hosts."""
    uuid = disk.get("lvm_uuid", "").replace("-", "")
    dm = disk.get("dm_uuid", "")
    if not uuid and dm.startswith("LVM-"):
        uuid = dm[4 + 32 :]  # behind that of the volume group
    if uuid:
        return f"lvm:{uuid}"
    wwid = disk.get("wwid") or disk.get("scsi_id", "")
    if dm.startswith("mpath-"):
        wwid = dm[6:]
    # The kernel writes naa.X where scsi_id writes 3X.
    return f"scsi:{f'3{wwid[4:]}' if wwid.startswith('naa.') else wwid}" if wwid else ""


def disk_of(
    use: Use, path: str, name: str, storage: Directory | None, lvm_uuid: str, scsi_id: str
) -> Disk:
    """The disk that the model is asked about. ``name`` is that of :meth:`Way.name_of`."""
    place: Place | None = None
    if storage is not None and use.kind == "image":
        of = storage.place
        _, _, number = name.rpartition(":inode ")
        # A file with several names is known by its number.
        place = (
            Place(of.system, "", int(number), of.carries, of.why)
            if of.system and name == f"{of.system}:inode {number}"
            else of.below(posixpath.basename(name))
        )
    elif use.kind != "image":
        why = "the device node, which no other host has"
        place = Place("", path, None, "no", why, local=True)
    return Disk(
        use.type,
        path,
        place,
        lvm_uuid=lvm_uuid,
        scsi_id=scsi_id,
        shareable=use.shareable,
        readonly=use.readonly,
    )
