"""Replaces a held lock: by one on the file that has its name now, or by one of another kind. The
same owners hold it all the time."""

from __future__ import annotations

from lockd.kernel.filelock import FileLock
from lockd.survival.kept import lock_name
from lockd.survival.records import locks as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.filelock import MayBeShared, Turned
    from lockd.locks.files import LockFiles
    from lockd.locks.idle import IdleFiles
    from lockd.locks.outside import Disk
    from lockd.locks.space import Resource
    from lockd.locks.table import LockTable
    from lockd.locks.visibility import Visibility
    from lockd.survival.journal import Journal
    from lockd.survival.keeper import Keeper
    from lockd.survival.kept import Numbers


class Renewal:
    """Renews locks of the resources in ``table``."""

    def __init__(
        self,
        table: LockTable,
        files: LockFiles,
        idle: IdleFiles,
        visibility: Visibility,
        journal: Journal,
        keeper: Keeper,
        numbers: Numbers,
        may_be_shared: MayBeShared,
        disk: Disk,
    ) -> None:
        self._table: Final = table
        self._files: Final = files
        self._idle: Final = idle
        self._visibility: Final = visibility
        self._journal: Final = journal
        self._keeper: Final = keeper
        self._numbers: Final = numbers
        self._may_be_shared: Final = may_be_shared
        self._disk: Final = disk

    def renew(self, resource: Resource) -> Turned:
        """Ask again for a POSIX lock, which can be lost with the process. If its file system has
        locks that cannot, turn it into one without a gap. Leave other locks alone. Raises OSError,
        SilentError."""
        lock = resource.lock
        if not lock.posix:
            return "held"
        self._files.check_remote(resource)
        found = self._disk.turn_into_own(lock.fd, shared=resource.shared)
        if found == "impossible":
            return "held" if self._disk.renew(lock, shared=resource.shared) else "taken"
        if found != "taken":
            self._turn(resource, posix=False)
        return found

    def make_posix(self, resource: Resource) -> Turned:
        """Turn a lock into a POSIX lock of this process, without a gap: the way back from
        :meth:`renew`. Raises OSError, SilentError."""
        self._files.check_remote(resource)
        if resource.shown:
            self._disk.hide(resource.lock.fd)
            resource.shown = False
        # The journal comes first: a process that finds the record turns the lock into its own, of
        # either kind.
        self._turn(resource, posix=True)
        return self._disk.turn_into_posix(resource.lock.fd, shared=resource.shared)

    def _turn(self, resource: Resource, *, posix: bool) -> None:
        old = resource.lock
        resource.lock = FileLock(old.fd, old.identity, posix)
        self._files.has_posix |= posix
        self._journal.append(records.relock(resource.number, resource.record(), resource.disk_born))
        self._visibility.renew(resource)

    def retake(self, resource: Resource) -> None:
        """Lock the file that has a resource's name now, in place of the one that had it.

        Raises HeldError, VanishedError, PlantedError and OSError; then the lock is what it was.
        """
        lock = self._disk.take(
            resource.path,
            shared=resource.shared,
            create=True,
            plain=resource.is_plain,
            may_be_shared=self._may_be_shared,
        )
        old, old_number = resource.lock, resource.number
        self._table.drop_identities(resource)
        resource.lock, resource.number = lock, self._numbers.take()
        self._table.add_identities(resource)
        self._keeper.keep(lock.fd, lock_name(resource.number))
        self._journal.append(records.relock(old_number, resource.record(), resource.disk_born))
        # The old file has no name now, so no process can ask whether it is locked.
        self._files.undo(old)
        self._idle.forget_number(old_number)
        self._visibility.renew(resource)
