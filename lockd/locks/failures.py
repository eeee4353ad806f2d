"""What to do with a guest whose lock is lost, or may be lost soon because its file system is
silent.

A guest whose lock is gone writes a disk that another guest may get. The guest's own description
(``<on_lockfailure>``) decides what to do, else the setting of the lockspace or of the host: only
report it, kill the guest, or stop it. A stopped guest stays where it is, without asking libvirt. It
resumes by itself when the lock is held again and no other host has had it meanwhile. If one may
have had it, a person decides: the guest's memory may not match the disk.

Silence is how a loss begins. While a file system with a server does not answer, it is unknown
whether its locks are still held; but it is known how long the server keeps them
(:mod:`lockd.locks.deadline`), and before that the guest is stopped.
"""

from __future__ import annotations

import os
import time
from functools import partial

from lockd.events import GOES_ON, KILLED, STOPPED, Event
from lockd.kernel import freezer, process
from lockd.kernel.reserve import insist
from lockd.locks.deadline import MOUNTSTATS, deadline, leases_in
from lockd.locks.remote import SilentError
from lockd.survival.records import stopped as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.locks.engine import Engine
    from lockd.locks.guests import Guests
    from lockd.locks.health import Health, Standing
    from lockd.locks.holders import Holders
    from lockd.locks.remote import Remote, Remotes
    from lockd.locks.space import Owner, Resource
    from lockd.log import Log
    from lockd.survival.journal import Journal
    from lockd.survival.records.stopped import Stopped

    #: A process, whatever becomes of its pid: that, and when it was started.
    Process = tuple[int, int]

#: The actions of a guest's description: only ``report`` it; ``pause`` the guest; ``kill`` it; or
#: kill it and ``restart`` it if it gets its locks.
_OF_GUESTS: Final = {
    "pause": "pause",
    "poweroff": "kill",
    "restart": "restart",
    "ignore": "report",
}

#: Of locks with an action other than ``report``: how often to ask their file systems, how often to
#: check the locks, and how often to look for new ones, in seconds.
_BEAT: Final = 1.0
_LOOK_EVERY: Final = 3.0
_SWEEP_EVERY: Final = 5.0

#: After how long without an answer a file system counts as silent, in seconds.
_OPEN_FOR: Final = 0.8

#: How long a sweep may take at a time before it pauses for clients, and how long the pause is, in
#: seconds.
_SLICE: Final = 0.001
_REST: Final = 0.005

#: How often the description of a guest is read: the first time it may not be there yet.
_READS: Final = 3

#: How long a guest may take to end before it is killed, in seconds.
_KILL_AFTER: Final = 0.5

#: How often to check whether a guest has stopped, and after how long to log that it has not, in
#: seconds.
_CONFIRM_EVERY: Final = 0.01
_CONFIRM_WITHIN: Final = 1.0


class Policy:
    """The action for guests whose description names none: of the host, and of lockspaces by their
    directories. A lock counts as lost after ``deadline`` seconds of silence; 0 means that the file
    system tells the time."""

    def __init__(self, default: str, spaces: Mapping[str, str], deadline: float) -> None:
        self.default: Final = default
        self.spaces: Final = spaces
        self.deadline: Final = deadline

    def action(self, directory: str) -> str:
        """The action for a lockspace."""
        return self.spaces.get(directory.rstrip("/"), self.default)


class Reason:
    """Why a guest is stopped: what is wrong with a lock. If another host ``may_have_had`` the lock,
    the guest does not resume by itself."""

    __slots__ = ("may_have_had", "why")

    def __init__(self, why: str, *, may_have_had: bool) -> None:
        self.why: Final = why
        self.may_have_had: Final = may_have_had


class StoppedGuest:
    """A stopped guest: its ``name``, its ``uuid``, the control group that stops it, and the
    reasons, by the lockspace and the name of each lock. ``cannot_resume`` tells that it should have
    resumed, and the system did not let lockd do it: lockd tries again."""

    __slots__ = ("cannot_resume", "group", "name", "reasons", "since", "uuid")

    def __init__(self, name: str, uuid: str, group: str) -> None:
        self.name: Final = name
        self.uuid: Final = uuid
        self.group: Final = group
        self.since: Final = time.monotonic()
        self.cannot_resume = False
        self.reasons: Final[dict[tuple[str, str], Reason]] = {}

    def record(self) -> Stopped:
        """The guest as JSON."""
        locks = [
            (directory, name, each.why, each.may_have_had)
            for (directory, name), each in self.reasons.items()
        ]
        return self.name, self.uuid, self.group, locks


