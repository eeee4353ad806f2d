"""The way back to virtlockd. After a takeover this module makes the locks outlive this process;
later it can put virtlockd in the daemon's place again.

:mod:`lockd.daemon.virtlockd` describes how the state is handed over.
"""

from __future__ import annotations

import os
import time
from functools import partial

from lockd.daemon import virtlockd
from lockd.kernel.filelock import end_whole_life, hold_whole_life
from lockd.locks.remote import SilentError
from lockd.survival import handover
from lockd.survival.kept import PID_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from lockd.daemon.succession import Succession
    from lockd.daemon.watchdog import Watchdog
    from lockd.kernel.loop import Loop
    from lockd.locks.engine import Engine
    from lockd.locks.failures import Failures
    from lockd.locks.guests import Guests
    from lockd.locks.health import Health
    from lockd.locks.remote import Remotes
    from lockd.locks.space import Resource
    from lockd.log import Log
    from lockd.rpc.service import Service
    from lockd.survival.keeper import Keeper
    from lockd.survival.restart_file import State

#: How long to wait before trying again to go back, and for how long in all, in seconds.
_LOOK: Final = 0.02
_BACK_WITHIN: Final = 5.0


class Virtlockd:
    """The virtlockd that this process was, or can become. State is handed over in ``file``.
    ``was_here`` tells that this process was virtlockd, ``next`` is the program to become, or empty.
    By the descriptor ``guard`` the process is told to end that would start lockd again if this one
    ended (-1: there is none). The rest are the options that both daemons have."""

    def __init__(
        self, file: str, options: Sequence[str], *, was_here: bool, next: str, guard: int = -1
    ) -> None:
        self.file: Final = file
        self.was_here: Final = was_here
        self.next: Final = next
        self._options: Final = options
        self._guard = guard

    def end_guard(self) -> None:
        """lockd is not to be started again when this process ends."""
        if self._guard >= 0:
            try:
                os.write(self._guard, b"x")
            except OSError:
                pass  # it has ended
            os.close(self._guard)
            self._guard = -1

    def arguments(self, timeout: int) -> list[str]:
        """The arguments of virtlockd."""
        return [*self._options, *(["--timeout", str(timeout)] if timeout else [])]


