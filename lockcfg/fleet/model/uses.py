"""Works out how the guests of a host use its disks.

It reduces a guest's disk to what counts for the audit: the kind of disk and the rule that locks it
(a :class:`Use`, of which a host has few). If another host could reach the same disk, it also finds
a name of the disk that is the same on all hosts.
"""

from __future__ import annotations

import json
import posixpath
import re

from lockcfg.fleet.model.locks import Disk, lock_of
from lockcfg.fleet.model.place import Location, has_numbers, is_loopback
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final, Literal

    from lockcfg.fleet.model.facts import Directory, Facts
    from lockcfg.fleet.model.locks import Lock, Locking

    #: The values that are equal for all disks of one use.
    Shape = tuple[object, ...]

    #: held: the daemon holds the lock that the configuration means. elsewhere: it holds another
    #: lock. none: it holds none for the disk. replaced: it holds a lock on a file that no longer
    #: exists. unknown: the collector could not look. Empty: no lock is meant, or the guest does not
    #: run.
    Held = Literal["held", "elsewhere", "none", "replaced", "unknown", ""]


class Use(Frozen):
    """How a host uses some of its disks.

    ``kind`` is one of the model's kinds of disk, or ``network`` for a disk that lockd does not
    lock. ``storage`` is the directory of the disk, without links, or the servers of a network disk,
    with commas between them. ``rule`` is what names the lock: ``lvm``, ``scsi``, ``path``,
    ``direct`` or ``none``. ``fallback`` is the setting that should have named it and got no answer,
    or empty. ``linked`` says whether the guest's path leads to the disk through a link. ``driver``
    is the driver of the guest, empty for the host's main driver. ``held`` is what the lock daemon
    holds for the disk now. ``named`` says whether the disk has an identity that is the same on all
    hosts; ``looked`` whether the collector saw the file or device behind its path. ``backing`` says
    that it is not the guest's own disk but an image or a device below it; ``chain`` whether the
    images below it are known; ``asked`` whether the collector looked for such images. ``layer`` is
    the kind of name that a block device has (``lvm``, ``scsi`` …), the protocol of a network disk,
    empty for a device without a name and for other disks. ``naming`` is, of a world-wide name, its
    type and who told it (``naa kernel``): see :func:`naming_of`. ``kept`` says that it is the
    origin below a snapshot of LVM's, which this host keeps as it was. ``through`` is, of what is
    below a disk, each thing that it may be reached through, with commas between them: ``image`` for
    an image above it, which only reads it, ``filesystem``, the kind of a volume (``lvm``, ``luks``,
    ``md``), ``device`` for another device.
    """

    __slots__ = (
        "asked",
        "backing",
        "chain",
        "driver",
        "fallback",
        "held",
        "kept",
        "kind",
        "layer",
        "layers",
        "linked",
        "looked",
        "named",
        "naming",
        "readonly",
        "rule",
        "running",
        "shareable",
        "storage",
        "through",
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
        driver: str = "",
        held: Held = "",
        named: bool = True,
        looked: bool = True,
        backing: bool = False,
        chain: bool = True,
        layer: str = "",
        asked: bool = True,
        kept: bool = False,
        naming: str = "",
        through: str = "",
    ) -> None:
        self.through: Final = through
        self.naming: Final = naming
        self.kept: Final = kept
        self.layer: Final = layer
        self.asked: Final = asked
        self.driver: Final = driver
        self.held: Final = held
        self.named: Final = named
        self.looked: Final = looked
        self.backing: Final = backing
        self.chain: Final = chain
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
        """The use that ``text`` has as JSON."""
        return cls(**json.loads(text))


