"""What a guest's disk makes its host lock, and whether two such locks exclude each other.

The heart of the audit. It is pure: values in, values out.

**What is locked.** libvirt's lockd plugin goes through its rules in order, and the first rule that
gives an answer wins (``docs/explanation/fleet-model.md`` says where each fact is from):

1. Network disks, and disks that are read-only, are not locked. Of a chain of images the top one is.
2. With ``auto_disk_leases = 0``, only what a ``<lease>`` names is locked.
3. A path that begins with ``/dev``, with ``lvm_lockspace_dir`` set and a UUID from ``lvs``: the
   file of that name in that directory.
4. The same with ``scsi_lockspace_dir`` and ``scsi_id``.
5. With ``file_lockspace_dir``: the file named by the SHA-256 of the path, as it is spelled.
6. Else the disk itself, by its path.

The lock is always byte 0, one byte long, and exclusive except for ``<shareable/>``. If a rule gets
no answer, libvirt uses the next one, without a warning.

**Which hosts exclude each other.** Two hosts exclude each other on a disk if both lock the same
byte of the same file, on a file system that carries locks between them. So the file counts: its
file system and its path in that, not the path on either host. Within one host it is the other way
round: a daemon tells locks apart by name, so two names of one file are two locks.
"""

from __future__ import annotations

import hashlib

from lockcfg.fleet.model.place import reach_by_probe, relation
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Final, Literal

    from lockcfg.fleet.model.place import Location, Relation
    from lockcfg.fleet.model.words import Words
    from lockcfg.host.storage import Shared

    #: image: an image file. block: a block device that only its path identifies. lvm: a logical
    #: volume. scsi: a SCSI volume. lease: a <lease> of a guest.
    Kind = Literal["image", "block", "lvm", "scsi", "lease"]

    #: none: nothing is locked. lease: only what <lease> names. direct: the disk itself. indirect: a
    #: file in a lockspace directory. sanlock: a lease of sanlock's in its directory. other: another
    #: lock manager is in use, or what sanlock leases is unknown.
    Mode = Literal["none", "lease", "direct", "indirect", "sanlock", "other"]

DISK_KINDS: Final[tuple[Kind, ...]] = ("image", "block", "lvm", "scsi", "lease")


class Locking(Frozen):
    """What decides the locking on a host.

    ``manager`` is ``nop``, ``lockd`` or ``sanlock``. ``spaces`` has the place of each lockspace
    directory that is set, by setting. ``lvs`` and ``scsi_id`` say whether the programs are
    installed, None if that is unknown. With sanlock, ``auto`` and ``require`` are its own settings
    auto_disk_leases and require_lease_for_disks, ``leases`` is the place of its leases, None if
    unknown, and ``host_id`` is the number of the host.
    """

    __slots__ = (
        "auto",
        "host_id",
        "leases",
        "lvs",
        "manager",
        "paths",
        "require",
        "scsi_id",
        "spaces",
    )

    def __init__(
        self,
        manager: str,
        *,
        auto: bool = True,
        require: bool = False,
        spaces: Mapping[str, Location] | None = None,
        paths: Mapping[str, str] | None = None,
        lvs: bool | None = None,
        scsi_id: bool | None = None,
        leases: Location | None = None,
        host_id: int = 0,
    ) -> None:
        self.leases: Final = leases
        self.host_id: Final = host_id
        self.manager: Final = manager
        self.auto: Final = auto
        self.require: Final = require
        self.spaces: Final = dict(spaces or {})
        self.paths: Final = dict(paths or {})
        self.lvs: Final = lvs
        self.scsi_id: Final = scsi_id


class Disk(Frozen):
    """A disk of a guest: its ``type`` and ``path`` as the guest names them, the place of its file
    (``place``, None if it is not a file), and the names that lvs and scsi_id give it."""

    __slots__ = ("lvm_uuid", "path", "place", "readonly", "scsi_id", "shareable", "type")

    def __init__(
        self,
        type: str,
        path: str,
        place: Location | None,
        *,
        lvm_uuid: str = "",
        scsi_id: str = "",
        shareable: bool = False,
        readonly: bool = False,
    ) -> None:
        self.type: Final = type
        self.path: Final = path
        self.place: Final = place
        self.lvm_uuid: Final = lvm_uuid
        self.scsi_id: Final = scsi_id
        self.shareable: Final = shareable
        self.readonly: Final = readonly


