"""From the name of a resource to its locked file, and what is known of that file by other names.

A function that needs a file system whose server has not answered raises SilentError before it has
done anything, and is called again later.
"""

from __future__ import annotations

from lockd.escape import escaped
from lockd.kernel.filelock import HeldError, VanishedError
from lockd.kernel.named import PlantedError
from lockd.locks.remote import SilentError
from lockd.locks.space import is_locked, planted
from lockd.wire.fault import FROM_LOCKSPACE, INTERNAL_ERROR, fault, system_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.filelock import FileLock, MayBeShared
    from lockd.kernel.named import Identity
    from lockd.locks.holders import Holders
    from lockd.locks.outside import Disk, Servers
    from lockd.locks.space import Lockspace, Owner, Resource
    from lockd.locks.table import LockTable
    from lockd.log import Log

#: How much of a path is shown in an error, in characters.
_LONGEST_PATH: Final = 1024


class LockFiles:
    """The files of the resources of ``table``, on ``disk``. ``has_posix`` tells that a lock may be
    a POSIX lock of this process."""

    def __init__(
        self,
        table: LockTable,
        holders: Holders,
        may_be_shared: MayBeShared,
        remotes: Servers,
        disk: Disk,
        log: Log,
    ) -> None:
        self._table: Final = table
        self._holders: Final = holders
        self._may_be_shared: Final = may_be_shared
        self._remotes: Final = remotes
        self._disk: Final = disk
        self._log: Final = log
        self.has_posix = False

    # --- before anything is done

    def check_remote(self, resource: Resource) -> None:
        """Raise SilentError if the file of a resource may have to be waited for."""
        self.check_remote_name(resource.space, resource.name)

    def check_remote_name(self, space: Lockspace, name: str) -> None:
        """The same for a name that is not a resource yet."""
        if space.directory:
            self._remotes.check_file(space.directory, name)
        else:
            self._remotes.check_path(name)  # a disk, to which a link may lead

    def check_path(self, path: str) -> None:
        """The same for a path."""
        self._remotes.check_path(path)

    def disk_of(
        self, space: Lockspace, name: str, owner: Owner, *, shared: bool
    ) -> tuple[str, Identity | None, int]:
        """The disk behind a name that is a hash, its identity, and when it was made; empty, None
        and 0 if these are unknown. Raises Fault if the disk is locked under another name, and
        SilentError."""
        if not space.directory:
            return "", None, 0
        try:
            disk, identity, born = self.disk_behind(name, owner)
        except OSError as error:
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to tell which disk '{name}' is", error
            ) from error
        self.check_disk(name, owner, identity, born, shared=shared)
        return disk, identity, born

    def check_disk(
        self, name: str, owner: Owner, identity: Identity | None, born: int, *, shared: bool
    ) -> None:
        """Raise Fault if the disk behind a name is locked under another name."""
        if identity is not None:
            other = self._blocking(identity, born, shared=shared)
            if other is not None:
                raise is_locked(name, self._under_another_name(other, owner))

    def disk_behind(self, name: str, owner: Owner) -> tuple[str, Identity | None, int]:
        """The same, also if it is locked by another name. Raises OSError, SilentError."""
        disk = self._holders.disk(owner, name, self._remotes.check_path)
        if not disk:
            return "", None, 0
        self._remotes.check_path(disk)
        identity = self._disk.identity_at(disk)
        return disk, identity, 0 if identity is None else self._disk.born_at(disk)

    def _blocking(self, identity: Identity, born: int, *, shared: bool) -> Resource | None:
        """What keeps the file that is known by this, and was made at that time, from being locked
        by another name."""
        for held in self._table.blocking(identity, shared=shared):
            if held.lock.identity == identity or not held.disk_born or not born:
                return held
            if held.disk_born == born:
                return held
            # That disk was removed, and a later file has its inode.
        return None

    # --- locking

    def take(
        self, space: Lockspace, name: str, owner: Owner, *, shared: bool, create: bool
    ) -> FileLock:
        """Lock the file of a resource that no owner on this host holds. Raises Fault."""
        path = space.path(name)
        try:
            if self.has_posix:
                self._check_posix(name, path, owner)
            lock = self._disk.take(
                path,
                shared=shared,
                create=create,
                plain=bool(space.directory),
                may_be_shared=self._may_be_shared,
            )
        except PlantedError as error:
            raise planted(str(error)) from None
        except HeldError as error:
            other = next(self._table.blocking(error.identity, shared=shared), None)
            if other is not None:
                # The file was opened and closed again, which drops its POSIX locks.
                self._disk.show(other.lock.fd, shared=other.shared)
                raise is_locked(name, self._under_another_name(other, owner)) from None
            shared_with_others = self._may_be_shared(error.identity[0], path)
            pid = 0 if shared_with_others else error.pid
            raise is_locked(name, self._holders.held_elsewhere(error.note, pid)) from None
        except VanishedError:
            raise fault(
                INTERNAL_ERROR,
                FROM_LOCKSPACE,
                f"{path} was removed each time it had been locked",
            ) from None
        except OSError as error:
            if error.filename is None:
                raise system_fault(
                    FROM_LOCKSPACE, f"Unable to acquire lock on '{path}'", error
                ) from error
            what = "open/create" if create else "open"
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to {what} resource {path}", error
            ) from error
        # Two nodes of one block device are two files, which lock apart from each other.
        if self._table.is_known(lock.identity):
            other = self._blocking(lock.identity, self._disk.born_at(path), shared=shared)
            if other is not None:
                self.undo(lock)
                raise is_locked(name, self._under_another_name(other, owner))
        if lock.posix:
            self.has_posix = True
            self._log.warning(
                f"{path}: its file system has no open-file-description locks: if the daemon dies,"
                " this lock is free until the next daemon has taken it again"
            )
        return lock

    def _check_posix(self, name: str, path: str, owner: Owner) -> None:
        """Refuse another name of a file with a POSIX lock: opening and closing the file again would
        drop the lock."""
        identity = self._disk.identity_at(path)
        for held in self._table.of_file(identity) if identity is not None else ():
            if held.lock.posix:
                raise is_locked(name, self._under_another_name(held, owner))

    def undo(self, lock: FileLock) -> None:
        """Release a lock that no client has been told of; no copy of it is kept."""
        try:
            self._disk.let_go(lock)
        except OSError:
            self._disk.drop(lock)

    # --- what is known of a file

    def is_in_place(self, resource: Resource) -> bool:
        """Whether the locked file is still the one of that name. Raises OSError."""
        return self._disk.is_at(
            resource.lock.fd, resource.path, self._may_be_shared, plain=resource.is_plain
        )

    def is_gone(self, resource: Resource) -> bool:
        """Whether nothing has the name of a resource, not even a link to nothing."""
        return not self._disk.exists_at_all(resource.path)

    def has_other_hosts(self, resource: Resource) -> bool:
        """Whether another host may use the file system of a lock: it stays the same one as long as
        the lock is held."""
        lock = resource.lock
        if lock.remote is None:
            lock.remote = self._may_be_shared(lock.identity[0], resource.path)
        return lock.remote

    def may_be_lost(self, resource: Resource) -> bool:
        """Whether the lock is on a file system that can lose it: one that has a server, or that
        other hosts use too."""
        lock = resource.lock
        if lock.remote is None:
            try:
                self.check_remote(resource)
            except SilentError:
                return not lock.posix
        return self.has_other_hosts(resource) and not lock.posix

    def beside(self, resource: Resource) -> str:
        """The text that names another holder of the same file on this host, under another name;
        empty if there is none."""
        for other in self._table.blocking(resource.lock.identity, shared=resource.shared):
            if other is not resource:
                return self._under_another_name(other, resource.owners[0])
        return ""

    def doubled(self, resource: Resource) -> str:
        """What is wrong where the disk of a resource is locked here under another name as well;
        empty if it is not."""
        identity = resource.disk_identity
        if identity is None:
            return ""
        for other in self._table.blocking(identity, shared=resource.shared):
            born = other.disk_born if other.disk_identity == identity else 0
            if other is not resource and (not born or born == resource.disk_born):
                who = self._under_another_name(other, resource.owners[0])
                return f"its disk is locked{who}: it is written by two at once"
        return ""

    def _under_another_name(self, held: Resource, owner: Owner) -> str:
        name = escaped(held.disk or held.path, _LONGEST_PATH)
        who = f"{self._holders.held_by(held)}, under its other name '{name}'"
        if any(each.pid == owner.pid for each in held.owners):
            return f"{who}: one guest has this disk twice"
        return who
