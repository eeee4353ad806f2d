"""The lock engine: what the calls of the protocol do to lockspaces and resources.

Every change is made in an order that loses no lock, wherever this process is killed: a lock is
taken, its descriptor given to the keeper, the change written to the journal, and then the call
answered; a lock is first taken off the journal and then released.

So an acquisition that fails half way is undone, and a release that fails half way is continued: the
file of a lock that is off the journal is *idle* (:mod:`lockd.locks.idle`).

A call that needs a file system whose server has not answered raises SilentError before it has done
anything, and is made again later.
"""

from __future__ import annotations

import errno
import os

from lockd.events import GRANTED, LOST, RELEASED, Event
from lockd.kernel import process
from lockd.kernel.filelock import FileLock
from lockd.kernel.named import PlantedError
from lockd.locks.disks import UnknownDisks
from lockd.locks.files import LockFiles
from lockd.locks.idle import IdleFiles
from lockd.locks.renewal import Renewal
from lockd.locks.space import (
    Lockspace,
    Owner,
    Resource,
    about,
    check_directory,
    is_locked,
    is_not_locked,
    not_the_owner,
    planted,
)
from lockd.locks.table import LockTable
from lockd.locks.visibility import Visibility
from lockd.log import INFO
from lockd.survival.journal import Part
from lockd.survival.kept import Numbers, lock_name
from lockd.survival.records import locks as records
from lockd.survival.records import processes
from lockd.wire.fault import (
    FROM_LOCKSPACE,
    FROM_NONE,
    FROM_RPC,
    INTERNAL_ERROR,
    OPERATION_INVALID,
    Fault,
    fault,
    system_fault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Final

    from lockd.events import Kind
    from lockd.kernel.filelock import MayBeShared
    from lockd.locks.holders import Holders
    from lockd.locks.outside import Clock, Disk, Servers
    from lockd.locks.table import Acquisition
    from lockd.log import Log
    from lockd.survival.journal import Journal
    from lockd.survival.keeper import Keeper
    from lockd.survival.records.locks import Records


class Engine:
    """The lockspaces and the locks in them, on ``disk`` and by ``clock``; a simulation has its own
    of both (:mod:`lockd.locks.outside`). ``on_lockspaces`` is called when a client makes a
    lockspace, as libvirtd does when it starts."""

    def __init__(
        self,
        journal: Journal,
        keeper: Keeper,
        holders: Holders,
        may_be_shared: MayBeShared,
        remotes: Servers,
        log: Log,
        disk: Disk,
        clock: Clock,
    ) -> None:
        self._journal: Final = journal
        self._keeper: Final = keeper
        self._holders: Final = holders
        self._remotes: Final = remotes
        self._log: Final = log
        self._disk: Final = disk
        self._clock: Final = clock
        self._numbers: Final = Numbers()
        self.table: Final = LockTable()
        self.files: Final = LockFiles(self.table, holders, may_be_shared, remotes, disk, log)
        self.idle: Final = IdleFiles(
            self.table, self.files, journal, keeper, self._numbers, disk, clock, log
        )
        self.visibility: Final = Visibility(self.files, holders, disk, clock, log)
        self.unknown: Final = UnknownDisks(
            self.table, self.files, holders, self.visibility, journal, clock, log
        )
        self.renewal: Final = Renewal(
            self.table,
            self.files,
            self.idle,
            self.visibility,
            journal,
            keeper,
            self._numbers,
            may_be_shared,
            disk,
        )
        #: When the process of each owner started, as the journal has it, by pid.
        self._processes: Final[dict[int, int]] = {}
        #: The owners that have taken something since the last look, by pid and start time.
        self.new_owners: Final[dict[tuple[int, int], None]] = {}
        self.on_lockspaces: Callable[[], object] = _nothing

    # --- lockspaces

    def new_lockspace(self, directory: str, *, dangling: bool = False) -> None:
        """NEW: a lockspace that must not be known yet. ``dangling`` says whether a link to nothing
        is taken for a directory. Raises Fault, SilentError."""
        if not directory:
            raise fault(OPERATION_INVALID, FROM_RPC, "the default lockspace already exists")
        if directory in self.table.spaces:
            raise fault(INTERNAL_ERROR, FROM_RPC, f"Lockspace for path {directory} already exists")
        self._remotes.check(directory)
        self._add_lockspace(directory, dangling=dangling)

    def has_lockspace(self, directory: str) -> bool:
        """Whether a lockspace is known, and its directory there or a link to nothing: those of the
        configuration are known before libvirt asks for them. Raises SilentError."""
        if directory not in self.table.spaces:
            return False
        self._remotes.check(directory)
        if not directory or self._disk.is_directory(directory):
            return True
        return self._disk.exists_at_all(directory) and not self._disk.exists(directory)

    def create_lockspace(self, directory: str, *, dangling: bool = False) -> None:
        """CREATE_LOCKSPACE: a lockspace that may be known already; ``dangling`` is as for NEW.
        Raises Fault, SilentError."""
        self._remotes.check(directory)
        if directory not in self.table.spaces or (
            directory and not self._disk.is_directory(directory)
        ):
            self._add_lockspace(directory, dangling=dangling)

    def _add_lockspace(self, directory: str, *, dangling: bool) -> None:
        check_directory(directory)
        try:
            self._disk.make_directory(directory)
        except OSError as error:
            if self._disk.exists(directory):
                raise fault(
                    INTERNAL_ERROR,
                    FROM_LOCKSPACE,
                    f"Lockspace location {directory} exists, but is not a directory",
                ) from error
            to_nothing = isinstance(error, FileExistsError)  # a symbolic link
            if to_nothing:
                error = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not (to_nothing and dangling):
                raise system_fault(
                    FROM_LOCKSPACE, f"Unable to create lockspace {directory}", error
                ) from error
        self.know_lockspace(directory)

    def know_lockspace(self, directory: str) -> None:
        """Add a lockspace of the configuration. Its directory need not exist yet."""
        if directory not in self.table.spaces:
            self.table.spaces[directory] = Lockspace(directory)
            self._journal.append(records.space(directory))

    # --- resources

    def create_resource(self, directory: str, name: str) -> None:
        """CREATE_RESOURCE: make an empty file to lock. Raises Fault, SilentError."""
        space = self.table.space(directory)
        if name in space.resources:
            raise is_locked(name)
        space.check_name(name)
        self.files.check_remote_name(space, name)
        path = space.path(name)
        try:
            self.idle.close_named(space, name)
            self._disk.create(path, plain=bool(directory))
        except PlantedError as error:
            raise planted(str(error)) from None
        except OSError as error:
            raise system_fault(FROM_NONE, f"cannot create file '{path}'", error) from error

    def delete_resource(self, directory: str, name: str) -> None:
        """DELETE_RESOURCE: remove a file that no owner on this host holds. Raises Fault,
        SilentError."""
        space = self.table.space(directory)
        if name in space.resources:
            raise is_locked(name)
        space.check_name(name)
        self.files.check_remote_name(space, name)
        path = space.path(name)
        try:
            self.idle.close_named(space, name)
            if directory:
                self._disk.check_plain(path)
            self._disk.remove(path)
        except FileNotFoundError:
            pass
        except PlantedError as error:
            raise planted(str(error)) from None
        except OSError as error:
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to delete lockspace resource {path}", error
            ) from error

    def acquire(
        self, directory: str, name: str, owner: Owner, *, shared: bool, create: bool
    ) -> None:
        """ACQUIRE_RESOURCE. Raises Fault, SilentError."""
        space = self.table.space(directory)
        self.unknown.look()
        if name in space.resources:
            held = self._to_join(space, name, shared=shared)
            self._note_process(owner)
            self._journal.append(records.also(held.number, owner.text))
            self.table.add_owner(held, owner)
            self._say(GRANTED, held, "granted to", owner)
            return
        self.files.check_remote_name(space, name)
        disk, identity, born = self.files.disk_of(space, name, owner, shared=shared)
        if name in space.resources:
            # That has taken a while.
            self.acquire(directory, name, owner, shared=shared, create=create)
            return
        # The disk may be elsewhere than its lock.
        self.files.check_remote_name(space, name)
        resource = self.idle.lock_again(space, name, shared=shared, create=create)
        if resource is None:
            space.check_name(name)
            lock = self.files.take(space, name, owner, shared=shared, create=create)
            try:
                # That may have taken a while too.
                self.files.check_disk(name, owner, identity, born, shared=shared)
            except Fault:
                self.files.undo(lock)
                raise
            resource = Resource(space, name, lock, self._numbers.take(), create)
        try:
            if resource.name not in space.idle:
                self._keeper.keep(resource.lock.fd, lock_name(resource.number))
            resource.shared = shared
            resource.disk, resource.disk_identity, resource.disk_born = disk, identity, born
            resource.since = int(self._clock.time())
            resource.taken = self._clock.monotonic()
            resource.owners.append(owner)
            self._note_process(owner)
            self._journal.append(records.lock(resource.record(), resource.disk_born))
        except BaseException:
            resource.owners.clear()
            self.idle.know(resource)
            self.idle.add(resource)
            raise
        space.idle.pop(name, None)
        self.table.add(resource)
        self.visibility.add(resource)
        self.unknown.add(resource)
        self._say(GRANTED, resource, "granted to", owner)

    def is_held_by(self, directory: str, name: str, owner: Owner, *, shared: bool) -> bool:
        """Whether an owner already has a resource, by any connection. Raises Fault if it holds it
        in another mode."""
        held = (
            self.table.space(directory).resources.get(name)
            if directory in self.table.spaces
            else None
        )
        if held is None or all(each.pid != owner.pid for each in held.owners):
            return False
        if held.shared != shared:
            raise is_locked(
                name, f" for it {'shared' if held.shared else 'exclusive'}, and not as it is meant"
            )
        return True

    def would_acquire(
        self, directory: str, name: str, owner: Owner, *, shared: bool, create: bool
    ) -> None:
        """Whether a resource could be acquired now; nothing is changed, no file made. Raises Fault
        if it could not, SilentError."""
        space = self.table.spaces.get(directory, Lockspace(directory))
        self.unknown.look()
        if name in space.resources:
            self._to_join(space, name, shared=shared)
            return
        space.check_name(name)
        self.files.check_remote_name(space, name)
        self.files.disk_of(space, name, owner, shared=shared)
        self.files.check_remote_name(space, name)
        path = space.path(name)
        if name in space.idle or (create and not self._disk.exists_at_all(path)):
            return
        self.files.undo(self.files.take(space, name, owner, shared=shared, create=False))

    def _to_join(self, space: Lockspace, name: str, *, shared: bool) -> Resource:
        """The resource that is held, if another owner can have its lock as well. Raises Fault,
        SilentError."""
        held = space.resources[name]
        if not (held.shared and shared):
            raise is_locked(name, self._holders.held_by(held))
        # Its server may have given it to another host.
        self.files.check_remote(held)
        if held.problem:
            why = f"{self._holders.held_by(held)}, and this lock is not safe: {held.problem}"
            raise is_locked(name, why)
        return held

    def _note_process(self, owner: Owner) -> None:
        """Record the owner's process, before what it holds."""
        pid, started = owner.pid, owner.started
        if started:
            self.new_owners[pid, started] = None
            if self._processes.get(pid) != started:
                self._journal.append(processes.process(pid, started))
                self._processes[pid] = started

    def _say(self, kind: Kind, resource: Resource, what: str, owner: Owner) -> None:
        """Log what happens to a lock."""
        if self._log.heard <= INFO:
            mode = "shared" if resource.shared else "exclusive"
            disk = f", for the disk {resource.disk}" if resource.disk else ""
            message = f"{resource.path}: {mode} lock {what} {owner}{disk}"
            self._log.event(Event(kind, message, owner.fields() | resource.fields()))

    def release(self, directory: str, name: str, owner: Owner) -> None:
        """RELEASE_RESOURCE. Raises Fault, SilentError."""
        resource = self.table.space(directory).resources.get(name)
        if resource is None:
            raise is_not_locked(name)
        for each in resource.owners:
            if each.pid == owner.pid:
                break
        else:
            raise not_the_owner(owner.pid)
        self.files.check_remote(resource)
        self._release(resource, each)

    def _release(self, resource: Resource, owner: Owner) -> None:
        """Remove one acquisition, and release the lock with the last."""
        if len(resource.owners) > 1:
            self._journal.append(records.less(resource.number, owner.text))
        else:
            self._journal.append(records.unlock(resource.number))
        self.table.remove_owner(resource, owner)
        self._say(RELEASED, resource, "released by", owner)
        if not resource.owners:
            # Hiding may take a while: nothing may look for the disk of a lock without an owner, and
            # a new journal must have it as the old one has.
            self.unknown.drop(resource)
            self.idle.know(resource)
            self.visibility.hide(resource)
            self.idle.add(resource)

    def release_all(self, held: deque[Acquisition]) -> None:
        """Release what is still held of some acquisitions. Raises SilentError if some are left
        in ``held``."""
        while held:
            resource, owner = held[0]
            if owner in resource.owners:
                self.files.check_remote(resource)
                self._release(resource, owner)
            held.popleft()

    def release_everything(self) -> None:
        """Release every lock. Raises SilentError if some are left."""
        for pid in self.table.pids:
            self.release_all(self.table.held_by(pid))
        self.idle.close(self._clock.monotonic())

    # --- being handed over

    def records(self) -> Iterator[str]:
        """The lockspaces, for a new journal. What they have is in :meth:`parts`."""
        for directory in self.table.spaces:
            if directory:
                yield records.space(directory)

    def parts(self) -> tuple[Part, Part]:
        """The owners' processes and the resources, for a new journal."""
        for pid in [*self._processes]:
            if not self.table.holds(pid):
                del self._processes[pid]
        resources = {each.number: each for each in self.table.open_resources()}
        return (
            Part({pid: pid for pid in self._processes}, self._process, processes.OF_PROCESS),
            Part(resources, _records_of, records.OF_RESOURCE, end="closed", renumbers="relock"),
        )

    def _process(self, pid: int) -> Iterator[str]:
        if pid in self._processes:
            yield processes.process(pid, self._processes[pid])

    def restore(self, state: Records, started: Mapping[int, int], fds: dict[str, int]) -> None:
        """Take over the lockspaces and the resources of a journal. ``started`` tells when the
        process of each owner started, by pid. The descriptors that were kept are taken out of
        ``fds``."""
        for directory in state.spaces:
            self.know_lockspace(directory)
        self._numbers.go_on_from(state.numbers)
        self._processes.update(started)  # the journal has them
        # The same one for all that is the same guest's.
        guests: dict[tuple[Any, ...], Owner] = {}
        for held in state.take_resources():
            (  # Twelve thousand times: to ask for each by its name takes longer.
                _,
                number,
                directory,
                name,
                identity,
                posix,
                shared,
                create,
                since,
                disk,
                disk_identity,
                whose,
                born,
                is_held,
            ) = held
            fd = fds.pop(lock_name(number), None)
            owners = []
            for each in whose:
                fields = tuple(each)
                owner = guests.get(fields)
                if owner is None:
                    owner = guests[fields] = _restored(fields, started)
                owners.append(owner)
            if fd is None:
                # The next process would miss it once more.
                self._journal.append(records.closed(number))
                self._numbers.give_back(number)
                if is_held:
                    message = f"the lock on '{directory}' '{name}' was not kept"
                    of_owner = owners[0].fields() if owners else {}
                    self._log.event(Event(LOST, message, of_owner | about(directory, name)))
                continue
            lock = FileLock(fd, identity, bool(posix))
            resource = Resource(self.table.spaces[directory], name, lock, number, create)
            resource.shared, resource.since, resource.disk = shared, since, disk
            if disk_identity is not None:
                resource.disk_identity, resource.disk_born = disk_identity, born
            resource.noted, resource.shown = resource.may_have_note, True  # they may be
            if not is_held:
                self.idle.restore(resource)
                continue
            resource.owners.extend(owners)
            self.files.has_posix |= lock.posix
            self.table.add(resource)
        self.visibility.restore(self.table.resources())
        self.unknown.restore(self.table.resources())
        for owner in guests.values():
            if self.table.holds(owner.pid):
                self._note_process(owner)


def _restored(fields: tuple[Any, ...], started: Mapping[int, int]) -> Owner:
    """The owner that a record tells of."""
    owner = Owner.from_record(fields)
    owner.started = started.get(owner.pid) or _start_time(owner.pid)
    return owner


def _records_of(resource: Resource) -> Iterator[str]:
    """The records of a resource, for a new journal."""
    yield records.lock(resource.record(), resource.disk_born)
    resource.forget_text()
    if not resource.owners:
        yield records.unlock(resource.number)


def _start_time(pid: int) -> int:
    """When an owner's process started, if the journal does not tell, as that of virtlockd does not;
    0 if there is no such process."""
    try:
        return process.start_time(pid)
    except OSError:
        return 0


def _nothing() -> None:
    """Do nothing."""