def shape_of(disk: Mapping[str, Any], path: str, running: bool, guest: Mapping[str, Any]) -> Shape:
    """The members of a snapshot's disk that decide its use; ``path`` is its path."""
    directory = path[: path.rfind("/")]
    lock = disk.get("lock")
    driver = guest["driver"]
    if disk.keys() <= _PLAIN and "inode" in disk and "instance" not in guest:
        # Nearly all disks have only these.
        return disk["type"], directory, running, driver, lock
    resolved = disk.get("resolved", path)
    traits = [name for name in _TRAITS if disk.get(name)]
    name = device_name(disk)
    layer = name.partition(":")[0]
    if layer in ON_OTHERS and "backing" not in disk and not _is_whole(disk.get("chain", ())):
        traits.append("untold")
    through = {each.partition(":")[0] for each in disk.get("through", ())}
    traits += [f"{_THROUGH}{each}" for each in sorted(through)]
    where = resolved[: resolved.rfind("/")]
    if disk["type"] == "network":
        where = ",".join(disk.get("servers", ()))
    return (
        disk["type"],
        directory,
        running,
        driver,
        lock,
        where,
        tuple(traits),
        layer,
        "inode" in disk,
        guest.get("instance", ""),
        naming_of(disk, name),
    )


#: The members of a disk that are about its file and about the lock that is held for it.
_PLAIN: Final = frozenset(("type", "path", "device", "inode", "lock"))

#: The kinds of block devices that are on other devices. A write to one of those is a write to them.
ON_OTHERS: Final = ("lvm", "luks", "md", "drbd", "bcache", "dm")

#: Members that decide the use of a disk if they are present and neither false nor 0.
_TRAITS: Final = (
    "lvm_uuid",
    "scsi_id",
    "shareable",
    "readonly",
    "layers",
    "backing",
    "chain",
    "replaced",
    "covered",
    "unasked",
    "kept",
)


#: The beginning of a trait that says what a device is reached through.
_THROUGH: Final = "through "


