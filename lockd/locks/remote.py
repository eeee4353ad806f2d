"""File systems that have a server, which may be away: only calls that need such a file system wait
for it.

A system call on a file of such a file system ends when the server has answered. That can take any
time, and the call cannot be cancelled. This process has one thread for all clients. So before it
makes such a call, another thread asks the server for something that only the server knows, and the
call begins as soon as that is answered. An answer counts only for what has waited for it: a server
that has answered a moment ago may be away by now.

What counts is where a path leads. A link in any of its directories may lead to such a file system.
One may be mounted below another, or on a single file, or be mounted on access. So a path is
followed as the kernel does it, but no further than servers have answered.
"""

from __future__ import annotations

import math
import os
import time
from functools import partial

from lockcfg import ReadError, read_mounts
from lockd.events import ANSWERS, SILENT, Event
from lockd.kernel.reserve import insist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg import Mount
    from lockd.kernel.aside import Aside
    from lockd.kernel.loop import Loop
    from lockd.log import Log

#: The file systems that depend on a server or on other hosts, and those that are mounted on access.
#: All of FUSE depends on at least a process.
_TYPES: Final = {
    *("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "afs", "autofs", "fuse"),
    *("ceph", "lustre", "gpfs", "beegfs", "gfs2", "ocfs2"),
}

#: For how long an answer counts where nothing is to be done but to tell of it, and for how long the
#: first one does where one thing needs several, in seconds.
_FRESH: Final = 0.1
_NESTED: Final = 1.0

#: After how many seconds without an answer a file system is said to be silent.
PATIENCE: Final = 5.0

#: How long to remember which file systems a directory leads to, in seconds: a link can be replaced
#: at any time.
_KNOWN_FOR: Final = 1.0

#: How many directories are remembered, and how many links to follow, and how long a path is looked
#: at: the kernel's own limits.
_MOST_KNOWN: Final = 4096
_MOST_LINKS: Final = 40
_LONGEST: Final = 4096

#: How many file systems may stand on one another.
_DEEPEST: Final = 8

#: The options of an overlay that say which directories it is made of.
_LAYERS: Final = ("lowerdir=", "upperdir=", "workdir=")


class SilentError(Exception):
    """The call has not waited for an answer of ``remote``: ask it first. Nothing was done."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self.remote: Final = remote


class Remote:
    """A mounted file system that has a server. ``path`` is what the server is asked about: the
    mount point or, for one that is mounted on access, the path whose access mounts it. All times
    are of :func:`time.monotonic`. ``answered`` is when the server last answered. ``asked`` is when
    the question that is still open was sent, 0 if none is. ``heard`` is when the last question that
    it answered without an error was sent: at that time or later the server knew of this host.
    ``failed`` tells whether its last answer was an error."""

    def __init__(self, mount: Mount, path: str, remotes: Remotes) -> None:
        self.mount: Final = mount
        self.path: Final = path
        self.answered = 0.0
        self.asked = 0.0
        self.heard = 0.0
        self.failed = False
        #: What has waited, and since when.
        self.waiting: list[tuple[Callable[[], object], float]] = []
        self._remotes: Final = remotes

    def wait(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once the server has answered; the callback may have to wait again."""
        self.waiting.append((callback, min(self._remotes.begun, time.monotonic())))
        if not self.asked:
            self._remotes.ask(self)

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty while the server answers."""
        since = time.monotonic() - self.asked
        if not self.asked or since < PATIENCE:
            return ""
        return f"the file system has not answered for {since:.0f} s; calls that need it wait"


class Remotes:
    """All of them. They are asked ``aside`` from the loop."""

    def __init__(self, loop: Loop, aside: Aside, log: Log) -> None:
        self._loop: Final = loop
        self._aside: Final = aside
        self._log: Final = log
        self._remotes: Final[dict[str, Remote]] = {}
        #: Until when it is remembered, and which file systems they are, by directory.
        self._known: Final[dict[str, tuple[float, tuple[Remote, ...]]]] = {}
        self._mounts: dict[str, Mount] = {}
        #: For how long one that is new here may have been silent, in seconds.
        self.doubt = 0.0
        self._has_remotes = False
        #: Since when what is being done has waited; never, where it has not.
        self.begun = math.inf
        self._read_mounts()

    def check(self, directory: str) -> None:
        """Raise :class:`SilentError` where a directory, which need not be there, may have to be
        waited for."""
        now = time.monotonic()
        until, remotes = self._known.get(directory, _UNKNOWN)
        if until < now:
            remotes = self._follow(directory, self.begun)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[directory] = now + _KNOWN_FOR, remotes
        for remote in remotes:
            if remote.answered < self.begun:
                raise SilentError(remote)

    def check_file(self, directory: str, name: str) -> None:
        """The same for a file in a directory that is not a link."""
        self.check(directory)
        if self._has_remotes:
            path = f"{directory}/{name}"
            if path in self._mounts:
                self._follow(path, self.begun)

    def check_path(self, path: str) -> None:
        """The same for a path that may be a link, or lead over links; the result is not
        remembered."""
        self._follow(path, self.begun)

    def _follow(self, path: str, since: float) -> tuple[Remote, ...]:
        """The file systems that a path leads to or over, each of which has answered ``since``.
        Raises :class:`SilentError`."""
        found = []
        for mount, asked in remote_mounts(path, self._mounts):
            remote = self._remotes.get(asked)
            if remote is None:
                remote = self._remotes[asked] = Remote(mount, asked, self)
                remote.heard = time.monotonic() - self.doubt
            if remote.answered < since:
                raise SilentError(remote)
            found.append(remote)
        return tuple(found)

    def behind(self, path: str) -> tuple[Remote, ...]:
        """The file systems that a path leads to or over, up to the first that has not answered for
        a moment; that one is being asked then."""
        try:
            return self._follow(path, time.monotonic() - _FRESH)
        except SilentError as error:
            if not error.remote.asked:
                # The one behind it is asked when this one has answered.
                error.remote.wait(partial(self.behind, path))
            return (error.remote,)

    def silent(self) -> Iterator[tuple[str, str]]:
        """The mount points of the file systems that do not answer, each with a text that says
        so."""
        for remote in self._remotes.values():
            if remote.problem:
                yield remote.path, remote.problem

    # --- which it is

    def _read_mounts(self) -> None:
        try:
            self._mounts = {each.point: each for each in insist(read_mounts)}
            self._has_remotes = any(
                mount.type in _TYPES or mount.type.startswith("fuse.")
                for mount in self._mounts.values()
            )
        except ReadError as error:
            self._log.error(
                f"{error.message}: which file systems have a server is unknown; trying again"
            )
            self._loop.after(_KNOWN_FOR, self.forget)

    def forget(self) -> None:
        """Something was mounted or unmounted."""
        self._known.clear()
        self._read_mounts()
        for path, remote in [*self._remotes.items()]:
            if self._mounts.get(remote.mount.point) != remote.mount:
                # What waited for it needs another file system now, or none. The thread may never
                # end; its answer is ignored.
                del self._remotes[path]
                self._go_on(remote)

    # --- question and answer

    def ask(self, remote: Remote) -> None:
        """Ask one, and go on with what waits for it when it has answered."""
        remote.asked = time.monotonic()
        then = partial(self._on_answer, remote, remote.asked)
        if self._aside.run(partial(_wait_for, remote, remote.asked), then):
            # There are too many threads. The waiting calls go on at their own risk.
            remote.answered = time.monotonic()
            return
        self._loop.after(PATIENCE, partial(self._complain, remote, remote.asked))

    def _on_answer(self, remote: Remote, asked: float) -> None:
        if remote.asked == asked and self._remotes.get(remote.path) is remote:
            if remote.problem:
                message = f"{remote.path}: the file system answers again"
                self._log.event(Event(ANSWERS, message, {"path": remote.path}))
            self._go_on(remote)

    def _go_on(self, remote: Remote) -> None:
        """Run the waiting callbacks, in order."""
        waiting, remote.waiting, remote.asked = remote.waiting, [], 0.0
        for callback, since in waiting:
            # Two servers whose answers take a while would else be asked in turns without end.
            self.begun = max(since, time.monotonic() - _NESTED)
            try:
                callback()
            finally:
                self.begun = math.inf

    def _complain(self, remote: Remote, asked: float) -> None:
        if remote.asked == asked and self._remotes.get(remote.path) is remote:
            message = (
                f"{remote.path}: the file system does not answer: calls that need it wait, all"
                " others go on"
            )
            self._log.event(Event(SILENT, message, {"path": remote.path}))


def _wait_for(remote: Remote, asked: float) -> None:
    """Wait until a file system answers what it was ``asked`` at that time."""
    try:
        # No client caches how much room is left.
        os.statvfs(remote.path)
        remote.heard, remote.failed = asked, False
    except OSError:
        remote.failed = True  # an answer as well: the call that waits gets the same error
    remote.answered = time.monotonic()


#: The entry of a directory of which nothing is remembered.
_UNKNOWN: Final[tuple[float, tuple[Remote, ...]]] = (0.0, ())


def remote_mounts(
    path: str, mounts: Mapping[str, Mount], depth: int = 0
) -> Iterator[tuple[Mount, str]]:
    """The file systems with a server that ``path`` leads to or over, by ``mounts``, which are by
    their points, each with the path to ask its server about. Nothing of one of them is looked at
    before the next is asked for; nothing is yielded for a path that stays on this host.
    """
    if len(path) > _LONGEST or not path.startswith("/") or depth > _DEEPEST:
        return
    seen, left, links = "", [*reversed(path.split("/"))], 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            seen = os.path.dirname(seen).rstrip("/")
            continue
        seen = f"{seen}/{part}"
        mount = mounts.get(seen)
        if mount is not None:
            if mount.type == "autofs":
                yield mount, _looked_at(seen, left)
            elif mount.type in _TYPES or mount.type.startswith("fuse."):
                yield mount, seen
            else:
                for below in _stands_on(mount):
                    yield from remote_mounts(below, mounts, depth + 1)
        try:
            target = os.readlink(seen)
        except (OSError, ValueError):
            continue  # no link, or nothing at all
        links += 1
        if links > _MOST_LINKS:
            return
        left += reversed(target.split("/"))
        seen = "" if target.startswith("/") else os.path.dirname(seen).rstrip("/")


def _looked_at(point: str, left: Sequence[str]) -> str:
    """The path below an automount point whose access mounts something: the next of the remaining
    parts of a path, which are in reverse order."""
    for part in reversed(left):
        if part not in ("", "."):
            return point if part == ".." else f"{point}/{part}"
    return point


def _stands_on(mount: Mount) -> Iterator[str]:
    """The directories and files of other file systems that a mounted one is made of."""
    if mount.type == "overlay":
        for option in mount.options:
            for name in _LAYERS:
                if option.startswith(name):
                    yield from option.removeprefix(name).split(":")
    device = os.path.basename(mount.source)
    if mount.source.startswith("/dev/loop"):
        try:
            with open(f"/sys/block/{device}/loop/backing_file", encoding="utf-8") as file:
                yield file.read().rstrip("\n")
        except (OSError, ValueError):
            pass  # the device is gone, and so is its mount