class HandBack:
    """Goes back to virtlockd. ``inherited`` are the descriptors that no other part owns;
    ``timeout`` returns the idle timeout in force."""

    def __init__(
        self,
        virtlockd: Virtlockd,
        *,
        loop: Loop,
        engine: Engine,
        guests: Guests,
        failures: Failures,
        health: Health,
        remotes: Remotes,
        services: Mapping[str, Service],
        keeper: Keeper,
        succession: Succession,
        watchdog: Watchdog,
        inherited: Mapping[str, int],
        timeout: Callable[[], int],
        log: Log,
    ) -> None:
        self._virtlockd: Final = virtlockd
        self._loop: Final = loop
        self._engine: Final = engine
        self._guests: Final = guests
        self._failures: Final = failures
        self._health: Final = health
        self._remotes: Final = remotes
        self._services: Final = services
        self._keeper: Final = keeper
        self._succession: Final = succession
        self._watchdog: Final = watchdog
        self._inherited: Final = inherited
        self._timeout: Final = timeout
        self._log: Final = log
        #: Why this process has not become virtlockd; empty if it has not tried, or tries still.
        self.given_up = ""
        #: The virtlockd to become, and what prevents it.
        self._next = ""
        self._why_not = ""
        #: The locks on file systems with a server that wait to be turned, and that have been.
        self._waiting: Final[set[Resource]] = set()
        self._turned: Final[set[Resource]] = set()

    # --- from virtlockd

    def tell_what_was_lost(self) -> None:
        """Log which locks were lost with a process that had them from virtlockd, or for it."""
        for sentence in virtlockd.lost(self._virtlockd.file):
            self._log.error(sentence)

    def begin(self) -> None:
        """The daemon has started. If it was started to become virtlockd, do that; else make its
        locks outlive this process."""
        if self._virtlockd.next:
            self._go_soon(self._virtlockd.next)
        else:
            self._settle(alone=self._virtlockd.was_here)

    def _settle(self, *, alone: bool) -> None:
        """lockd holds all locks itself now: stop depending on the file and, if this process is
        ``alone``, on this process."""
        if self._health.is_waiting:
            self._loop.after(_LOOK, partial(self._settle, alone=alone))
        elif self._keeper:
            if not self._keeper.lost:
                virtlockd.clear(self._virtlockd.file)
        elif alone:
            self._virtlockd.end_guard()
            self._succession.have_supervisor()

    def end(self) -> None:
        """The daemon ends, and all guests with it."""
        self._virtlockd.end_guard()
        virtlockd.clear(self._virtlockd.file)

    # --- back to it

    def ask(self, program: str) -> str:
        """Let ``program``, a virtlockd, continue in our place. Returns empty text if that has
        begun; the log tells its outcome. Otherwise returns the reason, and nothing has changed."""
        why = self._against()
        if why:
            return why
        if handover.SUPERVISED not in os.environ:
            # The client that asked gets its answer first.
            self._go_soon(program)
        elif self._keeper.lost:
            return f"no process would keep the locks meanwhile: {self._keeper.lost}"
        else:
            # The supervisor has the pid that other programs know: it becomes the daemon, and then
            # virtlockd.
            self.given_up = ""
            self._succession.leave_to_supervisor(
                program, partial(self._leave_file, os.getppid()), self._cannot
            )
        self._log.warning(f"handing all locks and clients to {program}")
        return ""

    def _cannot(self, why: str) -> None:
        self.given_up = why

    def _against(self) -> str:
        """Why virtlockd could not continue from here, as a sentence; empty if it could."""
        if self._guests:
            return "guests are being ended, and their locks are not released yet"
        for guest, problem in self._failures.problems():
            return f"{guest}: {problem}"
        silent = self._remotes.unanswered(self._engine.table.places())
        if silent:
            return _silent(silent)
        if self._health.is_asking or self._health.is_waiting:
            return "a file system is being asked about its locks"
        for service in self._services.values():
            for session in service.clients.values():
                if session.waiting or session.busy or session.unsent or session.inbox.partial:
                    return f"{session} is in the middle of a call"
        for resource in self._engine.table.resources():
            if resource.problem:
                return f"the lock {resource.path} is in danger: {resource.problem}"
        return ""

    def _go_soon(self, program: str) -> None:
        """Become virtlockd as soon as that is possible, or give up after a while."""
        self._next, self.given_up = program, ""
        self._loop.after(_LOOK, self._go)
        self._loop.after(_BACK_WITHIN, self._give_up)

    def _go(self) -> None:
        """Replace this process by virtlockd, now or once nothing prevents it."""
        if not self._next:
            return
        self._why_not = self._against()
        try:
            if not self._why_not and self._are_turned():
                self._why_not = self._become(self._next)
        except SilentError as error:
            self._why_not = _silent(error.remote.path)
        except OSError as error:
            self._why_not = f"{error.filename or self._next}: {error.strerror}"
        self._loop.after(_LOOK, self._go)

    def _are_turned(self) -> bool:
        """Whether all locks on file systems with a server are POSIX locks by now. Each that is not
        is turned when its server has answered, and meanwhile the loop goes on."""
        for resource in self._engine.table.resources():
            if resource.lock.posix or resource in self._waiting:
                continue
            try:
                self._engine.files.check_remote(resource)
            except SilentError as error:
                self._why_not = _silent(error.remote.path)
                self._turn_soon(resource, error)
        return not self._waiting

    def _turn_soon(self, resource: Resource, error: SilentError) -> None:
        self._waiting.add(resource)
        error.remote.wait(partial(self._turn, resource))

    def _turn(self, resource: Resource) -> None:
        """Turn a lock into a POSIX lock. If lockd gives up meanwhile, the check of the lock that
        waits for this turns it back."""
        try:
            if self._next and resource.owners and not resource.lock.posix:
                self._turned.add(resource)
                if self._engine.renewal.make_posix(resource) == "taken":
                    self._give_up(_taken(resource))
        except SilentError as error:
            self._turn_soon(resource, error)
            return
        except OSError as error:
            self._give_up(f"{resource.path}: {error.strerror}")
        self._waiting.discard(resource)

    def _turn_back(self) -> None:
        for resource in self._turned:
            if resource.owners:
                self._health.check(resource)
        self._turned.clear()

    def _give_up(self, why: str = "") -> None:
        """Give up: log the reason, and continue as lockd."""
        if not self._next:
            return
        self.given_up = why or self._why_not
        self._log.error(
            f"{self._next} does not continue from here: {self.given_up}: nothing has changed"
        )
        self._next = ""
        self._turn_back()
        self._settle(alone=True)

    def _leave_file(self, pid: int) -> State:
        """Leave the file for the process ``pid``. The supervisor does not know the numbers of its
        descriptors yet, but if it is killed, the next lockd knows what was lost. Raises OSError."""
        state = virtlockd.state_of(self._services, self._engine.table.spaces, pid)
        virtlockd.write(self._virtlockd.file, state)
        return state

    def _become(self, program: str) -> str:
        """Replace this process by virtlockd. If that is not possible, returns the reason, or raises
        OSError or SilentError; nothing has changed then."""
        engine = self._engine
        engine.idle.close(time.monotonic())
        turned: list[Resource] = []
        pid_file = self._inherited.get(PID_FILE, -1)
        try:
            for resource in engine.table.resources():
                if not resource.lock.posix:
                    turned.append(resource)
                    if engine.renewal.make_posix(resource) == "taken":
                        return _taken(resource)
            if not self._watchdog.end():
                return "the service manager would kill virtlockd, which gives it no signs of life"
            state = self._leave_file(os.getpid())
            self._keeper.keep_nothing()
            if pid_file >= 0:
                end_whole_life(pid_file)
            virtlockd.become(
                program, self._virtlockd.arguments(self._timeout()), state.descriptors()
            )
            raise AssertionError
        finally:
            virtlockd.clear(self._virtlockd.file)
            for resource in turned:
                self._health.check(resource)
            if self._keeper:
                self._keeper.renew()
                self._watchdog.go_on()
            if pid_file >= 0:
                hold_whole_life(pid_file)


def _taken(resource: Resource) -> str:
    return f"another process has a shared lock on {resource.path}"


def _silent(path: str) -> str:
    return f"{path}: the file system does not answer"