class Lock(Frozen):
    """A lock on the first byte of ``file``, which is ``name`` in the lockspace directory ``space``,
    or the disk itself if ``space`` is empty. ``shared`` locks do not exclude each other.

    With a ``host_id`` it is a lease of sanlock's in that file, for the host with this number.
    """

    __slots__ = ("file", "host_id", "name", "rule", "shared", "space")

    def __init__(
        self, file: Location, space: str, name: str, rule: Kind, *, shared: bool, host_id: int = 0
    ) -> None:
        self.host_id: Final = host_id
        self.file: Final = file
        self.space: Final = space
        self.name: Final = name
        self.rule: Final = rule
        self.shared: Final = shared


class LockAnswer(Frozen):
    """What is locked, None for nothing, and the reasons, one sentence for each step. ``manager`` is
    the lock manager in use if it is not lockd; ``known`` says whether it is known what that
    locks."""

    __slots__ = ("known", "lock", "manager", "reasons")

    def __init__(
        self,
        lock: Lock | None,
        reasons: Iterable[str],
        manager: str = "",
        *,
        known: bool = True,
    ) -> None:
        self.known: Final = known
        self.lock: Final = lock
        self.reasons: Final = tuple(reasons)
        self.manager: Final = manager


def lock_of(host: Locking, disk: Disk) -> LockAnswer:
    """What ``host`` locks for a disk when a guest of it runs."""
    if host.manager not in ("nop", "lockd") and (host.manager != "sanlock" or host.leases is None):
        return LockAnswer(
            None,
            (f"{host.manager} is in charge, and its locks are unknown",),
            host.manager,
            known=False,
        )
    other = host.manager if host.manager == "sanlock" else ""
    nothing = _not_locked(host, disk)
    if nothing is not None:
        # A guest itself names the leases that it needs, and nothing says which disk each is for.
        by_leases = bool(other) and not host.auto and host.require
        return LockAnswer(None, (nothing,), other, known=not by_leases)
    if host.leases is not None:
        return _lease(host.leases, host.host_id, disk)
    reasons: list[str] = []
    device = disk.path.startswith("/dev")
    for setting, name, program, there, rule in (
        ("lvm_lockspace_dir", disk.lvm_uuid, "lvs", host.lvs, "lvm"),
        ("scsi_lockspace_dir", disk.scsi_id, "scsi_id", host.scsi_id, "scsi"),
    ):
        if not device or setting not in host.spaces:
            continue
        if name:
            kind: Kind = "lvm" if rule == "lvm" else "scsi"
            reasons.append(f"{program} names it {name}")
            return _indirect(host, disk, setting, name, kind, reasons)
        missing = "its" if there is not False else "its missing"
        reasons.append(f"{setting} is not used, as {missing} {program} gives no name")
    kind = "block" if device else "image"
    if "file_lockspace_dir" in host.spaces:
        name = hashlib.sha256(disk.path.encode("utf-8", "surrogateescape")).hexdigest()
        reasons.append(f"it is named by the SHA-256 of the path {disk.path}")
        return _indirect(host, disk, "file_lockspace_dir", name, kind, reasons)
    reasons.append("no lockspace directory applies, so the disk itself is locked")
    if disk.place is None:
        return LockAnswer(None, (*reasons, "it is unknown what its path leads to"))
    lock = Lock(disk.place, "", disk.path, kind, shared=disk.shareable)
    return LockAnswer(lock, (*reasons, f"it locks {disk.place.shown}, on {disk.place.why}"))


def _not_locked(host: Locking, disk: Disk) -> str | None:
    """The reason why nothing is locked for a disk, or None."""
    if host.manager == "nop":
        return "it locks nothing: no lock manager is in use"
    if disk.type not in ("file", "block", "dir"):
        return f"it locks nothing: a disk of the type {disk.type} takes no part"
    if disk.readonly:
        return "it locks nothing: the disk is read-only"
    if not host.auto:
        return "it locks nothing for a disk: auto_disk_leases is 0"
    return None


def _lease(directory: Location, host_id: int, disk: Disk) -> LockAnswer:
    """What sanlock leases for a disk: a file whose name follows from the path of the disk."""
    if not host_id:
        why = "sanlock leases nothing: the host has no host_id, and libvirt does not start"
        return LockAnswer(None, (why,), "sanlock")
    path = disk.path.encode("utf-8", "surrogateescape")
    name = hashlib.md5(path, usedforsecurity=False).hexdigest()
    kind: Kind = "block" if disk.path.startswith("/dev") else "image"
    lock = Lock(
        directory.below(name), directory.path, name, kind, shared=disk.shareable, host_id=host_id
    )
    return LockAnswer(
        lock,
        (
            f"sanlock names the lease by the MD5 of the path {disk.path}",
            f"it leases {name[:12]}… in {directory.shown} as host {host_id}, on {directory.why}",
        ),
        "sanlock",
    )


