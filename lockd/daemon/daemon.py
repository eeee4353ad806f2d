"""The daemon: its parts put together, its start and its end.

It starts with nothing, or with what the process before it left (:mod:`lockd.survival.handover`).
It ends when it is asked to, and then first makes every guest end that holds a lock: none may go on
writing a disk that nobody protects. Two signals are for going on without that: SIGUSR1 in this
process, as the version that is installed then, and SIGUSR2 in another one, which the service
manager starts.
"""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from select import EPOLLERR, EPOLLIN, EPOLLPRI

from lockd.daemon.changes import Changes
from lockd.kernel.background import write_pid
from lockd.kernel.loop import Loop, take_signals
from lockd.locks.engine import IDLE_FOR, VISIBLE_AFTER, Engine
from lockd.locks.guests import Guests
from lockd.locks.health import Health
from lockd.locks.remote import Remotes, SilentError
from lockd.locks.storage import Storages
from lockd.programs import admin, inspect, lock
from lockd.rpc.service import Service
from lockd.survival import handover
from lockd.survival.journal import FORMAT, Journal, record
from lockd.survival.keeper import (
    LISTENING,
    PID_FILE,
    Numbers,
    client_name,
    journal_name,
    lock_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from lockd.daemon.settings import Settings
    from lockd.kernel.loop import Timer
    from lockd.locks.names import Names
    from lockd.log import Logging
    from lockd.rpc.session import Session
    from lockd.survival.handover import Inheritance
    from lockd.survival.keeper import Keeper

#: How long the guests may take to end when the daemon does, in seconds.
_PARTING: Final = 10.0
_LOOK: Final = 0.02

#: How long what need not be kept any more stays open, in seconds. As long as it does, the file
#: system that it is on cannot be unmounted.
_RENEW_AFTER: Final = 1.0


class Daemon:
    """Everything there is one of. ``timeout`` is after how many seconds without clients and locks
    it ends by itself, 0 for never; ``interval`` how often every lock is looked at, in seconds."""

    def __init__(
        self,
        settings: Settings,
        inheritance: Inheritance,
        keeper: Keeper,
        logging: Logging,
        names: Names,
        *,
        timeout: int,
        interval: float,
    ) -> None:
        self.settings: Final = settings
        self.keeper: Final = keeper
        keeper.everything = self._everything
        self.since: Final = time.time()
        self.logging: Final = logging
        self.timeout = timeout
        self.numbers: Final = Numbers()
        self.loop: Final = Loop()
        self._log: Final = logging.part("locking.lock_daemon")
        self._storages: Final = Storages()
        self.remotes: Final = Remotes(self.loop, self._log, self.after_call)
        self._journal_fresh = inheritance.journal is None
        self.journal = inheritance.journal or Journal.create(1)
        self.engine: Final = Engine(
            self.journal,
            keeper,
            names,
            self._storages,
            self.remotes,
            logging.part("util.virlockspace"),
        )
        self.guests: Final = Guests(self, self._log)
        self.services: Final[dict[str, Service]] = {
            "virtlockd": Service(
                "virtlockd",
                {(lock.PROGRAM, lock.VERSION): lock.PROCEDURES},
                settings.max_clients,
                self,
            ),
            "admin": Service(
                "admin",
                {
                    (admin.PROGRAM, admin.VERSION): admin.PROCEDURES,
                    (inspect.PROGRAM, inspect.VERSION): inspect.PROCEDURES,
                },
                settings.admin_max_clients,
                self,
            ),
        }
        self.changes: Final = Changes(self, self._log)
        self._health: Final = Health(self, interval, self._log)
        self._show_timer: Timer | None = None
        self._renew_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._idle_since: float | None = None
        self._idle_files_timer: Timer | None = None
        self._probe = -1
        self._stopping = False
        self._inheritance: Final = inheritance

    # --- the start

    def start(self, listening: dict[str, int]) -> None:
        """Take over what there is to take over, and serve ``listening``, by service."""
        self.loop.watch(self._storages.mounts, EPOLLPRI | EPOLLERR, self._on_mounts)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.loop.on_signal(number, self.stop)
        self.loop.on_signal(signal.SIGUSR1, self.upgrade)
        self.loop.on_signal(signal.SIGUSR2, self.leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        take_signals()
        if self._journal_fresh:
            self.keeper.keep(self.journal.fd, journal_name(self.journal.number))
        else:
            self._take_over()
        self.journal.serve(0)
        self.journal.write("settings", self.settings.record())
        for directory in self.settings.lockspaces:
            self.engine.know_lockspace(directory)
        for name, fd in listening.items():
            self.services[name].listen(fd)
        self.after_call()
        self.check_idle()
        self.keeper.ready(f"{sum(1 for _ in self.engine.resources())} locks")

    def _take_over(self) -> None:
        handover.restore(self._inheritance, self)
        for resource in self.engine.resources():
            if resource.lock.posix:
                # It ended with the process that had it, unless that is this one.
                self._health.check(resource)
        left = self._inheritance.fds
        for name in [*left]:
            if name != PID_FILE:
                # Taken and kept, but not written down: nobody was told that it is his.
                os.close(left.pop(name))
                self.keeper.forget()
        self._log.warning(
            f"took over {sum(1 for _ in self.engine.resources())} locks"
            f" and {sum(len(each.clients) for each in self.services.values())} clients"
        )

    # --- what follows from calls

    def after_call(self) -> None:
        """What need not be done before a call is answered."""
        engine = self.engine
        if self._show_timer is None and engine.has_fresh:
            self._show_timer = self.loop.after(VISIBLE_AFTER, self._show)
        if self._idle_files_timer is None and engine.has_idle:
            self._idle_files_timer = self.loop.after(IDLE_FOR, self._close_idle)
        if self._renew_timer is None and self.keeper.has_forgotten:
            self._renew_timer = self.loop.after(_RENEW_AFTER, self._renew)
        if self.journal.is_long:
            self._new_journal()

    def _show(self) -> None:
        due = self.engine.show_fresh()
        self._show_timer = None if due is None else self.loop.after(due, self._show)

    def _close_idle(self) -> None:
        self._idle_files_timer = None
        self.engine.close_idle(time.monotonic() - IDLE_FOR)
        self.after_call()

    def _renew(self) -> None:
        self._renew_timer = None
        if self.keeper.has_forgotten:
            self.keeper.renew()

    def _new_journal(self) -> None:
        """Write the journal anew, without all that is over."""
        old = self.journal
        self.journal = self.engine.journal = Journal.create(old.number + 1, self._records())
        self.keeper.keep(self.journal.fd, journal_name(self.journal.number))
        self.keeper.forget()
        old.close()

    def _records(self) -> Iterator[str]:
        yield record("settings", self.settings.record())
        yield from self.changes.records()
        yield from self.engine.records()
        for service in self.services.values():
            yield from service.records()
        yield from self.guests.records()

    def on_hang_up(self, session: Session) -> None:
        """A client is gone. If it was a guest itself, it must not outlive its locks."""
        if session.is_guest and self.engine.holds(session.pid):
            self._log.warning(f"{session.owner} has closed its connection while it holds locks")
            self.guests.end(session.pid, session.started)
        self.check_idle()

    def check_idle(self) -> None:
        """End by itself, after a while, if there is nobody to serve and nothing to hold."""
        idle = (
            self.timeout
            and self.engine.is_idle
            and not self.guests
            and not any(service.clients for service in self.services.values())
        )
        if not idle:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
            # Clients come and go: a timer that is there already will see that it was too early.
            if self._idle_timer is None:
                self._idle_timer = self.loop.after(self.timeout, self._on_idle)

    def set_timeout(self, seconds: int) -> None:
        """End after another time without clients and locks, which begins now; 0 for never."""
        self.timeout = seconds
        self._idle_since = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        self.check_idle()

    def _on_idle(self) -> None:
        self._idle_timer = None
        if self._idle_since is not None:
            left = self._idle_since + self.timeout - time.monotonic()
            if left > 0:
                self._idle_timer = self.loop.after(left, self._on_idle)
            else:
                self.stop()

    def _on_mounts(self, _: int) -> None:
        self._storages.forget()
        self.remotes.forget()

    # --- the end

    def stop(self) -> None:
        """End: close every connection, and when the guests that this concerns have ended, let go
        what is left, the locks of owners that have no connection of their own."""
        self._stopping = True
        self.keeper.stopping()
        for service in self.services.values():
            service.close()
        self._stop_when_alone(_PARTING)

    def _stop_when_alone(self, patience: float) -> None:
        if self.guests and patience > 0:
            self.loop.after(_LOOK, partial(self._stop_when_alone, patience - _LOOK))
            return
        if not self.guests:
            try:
                self.engine.release_everything()
            except SilentError as error:
                self._log.error(
                    f"{error.remote.mount.point}: the locks there are let go by the end of this"
                    " process, as the file system does not answer"
                )
        self.loop.stop()

    def leave(self) -> None:
        """End, and leave everything to the next process: the service manager is restarting us."""
        if not self.keeper or self.keeper.lost:
            self._log.error(
                "not ending for a restart: there is no service manager that has kept the locks"
            )
            return
        self.loop.stop()

    # --- the supervisor

    def watch_supervisor(self, pid: int) -> None:
        """See to it that there is another when our own supervisor ends before us."""
        try:
            fd = os.pidfd_open(pid) if pid == os.getppid() else -1
        except ProcessLookupError:
            fd = -1
        if fd < 0:
            self.loop.after(0, self._on_orphaned)
        else:
            self.loop.watch(fd, EPOLLIN, partial(self._on_supervisor, fd))

    def _on_supervisor(self, fd: int, _: int) -> None:
        self.loop.unwatch(fd)
        os.close(fd)
        self._on_orphaned()

    def _on_orphaned(self) -> None:
        """Nobody keeps anything now. Have a supervisor again: this process becomes it."""
        self.keeper.give_up("the supervisor has ended")
        if PID_FILE in self._inheritance.fds:
            # Its pid is nobody's any more; signals go to this process.
            write_pid(self._inheritance.fds[PID_FILE])
        self._if_it_can_take_over(self._become_supervisor)

    def _become_supervisor(self) -> None:
        if any(resource.lock.posix for resource in self.engine.resources()):
            self._log.error("no other supervisor: the POSIX locks would go with this process")
            return
        name, queue = self.keeper.packed()
        with queue:
            fds = {name: queue.fileno(), PID_FILE: self._inheritance.fds[PID_FILE]}
            handover.to_supervisor(fds, handover.command_line())

    # --- another version

    def upgrade(self) -> None:
        """Go on as the program that is installed now, if it can go on from here."""
        self._if_it_can_take_over(self._go_on_in_place)

    def _go_on_in_place(self) -> None:
        descriptors = {**dict(self._descriptors()), **self.keeper.descriptors()}
        handover.in_place(self.journal, descriptors, handover.command_line())

    def _if_it_can_take_over(self, replace: Callable[[], object]) -> None:
        """Ask the program that is installed now whether it can go on from here, and if so, have
        ``replace`` put it in our place; it may raise OSError.

        It is asked in a process of its own, so that a version that does not know the format of
        the journal, or does not even start, does no harm.
        """
        if self._probe >= 0:
            return
        command = [*handover.command_line(), f"--takes-over={FORMAT}"]
        try:
            pid = os.posix_spawn(command[0], command, os.environ)
        except OSError as error:
            self._log.error(f"the program cannot be started again: {error.strerror}")
            return
        self._probe = os.pidfd_open(pid)
        self.loop.watch(self._probe, EPOLLIN, partial(self._probed, pid, replace))

    def _probed(self, pid: int, replace: Callable[[], object], _: int) -> None:
        self.loop.unwatch(self._probe)
        os.close(self._probe)
        self._probe = -1
        _, status = os.waitpid(pid, 0)
        if self._stopping:
            return  # the next one would not know of it
        if status:
            self._log.error(
                f"the program that is installed cannot take over a journal of format {FORMAT},"
                " or refuses the configuration: going on as before"
            )
            return
        try:
            replace()
        except OSError as error:
            self._log.error(f"the program cannot be started again: {error.strerror}")

    def _everything(self) -> Iterator[tuple[str, int]]:
        yield journal_name(self.journal.number), self.journal.fd
        yield from self._descriptors()

    def _descriptors(self) -> Iterator[tuple[str, int]]:
        """What another process needs of this one, besides the journal, by name."""
        yield from self._inheritance.fds.items()
        for resource in self.engine.open_resources():
            yield lock_name(resource.number), resource.lock.fd
        for name, service in self.services.items():
            if service.fd >= 0:
                yield LISTENING[name], service.fd
            for number, session in service.clients.items():
                yield client_name(number), session.socket.fileno()