class Failures:
    """Applies the ``policy``. ``tell`` tells libvirt why a guest is stopped, by its UUID, or with
    an empty reason that it is not; ``start`` makes libvirt start it again."""

    def __init__(
        self,
        engine: Engine,
        guests: Guests,
        health: Health,
        remotes: Remotes,
        holders: Holders,
        policy: Policy,
        loop: Loop,
        journal: Journal,
        log: Log,
        *,
        tell: Callable[[str, str], object],
        start: Callable[[str], object],
    ) -> None:
        self._engine: Final = engine
        self._guests: Final = guests
        self._health: Final = health
        self._remotes: Final = remotes
        self._holders: Final = holders
        self._policy: Final = policy
        self._loop: Final = loop
        self._journal: Final = journal
        self._log: Final = log
        self._tell: Final = tell
        self._start: Final = start
        health.on_standing = self.on_standing
        #: The locks with an action other than ``report``.
        self._guarded: list[Resource] = []
        #: The actions in guests' descriptions, and how often each was read, by process.
        self._own: dict[Process, tuple[str, int]] = {}
        self._stopped: Final[dict[Process, StoppedGuest]] = {}
        self._killed: Final[set[Process]] = set()
        #: Since when the state of a lock is unknown although its file system answers.
        self._doubts: Final[dict[Resource, float]] = {}
        self._leases: dict[str, float] = {}
        self._timer: Timer | None = None
        self._swept = self._looked = 0.0
        self._is_sweeping = False

    def __bool__(self) -> bool:
        return bool(self._stopped)

    # --- what to do

    def _action(self, resource: Resource, own: str) -> str:
        return _OF_GUESTS.get(own) or self._policy.action(resource.space.directory)

    def _own_of(self, owner: Owner, known: dict[Process, tuple[str, int]]) -> str:
        """The actions in a guest's description, as it was read a moment ago."""
        guest = owner.pid, owner.started
        own, times = self._own.get(guest, ("", 0))
        if guest not in known:
            if not own and times < _READS:
                own = self._described(owner)
            known[guest] = own, times + 1
        return known[guest][0]

    def _described(self, owner: Owner) -> str:
        """The action in a guest's description now, or what is known of it if its file system has
        not answered."""
        try:
            return self._holders.on_lockfailure(owner, self._remotes.check_path)
        except SilentError as error:
            error.remote.wait(partial(self._read, owner))
            return self._own.get((owner.pid, owner.started), ("", 0))[0]

    def _read(self, owner: Owner) -> None:
        try:
            own = self._holders.on_lockfailure(owner, self._remotes.check_path)
        except SilentError:
            return  # it leads elsewhere by now
        self._own[owner.pid, owner.started] = own, _READS

    # --- the beat

    def look(self) -> None:
        """Start watching if a lock needs it."""
        if self._timer is None and not (self._engine.table.is_empty and not self._stopped):
            self._timer = self._loop.after(_BEAT, self._beat)

    def _beat(self) -> None:
        self._timer = None
        now = time.monotonic()
        if now - self._swept >= _SWEEP_EVERY and not self._is_sweeping:
            self._is_sweeping = True
            self._sweep(iter([*self._engine.table.resources()]), [], {})
        self._guarded = [each for each in self._guarded if each.owners]
        self._forget_those_that_ended()
        for path, resources in _by_path(self._guarded).items():
            for remote in self._remotes.behind(path):
                silent_for = now - remote.heard
                limit = self._limit(remote)
                if _is_silent(remote, now) and limit is not None and silent_for > limit:
                    why = f"its file system has not answered for {silent_for:.0f} s"
                    for resource in resources:
                        self._fail(resource, why, may_have_had=False)
        if now - self._looked >= (_BEAT if self._stopped else _LOOK_EVERY):
            self._looked = now
            self._health.look(self._guarded)

    def _sweep(
        self,
        left: Iterator[Resource],
        found: list[Resource],
        own: dict[Process, tuple[str, int]],
    ) -> None:
        """Look for locks with an action other than ``report``."""
        until = time.monotonic() + _SLICE
        for resource in left:
            if any(
                self._action(resource, self._own_of(owner, own)) != "report"
                for owner in resource.owners
            ):
                found.append(resource)
            if time.monotonic() > until:
                self._loop.after(_REST, partial(self._sweep, left, found, own))
                return
        self._guarded, self._own = found, own
        self._killed.intersection_update(own)
        self._swept, self._is_sweeping = time.monotonic(), False
        if found:
            self._leases = _leases()

    def _limit(self, remote: Remote) -> float | None:
        if self._policy.deadline:
            return self._policy.deadline
        return deadline(remote.mount, self._leases)

    # --- what is found

    def on_standing(self, resource: Resource, standing: Standing, problem: str) -> None:
        """Note the state of a lock that was checked."""
        if standing == "unknown":
            self._on_unknown(resource, problem)
            return
        self._doubts.pop(resource, None)
        if standing == "lost":
            self._fail(resource, problem, may_have_had=False)
        elif standing == "anew":
            self._fail(resource, "it was lost, and another host may have had it", may_have_had=True)
        else:
            self._is_fine(resource)

    def _on_unknown(self, resource: Resource, problem: str) -> None:
        """The file system answers with an error. It has as long as it may be silent."""
        now = time.monotonic()
        since = self._doubts.setdefault(resource, now)
        path = resource.space.directory or resource.name
        limits = [self._limit(remote) for remote in self._remotes.behind(path)]
        known = [limit for limit in limits if limit is not None]
        if known and now - since > min(known):
            self._fail(resource, problem, may_have_had=False)

    def _is_fine(self, resource: Resource) -> None:
        lock = resource.space.directory, resource.name
        for guest, stopped in [*self._stopped.items()]:
            reason = stopped.reasons.get(lock)
            if reason is not None and not reason.may_have_had:
                if len(stopped.reasons) > 1:
                    del stopped.reasons[lock]
                    self._write(guest)
                else:  # the reason stays until the guest resumes, and it is tried again
                    self._go_on(
                        guest, "its locks are held again, and no other host has had them meanwhile"
                    )

    def _fail(self, resource: Resource, why: str, *, may_have_had: bool) -> None:
        for owner in dict.fromkeys(resource.owners):
            started = owner.started or _start_time(owner.pid)
            action = self._action(resource, self._described(owner))
            if not started or action == "report":
                continue
            if action == "pause":
                reason = Reason(why, may_have_had=may_have_had)
                self._stop((owner.pid, started), owner, resource, reason)
            else:
                self._kill((owner.pid, started), owner, resource, why, again=action == "restart")

    # --- what is done

    def _kill(
        self, guest: Process, owner: Owner, resource: Resource, why: str, *, again: bool
    ) -> None:
        if guest in self._killed:
            return
        self._killed.add(guest)
        message = f"{owner} is killed, as its lock {resource.path} is not safe: {why}"
        self._log.event(Event(KILLED, message, owner.fields() | resource.fields()))
        self._guests.end(*guest, _KILL_AFTER)
        if again:
            self._start(str(owner.fields()["uuid"]))

    def _stop(self, guest: Process, owner: Owner, resource: Resource, reason: Reason) -> None:
        lock = resource.space.directory, resource.name
        stopped = self._stopped.get(guest)
        if stopped is not None:
            before = stopped.reasons.get(lock)
            if before is None or (reason.may_have_had and not before.may_have_had):
                stopped.reasons[lock] = reason
                self._write(guest)
            return
        stopped = StoppedGuest(
            owner.shown_name, str(owner.fields()["uuid"]), freezer.group_of(guest[0])
        )
        stopped.reasons[lock] = reason
        self._stopped[guest] = stopped
        # The journal comes first, or the next process would not know that it must resume the guest.
        self._write(guest)
        if self._halt(guest, stopped):
            message = f"{owner} is paused, as its lock {resource.path} is not safe: {reason.why}"
            self._log.event(Event(STOPPED, message, owner.fields() | resource.fields()))
            self._confirm(guest, stopped)
            self._tell(stopped.uuid, reason.why)

    def _halt(self, guest: Process, stopped: StoppedGuest) -> bool:
        """Stop a process. Returns whether it existed and could be stopped."""
        try:
            fd = insist(partial(process.open_process, *guest))
        except OSError as error:
            self._log.error(f"guest '{stopped.name}' cannot be paused: {error.strerror}")
            return False
        if fd < 0:
            return False
        try:
            freezer.stop(fd, stopped.group)
        except OSError as error:
            self._log.error(f"guest '{stopped.name}' cannot be paused: {error.strerror}")
            return False
        finally:
            os.close(fd)
        return True

    def _confirm(self, guest: Process, stopped: StoppedGuest) -> None:
        """Check that it has stopped, and log it if it has not."""
        took = time.monotonic() - stopped.since
        try:
            has_stopped = freezer.is_stopped(guest[0], stopped.group)
        except OSError:
            return  # it has ended
        if has_stopped:
            self._log.warning(f"guest '{stopped.name}' stopped within {took * 1000:.0f} ms")
        elif took < _CONFIRM_WITHIN:
            self._loop.after(_CONFIRM_EVERY, partial(self._confirm, guest, stopped))
        else:
            self._log.error(f"guest '{stopped.name}' is in a system call: it stops when that ends")

    def _go_on(self, guest: Process, why: str) -> str:
        """Resume a guest. Returns why the system does not allow it, or nothing."""
        stopped = self._stopped[guest]
        try:
            fd = insist(partial(process.open_process, *guest))
            if fd >= 0:
                try:
                    freezer.go_on(fd, stopped.group)
                finally:
                    os.close(fd)
        except OSError as error:
            if not stopped.cannot_resume:
                self._log.error(f"guest '{stopped.name}' cannot be resumed: {error.strerror}")
            stopped.cannot_resume = True
            return error.strerror or str(error)
        del self._stopped[guest]
        self._journal.append(records.goes_on(*guest))
        fields: dict[str, str | int] = {
            "guest": stopped.name,
            "uuid": stopped.uuid,
            "pid": guest[0],
        }
        self._log.event(Event(GOES_ON, f"guest '{stopped.name}' resumes: {why}", fields))
        self._tell(stopped.uuid, "")
        return ""

    def _forget_those_that_ended(self) -> None:
        for guest in [*self._stopped]:
            if not self._engine.table.held_by(*guest):
                # It has ended, or holds no lock now for which it would have to be stopped.
                self._go_on(guest, "it holds no locks")

    def resume(self, name: str) -> str:
        """Resume a guest, by its name or UUID, because a person says so. Returns why that is not
        possible, as a sentence; empty if it resumes."""
        named = [key for key, each in self._stopped.items() if name in (each.name, each.uuid)]
        if not named:
            return f"no guest '{name}' is paused for a lock"
        guest = named[0]
        stopped = self._stopped[guest]
        for resource, _ in self._engine.table.held_by(*guest):
            reason = stopped.reasons.get((resource.space.directory, resource.name))
            if resource.problem or (reason is not None and not reason.may_have_had):
                why = resource.problem or (reason.why if reason is not None else "")
                return f"the lock {resource.path} is not held: {why}"
        problem = self._go_on(guest, "a person says so")
        return f"guest '{name}' cannot be resumed: {problem}" if problem else ""

    # --- what outlives this process, and what is shown

    def _write(self, guest: Process) -> None:
        self._journal.append(records.stopped(*guest, self._stopped[guest].record()))

    def records(self) -> Iterator[str]:
        """The records of stopped guests, for a new journal."""
        for guest, stopped in self._stopped.items():
            yield records.stopped(*guest, stopped.record())

    def restore(self, guest: Process, what: Stopped) -> None:
        """Take over a guest that is stopped, or was about to be."""
        name, uuid, group, locks = what
        stopped = self._stopped[guest] = StoppedGuest(name, uuid, group)
        for directory, resource, why, may_have_had in locks:
            stopped.reasons[directory, resource] = Reason(why, may_have_had=may_have_had)
        self._halt(guest, stopped)
        self._tell(uuid, "; ".join(each.why for each in stopped.reasons.values()))

    def problems(self) -> Iterator[tuple[str, str]]:
        """The stopped guests, each with the reason."""
        for (pid, _), stopped in self._stopped.items():
            reasons = [
                f"{_path(*lock)}: {each.why}" + (_A_PERSON if each.may_have_had else "")
                for lock, each in stopped.reasons.items()
            ]
            yield f"guest '{stopped.name}' (pid {pid})", f"it is paused: {'; '.join(reasons)}"


_A_PERSON: Final = " ('lockd resume' resumes it)"


def _path(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _by_path(resources: list[Resource]) -> dict[str, list[Resource]]:
    """Locks by the path that leads to their file systems: a lockspace, or a disk."""
    found: dict[str, list[Resource]] = {}
    for resource in resources:
        found.setdefault(resource.space.directory or resource.name, []).append(resource)
    return found


def _is_silent(remote: Remote, now: float) -> bool:
    return remote.failed or (bool(remote.asked) and now - remote.asked > _OPEN_FOR)


def _start_time(pid: int) -> int:
    try:
        return process.start_time(pid)
    except OSError:
        return 0


def _leases() -> dict[str, float]:
    try:
        with open(MOUNTSTATS, encoding="utf-8", errors="surrogateescape") as file:
            return leases_in(file.read())
    except OSError:
        return {}