def _indirect(
    host: Locking, disk: Disk, setting: str, name: str, kind: Kind, reasons: list[str]
) -> LockAnswer:
    space = host.spaces[setting]
    lock = Lock(space.below(name), host.paths.get(setting, ""), name, kind, shared=disk.shareable)
    short = f"{name[:12]}…" if len(name) > 40 else name
    return LockAnswer(lock, (*reasons, f"it locks {short} in {space.shown}, on {space.why}"))


class Exclusion(Frozen):
    """Whether two hosts exclude each other, and the reason as a sentence."""

    __slots__ = ("verdict", "why")

    def __init__(self, verdict: Shared, why: str) -> None:
        self.verdict: Final = verdict
        self.why: Final = why


def exclusion(
    one: Lock | None,
    other: Lock | None,
    *,
    one_daemon: bool = False,
    one_disk: bool = False,
    likely_is_same: bool = False,
    taken_for_one: Collection[frozenset[str]] = (),
    words: Words | None = None,
) -> Exclusion:
    """Whether the locks of two guests exclude each other; ``one_daemon`` tells that they are on one
    host.

    With ``one_disk``, both guests are assumed to have the same disk. With ``likely_is_same``, files
    that are likely the same count as the same: because there is no better evidence that the disks
    are the same, or because the policy says so. ``taken_for_one`` and ``words``: see
    :func:`~lockcfg.fleet.model.place.relation`.
    """
    if one is None or other is None:
        return Exclusion("no", "one of them locks nothing")
    if one.shared and other.shared:
        return Exclusion("no", "both locks are shared, as both disks are shareable")
    if one_daemon:
        if (one.space, one.name) == (other.space, other.name):
            return Exclusion("yes", "both lock the same name in one daemon")
        return Exclusion("no", "they lock two names, which one daemon does not compare")
    if one_disk and not (one.space or other.space or (one.file.local and other.file.local)):
        found: Relation = "same"  # each locks the disk itself, and not a device node of its own
    else:
        found = relation(one.file, other.file, taken_for_one=taken_for_one, words=words)
    if found == "different":
        return Exclusion("no", "they lock two different files")
    if found == "unknown" or (found == "likely" and not likely_is_same):
        why = "it is unknown whether they lock one file"
        if "" in (one.file.kind, other.file.kind):
            why = "it is unknown where one of them locks"
        elif found == "likely":
            why += ": the number of its directory is the same, and where it is mounted from is not"
        return Exclusion("unknown", why)
    if one.host_id:
        return _of_leases(one, other)
    probed = reach_by_probe(one.file, other.file)
    if probed != "unknown":
        seen = "see each other's locks" if probed == "yes" else "do not see each other's locks"
        return Exclusion(probed, f"both lock the same file; a probe showed that they {seen} there")
    if one.file.local and other.file.local:
        if not one.file.system:
            return Exclusion(
                "no",
                "both lock the same file, each in its own kernel: two hosts have mounted the"
                " volume without a file system of a cluster, which destroys it",
            )
        return Exclusion("yes", "both lock the same file, in one kernel")
    # The kernel of a file server checks the locks of its clients against its own locks.
    verdicts = {file.carries for file in (one.file, other.file) if not file.local}
    if "no" in verdicts:
        return Exclusion("no", "both lock the same file, but one of them keeps its locks to itself")
    if "unknown" in verdicts:
        return Exclusion(
            "unknown",
            "both lock the same file; it is unknown whether its file system carries locks",
        )
    return Exclusion("yes", "both lock the same file, on a file system that carries locks")


def _of_leases(one: Lock, other: Lock) -> Exclusion:
    """Whether two hosts on which sanlock leases the same file exclude each other. The other host
    must see what is written; a lock need not reach it."""
    if one.host_id == other.host_id:
        why = f"both are host {one.host_id} of one lockspace of sanlock's, which only one can join"
        return Exclusion("unknown", why)
    if {file.carries for file in (one.file, other.file) if not file.local} - {"yes"}:
        why = "it is unknown whether each of them sees what the other writes there"
        return Exclusion("unknown", f"both lease the same file; {why}")
    return Exclusion("yes", "both lease the same file, as two hosts of one lockspace")


def exclusion_of(one: LockAnswer, other: LockAnswer) -> Exclusion | None:
    """The answer if one of them has a lock manager other than lockd; None if the locks themselves
    decide."""
    if not one.manager and not other.manager:
        return None
    if one.manager == other.manager:
        if one.lock is not None and other.lock is not None:
            return None
        if not (one.known and other.known):
            return Exclusion("unknown", f"the locks of {one.manager} are unknown")
        return Exclusion("no", "one of them locks nothing")
    if one.lock is None and other.lock is None and "" in (one.manager, other.manager):
        return Exclusion("no", "one of them locks nothing")
    return Exclusion("no", "two lock managers do not see each other's locks")
