"""The files of locks that were released: unlocked, open for a while, and then removed.

When libvirt pauses or moves a guest, or takes a snapshot of it, it soon wants the same locks again.
If a lock that is off the journal cannot be unlocked, lockd tries again and logs it.
"""

from __future__ import annotations

from functools import partial

from lockd.events import STUCK, Event
from lockd.locks.remote import SilentError
from lockd.survival.records import locks as records
from lockd.wire.fault import FROM_LOCKSPACE, system_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.locks.files import LockFiles
    from lockd.locks.outside import Clock, Disk
    from lockd.locks.space import Lockspace, Resource
    from lockd.locks.table import LockTable
    from lockd.log import Log
    from lockd.survival.journal import Journal
    from lockd.survival.keeper import Keeper
    from lockd.survival.kept import Numbers

#: How long the file of a released lock stays open before it is removed, in seconds, and how many
#: stay open in a lockspace.
IDLE_FOR: Final = 0.25
_MOST_IDLE: Final = 1024

#: How often a lock that cannot be unlocked is tried again before its file is closed regardless.
_UNLOCKS: Final = 20


class IdleFiles:
    """The files of the resources in the lockspaces of ``table`` that no owner holds."""

    def __init__(
        self,
        table: LockTable,
        files: LockFiles,
        journal: Journal,
        keeper: Keeper,
        numbers: Numbers,
        disk: Disk,
        clock: Clock,
        log: Log,
    ) -> None:
        self._table: Final = table
        self._files: Final = files
        self._journal: Final = journal
        self._keeper: Final = keeper
        self._numbers: Final = numbers
        self._disk: Final = disk
        self._clock: Final = clock
        self._log: Final = log
        #: Those that are closed when their file systems have answered.
        self._waiting: Final[set[Resource]] = set()

    def __bool__(self) -> bool:
        return any(space.idle for space in self._table.spaces.values())

    def know(self, resource: Resource) -> None:
        """Count a resource as idle that no owner holds by the journal; it is locked still."""
        resource.released = self._clock.monotonic()
        resource.problem, resource.unlocks = "", 0
        resource.space.idle[resource.name] = resource

    def add(self, resource: Resource) -> None:
        """Unlock a resource that :meth:`know` has counted, and close its file, now or in a
        while."""
        try:
            may_remove = self._may_remove(resource)
            if may_remove and self._may_idle(resource):
                self._disk.unlock(resource.lock)
            else:
                self._close(resource, remove=may_remove)
        except OSError as error:
            self._complain(resource, error)

    def restore(self, resource: Resource) -> None:
        """Continue with an idle file of the previous process, which may have been killed before it
        did what the journal says."""
        resource.space.idle[resource.name] = resource
        try:
            self._files.check_remote(resource)
            self._disk.unlock(resource.lock)
        except SilentError:
            pass  # it is closed when the file system has answered
        except OSError as error:
            self._complain(resource, error)

    def lock_again(
        self, space: Lockspace, name: str, *, shared: bool, create: bool
    ) -> Resource | None:
        """Lock a resource again whose file is still open. It counts as idle until it is recorded.
        None if the file has to be opened again. Raises Fault."""
        resource = space.idle.get(name)
        if resource is None:
            return None
        try:
            # On a file system with other hosts it is idle only because it could not be unlocked.
            # The server may have unlocked it, and another host have removed the file since.
            if (
                create
                and not self._files.has_other_hosts(resource)
                and self._disk.lock_again(resource.lock, shared=shared)
            ):
                resource.problem = ""
                return resource
            self._close_idle(resource)
        except OSError as error:
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to acquire lock on '{resource.path}'", error
            ) from error
        return None

    def close(self, before: float, most: int | None = None) -> bool:
        """Remove the files of locks that were released before that time, and not wanted since, or
        so many of them. Returns whether some may be left."""
        due = [
            resource
            for space in self._table.spaces.values()
            for resource in space.idle.values()
            if resource.released < before and resource not in self._waiting
        ]
        for resource in due[:most]:
            self._close_soon(resource)
        return most is not None and len(due) > most

    def _close_soon(self, resource: Resource) -> None:
        """Close one that is idle still, now or when its file system has answered."""
        self._waiting.discard(resource)
        if resource.space.idle.get(resource.name) is not resource:
            return
        try:
            self._files.check_remote(resource)
            self._close_idle(resource)
        except SilentError as error:
            self._waiting.add(resource)
            error.remote.wait(partial(self._close_soon, resource))
        except OSError as error:
            self._complain(resource, error)

    def close_named(self, space: Lockspace, name: str) -> None:
        """Close the file of that name if it is idle. Raises OSError if it cannot be unlocked; then
        it stays idle."""
        resource = space.idle.get(name)
        if resource is not None:
            self._close_idle(resource)

    def forget_number(self, number: int) -> None:
        """Stop keeping the descriptor of that number."""
        self._keeper.forget()
        self._numbers.give_back(number)

    def _may_remove(self, resource: Resource) -> bool:
        """Whether the last release removes the file: lockd was asked to make it, on a file system
        of this host alone."""
        return resource.create and not self._files.has_other_hosts(resource)

    def _may_idle(self, resource: Resource) -> bool:
        """Whether a file that would be removed stays open for a while."""
        return not resource.lock.posix and len(resource.space.idle) <= _MOST_IDLE

    def _close_idle(self, resource: Resource) -> None:
        """Raises OSError if it cannot be unlocked: then it stays idle."""
        # Only a process that has locked a lock file may remove it.
        self._close(
            resource,
            remove=self._may_remove(resource)
            and self._disk.lock_again(resource.lock, shared=False),
        )

    def _close(self, resource: Resource, *, remove: bool) -> None:
        """Raises OSError if it cannot be unlocked: then it stays idle."""
        path = resource.path
        try:
            if remove and self._files.is_in_place(resource):
                self._disk.remove(path)
        except OSError as error:
            self._log.warning(f"{path}: cannot be removed: {error.strerror}")
        self._disk.unlock(resource.lock)
        # Forgotten first: closing may take a while, and another file may get the number.
        self._forget(resource)
        self._disk.drop(resource.lock)

    def _forget(self, resource: Resource) -> None:
        """Forget an idle resource: it is unlocked, and its file closed."""
        del resource.space.idle[resource.name]
        self._journal.append(records.closed(resource.number))
        self.forget_number(resource.number)

    def _complain(self, resource: Resource, error: OSError) -> None:
        """A lock that was released cannot be unlocked. lockd tries again some times, when it looks
        at idle files, and then closes the file, which ends the lock."""
        why = error.strerror or str(error)
        resource.released = self._clock.monotonic()
        resource.unlocks += 1
        if not resource.problem:
            message = (
                f"{resource.path}: it was released and cannot be unlocked ({why}): no guest can"
                " lock it until that succeeds; lockd tries again"
            )
            self._log.event(Event(STUCK, message, resource.fields()))
        resource.problem = f"it was released and cannot be unlocked: {why}"
        if resource.unlocks > _UNLOCKS:
            self._forget(resource)
            self._disk.drop(resource.lock)
