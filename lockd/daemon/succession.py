"""The next process: another version in this one's place, or the child of a supervisor that this
process becomes.

A trial process first answers whether the next one can take over. So a version that does not know
the format of the journal, or does not even start, does no harm.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from select import EPOLLIN
from types import MappingProxyType

from lockd.kernel import named
from lockd.kernel.background import write_pid
from lockd.kernel.reserve import insist
from lockd.survival import handover
from lockd.survival.journal import FORMAT
from lockd.survival.kept import PID_FILE, is_journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from lockd.daemon.descriptors import Descriptors
    from lockd.daemon.watchdog import Watchdog
    from lockd.kernel.loop import Loop
    from lockd.locks.engine import Engine
    from lockd.log import Log
    from lockd.survival.journal import Journal
    from lockd.survival.keeper import Keeper


#: How long to wait before trying again what failed because no descriptor was free, in seconds.
_AGAIN: Final = 1.0

#: The exit status of a process that does not trust what it has in memory (EX_SOFTWARE).
_IN_DOUBT: Final = 70


class Succession:
    """Replaces this process. ``inherited`` are the descriptors that no other part owns, also that
    of the PID file if lockd's supervisor has one. ``command`` starts this program again."""

    def __init__(
        self,
        loop: Loop,
        engine: Engine,
        journal: Journal,
        keeper: Keeper,
        descriptors: Descriptors,
        inherited: Mapping[str, int],
        command: Sequence[str],
        watchdog: Watchdog,
        log: Log,
    ) -> None:
        self._loop: Final = loop
        self._engine: Final = engine
        self._journal: Final = journal
        self._keeper: Final = keeper
        self._descriptors: Final = descriptors
        self._inherited: Final = inherited
        self._log: Final = log
        self._probe = -1
        self._is_over = False
        self._command: Final = [*command]
        self._watchdog: Final = watchdog
        self._is_in_doubt = False

    def give_up(self) -> None:
        """Start no other process: the daemon ends."""
        self._is_over = True

    def leave(self) -> None:
        """End, and leave everything to the next process: the service manager is restarting us."""
        if not self._keeper or self._keeper.lost:
            self._log.error(
                "lockd does not end for a restart: no service manager has kept the locks"
            )
            return
        self._loop.stop()

    # --- the supervisor

    def watch_supervisor(self, pid: int) -> None:
        """Watch lockd's supervisor, and get another one if it ends before the daemon."""
        try:
            fd = insist(lambda: os.pidfd_open(pid)) if pid == os.getppid() else -1
        except ProcessLookupError:
            fd = -1
        except OSError:
            self._loop.after(_AGAIN, partial(self.watch_supervisor, pid))
            return
        if fd < 0:
            self._loop.after(0, self._on_orphaned)
        else:
            self._loop.watch(fd, EPOLLIN, partial(self._on_supervisor, fd))

    def _on_supervisor(self, fd: int, _: int) -> None:
        self._loop.unwatch(fd)
        os.close(fd)
        self._on_orphaned()

    def _on_orphaned(self) -> None:
        """The supervisor has ended, so no process keeps the descriptors. This process becomes the
        supervisor."""
        self._keeper.give_up("the supervisor has ended")
        if PID_FILE in self._inherited:
            # Its pid no longer exists; signals go to this process.
            write_pid(self._inherited[PID_FILE])
        self._if_it_can_take_over(self._become_supervisor)

    def have_supervisor(self) -> None:
        """There was no supervisor: this process becomes it."""
        self._if_it_can_take_over(self._become_supervisor)

    def leave_to_supervisor(
        self, program: str, at_last: Callable[[], object], failed: Callable[[str], object]
    ) -> None:
        """End, and let the supervisor become the daemon, and then another ``program``. ``at_last``
        is called just before; if it raises OSError, nothing has changed. If this comes to nothing,
        ``failed`` is called with the reason."""
        leave = partial(self._leave_to_supervisor, program, at_last)
        self._if_it_can_take_over(leave, failed)

    def _leave_to_supervisor(self, program: str, at_last: Callable[[], object]) -> None:
        at_last()
        self._keeper.hand_back(program)
        self._loop.stop()

    def _become_supervisor(self) -> None:
        if any(resource.lock.posix for resource in self._engine.table.resources()):
            self._log.error("no other supervisor: the POSIX locks would go with this process")
            return
        name, queue = insist(self._keeper.packed)
        with queue:
            fds = {name: queue.fileno(), PID_FILE: self._inherited[PID_FILE]}
            handover.to_supervisor(fds, self._command)

    # --- another version

    def upgrade(self) -> None:
        """Continue as the installed program, if that can take over."""
        self._if_it_can_take_over(self._go_on_in_place)

    def _go_on_in_place(self, more: Mapping[str, int] = MappingProxyType({})) -> None:
        ours = {**dict(self._descriptors.besides_journal()), **self._keeper.descriptors()}
        others = {name: fd for name, fd in more.items() if not is_journal(name)}
        # On a slow host it takes longer to load a program than it may give no sign of life.
        self._watchdog.end()
        try:
            handover.in_place(
                self._journal, {**others, **ours}, self._command, self._keeper.address
            )
        finally:
            self._watchdog.go_on()

    def _if_it_can_take_over(
        self, replace: Callable[[], object], failed: Callable[[str], object] = str
    ) -> None:
        """Ask the installed program whether it can take over. If so, call ``replace``, which puts
        it in this process's place and may raise OSError. Otherwise call ``failed`` with the
        reason."""
        if self._probe >= 0:
            failed("the installed program is being tried already")
            return
        command = [*self._command, f"--takes-over={FORMAT}"]
        pid = 0
        try:
            pid = os.posix_spawn(command[0], command, os.environ)
            self._probe = insist(lambda: os.pidfd_open(pid))
            self._loop.watch(self._probe, EPOLLIN, partial(self._probed, pid, replace, failed))
        except OSError as error:
            failed(self._complain(error))
            if self._probe >= 0:
                os.close(self._probe)
                self._probe = -1
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _complain(self, error: OSError) -> str:
        where = f"{error.filename}: " if error.filename else ""
        why = f"the program cannot be started again: {where}{error.strerror}"
        self._log.error(why)
        return why

    # --- unforeseen errors

    def doubt(self) -> None:
        """The state in memory may differ from the journal: once the work in progress is done,
        continue from the journal, in another process.

        The process that keeps the descriptors starts it, as after a crash. If no process keeps
        them, or a POSIX lock would be lost, this process starts the program again. If that is not
        possible either, it continues as it is.
        """
        if not self._is_in_doubt:
            self._is_in_doubt = True
            self._loop.after(0, self._begin_again)

    def _begin_again(self) -> None:
        self._is_in_doubt = False
        self._log.error("continuing from the journal, as after a crash")
        has_posix = any(each.lock.posix for each in self._engine.table.resources())
        if self._keeper and not self._keeper.lost and not has_posix:
            os._exit(_IN_DOUBT)
        kept: dict[str, int] = {}
        try:
            # The state in memory may lack some descriptors. A second descriptor would end a POSIX
            # lock.
            if not has_posix:
                kept = self._keeper.contents()
            self._go_on_in_place(kept)
        except OSError as error:
            self._complain(error)
            for fd in kept.values():
                named.close(fd)

    def _probed(
        self, pid: int, replace: Callable[[], object], failed: Callable[[str], object], _: int
    ) -> None:
        self._loop.unwatch(self._probe)
        os.close(self._probe)
        self._probe = -1
        _, status = os.waitpid(pid, 0)
        if self._is_over:
            return  # the next process would not know of it
        if status:
            why = (
                f"the program that is installed cannot take over a journal of format {FORMAT}, or"
                " refuses the configuration"
            )
            self._log.error(f"{why}: continuing as before")
            failed(why)
            return
        try:
            replace()
        except OSError as error:
            failed(self._complain(error))
