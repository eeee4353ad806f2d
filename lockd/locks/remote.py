"""File systems that have a server, which may be away: only who needs one of them waits for it.

A call of the system on a file of such a file system ends when the server has answered, however
long that takes, and cannot be called off. This process has one thread for all clients. So before
it makes such a call it wants to have heard of the server a moment ago; if not, a thread asks, for
something that the server alone knows, and what was to be done is begun when that is answered.
"""

from __future__ import annotations

import os
import time
from functools import partial

from lockcfg import ReadError, read_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from lockcfg import Mount
    from lockd.kernel.aside import Aside
    from lockd.kernel.loop import Loop
    from lockd.log import Log

#: The file systems that have a server or other hosts to wait for, and those that are mounted by
#: being looked at. All of FUSE has at least a process.
_TYPES: Final = {
    *("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "afs", "autofs", "fuse"),
    *("ceph", "lustre", "gpfs", "beegfs", "gfs2", "ocfs2"),
}

#: For how long an answer counts, in seconds.
_FRESH: Final = 0.1

#: After how many seconds without an answer a file system is said to be silent.
PATIENCE: Final = 5.0

#: How many directories are remembered, and how many links to follow, and how long a path is looked
#: at: the kernel's own limits.
_MOST_KNOWN: Final = 4096
_MOST_LINKS: Final = 40
_LONGEST: Final = 4096


class SilentError(Exception):
    """Nothing has been heard from ``remote`` for a moment: ask it first. Nothing was done."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self.remote: Final = remote


class Remote:
    """A mounted file system that has a server. ``answered`` is when that last answered, ``asked``
    since when it is being asked, 0 where it is not (in the time of :func:`time.monotonic`)."""

    def __init__(self, mount: Mount, ask: Callable[[Remote], None]) -> None:
        self.mount: Final = mount
        self.answered = 0.0
        self.asked = 0.0
        self.waiting: list[Callable[[], object]] = []
        self._ask: Final = ask

    def wait(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once it has answered; it may have to wait again."""
        self.waiting.append(callback)
        if not self.asked:
            self._ask(self)

    @property
    def problem(self) -> str:
        """What is wrong with it, in words; empty while it answers."""
        since = time.monotonic() - self.asked
        if not self.asked or since < PATIENCE:
            return ""
        return f"the file system has not answered for {since:.0f} s; what needs it waits"


class Remotes:
    """All of them. They are asked ``aside`` from the loop."""

    def __init__(self, loop: Loop, aside: Aside, log: Log) -> None:
        self._loop: Final = loop
        self._aside: Final = aside
        self._log: Final = log
        self._remotes: Final[dict[str, Remote]] = {}
        #: By directory; None for one on a file system of this host alone.
        self._known: Final[dict[str, Remote | None]] = {}
        self._mounts = self._read_mounts()

    def check(self, directory: str) -> None:
        """Raise :class:`SilentError` where a file in ``directory``, which need not be there,
        may have to be waited for."""
        try:
            remote = self._known[directory]
        except KeyError:
            remote = self._find(directory)
        if remote is not None and time.monotonic() - remote.answered > _FRESH:
            raise SilentError(remote)

    def silent(self) -> Iterator[tuple[str, str]]:
        """The file systems that do not answer, where they are mounted, and the words for it."""
        for point, remote in self._remotes.items():
            if remote.problem:
                yield point, remote.problem

    # --- which it is

    def _read_mounts(self) -> dict[str, Mount]:
        try:
            return {each.point: each for each in read_mounts()}
        except ReadError as error:
            self._log.error(f"{error.message}: it is not known which file systems have a server")
            return {}

    def _find(self, directory: str) -> Remote | None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        mount = remote_mount(directory, self._mounts)
        remote = None
        if mount is not None:
            remote = self._remotes.get(mount.point)
            if remote is None:
                remote = self._remotes[mount.point] = Remote(mount, self._ask)
        self._known[directory] = remote
        return remote

    def forget(self) -> None:
        """Something was mounted or unmounted."""
        self._known.clear()
        self._mounts = self._read_mounts()
        for point, remote in [*self._remotes.items()]:
            if self._mounts.get(point) != remote.mount:
                # What has waited for it is for another one now, or for none. Nobody listens to
                # the thread any more, which may last for ever.
                del self._remotes[point]
                self._go_on(remote)

    # --- question and answer

    def _ask(self, remote: Remote) -> None:
        remote.asked = time.monotonic()
        then = partial(self._on_answer, remote, remote.asked)
        if self._aside.run(partial(_wait_for, remote), then):
            # There are too many threads. What waits has to take its chance.
            remote.answered = time.monotonic()
            return
        self._loop.after(PATIENCE, partial(self._complain, remote, remote.asked))

    def _on_answer(self, remote: Remote, asked: float) -> None:
        if remote.asked == asked and self._remotes.get(remote.mount.point) is remote:
            if remote.problem:
                self._log.warning(f"{remote.mount.point}: the file system answers again")
            self._go_on(remote)

    def _go_on(self, remote: Remote) -> None:
        """Do what has waited, in its order."""
        waiting, remote.waiting, remote.asked = remote.waiting, [], 0.0
        for callback in waiting:
            callback()

    def _complain(self, remote: Remote, asked: float) -> None:
        if remote.asked == asked and self._remotes.get(remote.mount.point) is remote:
            self._log.error(
                f"{remote.mount.point}: the file system does not answer: what needs it waits,"
                " and nothing else does"
            )


def _wait_for(remote: Remote) -> None:
    """Wait until a file system answers."""
    try:
        # No client caches how much room is left.
        os.statvfs(remote.mount.point)
    except OSError:
        pass  # an answer as well: the call that waits gets the same error
    remote.answered = time.monotonic()


def remote_mount(path: str, mounts: dict[str, Mount]) -> Mount | None:
    """The file system with a server that ``path`` leads to, by ``mounts``, which are by their
    points; None for a path that ends on this host. No server is asked: the path is followed, link
    by link, only as far as the first of them."""
    if len(path) > _LONGEST or not path.startswith("/"):
        return None
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
        if mount is not None and (mount.type in _TYPES or mount.type.startswith("fuse.")):
            return mount
        try:
            target = os.readlink(seen)
        except (OSError, ValueError):
            continue  # no link, or nothing at all
        links += 1
        if links > _MOST_LINKS:
            return None
        left += reversed(target.split("/"))
        seen = "" if target.startswith("/") else os.path.dirname(seen).rstrip("/")
    return None
