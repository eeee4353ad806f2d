"""Makes locks visible to people: to ``lslocks``, and to other hosts by a note with the file."""

from __future__ import annotations

from collections import deque
from functools import partial

from lockd.locks.remote import SilentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockd.locks.files import LockFiles
    from lockd.locks.holders import Holders
    from lockd.locks.outside import Clock, Disk
    from lockd.locks.space import Resource
    from lockd.log import Log

#: How long a lock is held, in seconds, before it is made visible: a lock that is released sooner is
#: gone before a person looks.
VISIBLE_AFTER: Final = 0.02

#: How many locks to make visible before a pause for clients, how many to look at, as most may have
#: been released by then, and how long the pause is, in seconds.
_SHOWN_AT_ONCE: Final = 10
_LOOKED_AT_ONCE: Final = 500
_SHOW_PAUSE: Final = 0.001


class Visibility:
    """The locks that are not visible yet, in the order in which they become so."""

    def __init__(
        self, files: LockFiles, holders: Holders, disk: Disk, clock: Clock, log: Log
    ) -> None:
        self._files: Final = files
        self._holders: Final = holders
        self._disk: Final = disk
        self._clock: Final = clock
        self._log: Final = log
        #: With when they are due, and those that are due already, of which there may be thousands:
        #: what clients take and release meanwhile must not have to wait for them, as it stays
        #: in memory until then.
        self._fresh: Final[deque[tuple[float, Resource]]] = deque()
        self._due: Final[deque[Resource]] = deque()

    def __bool__(self) -> bool:
        return bool(self._fresh or self._due)

    def add(self, resource: Resource) -> None:
        """Add a lock that was just taken."""
        self._fresh.append((resource.taken + VISIBLE_AFTER, resource))

    def restore(self, resources: Iterable[Resource]) -> None:
        """Add those of the previous process."""
        self._due.extend(resources)

    def renew(self, resource: Resource) -> None:
        """Add a lock that has been held for a while and may have lost what makes it visible."""
        self._due.append(resource)

    def show(self) -> float | None:
        """Make some of the locks visible that have been held for a while. Returns in how many
        seconds to call this again, or None."""
        now = self._clock.monotonic()
        for _ in range(_LOOKED_AT_ONCE):
            if not self._fresh or self._fresh[0][0] > now:
                break
            resource = self._fresh.popleft()[1]
            if resource.owners:
                self._due.append(resource)
        for _ in range(_SHOWN_AT_ONCE):
            if not self._due:
                return max(self._fresh[0][0] - now, 0.0) if self._fresh else None
            resource = self._due.popleft()
            # Skip a lock that was released and taken again since it was added here.
            if resource.taken + VISIBLE_AFTER <= now:
                self._show_if_held(resource)
        return _SHOW_PAUSE

    def _show_if_held(self, resource: Resource) -> None:
        if not resource.owners:
            return
        try:
            self._files.check_remote(resource)
        except SilentError as error:
            error.remote.wait(partial(self._show_if_held, resource))
        else:
            self._show(resource)

    def _show(self, resource: Resource) -> None:
        self._disk.show(resource.lock.fd, shared=resource.shared)
        resource.shown = True
        resource.forget_text()
        if resource.may_have_note:
            try:
                self._disk.write_note(resource.lock.fd, self._holders.note(resource))
                resource.noted = True
            except OSError as error:
                self._log.warning(f"{resource.path}: cannot be written: {error.strerror}")

    def is_noted_by(self, resource: Resource, note: bytes) -> bool:
        """Whether ``note``, found with the file, is the one that this host has written there: then
        no other lockd has taken the lock since."""
        return resource.noted and note == self._holders.note(resource)

    def hide(self, resource: Resource) -> None:
        """Undo what makes a lock visible: it is about to be released."""
        if resource.noted:
            self._disk.wipe_note(resource.lock.fd)
            resource.noted = False
        if resource.shown:
            self._disk.hide(resource.lock.fd)
            resource.shown = False
