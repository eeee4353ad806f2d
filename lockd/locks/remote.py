"""File systems that have a server, which may be away: only calls that need such a file system wait
for it.

A system call on a file of such a file system ends when the server has answered. That can take any
time, and the call cannot be cancelled. The loop serves all clients in one thread. So before it
makes such a call, another thread asks the server for something that only the server knows, and the
call begins as soon as that is answered. An answer counts only for what has waited for it: a server
that has answered a moment ago may be away by now.

It may also be away a moment after its answer. So what has waited is a *visit*: it runs in turns
with the loop (:mod:`lockd.kernel.turns`), and makes its system calls on such a file system outside
its turn. While the loop goes on without it, nothing else begins on the file systems that it has
reached. So a visit finds everything there as it has left it.

What counts is where a path leads. A link in any of its directories may lead to such a file system.
One may be mounted below another, or on a single file, or be mounted on access. So a path is
followed as the kernel does it, but no further than servers have answered.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from functools import partial
from types import SimpleNamespace

from lockcfg import ReadError, read_mounts
from lockd.events import ANSWERS, SILENT, Event
from lockd.kernel.reserve import insist
from lockd.locks.remote_mounts import has_server, remote_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Final

    from lockcfg import Mount
    from lockd.kernel.aside import Aside
    from lockd.kernel.loop import Loop
    from lockd.kernel.turns import Turns
    from lockd.locks.outside import Arguments, Result
    from lockd.log import Log

#: For how long an answer counts where nothing is to be done but to tell of it, and for how long the
#: first one does where one thing needs several, in seconds.
_FRESH: Final = 0.1
_NESTED: Final = 1.0

#: After how many seconds without an answer a file system is said to be silent.
PATIENCE: Final = 5.0

#: How long the visits to a file system may take at a time, in seconds, before clients have their
#: turn.
_SLICE: Final = 0.002

#: How long to remember which file systems a directory leads to, in seconds: a link can be replaced
#: at any time.
_KNOWN_FOR: Final = 1.0

#: How many directories are remembered.
_MOST_KNOWN: Final = 4096


class SilentError(Exception):
    """The call has not waited for an answer of ``remote``: ask it first. Nothing was done."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self.remote: Final = remote


class Visit:
    """What is done once file systems have answered: ``callback``.

    ``begun`` is since when it has waited; ``reached`` are the file systems that it has gone to.
    ``is_away`` tells whether the path that was checked last leads to one. ``parted`` is when the
    loop last went on without it, 0 if it has not.
    """

    __slots__ = ("begun", "callback", "is_away", "parted", "reached")

    def __init__(self, callback: Callable[[], object], begun: float) -> None:
        self.callback: Final = callback
        self.begun = begun
        self.reached: Final[dict[Remote, None]] = {}
        self.is_away = False
        self.parted = 0.0


