"""The lock engine: what the calls of the protocol do to lockspaces and resources.

Every change is made in an order that loses no lock, wherever this process is killed: a lock is
taken, its descriptor given to the keeper, the change written to the journal, and then the call
answered; a lock is first taken off the journal and then let go.

So what fails half way is undone where it takes a lock, and gone on with where it lets one go: the
file of a lock that is off the journal is *idle*, and as long as it cannot be unlocked it is tried
again and again, and said.

What needs a file system whose server has not been heard of raises SilentError before it has done
anything, and is to be called once more.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from functools import partial

from lockd.escape import escaped
from lockd.kernel import process
from lockd.kernel.filelock import FileLock, HeldError, PlantedError, VanishedError
from lockd.locks.remote import SilentError
from lockd.locks.space import (
    Lockspace,
    Owner,
    Resource,
    check_directory,
    is_locked,
    is_not_locked,
    no_such_lockspace,
    not_the_owner,
    planted,
)
from lockd.log import INFO
from lockd.survival.keeper import Numbers, lock_name
from lockd.survival.records import locks as records
from lockd.survival.records import processes
from lockd.wire.fault import (
    FROM_LOCKSPACE,
    FROM_NONE,
    FROM_RPC,
    INTERNAL_ERROR,
    OPERATION_INVALID,
    fault,
    system_fault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Final

    from lockd.kernel.filelock import Identity, MayBeShared, Turned
    from lockd.locks.holders import Holders
    from lockd.locks.outside import Clock, Disk, Servers
    from lockd.log import Log
    from lockd.survival.journal import Journal
    from lockd.survival.keeper import Keeper
    from lockd.survival.records.locks import Held, Records

    #: One time that a resource was acquired, and by whom.
    Acquisition = tuple[Resource, Owner]

#: How long a lock has been held, in seconds, before it is made visible to people: what is let go
#: sooner, nobody has the time to look at.
VISIBLE_AFTER: Final = 0.02

#: How long the file of a lock that was let go stays open, in seconds, before it is removed, and how
#: many do, in a lockspace: what libvirt pauses, moves or takes a snapshot of, it soon wants again.
IDLE_FOR: Final = 0.25
_MOST_IDLE: Final = 1024

#: How often a lock that cannot be unlocked is tried again before its file is closed all the same.
_UNLOCKS: Final = 20

#: How much of a path is shown in an error, in characters.
_LONGEST_PATH: Final = 1024

#: How many locks are made visible before clients have their turn again, and how long that lasts.
_SHOWN_AT_ONCE: Final = 50
_SHOW_PAUSE: Final = 0.001


class Engine:
    """The lockspaces and what is held in them, on ``disk`` and by ``clock``: a simulation has its
    own of both (:mod:`lockd.locks.outside`). ``on_lockspaces`` is called when somebody makes a
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
        self._may_be_shared: Final = may_be_shared
        self._remotes: Final = remotes
        self._log: Final = log
        self._files: Final = disk
        self._clock: Final = clock
        self.spaces: Final[dict[str, Lockspace]] = {"": Lockspace("")}
        self._by_identity: Final[dict[Identity, list[Resource]]] = {}
        self._by_owner: Final[dict[int, list[Resource]]] = {}
        #: When the process of each owner started, as it is written down, by pid.
        self._processes: Final[dict[int, int]] = {}
        #: Those that have taken something, by pid and start time, until somebody takes them out.
        self.new_owners: Final[dict[tuple[int, int], None]] = {}
        self._numbers: Final = Numbers()
        self._has_posix = False
        self.on_lockspaces: Callable[[], object] = _nothing
        self._fresh: Final[deque[tuple[float, Resource]]] = deque()

    # --- lockspaces

    def new_lockspace(self, directory: str) -> None:
        """NEW: a lockspace that must not be known yet. Raises Fault, SilentError."""
        if not directory:
            raise fault(OPERATION_INVALID, FROM_RPC, "the default lockspace already exists")
        if directory in self.spaces:
            raise fault(INTERNAL_ERROR, FROM_RPC, f"Lockspace for path {directory} already exists")
        self._remotes.check(directory)
        self._add_lockspace(directory)

    def create_lockspace(self, directory: str) -> None:
        """CREATE_LOCKSPACE: a lockspace that may be known already. Raises Fault, SilentError."""
        self._remotes.check(directory)
        if directory not in self.spaces or (directory and not self._files.is_directory(directory)):
            self._add_lockspace(directory)

    def _add_lockspace(self, directory: str) -> None:
        check_directory(directory)
        try:
            self._files.make_directory(directory)
        except OSError as error:
            if self._files.exists(directory):
                raise fault(
                    INTERNAL_ERROR,
                    FROM_LOCKSPACE,
                    f"Lockspace location {directory} exists, but is not a directory",
                ) from error
            if isinstance(error, FileExistsError):  # a symbolic link to nothing
                error = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to create lockspace {directory}", error
            ) from error
        self.know_lockspace(directory)

    def know_lockspace(self, directory: str) -> None:
        """Take up a lockspace whose directory need not be there (yet): the configuration's."""
        if directory not in self.spaces:
            self.spaces[directory] = Lockspace(directory)
            self._journal.append(records.space(directory))

    def check_remote(self, resource: Resource) -> None:
        """Raise SilentError where the file of a resource may have to be waited for."""
        self._check_remote(resource.space, resource.name)

    def _check_remote(self, space: Lockspace, name: str) -> None:
        if space.directory:
            self._remotes.check_file(space.directory, name)
        else:
            self._remotes.check_path(name)  # a disk, to which a link may lead

    def _space(self, directory: str) -> Lockspace:
        space = self.spaces.get(directory)
        if space is None:
            raise no_such_lockspace(directory)
        return space

    # --- resources

    def create_resource(self, directory: str, name: str) -> None:
        """CREATE_RESOURCE: make an empty file to lock. Raises Fault, SilentError."""
        space = self._space(directory)
        if name in space.resources:
            raise is_locked(name)
        space.check_name(name)
        self._check_remote(space, name)
        path = space.path(name)
        try:
            self._close_idle_named(space, name)
            self._files.create(path, plain=bool(directory))
        except PlantedError as error:
            raise planted(str(error)) from None
        except OSError as error:
            raise system_fault(FROM_NONE, f"cannot create file '{path}'", error) from error

    def delete_resource(self, directory: str, name: str) -> None:
        """DELETE_RESOURCE: remove a file that nobody here holds. Raises Fault, SilentError."""
        space = self._space(directory)
        if name in space.resources:
            raise is_locked(name)
        space.check_name(name)
        self._check_remote(space, name)
        path = space.path(name)
        try:
            self._close_idle_named(space, name)
            if directory:
                self._files.check_plain(path)
            self._files.remove(path)
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
        space = self._space(directory)
        held = space.resources.get(name)
        if held is not None:
            if not (held.shared and shared):
                raise is_locked(name, self._holders.held_by(held))
            self._note_process(owner)
            self._journal.append(records.also(held.number, owner.text))
            held.owners.append(owner)
            self._by_owner.setdefault(owner.pid, []).append(held)
            self._say(held, "granted to", owner)
            return
        self._check_remote(space, name)
        disk, identity = self._disk(space, name, owner, shared=shared)
        resource = self._take_again(space, name, shared=shared, create=create)
        if resource is None:
            space.check_name(name)
            lock = self._take(space, name, shared=shared, create=create)
            resource = Resource(space, name, lock, number=self._numbers.take(), create=create)
        try:
            if resource.name not in space.idle:
                self._keeper.keep(resource.lock.fd, lock_name(resource.number))
            resource.shared = shared
            resource.disk, resource.disk_identity = disk, identity
            resource.since = int(self._clock.time())
            resource.taken = self._clock.monotonic()
            resource.owners.append(owner)
            self._note_process(owner)
            self._journal.append(records.lock(resource.record()))
        except BaseException:
            resource.owners.clear()
            self._make_idle(resource)
            raise
        space.idle.pop(name, None)
        self._add(resource)
        self._fresh.append((resource.taken + VISIBLE_AFTER, resource))
        self._say(resource, "granted to", owner)

    def is_held_by(self, directory: str, name: str, owner: Owner, *, shared: bool) -> bool:
        """Whether an owner has a resource already, whoever has acquired it for him. Raises Fault
        where he has it in another way than that."""
        held = self._space(directory).resources.get(name) if directory in self.spaces else None
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
        where it could not, SilentError."""
        space = self.spaces.get(directory, Lockspace(directory))
        held = space.resources.get(name)
        if held is not None:
            if not (held.shared and shared):
                raise is_locked(name, self._holders.held_by(held))
            return
        space.check_name(name)
        self._check_remote(space, name)
        self._disk(space, name, owner, shared=shared)
        path = space.path(name)
        if name in space.idle or (create and not self._files.exists_at_all(path)):
            return
        self._undo(self._take(space, name, shared=shared, create=False))

    def _note_process(self, owner: Owner) -> None:
        """Write down which process the owner is, before what it holds."""
        pid, started = owner.pid, owner.started
        if started:
            self.new_owners[pid, started] = None
            if self._processes.get(pid) != started:
                self._journal.append(processes.process(pid, started))
                self._processes[pid] = started

    def _take_again(
        self, space: Lockspace, name: str, *, shared: bool, create: bool
    ) -> Resource | None:
        """The resource whose file is still open, locked once more; it counts as idle until it is
        written down. None where the file has to be opened anew. Raises Fault."""
        resource = space.idle.get(name)
        if resource is None:
            return None
        try:
            if create and self._files.lock_again(resource.lock, shared=shared):
                resource.problem = ""
                return resource
            self._close_idle(resource)
        except OSError as error:
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to acquire lock on '{resource.path}'", error
            ) from error
        return None

    def _say(self, resource: Resource, what: str, owner: Owner) -> None:
        """What happens to a lock, for whoever wants to know."""
        if self._log.threshold <= INFO:
            mode = "shared" if resource.shared else "exclusive"
            disk = f", for the disk {resource.disk}" if resource.disk else ""
            self._log.info(f"{resource.path}: {mode} lock {what} {owner}{disk}")

    def _disk(
        self, space: Lockspace, name: str, owner: Owner, *, shared: bool
    ) -> tuple[str, Identity | None]:
        """The disk behind a name that is a hash, and what it is known by; empty and None where
        that cannot be known. Raises Fault where it is locked by another name, SilentError."""
        disk, identity = "", None
        try:
            if space.directory:
                disk = self._holders.disk(owner, name, self._remotes.check_path)
            if disk:
                self._remotes.check_path(disk)
                identity = self._files.identity_at(disk)
        except OSError as error:
            raise system_fault(
                FROM_LOCKSPACE, f"Unable to tell which disk '{name}' is", error
            ) from error
        if identity is not None:
            other = self._blocking(identity, shared=shared)
            if other is not None:
                raise is_locked(name, self._under_another_name(other))
        return disk, identity

    def _take(self, space: Lockspace, name: str, *, shared: bool, create: bool) -> FileLock:
        path = space.path(name)
        try:
            if self._has_posix:
                self._check_posix(name, path)
            lock = self._files.take(
                path,
                shared=shared,
                create=create,
                plain=bool(space.directory),
                may_be_shared=self._may_be_shared,
            )
        except PlantedError as error:
            raise planted(str(error)) from None
        except HeldError as error:
            other = self._blocking(error.identity, shared=shared)
            if other is not None:
                # The file was opened and closed once more, which takes POSIX locks off it.
                self._files.show(other.lock.fd, shared=other.shared)
                raise is_locked(name, self._under_another_name(other)) from None
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
        other = self._blocking(lock.identity, shared=shared)
        if other is not None:
            self._undo(lock)
            raise is_locked(name, self._under_another_name(other))
        if lock.posix:
            self._has_posix = True
            self._log.warning(
                f"{path}: its file system has no open-file-description locks: should the daemon"
                " die, this lock is free until the next one has taken it again"
            )
        return lock

    def _undo(self, lock: FileLock) -> None:
        """Let a lock go that nobody knows of yet: no copy of it is kept."""
        try:
            self._files.let_go(lock)
        except OSError:
            self._files.drop(lock)

    def _check_posix(self, name: str, path: str) -> None:
        """Refuse another name of a file with a POSIX lock: to open and close it once more would
        take the lock off it."""
        identity = self._files.identity_at(path)
        for held in self._by_identity.get(identity, ()) if identity is not None else ():
            if held.lock.posix:
                raise is_locked(name, self._under_another_name(held))

    def _blocking(self, identity: Identity, *, shared: bool) -> Resource | None:
        for held in self._by_identity.get(identity, ()):
            if not (held.shared and shared):
                return held
        return None

    def _under_another_name(self, held: Resource) -> str:
        name = escaped(held.disk or held.path, _LONGEST_PATH)
        return f"{self._holders.held_by(held)}, under its other name '{name}'"

    def release(self, directory: str, name: str, owner: Owner) -> None:
        """RELEASE_RESOURCE. Raises Fault, SilentError."""
        resource = self._space(directory).resources.get(name)
        if resource is None:
            raise is_not_locked(name)
        for each in resource.owners:
            if each.pid == owner.pid:
                break
        else:
            raise not_the_owner(owner.pid)
        self.check_remote(resource)
        self._release(resource, each)

    def _release(self, resource: Resource, owner: Owner) -> None:
        """One acquisition less, and the lock let go with the last."""
        if len(resource.owners) > 1:
            self._journal.append(records.less(resource.number, owner.text))
        else:
            self._journal.append(records.unlock(resource.number))
        of_owner = self._by_owner[owner.pid]
        of_owner.remove(resource)
        if not of_owner:
            del self._by_owner[owner.pid]
        resource.owners.remove(owner)
        self._say(resource, "let go by", owner)
        if resource.owners:
            return
        del resource.space.resources[resource.name]
        self._drop_identities(resource)
        if resource.noted:
            self._files.wipe_note(resource.lock.fd)
            resource.noted = False
        if resource.shown:
            self._files.hide(resource.lock.fd)
            resource.shown = False
        self._make_idle(resource)

    def _make_idle(self, resource: Resource) -> None:
        """Unlock what nobody holds by the journal, and close its file, now or in a while."""
        resource.released = self._clock.monotonic()
        resource.problem, resource.unlocks = "", 0
        resource.space.idle[resource.name] = resource
        try:
            if self._may_idle(resource):
                self._files.unlock(resource.lock)
            else:
                self._close(resource)
        except OSError as error:
            self._complain(resource, error)

    def _complain(self, resource: Resource, error: OSError) -> None:
        """A lock that was let go cannot be unlocked: it is tried again when idle files are looked
        at, some times, and then the file is closed, with which the lock ends."""
        why = error.strerror or str(error)
        resource.released = self._clock.monotonic()
        resource.unlocks += 1
        if not resource.problem:
            self._log.error(
                f"{resource.path}: it was let go and cannot be unlocked ({why}): nobody can have it"
                " until that is done; it is tried again"
            )
        resource.problem = f"it was let go and cannot be unlocked: {why}"
        if resource.unlocks > _UNLOCKS:
            self._forget(resource)
            self._files.drop(resource.lock)

    def _may_idle(self, resource: Resource) -> bool:
        """Whether the file of a lock that is let go stays open for a while: one that would be
        removed, on a file system of this host alone."""
        return (
            resource.create
            and not resource.lock.posix
            and len(resource.space.idle) <= _MOST_IDLE
            and not self._may_be_shared(resource.lock.identity[0], resource.path)
        )

    def close_idle(self, before: float) -> None:
        """Remove the files of locks that were let go before that time, and not wanted since."""
        for space in self.spaces.values():
            for resource in [each for each in space.idle.values() if each.released < before]:
                try:
                    self.check_remote(resource)
                    self._close_idle(resource)
                except SilentError as error:
                    if not error.remote.asked:
                        error.remote.wait(_nothing)  # this is called again and again
                except OSError as error:
                    self._complain(resource, error)

    @property
    def has_idle(self) -> bool:
        """Whether files of locks that were let go are still open."""
        return any(space.idle for space in self.spaces.values())

    def _close_idle_named(self, space: Lockspace, name: str) -> None:
        resource = space.idle.get(name)
        if resource is not None:
            self._close_idle(resource)

    def _close_idle(self, resource: Resource) -> None:
        """Raises OSError where it cannot be unlocked: then it stays idle."""
        # Only who has locked a lock file may remove it.
        self._close(
            resource,
            remove=resource.create and self._files.lock_again(resource.lock, shared=False),
        )

    def _close(self, resource: Resource, *, remove: bool = True) -> None:
        """Raises OSError where it cannot be unlocked: then it stays idle."""
        lock, path = resource.lock, resource.path
        local = not self._may_be_shared(lock.identity[0], path)
        try:
            if remove and resource.create and local and self.is_in_place(resource):
                self._files.remove(path)
        except OSError as error:
            self._log.warning(f"{path}: cannot be removed: {error.strerror}")
        self._files.let_go(lock)
        self._forget(resource)

    def _forget(self, resource: Resource) -> None:
        """An idle resource is unlocked, and its file closed."""
        del resource.space.idle[resource.name]
        self._journal.append(records.closed(resource.number))
        self._forget_number(resource.number)

    def _forget_number(self, number: int) -> None:
        """What had that number need not be kept any more."""
        self._keeper.forget()
        self._numbers.give_back(number)

    def held_by(self, pid: int, started: int = 0) -> deque[Acquisition]:
        """All that an owner holds, each as often as it has acquired it; where ``started`` is given,
        without what another process of the same pid holds."""
        resources = dict.fromkeys(self._by_owner.get(pid, ()))
        return deque(
            (resource, owner)
            for resource in resources
            for owner in resource.owners
            if owner.pid == pid and (not started or owner.started in (0, started))
        )

    def acquisitions(self, known: Iterable[tuple[str, str, Owner]]) -> deque[Acquisition]:
        """Those of a lockspace, a name and an owner that are there."""
        return deque(
            (self.spaces[directory].resources[name], owner)
            for directory, name, owner in known
            if directory in self.spaces and name in self.spaces[directory].resources
        )

    def release_all(self, held: deque[Acquisition]) -> None:
        """Let go what is still held of some acquisitions. Raises SilentError where some are left
        in ``held``."""
        while held:
            resource, owner = held[0]
            if owner in resource.owners:
                self.check_remote(resource)
                self._release(resource, owner)
            held.popleft()

    def release_everything(self) -> None:
        """Let go all that anybody holds. Raises SilentError where some of it is left."""
        for pid in [*self._by_owner]:
            self.release_all(self.held_by(pid))
        self.close_idle(self._clock.monotonic())

    def holds(self, pid: int) -> bool:
        """Whether an owner holds anything."""
        return pid in self._by_owner

    def resources(self) -> Iterator[Resource]:
        """All that is held."""
        for space in self.spaces.values():
            yield from space.resources.values()

    def open_resources(self) -> Iterator[Resource]:
        """All that is held, and what was a moment ago."""
        yield from self.resources()
        for space in self.spaces.values():
            yield from space.idle.values()

    def stuck(self) -> Iterator[Resource]:
        """What was let go and cannot be unlocked."""
        for space in self.spaces.values():
            yield from (each for each in space.idle.values() if each.problem)

    @property
    def is_idle(self) -> bool:
        """Whether nobody holds anything."""
        return not self._by_owner

    # --- afterwards

    @property
    def has_fresh(self) -> bool:
        """Whether there are locks that are not visible yet."""
        return bool(self._fresh)

    def show_fresh(self) -> float | None:
        """Make the locks visible that have been held for a while, some of them; returns in how
        many seconds to call this again, or None."""
        now = self._clock.monotonic()
        for _ in range(_SHOWN_AT_ONCE):
            if not self._fresh:
                return None
            due, resource = self._fresh[0]
            if due > now:
                return due - now
            self._fresh.popleft()
            # Not one that has been let go, and taken again, since it was put here.
            if resource.owners and resource.taken + VISIBLE_AFTER <= now:
                try:
                    self.check_remote(resource)
                except SilentError as error:
                    error.remote.wait(partial(self._fresh.append, (0.0, resource)))
                else:
                    self._show(resource)
        return _SHOW_PAUSE

    def _show(self, resource: Resource) -> None:
        """Make a lock visible: to ``lslocks``, and to other hosts by a note."""
        self._files.show(resource.lock.fd, shared=resource.shared)
        resource.shown = True
        if resource.may_have_note:
            try:
                self._files.write_note(resource.lock.fd, self._holders.note(resource))
                resource.noted = True
            except OSError as error:
                self._log.warning(f"{resource.path}: cannot be written: {error.strerror}")

    # --- whether all is well

    def is_in_place(self, resource: Resource) -> bool:
        """Whether the locked file is still the one of that name. Raises OSError."""
        return self._files.is_at(
            resource.lock.fd, resource.path, self._may_be_shared, plain=resource.is_plain
        )

    def renew(self, resource: Resource) -> Turned:
        """Ask once more for a POSIX lock, which can be lost with the process, and turn it, without
        a gap, into one that cannot where its file system has these; others are left alone. Raises
        OSError, SilentError."""
        lock = resource.lock
        if not lock.posix:
            return "held"
        self.check_remote(resource)
        found = self._files.turn_into_own(lock.fd, shared=resource.shared)
        if found == "impossible":
            return "held" if self._files.renew(lock, shared=resource.shared) else "taken"
        if found != "taken":
            self._turn(resource, posix=False)
        return found

    def beside(self, resource: Resource) -> str:
        """Who else holds the file of a resource here, under another name; empty where nobody
        does."""
        for other in self._by_identity.get(resource.lock.identity, ()):
            if other is not resource and not (other.shared and resource.shared):
                return self._under_another_name(other)
        return ""

    def make_posix(self, resource: Resource) -> Turned:
        """Turn a lock into a POSIX lock of this process, without a gap: the way back from
        :meth:`renew`. Raises OSError, SilentError."""
        self.check_remote(resource)
        if resource.shown:
            self._files.hide(resource.lock.fd)
            resource.shown = False
        # First in the journal: a process that finds it there makes it its own, whatever it is.
        self._turn(resource, posix=True)
        return self._files.turn_into_posix(resource.lock.fd, shared=resource.shared)

    def _turn(self, resource: Resource, *, posix: bool) -> None:
        old = resource.lock
        resource.lock = FileLock(old.fd, old.identity, posix)
        self._has_posix |= posix
        self._journal.append(records.relock(resource.number, resource.record()))
        self._fresh.append((0.0, resource))

    def may_be_lost(self, resource: Resource) -> bool:
        """Whether the lock is on a file system that can lose it: one of other hosts, too."""
        lock = resource.lock
        if lock.remote is None:
            # Once: the file system may not answer the next time.
            lock.remote = self._may_be_shared(lock.identity[0], resource.path)
        return lock.remote and not lock.posix

    def retake(self, resource: Resource) -> None:
        """Lock the file that has a resource's name now, in place of the one that had it.

        Raises HeldError, VanishedError, PlantedError and OSError; then the lock is what it was.
        """
        lock = self._files.take(
            resource.path,
            shared=resource.shared,
            create=True,
            plain=resource.is_plain,
            may_be_shared=self._may_be_shared,
        )
        old, old_number = resource.lock, resource.number
        self._drop_identities(resource)
        resource.lock, resource.number = lock, self._numbers.take()
        self._add_identities(resource)
        self._keeper.keep(lock.fd, lock_name(resource.number))
        self._journal.append(records.relock(old_number, resource.record()))
        # The file has no name any more: whether it is locked or not, nobody asks for it.
        self._undo(old)
        self._forget_number(old_number)
        self._fresh.append((0.0, resource))

    # --- being handed over

    def records(self) -> Iterator[str]:
        """The state, for a new journal."""
        for directory in self.spaces:
            if directory:
                yield records.space(directory)
        for pid in [*self._processes]:
            if pid in self._by_owner:
                yield processes.process(pid, self._processes[pid])
            else:
                del self._processes[pid]
        for resource in self.open_resources():
            yield records.lock(resource.record())
            if not resource.owners:
                yield records.unlock(resource.number)

    def restore(self, state: Records, started: Mapping[int, int], fds: dict[str, int]) -> None:
        """Take over the lockspaces and the resources that a journal tells of, with when the process
        of each owner ``started``, by pid, and with the descriptors that were kept, which are taken
        out of ``fds``."""
        for directory in state.spaces:
            self.know_lockspace(directory)
        self._numbers.go_on_from(state.numbers)
        guests: dict[str, Owner] = {}  # the same one for all that is the same guest's
        for held in state.resources():
            owners = [Owner.from_record(each) for each in held.owners]
            for each in owners:
                if each.text not in guests:
                    guests[each.text] = each
                    each.started = started.get(each.pid) or _start_time(each.pid)
            self._restore(held, [guests[each.text] for each in owners], fds)

    def _restore(self, held: Held, owners: list[Owner], fds: dict[str, int]) -> None:
        fd = fds.pop(lock_name(held.number), None)
        if fd is None:
            if held.is_held:
                self._log.error(f"the lock on '{held.directory}' '{held.name}' was not kept")
            return
        space = self.spaces[held.directory]
        lock = FileLock(fd, (held.identity[0], held.identity[1]), held.posix)
        resource = Resource(space, held.name, lock, number=held.number, create=held.create)
        resource.shared, resource.since = held.shared, held.since
        resource.disk = held.disk
        if held.disk_identity:
            resource.disk_identity = held.disk_identity[0], held.disk_identity[1]
        resource.noted, resource.shown = resource.may_have_note, True  # they may be
        if not held.is_held:
            space.idle[held.name] = resource
            try:
                self.check_remote(resource)
                self._files.unlock(lock)  # the process before may have been killed before it did
            except SilentError:
                pass  # it is closed when the file system has answered
            except OSError as error:
                self._complain(resource, error)
            return
        resource.owners.extend(owners)
        self._has_posix |= lock.posix
        for owner in owners:
            self._note_process(owner)
        self._add(resource)
        for owner in resource.owners[1:]:
            self._by_owner.setdefault(owner.pid, []).append(resource)
        self._fresh.append((0.0, resource))

    def _add(self, resource: Resource) -> None:
        resource.space.resources[resource.name] = resource
        self._add_identities(resource)
        self._by_owner.setdefault(resource.owners[0].pid, []).append(resource)

    def _add_identities(self, resource: Resource) -> None:
        for identity in resource.identities:
            self._by_identity.setdefault(identity, []).append(resource)

    def _drop_identities(self, resource: Resource) -> None:
        for identity in resource.identities:
            same = self._by_identity[identity]
            same.remove(resource)
            if not same:
                del self._by_identity[identity]


def _start_time(pid: int) -> int:
    """When the process of an owner started of which the journal does not tell, as that of another
    lock daemon; 0 where there is none."""
    try:
        return process.start_time(pid)
    except OSError:
        return 0


def _nothing() -> None:
    """Nobody wants to know."""
