"""The daemon: its parts put together, its start and its end.

It starts with nothing, or with what the process before it left (:mod:`lockd.survival.handover`).
When it is asked to end, it first ends every guest that holds a lock, because no guest may write a
disk that has no protection. Two signals replace the daemon and leave the guests alone: SIGUSR1 runs
the installed version in this process, SIGUSR2 in another one, which the service manager starts.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from select import EPOLLERR, EPOLLPRI

from lockd.counted import counted
from lockd.daemon.adoption import Adoption
from lockd.daemon.descriptors import Descriptors
from lockd.daemon.handback import HandBack
from lockd.daemon.heartbeat import Heartbeat
from lockd.daemon.idleness import Idleness
from lockd.daemon.libvirt import Libvirt
from lockd.daemon.succession import Succession
from lockd.daemon.upkeep import Upkeep
from lockd.daemon.watchdog import Watchdog
from lockd.events import TOOK_OVER, Event
from lockd.kernel import disk
from lockd.kernel.aside import Aside
from lockd.kernel.filelock import end
from lockd.kernel.loop import Loop, take_signals
from lockd.kernel.needs import lacks
from lockd.kernel.process import wait_for_end
from lockd.kernel.turns import Turns
from lockd.locks.engine import Engine
from lockd.locks.failures import Failures, Policy
from lockd.locks.guests import Guests
from lockd.locks.health import Health
from lockd.locks.owners import Owners
from lockd.locks.remote import Remotes, SilentError
from lockd.locks.sharing import Sharing
from lockd.programs import admin, inspect, lock
from lockd.programs.admin.changes import Changes
from lockd.programs.admin.changes.changeable import Changeable
from lockd.programs.admin.context import AdminContext
from lockd.programs.inspect.context import InspectContext
from lockd.programs.inspect.recent import Recent
from lockd.programs.lock.context import LockContext
from lockd.rpc.dispatch import in_context
from lockd.rpc.service import Service
from lockd.rpc.session import records_of
from lockd.rpc.statistics import CallStatistics, measured
from lockd.survival.journal import Journal, Part
from lockd.survival.keeper import WATCHDOG_SECONDS
from lockd.survival.kept import PID_FILE, Numbers, is_client, is_lock
from lockd.survival.records import (
    clients,
    ending,
    guests,
    locks,
    processes,
    starts,
    stopped,
)
from lockd.survival.records import settings as settings_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from lockd.daemon.handback import Virtlockd
    from lockd.daemon.settings import DaemonSettings
    from lockd.locks.holders import Holders
    from lockd.locks.remote import Remote
    from lockd.log import Logging
    from lockd.rpc.session import Session
    from lockd.survival.handover import Inheritance
    from lockd.survival.keeper import Keeper
    from lockd.wire.dialect import Dialect

#: How long guests may take to end when the daemon ends, in seconds.
_PARTING: Final = 10.0
_LOOK: Final = 0.02

#: How long the daemon waits for a file system when it ends, in seconds.
_SILENCE: Final = 2.0

#: How long a file system may have been silent before this process started, in seconds: the process
#: before this one may have waited for it in a call until the watchdog killed it.
_DOUBT: Final = WATCHDOG_SECONDS + 5.0


class Daemon:
    """The whole daemon. ``dialect`` is the release of libvirt whose protocol it speaks. It ends by
    itself after ``timeout`` seconds without clients and locks; 0 means never. It checks every lock
    each ``interval`` seconds. ``command`` starts the program again."""

    def __init__(
        self,
        settings: DaemonSettings,
        inheritance: Inheritance,
        keeper: Keeper,
        logging: Logging,
        holders: Holders,
        dialect: Dialect,
        *,
        timeout: int,
        interval: float,
        command: Sequence[str],
        virtlockd: Virtlockd,
    ) -> None:
        log = logging.part("locking.lock_daemon")
        self._log: Final = log
        self.logging: Final = logging
        self._settings: Final = settings
        self._inheritance: Final = inheritance
        self._keeper: Final = keeper
        self.loop: Final = Loop()
        self._aside: Final = Aside(self.loop)
        self.journal: Final = inheritance.journal or Journal.create(1)
        self._sharing: Final = Sharing()
        self._remotes: Final = Remotes(self.loop, self._aside, Turns(self._aside), log)
        patient = holders.patient = self._remotes.patient
        #: Only the caller waits for a call of these.
        calls_of_disk: Any = self._remotes.lend({n: getattr(disk, n) for n in disk.__all__})
        self.engine: Final = Engine(
            self.journal,
            keeper,
            holders,
            patient(self._sharing.may_be_shared),
            self._remotes,
            logging.part("util.virlockspace"),
            calls_of_disk,
            time,
        )
        self._guests: Final = Guests(self.engine, self.loop, self.journal, log)
        self._owners: Final = Owners(
            self.engine,
            self._guests,
            self.loop,
            lambda pid: self.services["virtlockd"].has_guest(pid),
            log,
        )
        self._health: Final = Health(self.engine, self.loop, self._aside, interval, log)
        libvirt = Libvirt(self.loop, "qemu:///session" if os.geteuid() else "qemu:///system", log)
        self._failures: Final = Failures(
            self.engine,
            self._guests,
            self._health,
            self._remotes,
            holders,
            Policy(
                settings.on_lockfailure, settings.on_lockfailure_in, settings.lockfailure_deadline
            ),
            self.loop,
            self.journal,
            log,
            tell=libvirt.tell,
            start=libvirt.start,
        )
        self._watchdog: Final = Watchdog(self.loop, keeper)
        self._numbers: Final = Numbers()
        self._is_ending = False
        self.services: Final[dict[str, Service]] = {}
        self._idleness: Final = Idleness(self.loop, timeout, self._is_idle, self.stop)
        self._changes: Final = Changes(
            Changeable(logging, self.services, self._idleness.set_timeout), self.journal, log
        )
        descriptors = Descriptors(self.journal, self.engine, self.services, inheritance.fds)
        keeper.everything = descriptors.everything
        self.upkeep: Final = Upkeep(
            self.loop, self.engine, keeper, self.journal, self._records, self._parts, log
        )
        self.succession: Final = Succession(
            self.loop,
            self.engine,
            self.journal,
            keeper,
            descriptors,
            inheritance.fds,
            command,
            self._watchdog,
            log,
        )
        self._hand_back: Final = HandBack(
            virtlockd,
            loop=self.loop,
            engine=self.engine,
            guests=self._guests,
            failures=self._failures,
            health=self._health,
            remotes=self._remotes,
            services=self.services,
            keeper=keeper,
            succession=self.succession,
            watchdog=self._watchdog,
            inherited=inheritance.fds,
            timeout=lambda: self._idleness.timeout,
            log=log,
        )
        locking = LockContext(self.engine, self.journal, dialect)
        administration = AdminContext(
            self.services,
            logging,
            self._changes,
            dialect,
            end=lambda: self.loop.after(0, self.stop),
        )
        calls: dict[str, CallStatistics] = {}
        self._inspection: Final = InspectContext(
            self.engine,
            self._guests,
            self._failures,
            self._remotes,
            self.services,
            keeper,
            time.time(),
            settings.warnings,
            self._hand_back.ask,
            lambda: self._hand_back.given_up,
            log,
            Recent(logging, self.loop),
            calls,
        )
        for name, limit, programs in (
            (
                "virtlockd",
                settings.max_clients,
                {
                    (lock.PROGRAM, lock.VERSION): measured(
                        in_context(lock.PROCEDURES, locking), lock.NAMES, calls
                    )
                },
            ),
            (
                "admin",
                settings.admin_max_clients,
                {
                    (admin.PROGRAM, admin.VERSION): in_context(
                        admin.procedures_of(dialect), administration
                    ),
                    (inspect.PROGRAM, inspect.VERSION): in_context(
                        inspect.PROCEDURES, self._inspection
                    ),
                },
            ),
        ):
            self.services[name] = Service(
                name,
                programs,
                limit,
                dialect=dialect,
                loop=self.loop,
                journal=self.journal,
                keeper=keeper,
                numbers=self._numbers,
                log=logging.part("rpc.netserver"),
                on_gone=self._on_gone,
                on_doubt=self.succession.doubt,
            )

    # --- the start

    def start(self, listening: dict[str, int]) -> None:
        """Take over the state that the previous process left, and serve the sockets
        ``listening``."""
        self.loop.watch(self._sharing.mounts, EPOLLPRI | EPOLLERR, self._on_mounts)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.loop.on_signal(number, self.stop)
        self.loop.on_signal(signal.SIGUSR1, self.succession.upgrade)
        self.loop.on_signal(signal.SIGUSR2, self.succession.leave)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        take_signals()
        if self._inheritance.journal is None:
            self._hand_back.tell_what_was_lost()
            self.upkeep.keep_journal()
        else:
            self._take_over()
        self.journal.serve(0)
        self.journal.append(settings_records.in_force(self._settings.record()))
        self.journal.append(starts.starts(self._inspection.starts))
        for directory in self._settings.lockspaces:
            self.engine.know_lockspace(directory)
        for name, fd in listening.items():
            self.services[name].listen(fd)
        for lack in lacks(self._settings.max_clients):
            self._log.warning(lack)
        self.upkeep.begin()
        self.look()
        self.loop.afterwards = self.look
        self.loop.on_error = self._on_error
        self._keeper.ready(counted(sum(1 for _ in self.engine.table.resources()), "lock"))
        self._watchdog.begin()
        if self._is_ending:
            self.stop()  # the previous process was killed during this
        else:
            self._hand_back.begin()

    def _take_over(self) -> None:
        """Continue from the state in the journal, with the descriptors that were kept."""
        state, fds = self._inheritance.take_state(), self._inheritance.fds
        self._inspection.starts = state.of(starts.Records).count + 1
        self._is_ending = state.of(ending.Records).is_ending
        for name, value in state.of(settings_records.Records).changed.items():
            self._changes.restore(name, value)
        self.engine.restore(state.of(locks.Records), state.of(processes.Records).started, fds)
        connected = state.of(clients.Records)
        self._numbers.go_on_from(connected.clients.keys())
        for name, service in self.services.items():
            service.next_id = connected.next_ids.get(name, service.next_id)
        for client in connected.take_clients():
            if (
                client.service in self.services
            ):  # else it is left over, perhaps from another version
                self.services[client.service].restore(
                    client, fds, self.journal.served, self.journal.answered
                )
        for (pid, started), left in state.of(guests.Records).dying.items():
            self._guests.restore(pid, started, left)
        self._remotes.doubt = _DOUBT
        for guest, what in state.of(stopped.Records).stopped.items():
            self._failures.restore(guest, what)
        with_process = [each for each in self.engine.table.resources() if each.lock.posix]
        if with_process:
            for pid in self._inheritance.ending:
                wait_for_end(pid)
        for resource in with_process:
            # The lock ended with the process that had it, unless that is this process.
            self._health.check(resource)
        for name in [*fds]:
            if name != PID_FILE:
                # The lock was taken and kept but not recorded: no client was told that it has the
                # lock.
                self._end(name, fds.pop(name))
                self._keeper.forget()
        # A table keeps the room for all that it ever had, unless it is made again.
        still_there = {**fds}
        fds.clear()
        fds.update(still_there)
        held = sum(1 for _ in self.engine.table.resources())
        connected_now = sum(len(each.clients) for each in self.services.values())
        message = f"took over {counted(held, 'lock')} and {counted(connected_now, 'client')}"
        self._log.event(Event(TOOK_OVER, message, {"locks": held}))

    def _end(self, name: str, fd: int) -> None:
        """Close a descriptor that has no owner, and unlock its file: copies of the descriptor
        exist."""
        if is_lock(name):
            # Its file system may be silent.
            if self._aside.run(partial(end, fd), _nothing):
                end(fd)
            return
        if is_client(name):
            with suppress(OSError), socket.socket(fileno=os.dup(fd)) as connection:
                connection.shutdown(socket.SHUT_RDWR)
        os.close(fd)

    def adopt_by_itself(self, address: str) -> None:
        """Take the locks of guests that run without them, now and whenever libvirtd starts;
        ``address`` is our admin socket."""
        adoption = Adoption(self.loop, address, self._log)
        self.engine.on_lockspaces = adoption.soon
        adoption.soon()

    def tell_that_it_lives(self, interval: float) -> None:
        """Write a heartbeat into each lockspace, every ``interval`` seconds."""
        Heartbeat(
            self.loop, self._aside, lambda: self.engine.table.spaces, interval, self._log
        ).begin()

    # --- while it runs

    def look(self) -> None:
        """What is done after each turn of the loop."""
        self.upkeep.look()
        self._owners.look()
        self._failures.look()
        self._idleness.look()

    def _records(self) -> Iterator[str]:
        """The records of the state but for :meth:`_parts`, for a new journal."""
        yield settings_records.in_force(self._settings.record())
        yield starts.starts(self._inspection.starts)
        yield from self._changes.records()
        yield from self.engine.records()
        for service in self.services.values():
            yield service.record()
        yield from self._guests.records()
        yield from self._failures.records()
        if self._is_ending:
            yield ending.ending()

    def _parts(self) -> list[Part]:
        """What there are thousands of, for a new journal."""
        connected = {
            number: session
            for service in self.services.values()
            for number, session in service.clients.items()
        }
        return [
            *self.engine.parts(),
            Part(connected, records_of, clients.OF_CLIENT, end="gone"),
        ]

    def _on_gone(self, session: Session) -> None:
        """A client is gone. It may have been a guest."""
        if session.owner is not None and session.is_guest:
            self._guests.on_gone(session.owner, session.started)

    def _on_error(self, error: Exception) -> None:
        """Handle an exception that no other code handles."""
        import traceback

        self._log.error("".join(traceback.format_exception(error)))
        self.succession.doubt()

    def _is_idle(self) -> bool:
        """Whether the daemon has no clients and holds no locks."""
        return (
            self.engine.table.is_empty
            and not self._guests
            and not any(service.clients for service in self.services.values())
        )

    def _on_mounts(self, _: int) -> None:
        self._sharing.forget()
        self._remotes.forget()

    # --- the end

    def stop(self) -> None:
        """End: close every connection. When the guests on these connections have ended, release the
        locks of owners that have no connection of their own."""
        self._is_ending = True
        self.journal.append(ending.ending())
        self.succession.give_up()
        self._hand_back.end()
        self._keeper.stopping()
        for service in self.services.values():
            service.close()
        self._stop_when_alone(_PARTING)

    def _stop_when_alone(self, patience: float) -> None:
        if self._guests and patience > 0:
            self.loop.after(_LOOK, partial(self._stop_when_alone, patience - _LOOK))
            return
        if self._guests:
            self.loop.stop()
        else:
            self._release_and_stop()

    def _release_and_stop(self) -> None:
        try:
            self.engine.release_everything()
        except SilentError as error:
            error.remote.wait(self._release_and_stop)
            asked = error.remote.asked
            self.loop.after(_SILENCE, partial(self._stop_without, error.remote, asked))
        else:
            self.loop.stop()

    def _stop_without(self, remote: Remote, asked: float) -> None:
        """Where a file system has not answered what it was asked then, or a call that was begun
        since, wait for it no longer."""
        if remote.asked == asked or remote.visits:
            self._log.error(
                f"{remote.mount.point}: the file system does not answer; its locks end with this"
                " process"
            )
            self.loop.stop()


def _nothing() -> None:
    """What follows when nothing has to."""