def _is_whole(chain: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the snapshot names every device below one, down to devices that are on no other. A
    collector that names none did not look."""
    names = [device_name(each) for each in chain]
    return bool(names) and all(names) and names[-1].partition(":")[0] not in ON_OTHERS


def traits_of(shape: Shape) -> tuple[str, ...]:
    """The traits of disks with a shape."""
    return shape[6] if len(shape) > 5 else ()  # type: ignore[return-value]


def use_of(shape: Shape, facts: Facts) -> Use:
    """How a host uses disks with a shape."""
    of, directory, running, owner, lock = shape[:5]
    resolved, traits, layer, looked, instance, naming = shape[5:] or (
        directory,
        (),
        "",
        True,
        "",
        "",
    )
    assert isinstance(layer, str)
    assert isinstance(naming, str)
    assert isinstance(of, str)
    assert isinstance(directory, str)
    assert isinstance(resolved, str)
    assert isinstance(traits, tuple)
    lvm, scsi, shareable, readonly, layers, backing, chain, replaced, covered, unasked, kept = (
        name in traits for name in _TRAITS
    )
    driver = str(instance or (owner if owner != facts.driver else ""))
    more = {
        "shareable": shareable,
        "readonly": readonly,
        "running": bool(running),
        "driver": driver,
    }
    if of not in ("file", "block", "dir") or not directory:
        where = resolved if of == "network" else ""
        layer = directory.partition(":")[0] if of == "network" else ""
        return Use(
            "network",
            of,
            where,
            "none",
            named=of == "network",
            layer=layer,
            **more,  # type: ignore[arg-type]
        )
    device = directory.startswith("/dev")
    kind: str = "image" if not device else "lvm" if lvm else "scsi" if scsi else "block"
    locking = facts.locking_of(driver)
    unlocked = readonly or (backing and not covered)
    rule, fallback, found = _rule(locking, kind, of, scsi=scsi, unlocked=unlocked)
    return Use(
        kind,
        of,
        resolved,
        rule,
        fallback=fallback,
        layers=layers,
        linked=directory != resolved,
        held=_held(lock, replaced, found, running=bool(running)),
        named=bool(layer) or (kind == "image" and not f"{resolved}/".startswith("/dev/")),
        looked=bool(looked or layer),
        backing=backing,
        chain=backing or ("untold" not in traits and (chain or not layers)),
        asked=not unasked,
        kept=kept,
        layer=layer,
        naming=naming,
        through=",".join(
            each[len(_THROUGH) :] for each in map(str, traits) if each.startswith(_THROUGH)
        ),
        **more,  # type: ignore[arg-type]
    )


def use_after(facts: Facts, use: Use, *, anew: bool = False) -> Use:
    """The use after a plan, on a host with new ``facts``. With ``anew``, its guests start under the
    new facts; otherwise running guests keep the locks that they have."""
    if use.kind == "network":
        return use
    locking = facts.locking_of(use.driver)
    covered = use.rule == "scsi" and "lvm_lockspace_dir" not in locking.spaces
    rule, fallback, found = _rule(
        locking,
        use.kind,
        use.type,
        scsi=use.kind == "scsi",
        unlocked=use.readonly or (use.backing and not covered),
    )
    held: Held = ""
    if use.running and found is not None:
        held = "held" if anew else use.held or "none"
    return use.replace(rule=rule, fallback=fallback, held=held)


def _rule(
    locking: Locking, kind: str, type: str, *, scsi: bool, unlocked: bool
) -> tuple[str, str, Lock | None]:
    """For a disk of a ``kind``: the rule that names its lock, the setting that should have named it
    and does not, and such a lock."""
    device = kind != "image"
    example = Disk(
        type,
        "/dev/disk" if device else "/disk",
        Location("", "/", None, "unknown", ""),
        lvm_uuid="uuid" if kind == "lvm" else "",
        scsi_id="id" if scsi else "",
        readonly=unlocked,
    )
    answer = lock_of(locking, example)
    found = answer.lock
    rule = "none"
    if found is not None:
        rule = (
            "direct" if not found.space else found.rule if found.rule in ("lvm", "scsi") else "path"
        )
    fallback = ""
    if device and rule in ("direct", "path", "scsi"):
        for setting, name in (("lvm_lockspace_dir", "lvm"), ("scsi_lockspace_dir", "scsi")):
            if setting in locking.spaces and rule != name and not fallback:
                fallback = setting
    # No snapshot says what sanlock holds.
    return rule, fallback, None if answer.manager else found


def _held(lock: object, replaced: bool, meant: Lock | None, *, running: bool) -> Held:
    """What the lock daemon holds for a disk; ``lock`` is the member of the snapshot: see its
    schema."""
    if not running or meant is None:
        return ""
    if replaced:
        return "replaced"
    if lock is None:
        return "unknown"
    if not lock:
        return "none"
    where = posixpath.normpath(meant.space) if meant.space else DIRECT
    return "held" if posixpath.normpath(str(lock)) == where else "elsewhere"


#: The value of that member for a disk that is locked itself.
DIRECT: Final = "."


class NumberedUse:
    """A use of disks on a host, with a number, and with the name of their directory that is the
    same on all hosts."""

    __slots__ = (
        "has_chain",
        "has_numbers",
        "is_image",
        "is_passed_over",
        "number",
        "prefix",
        "storage",
        "text",
        "use",
    )

    def __init__(
        self, number: int, use: Use, storage: Directory | None, *, has_chain: bool = False
    ) -> None:
        self.has_chain: Final = has_chain
        self.number: Final = number
        self.text: Final = str(number)
        self.use: Final = use
        self.storage: Final = storage
        self.is_image: Final = use.kind == "image"
        self.is_passed_over: Final = use.readonly and not use.backing
        self.prefix: Final = _prefix(storage) if storage and use.kind == "image" else ""
        #: Whether the inode numbers of files there are the same on all hosts.
        self.has_numbers: Final = storage is None or _has_numbers(storage)

    def name_of(self, disk: Mapping[str, Any], path: str) -> str:
        """The name of a disk that is the same on all hosts; empty if only this host has the disk,
        or if such a name is unknown."""
        use = self.use
        if use.readonly:
            return ""
        if use.kind == "network":
            return f"network:{path}" if use.named and path else ""
        if use.kind == "image":
            if not self.prefix:
                # A link to a device is not an image file, in whatever directory it is.
                return told_name(disk)
            if disk.get("links", 1) > 1 and "inode" in disk and self.storage is not None:
                # The file has other names in the same file system.
                return f"{self.storage.place.system}:inode {disk['inode']}"
            resolved: str = disk.get("resolved", path)
            return self.prefix + resolved[resolved.rfind("/") + 1 :]
        return told_name(disk)


def _has_numbers(storage: Directory) -> bool:
    return not storage.type or has_numbers(storage.type, storage.options)


def _prefix(storage: Directory) -> str:
    place = storage.place
    return f"{place.system}:{place.path.rstrip('/')}/" if place.system else ""


#: The beginning of the name of a file on a volume of a SAN with a local file system.
VOLUME: Final = "volume:"

#: The separator between the name of a whole device and the number of a partition.
PART: Final = "#"

#: The types of names, as the kernel writes them and as scsi_id numbers them.
_WWID_TYPES: Final = (("naa.", "3"), ("eui.", "2"), ("t10.", "1"))


def below_of(disk: Mapping[str, Any], way: NumberedUse) -> list[dict[str, Any]]:
    """The images and devices below a disk, as disks. A lock that is named by the SCSI id of a
    volume is that of the device below it: scsi_id asks through the volume."""
    name = device_name(disk)
    found = [
        {**each, "backing": True, "kept": each.get("dm_uuid", "").endswith("-real")}
        for each in disk["chain"]
        # The origin of a snapshot of LVM's has itself below it.
        if not name or name != device_name(each)
    ]
    # What is named first is above what follows.
    through = {"image"} if disk.get("layers") else set()
    if not way.is_image:
        through.add(_volume_of(disk))
    for each in found:
        each["through"] = sorted(through)
        if each["type"] == "block":
            through.add(_volume_of(each))
    wwid = disk.get("scsi_id")
    for each in found if way.use.rule == "scsi" and wwid else ():
        if whole_of(device_name(each)) == f"scsi:{wwid}":
            each |= {"covered": True, "scsi_id": wwid}
            shared = ("lock", "replaced", "shareable")
            each |= {name: disk[name] for name in shared if name in disk}
    return found


def _volume_of(disk: Mapping[str, Any]) -> str:
    """What has the device below a volume, for what is below it: the kind of the volume, and which
    volume group or container that is, as far as the snapshot says."""
    name = whole_of(device_name(disk))
    kind = name.partition(":")[0]
    if kind not in ON_OTHERS:
        return "device"
    if kind != "lvm":
        return name
    match = _GROUP.search(disk.get("dm_uuid", ""))
    return f"{kind}:{match[1]}" if match is not None else kind


#: The UUID of the volume group, of which a logical volume is a part.
_GROUP: Final = re.compile(r"(?:\A|-)LVM-(.{32})")


def told_name(disk: Mapping[str, Any]) -> str:
    """The name of a block device, and what else two users of it are compared by: of a device below
    others, what it was given to (:func:`claims_of`), and which part of it."""
    name = device_name(disk)
    ranges = disk.get("ranges")
    if not isinstance(ranges, tuple):  # not by the table of what is above it
        ranges = ()
    more = {
        _AT: [f"{start}-{end}" for start, end in ranges],
        _GIVEN: sorted(each for each in disk.get("through", ()) if ":" in each),
    }
    if name.startswith("drbd:"):
        told = disk.get("drbd", {})
        links = [each.split(" ") for each in told.get("links", ())]
        more[_LINKS] = [
            "-".join(ends)
            for ends in links
            if len(ends) == 2 and not any(is_loopback(end) or "-" in end for end in ends)
        ]
        more[_GENERATIONS] = told.get("generations", [])
    parts = [f"{_MORE}{what}{_AND.join(each)}" for what, each in more.items() if each]
    if not name or not parts:
        return name
    return f"{name if PART in name else name + PART}{''.join(parts)}"


def claims_of(name: str) -> frozenset[str]:
    """The volumes that have the device of a ``name`` below them, if the name says so: the volume
    group of a logical volume (``lvm:`` and its UUID), the container of LUKS, the array of md, the
    resource of DRBD."""
    return _told(name, _GIVEN)


def ranges_of(name: str) -> list[tuple[int, int]]:
    """The parts of a device that are used, each from a sector to another one; none if it may be all
    of it."""
    found = map(_RANGE.fullmatch, _told(name, _AT))
    return sorted((int(each[1]), int(each[2])) for each in found if each is not None)


def links_of(name: str) -> frozenset[tuple[str, str]]:
    """The connections of a device of DRBD: the own address and that of the peer. An address with
    which each host means itself is none."""
    found = (each.partition("-") for each in _told(name, _LINKS))
    return frozenset((own, peer) for own, _, peer in found)


def generations_of(name: str) -> frozenset[str]:
    """The generations of the data of a device of DRBD."""
    return _told(name, _GENERATIONS)


def part_of(name: str) -> str:
    """The number of the partition that the name of a block device means; empty if it is none."""
    return name.partition(PART)[2].partition(_MORE)[0]


def _told(name: str, what: str) -> frozenset[str]:
    for more in name.partition(PART)[2].split(_MORE)[1:]:
        if more.startswith(what):
            return frozenset(more[len(what) :].split(_AND))
    return frozenset()


def shown_name(name: str) -> str:
    """The name of a disk without what else two users of it are compared by."""
    if not is_device(name) or PART not in name:
        return name
    part = part_of(name)
    return f"{whole_of(name)}{PART}{part}" if part else whole_of(name)


#: What follows the number of a partition in a name, each after a semicolon: the sectors that are
#: used, the volumes that have the device, the connections of a device of DRBD, and the generations
#: of its data.
_MORE: Final = ";"
_AT: Final = "at="
_RANGE: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_GIVEN: Final = "by="
_LINKS: Final = "links="
_GENERATIONS: Final = "generations="
_AND: Final = "+"


def device_name(disk: Mapping[str, Any]) -> str:
    """The name of a block device that is the same on all hosts, whichever program or part of the
    kernel told it; empty if there is none. A partition is ``whole#part``."""
    uuid = disk.get("lvm_uuid", "").replace("-", "")
    dm: str = disk.get("dm_uuid", "")
    part = ""
    match = _PART_OF.match(dm)
    if match is not None:
        part, dm = f"{PART}{match[1]}", match[2]
    if not part and "part" in disk:
        part = f"{PART}{disk['part']}"
    if not uuid and dm.startswith("LVM-"):
        # The UUID of the volume follows that of the volume group; a suffix marks an internal part
        # of a volume.
        uuid = dm[4 + 32 : 4 + 64]
    if uuid:
        return f"lvm:{uuid}{part}"
    if dm.startswith("CRYPT-"):
        # Other encrypted devices have no UUID, but their name may look like one.
        luks = _LUKS.match(dm)
        name = f"luks:{luks[1]}" if luks is not None else disk.get("identity", "")
        return f"{name}{part}" if name else ""
    wwid = disk.get("wwid") or disk.get("scsi_id", "")
    if dm.startswith("mpath-"):
        wwid = dm[6:]
    for long, short in _WWID_TYPES:
        if wwid.startswith(long):
            wwid = short + "_".join(wwid[len(long) :].split())
    if _HEX.fullmatch(wwid):
        wwid = wwid.lower()
    if wwid and not _EMULATED.search(wwid):
        return f"scsi:{wwid}{part}"
    # Other names that the collector found: rbd, drbd, md, a partition table ….
    return f"{disk['identity']}{part}" if "identity" in disk else ""


def naming_of(disk: Mapping[str, Any], name: str) -> str:
    """The type of a world-wide ``name`` of a disk, and who told it; empty for other names.

    One device may have names of several types, and each program that names it prefers another one.
    """
    if not name.startswith("scsi:"):
        return ""
    if disk.get("filesystem"):
        return BELOW_FILES
    wwid = whole_of(name).removeprefix("scsi:")
    of = next((of for of, pattern in _TYPES if pattern.match(wwid)), "serial")
    kernel = "wwid" in disk and not _PATHS.match(disk.get("dm_uuid", ""))
    return f"{of} {'kernel' if kernel else 'udev'}"


#: The naming of a device below a local file system.
BELOW_FILES: Final = "below files"

#: The types of names, as :func:`device_name` has them. An NVMe namespace may have an NGUID, which
#: is as long as two EUIs, and a UUID.
_TYPES: Final = (
    ("naa", re.compile(r"3[0-9a-f]+\Z")),
    ("nguid", re.compile(r"2[0-9a-f]{17,}\Z")),
    ("eui", re.compile(r"2[0-9a-f]+\Z|eui\.")),
    ("uuid", re.compile(r"uuid\.")),
    ("nvme", re.compile(r"nvme\.")),
    ("t10", re.compile("1")),
)
_PATHS: Final = re.compile(r"(?:part\d+-)?mpath-")


def is_volume(volume: str) -> bool:
    """Whether a file system's volume has a name that other machines' disks do not have."""
    return bool(device_name({"wwid": volume.partition("/")[0]}))


def devices_of(volume: str, storage: Directory | None = None) -> Iterator[dict[str, Any]]:
    """The devices below a file system on a ``volume``, which is from the identity of a directory
    (``storage``). They have the form of images below a disk: a write to one of them is a write to
    the file system. Many hosts may have mounted it if it is of a cluster."""
    wwid, _, rest = volume.partition("/")
    which, _, part = rest.rpartition("/")
    if not wwid:
        return
    path = f"/dev/{wwid}"
    below = {
        "type": "block",
        "path": path,
        "backing": True,
        "filesystem": True,
        "through": ["filesystem" if storage is None or storage.place.local else storage.place.kind],
    }
    whole = {**below, "wwid": wwid}
    if which and not which.startswith("part"):
        volume_below = {**below, "dm_uuid": which}
        whole["through"] = [_volume_of(volume_below)]
        yield volume_below
    elif part or which:
        whole["part"] = part or which[len("part") :].rstrip("-")
    yield whole


#: The names that are numbers: naa, eui.
_HEX: Final = re.compile(r"[23][0-9A-Fa-f]{8,}")

#: The names of QEMU's emulated disks without a serial number of their own: the first disk of
#: every virtual machine has the same. So has the first NVMe namespace without an EUI of its own.
_EMULATED: Final = re.compile(
    r"QEMU_(?:HARDDISK|NVMe_Ctrl)_(?:QM\d{5}$|drive-)|^25254000{8}[0-9a-f]{2}$"
)

_LUKS: Final = re.compile(r"CRYPT-LUKS\d-([0-9a-f]{32})-")
_PART_OF: Final = re.compile(r"part(\d+)-(.+)", re.DOTALL)


def whole_of(name: str) -> str:
    """The name of the whole device, from the name of a block device or of a partition."""
    return name.partition(PART)[0] if is_device(name) else name


#: The beginnings of the names of block devices.
_DEVICES: Final = ("lvm:", "scsi:", "luks:", "rbd:", "drbd:", "md:", "bcache:", "dm:")


def is_device(name: str) -> bool:
    """Whether a name of a disk that is the same on all hosts names a block device."""
    return name.startswith(_DEVICES)


def disk_of(
    use: Use, path: str, name: str, storage: Directory | None, lvm_uuid: str, scsi_id: str
) -> Disk:
    """The disk for the model. ``name`` is from :meth:`NumberedUse.name_of`."""
    place: Location | None = None
    if storage is not None and use.kind == "image":
        of = storage.place
        _, _, number = name.rpartition(":inode ")
        # The inode number identifies a file with several names.
        place = (
            of.replace(path="", inode=int(number), name=f"inode {number}")
            if of.system and name == f"{of.system}:inode {number}"
            # A disk without a name for all hosts has no path in its name.
            else of.below(posixpath.basename(name if of.system else path))
        )
    elif use.kind == "image":
        place = Location("", use.storage, None, "unknown", "an unknown file system").below(
            posixpath.basename(path)
        )
    elif use.kind != "network":
        why = "the device node, which no other host has"
        place = Location("", path, None, "no", why, local=True, kind="local")
    return Disk(
        use.type,
        path,
        place,
        lvm_uuid=lvm_uuid,
        scsi_id=scsi_id,
        shareable=use.shareable,
        readonly=use.readonly or (use.backing and use.rule == "none"),
    )
