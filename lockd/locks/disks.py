"""Which disk a lock is for, where that could not be known when it was taken.

In an indirect lockspace a disk is known by a hash, and its path is in libvirt's description of the
guest. libvirt locks the target of a copy, the overlay of a snapshot and a disk that is attached
before it describes them. So the description is read again once it has changed: before another lock
is granted, and from time to time.
"""

from __future__ import annotations

from functools import partial

from lockd.events import LOST, Event
from lockd.locks.remote import SilentError
from lockd.survival.records import locks as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockd.locks.files import LockFiles
    from lockd.locks.holders import Holders
    from lockd.locks.outside import Clock
    from lockd.locks.space import Resource
    from lockd.locks.table import LockTable
    from lockd.locks.visibility import Visibility
    from lockd.log import Log
    from lockd.survival.journal import Journal

    #: A guest's descriptions as they were when they were read.
    Seen = tuple[tuple[int, int], ...]

#: How long what was seen of the descriptions counts, in seconds: libvirt takes longer from the
#: description of a disk to the start of a guest. The time of a directory's last change is less
#: exact than that.
_FRESH: Final = 0.02

#: How long looking may take at a time, in seconds, before clients have their turn again.
_SLICE: Final = 0.001

#: How long a hash is, in characters.
_HASH: Final = 64


class UnknownDisks:
    """The locks of which the disk is not known yet. One whose name is no hash is not for a disk
    that a path leads to."""

    def __init__(
        self,
        table: LockTable,
        files: LockFiles,
        holders: Holders,
        visibility: Visibility,
        journal: Journal,
        clock: Clock,
        log: Log,
    ) -> None:
        self._table: Final = table
        self._files: Final = files
        self._holders: Final = holders
        self._visibility: Final = visibility
        self._journal: Final = journal
        self._clock: Final = clock
        self._log: Final = log
        #: With what was seen of the descriptions of its owner.
        self._left: Final[dict[Resource, Seen | None]] = {}
        #: Those that this round has still to look at, and whether another round follows.
        self._round: dict[Resource, None] = {}
        self._again = False
        self._waiting: Final[set[Resource]] = set()
        self._looked = 0.0
        self._seen: Seen = ()

    def __bool__(self) -> bool:
        return bool(self._left)

    def add(self, resource: Resource) -> None:
        """One that was taken just now."""
        if _is_unknown(resource):
            self._left[resource] = None
            self._round[resource] = None

    def restore(self, resources: Iterable[Resource]) -> None:
        """Those of the previous process. The first round looks at all of them."""
        self._left.update(dict.fromkeys(filter(_is_unknown, resources)))

    def drop(self, resource: Resource) -> None:
        """One that was released."""
        self._left.pop(resource, None)
        self._round.pop(resource, None)

    def look(self) -> None:
        """Find out what the descriptions say by now, as far as that takes no time."""
        now = self._clock.monotonic()
        if not self._left or now - self._looked < _FRESH:
            return
        self._looked = now
        seen = self._holders.directories_seen()
        has_changed, self._seen = seen != self._seen, seen
        if not self._round and (has_changed or self._again):
            # Once more after a change: there may be one while this looks.
            self._round, self._again = dict.fromkeys(self._left), has_changed
        elif has_changed:
            self._again = True
        while self._round:
            resource = next(iter(self._round))
            del self._round[resource]
            if resource not in self._waiting:
                self._find(resource)
            # At least one at a time: on a busy machine the time is over before it has begun.
            if self._clock.monotonic() - now >= _SLICE:
                break

    def _find(self, resource: Resource) -> None:
        self._waiting.discard(resource)
        if resource not in self._left:
            return
        owner = resource.owners[0]
        try:
            seen = self._holders.descriptions_seen(owner, self._files.check_path)
            if seen == self._left.get(resource):
                return
            owner.disks = None
            disk, identity, born = self._files.disk_behind(resource.name, owner)
        except SilentError as error:
            self._waiting.add(resource)
            error.remote.wait(partial(self._find, resource))
            return
        except OSError:
            return  # it is tried again
        if resource not in self._left:
            return  # that took a while, and it was released meanwhile
        if disk:
            del self._left[resource]
            self._table.drop_identities(resource)
            resource.disk, resource.disk_identity, resource.disk_born = disk, identity, born
            self._table.add_identities(resource)
            self._journal.append(records.lock(resource.record(), resource.disk_born))
            self._visibility.renew(resource)
            self._check(resource)
        else:
            # Once its descriptions are those that were read: they may change meanwhile.
            self._left[resource] = seen

    def _check(self, resource: Resource) -> None:
        """Tell if another guest has the disk by another name."""
        problem = self._files.doubled(resource)
        if problem and resource.owners:  # looking takes a while: it may be released by now
            resource.problem = problem
            owner = resource.owners[0]
            message = f"DISK IN DANGER: the lock {resource.path} of {owner} is not safe: {problem}"
            self._log.event(Event(LOST, message, owner.fields() | resource.fields()))


def _is_unknown(resource: Resource) -> bool:
    """Whether it is for a disk that is not known yet."""
    return not resource.disk and bool(resource.space.directory) and len(resource.name) == _HASH
