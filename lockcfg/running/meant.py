"""The locks that the configuration means for a guest that runs: those that libvirt would take if
it took them now. Pure; what is locked for a disk, the model of the fleet says."""

from __future__ import annotations

import posixpath

from lockcfg.fleet.model.locks import Disk, Locking, lock_of
from lockcfg.fleet.model.place import Location
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.host.host import Configuration
    from lockcfg.running.guests import GuestDisk, GuestLease, RunningGuest


class MeantLock(Frozen):
    """A lock that is meant: ``name`` in the lockspace directory ``space``, or the disk itself where
    that is empty; ``path`` is the file that is locked, ``create`` whether it is made if it is
    missing."""

    __slots__ = ("create", "kind", "name", "shared", "space")

    def __init__(self, kind: str, space: str, name: str, *, shared: bool, create: bool) -> None:
        self.kind: Final = kind
        self.space: Final = space
        self.name: Final = name
        self.shared: Final = shared
        self.create: Final = create

    @property
    def path(self) -> str:
        """The file that is locked."""
        return posixpath.join(self.space, self.name) if self.space else self.name


class Meant(Frozen):
    """What is meant for a disk or a lease: ``what`` says which, as the guest names it. ``lock`` is
    None if nothing is, or if it is not known (``unknown``); ``why`` says why."""

    __slots__ = ("lock", "unknown", "what", "why")

    def __init__(self, what: str, lock: MeantLock | None, why: str, *, unknown: bool) -> None:
        self.what: Final = what
        self.lock: Final = lock
        self.why: Final = why
        self.unknown: Final = unknown


def locks_meant(configuration: Configuration, guest: RunningGuest) -> list[Meant]:
    """What is meant to be locked for each disk and lease of a guest that runs and is not paused."""
    locking = locking_of(configuration)
    disks = [_of_disk(locking, disk) for disk in guest.disks if disk.path]
    leases = [_of_lease(lease) for lease in guest.leases] if locking.manager == "lockd" else []
    return [*disks, *leases]


def locking_of(configuration: Configuration) -> Locking:
    """What decides the locking, as the model has it."""
    spaces = configuration.lockspaces
    return Locking(
        configuration.lock_manager,
        auto=configuration.auto_disk_leases,
        require=configuration.require_lease_for_disks,
        spaces={setting: _place(directory) for setting, directory in spaces.items()},
        paths=spaces,
    )


def _place(path: str) -> Location:
    """A place on this host, of which no other host is asked."""
    return Location("", path, None, "unknown", "a file system of this host", local=True)


def _of_disk(locking: Locking, disk: GuestDisk) -> Meant:
    if disk.unknown and any(key.startswith(("lvm", "scsi")) for key in locking.spaces):
        return Meant(disk.path, None, disk.unknown, unknown=True)
    answer = lock_of(
        locking,
        Disk(
            disk.type,
            disk.path,
            _place(disk.path),
            lvm_uuid=disk.lvm_uuid,
            scsi_id=disk.scsi_id,
            shareable=disk.shareable,
            readonly=disk.readonly,
        ),
    )
    lock = answer.lock
    why = "; ".join(answer.reasons)
    if lock is None:
        return Meant(disk.path, None, why, unknown=False)
    meant = MeantLock(lock.rule, lock.space, lock.name, shared=lock.shared, create=bool(lock.space))
    return Meant(disk.path, meant, why, unknown=False)


def _of_lease(lease: GuestLease) -> Meant:
    space = posixpath.join(lease.target, lease.lockspace)
    lock = MeantLock("lease", space, lease.key, shared=False, create=False)
    return Meant(f"lease {lease.key}", lock, "it is a <lease> of the guest", unknown=False)
