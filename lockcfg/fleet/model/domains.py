"""Lock domains: hosts that take the same locks for a kind of disk.

For a kind of disk, the file system and directory of the lock follow from the host's facts alone.
Hosts with the same ones form a domain: they exclude each other on any disk of that kind for which
both find the same name. The relation is an equivalence. So the order of hosts does not matter, and
domains of parts of a fleet can be joined. Pure.
"""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockcfg.fleet.model.locks import Kind, Locking, Mode
    from lockcfg.fleet.model.place import Location
    from lockcfg.host.storage import Shared


class Domain(Frozen):
    """The lock domain that a host is in with disks of a ``kind``.

    Two hosts are in one domain if their ``key`` is the same. ``reach`` is yes if the hosts of the
    domain exclude each other, no if each is alone, unknown if neither is known. ``where`` says in
    words what is locked and where. ``place`` is the directory of the locks, None if they are not in
    a directory.
    """

    __slots__ = ("key", "kind", "mode", "place", "reach", "where")

    def __init__(
        self,
        kind: Kind,
        mode: Mode,
        key: str,
        reach: Shared,
        where: str,
        place: Location | None = None,
    ) -> None:
        self.place: Final = place
        self.kind: Final = kind
        self.mode: Final = mode
        self.key: Final = key
        self.reach: Final = reach
        self.where: Final = where


def domain_of(
    host: Locking,
    kind: Kind,
    *,
    images: Iterable[Location] = (),
    leases: Iterable[Location] = (),
    ambiguous: frozenset[tuple[str, str]] = frozenset(),
) -> Domain | None:
    """The lock domain of a host for disks of a kind; None if it has no disk of that kind.

    ``images`` are the directories of its image files, which direct locks depend on; ``leases`` are
    the directories of its guests' leases. ``ambiguous`` are names of directories (system and path)
    behind which hosts of the fleet see different inode numbers: there the number is a part of the
    name.
    """
    leases = tuple(leases)
    if kind == "lease" and not leases:
        return None
    if host.manager == "nop":
        return Domain(kind, "none", "none", "no", "nothing is locked")
    if host.manager == "sanlock" and host.leases is not None and kind != "lease":
        return _of_sanlock(host, kind, host.leases, ambiguous)
    if host.manager != "lockd":
        return Domain(kind, "other", host.manager, "unknown", f"{host.manager} is in charge")
    if kind == "lease":
        place = min(leases, key=lambda place: place.shown)
        return _of_place(kind, "lease", place, "what <lease> names, in", ambiguous)
    if not host.auto:
        mode: Mode = "lease" if host.require else "none"
        return Domain(kind, mode, mode, "no", "disks are not locked: auto_disk_leases is 0")
    rules = (
        ("lvm_lockspace_dir", host.lvs, "the LVM UUID, in", kind == "lvm"),
        ("scsi_lockspace_dir", host.scsi_id, "the SCSI id, in", kind in ("lvm", "scsi")),
        ("file_lockspace_dir", True, "the SHA-256 of the path, in", True),
    )
    for setting, there, words, applies in rules:
        if applies and setting in host.spaces and there is not False:
            return _of_place(kind, "indirect", host.spaces[setting], words, ambiguous)
    if kind != "image":
        return Domain(kind, "direct", "direct", "no", "the device node, which no other host has")
    reach: Shared = "no"
    shared = {place.carries for place in images if not place.local}
    if shared:
        reach = "no" if "no" in shared else "unknown" if "unknown" in shared else "yes"
    return Domain(kind, "direct", "direct", reach, "the image itself, wherever it is")


def _of_sanlock(
    host: Locking, kind: Kind, leases: Location, ambiguous: frozenset[tuple[str, str]]
) -> Domain:
    """The lock domain of a host whose lock manager is sanlock: the hosts with their leases in one
    directory."""
    if not host.auto:
        mode: Mode = "lease" if host.require else "none"
        where = "disks are not leased: sanlock's auto_disk_leases is 0"
        return Domain(kind, mode, f"sanlock {mode}", "no", where)
    words = "sanlock's leases, by the MD5 of the path, in"
    domain = _of_place(kind, "sanlock", leases, words, ambiguous)
    # A lease is written, and is not a kernel lock: a mount that keeps locks to itself may still
    # show it.
    return domain if domain.reach != "no" or leases.local else domain.replace(reach="unknown")


def _of_place(
    kind: Kind, mode: Mode, place: Location, words: str, ambiguous: frozenset[tuple[str, str]]
) -> Domain:
    key = place.shown
    if (place.system, place.path) in ambiguous:
        if place.inode is None and not place.probed:
            key += " (one of several, which one is unknown)"
            return Domain(kind, mode, key, "unknown", f"{words} {key}, on {place.why}", place)
        key += f" (inode {place.inode})" if place.inode is not None else ""
        nonces = [each.rpartition("/")[2] for each in place.ids if each.startswith("nonce:")]
        key += "".join(f" (nonce {nonce[:8]})" for nonce in nonces)
    reach = place.carries if place.local or place.carries == "no" or place.proven else "unknown"
    return Domain(kind, mode, key, reach, f"{words} {key}, on {place.why}", place)