class Remote:
    """A mounted file system that has a server. ``path`` is what the server is asked about: the
    mount point or, for one that is mounted on access, the path whose access mounts it. All times
    are of :func:`time.monotonic`. ``answered`` is when the server last answered. ``asked`` is when
    the question that is still open was sent, 0 if none is. ``heard`` is when the last question that
    it answered without an error was sent: at that time or later the server knew of this host.
    ``failed`` tells whether its last answer was an error, ``is_told`` whether the log has its
    silence."""

    def __init__(self, mount: Mount, path: str, remotes: Remotes) -> None:
        self.mount: Final = mount
        self.path: Final = path
        self.answered = 0.0
        self.asked = 0.0
        self.heard = 0.0
        self.failed = False
        self.is_told = False
        #: The visits that wait for an answer, those that have it, and those that have reached this
        #: file system and that the loop has gone on without.
        self.waiting: list[Visit] = []
        self.due: Final[deque[Visit]] = deque()
        self.visits: Final[set[Visit]] = set()
        self._remotes: Final = remotes

    def wait(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once the server has answered; the callback may have to wait again."""
        begun = min(self._remotes.begun, time.monotonic())
        self.waiting.append(Visit(callback, begun))
        if not self.asked:
            self._remotes.ask(self)

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty while the server answers."""
        since = [each.parted for each in self.visits]
        if self.asked:
            since.append(self.asked)
        silent_for = time.monotonic() - min(since, default=math.inf)
        if silent_for < PATIENCE:
            return ""
        return f"the file system has not answered for {silent_for:.0f} s; calls that need it wait"


class Remotes:
    """All of them. They are asked ``aside`` from the loop, and visited in ``turns`` with it."""

    def __init__(self, loop: Loop, aside: Aside, turns: Turns, log: Log) -> None:
        self._loop: Final = loop
        self._aside: Final = aside
        self._turns: Final = turns
        self._log: Final = log
        self._remotes: Final[dict[str, Remote]] = {}
        #: Until when it is remembered, and which file systems they are, by directory.
        self._known: Final[dict[str, tuple[float, tuple[Remote, ...]]]] = {}
        #: The same for the paths that :meth:`behind` is asked about; and those of them that are
        #: being looked at.
        self._behind: Final[dict[str, tuple[Remote, ...]]] = {}
        self._looking: Final[set[str]] = set()
        self._mounts: dict[str, Mount] = {}
        #: For how long one that is new here may have been silent, in seconds.
        self.doubt = 0.0
        self._has_remotes = False
        #: What has its turn now.
        self._visit: Visit | None = None
        #: What was lent, with the functions as they are, and patient ones.
        self._lent: Final[
            list[
                tuple[
                    SimpleNamespace, Mapping[str, Callable[..., Any]], dict[str, Callable[..., Any]]
                ]
            ]
        ] = []
        self._read_mounts()

    @property
    def begun(self) -> float:
        """Since when what is being done has waited; never, if it has not."""
        return math.inf if self._visit is None else self._visit.begun

    def check(self, directory: str) -> None:
        """Raise :class:`SilentError` if a directory, which need not be there, may have to be
        waited for."""
        now = time.monotonic()
        until, remotes = self._known.get(directory, _UNKNOWN)
        if until < now:
            remotes = self._follow(directory)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[directory] = now + _KNOWN_FOR, remotes
        if remotes or self._visit is not None:
            self._reach(remotes)

    def check_file(self, directory: str, name: str) -> None:
        """The same for a file in a directory that is not a link."""
        self.check(directory)
        if self._has_remotes:
            path = f"{directory}/{name}"
            if path in self._mounts:
                self._follow(path)

    def check_path(self, path: str) -> None:
        """The same for a path that may be a link, or lead over links; the result is not
        remembered."""
        self._follow(path)

    def _follow(self, path: str) -> tuple[Remote, ...]:
        """The file systems that a path leads to or over, each of which has answered since what is
        being done has waited. Raises :class:`SilentError`."""
        found: tuple[Remote, ...] = ()
        self._reach(found)
        for mount, asked in remote_mounts(path, self._mounts, self._read_link):
            found = (*found, self._remote(mount, asked))
            self._reach(found)
        return found

    def _remote(self, mount: Mount, asked: str) -> Remote:
        remote = self._remotes.get(asked)
        if remote is None:
            remote = self._remotes[asked] = Remote(mount, asked, self)
            remote.heard = time.monotonic() - self.doubt
        return remote

    def _reach(self, remotes: tuple[Remote, ...]) -> None:
        """Note that what is being done goes to these file systems next. Raises
        :class:`SilentError`."""
        visit = self._visit
        for remote in remotes:
            if visit is None or remote.answered < visit.begun or remote.visits:
                raise SilentError(remote)
            visit.reached[remote] = None
        if visit is not None:
            visit.is_away = bool(remotes)

    def _read_link(self, path: str) -> str:
        if self._visit is not None and self._visit.is_away:
            return self._turns.outside(partial(os.readlink, path))
        return os.readlink(path)

    def patient(self, call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """A function that does the same as ``call``. A visit calls it outside its turn if the
        path that it checked last leads to such a file system."""

        def patiently(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
            if self._visit is None or not self._visit.is_away:
                return call(*arguments, **options)
            return self._turns.outside(partial(call, *arguments, **options))

        return patiently

    def lend(self, calls: Mapping[str, Callable[..., Any]]) -> SimpleNamespace:
        """These functions as attributes. While a visit has its turn, they are patient; otherwise
        they are the functions themselves, so that other callers pay nothing."""
        lent = SimpleNamespace(**calls)
        patient = {name: self.patient(call) for name, call in calls.items()}
        self._lent.append((lent, calls, patient))
        return lent

    def behind(self, path: str) -> tuple[Remote, ...]:
        """The file systems that a path leads to or over, as far as that is known, or the first of
        them that has not answered for a moment; what is not known is being asked then."""
        first = next(remote_mounts(path, self._mounts), None)
        if first is None:
            return ()
        known = self._behind.get(path, ())
        remotes = known or (self._remote(*first),)
        fresh = time.monotonic() - _FRESH
        for remote in remotes:
            if remote.answered < fresh:
                self._look_soon(path, remote)
                return (remote,)
        if not known:
            self._look_soon(path, remotes[0])
        return remotes

    def unanswered(self, paths: Iterable[str]) -> str:
        """The first file system that one of the paths leads to and that has not answered for a
        moment; empty if all have. It is being asked then."""
        for path in paths:
            fresh = time.monotonic() - _FRESH
            for remote in self.behind(path):
                if remote.answered < fresh:
                    return remote.path
        return ""

    def _look_soon(self, path: str, remote: Remote) -> None:
        if path not in self._looking:
            self._looking.add(path)
            remote.wait(partial(self._look_behind, path))

    def _look_behind(self, path: str) -> None:
        self._looking.discard(path)
        try:
            found = self._follow(path)
        except SilentError as error:
            # The one behind it is asked when this one has answered.
            self._look_soon(path, error.remote)
            return
        if len(self._behind) >= _MOST_KNOWN:
            self._behind.clear()
        self._behind[path] = found

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
            self._has_remotes = any(has_server(mount) for mount in self._mounts.values())
        except ReadError as error:
            self._log.error(
                f"{error.message}: which file systems have a server is unknown; trying again"
            )
            self._loop.after(_KNOWN_FOR, self.forget)

    def forget(self) -> None:
        """Something was mounted or unmounted."""
        self._known.clear()
        self._behind.clear()
        self._read_mounts()
        for path, remote in [*self._remotes.items()]:
            if self._mounts.get(remote.mount.point) != remote.mount:
                # What waited for it needs another file system now, or none. The thread may never
                # end; its answer is ignored.
                del self._remotes[path]
                remote.visits.clear()
                self._on_ready(remote)

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
            self._on_ready(remote)

    def _on_ready(self, remote: Remote) -> None:
        """What waits for it can be done."""
        remote.due.extend(remote.waiting)
        remote.waiting, remote.asked = [], 0.0
        self._tell_if_over(remote)
        self._go_on(remote)

    def _go_on(self, remote: Remote) -> None:
        """Do what can be done, in order, with pauses for clients."""
        until = time.monotonic() + _SLICE
        try:
            while remote.due and not remote.visits:
                now = time.monotonic()
                if now > until:
                    break
                visit = remote.due.popleft()
                # Two servers whose answers take a while would else be asked in turns without end.
                visit.begun = max(visit.begun, now - _NESTED)
                self._turns.run(
                    visit.callback, partial(self._begin, visit), partial(self._end, visit)
                )
        finally:
            if remote.due and not remote.visits:
                self._loop.after(0, partial(self._go_on, remote))

    def _begin(self, visit: Visit) -> None:
        """It has its turn."""
        self._visit = visit
        for lent, _, patient in self._lent:
            vars(lent).update(patient)
        for remote in visit.reached:
            remote.visits.discard(visit)

    def _end(self, visit: Visit, is_over: bool) -> None:
        """Its turn has ended."""
        self._visit = None
        for lent, calls, _ in self._lent:
            vars(lent).update(calls)
        is_first = not visit.parted
        if not is_over:
            visit.parted = time.monotonic()
            for remote in visit.reached:
                remote.visits.add(visit)
                if is_first:
                    self._loop.after(PATIENCE, partial(self._complain_of, remote, visit))
        elif not is_first:
            for remote in visit.reached:
                self._tell_if_over(remote)
                self._loop.after(0, partial(self._go_on, remote))

    # --- what is said of it

    def _complain(self, remote: Remote, asked: float) -> None:
        if remote.asked == asked and self._remotes.get(remote.path) is remote:
            self._say_silent(remote)

    def _complain_of(self, remote: Remote, visit: Visit) -> None:
        """The loop has gone on without a visit for a while."""
        if visit in remote.visits:
            left = visit.parted + PATIENCE - time.monotonic()
            if left > 0:
                self._loop.after(left, partial(self._complain_of, remote, visit))
            else:
                self._say_silent(remote)

    def _say_silent(self, remote: Remote) -> None:
        if not remote.is_told:
            remote.is_told = True
            message = (
                f"{remote.path}: the file system does not answer: calls that need it wait, all"
                " others go on"
            )
            self._log.event(Event(SILENT, message, {"path": remote.path}))

    def _tell_if_over(self, remote: Remote) -> None:
        """Say that a file system answers again, if that is so."""
        if remote.is_told and not remote.problem and self._remotes.get(remote.path) is remote:
            remote.is_told = False
            message = f"{remote.path}: the file system answers again"
            self._log.event(Event(ANSWERS, message, {"path": remote.path}))


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
