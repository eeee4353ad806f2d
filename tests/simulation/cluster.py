"""A cluster, and one run of it: what happens next is for a seed to say, and so is what goes wrong.

After each turn, and at the end, this has to be so:

- no two guests write one disk, unless both share it;
- for each guest that writes a disk, its host has the lock of it, on the file of that name;
- once all guests have ended, no lock and no descriptor is left of them;
- every call was answered or disconnected, and no part of the daemon has raised an unforeseen error.
"""

from __future__ import annotations

import errno
import heapq
import signal
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from lockd.survival.keeper import WATCHDOG_SECONDS
from tests.simulation.files import Files, failure
from tests.simulation.guests import Guest, Virtlockd
from tests.simulation.host import LEASES, Host
from tests.simulation.kernel import (
    PAGE,
    Killed,
    LockFile,
    Process,
    ProcessFd,
    Replaced,
    Stream,
    running,
)
from tests.simulation.rewritten import difference, journals

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tests.simulation.files import Kind, View

#: What a call may fail with where the system lacks something for a moment.
_ERRORS: Final = {
    "open": (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO),
    "fcntl": (errno.ENOLCK, errno.EIO, errno.ENOMEM, errno.EINTR),
    "fstat": (errno.EIO, errno.ENOMEM),
    "stat": (errno.EIO, errno.ESTALE, errno.ENOMEM),
    "unlink": (errno.EIO, errno.EROFS, errno.EACCES),
    "setxattr": (errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    "removexattr": (errno.EIO, errno.EROFS),
    "getxattr": (errno.EIO,),
    "sendmsg": (errno.ENOBUFS, errno.ETOOMANYREFS),
    "socketpair": (errno.EMFILE, errno.ENFILE),
    "pipe2": (errno.EMFILE,),
    "memfd_create": (errno.EMFILE, errno.ENOMEM),
    "pidfd_open": (errno.EMFILE, errno.ENOMEM),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
    "statx": (errno.EIO, errno.ESTALE),
    "recv": (errno.EINTR,),
    "close": (errno.EIO,),
}

#: What a call says whose answer was lost: the server has done what it was asked for.
_LOST: Final = (errno.EIO, errno.ETIMEDOUT, errno.ENOTCONN)

#: What changes something that another process, host or daemon may go by. Many a bug is about what
#: is so between one of these and the next.
_CHANGING: Final = frozenset(
    ("fcntl", "unlink", "setxattr", "removexattr", "sendmsg", "close", "journal.append")
)

#: What may have its answer lost. To lock and to unlock are two things here.
_ANSWERED: Final = ("open", "unlink", "setxattr", "removexattr", "fcntl", "unlock")

#: How likely a run that may be narrow is one in which few things go wrong, but these often.
_NARROW: Final = 0.5

#: How likely such a run goes on with another one of those that can, where it keeps to one.
_CHANGE: Final = 0.03

#: How much goes on in a run: for how long things begin, in seconds, and after how many turns it is
#: taken for one that never ends.
_BEGINNING: Final = 2.5
_MOST_TURNS: Final = 20_000

#: How long what could be done may have to wait all the same, in seconds.
_DELAY: Final = 0.05

#: How long it is looked at when all is over, in seconds.
_AFTERWARDS: Final = 2.5


#: After how many turns of loops, in which nothing is parted, the state of a daemon is looked at.
_EVERY: Final = 20

#: How likely it is that a call on a file system with a server takes longer than the loop waits.
_SLOW: Final = 0.2


class BrokenError(Exception):
    """Something is so that must not be."""


class Task:
    """Something that a process does, which may continue at any step."""

    def __init__(self, process: Process, work: Callable[[], object], *, is_main: bool) -> None:
        self.process: Final = process
        self.is_main: Final = is_main
        self.until: Callable[[], bool] = _at_once
        self.error: Exception | None = None
        self.is_replaced = False
        self.is_over = False
        self._work: Final = work
        self._worker: _Worker | None = None

    def run(self) -> None:
        """Do it, in a worker."""
        try:
            self._work()
        except Killed:
            pass
        except Replaced:
            self.is_replaced = True
        except Exception as error:  # noqa: BLE001 - the caller raises it again
            self.error = error
        finally:
            self.is_over = True  # also if the run is interrupted

    def go_on(self) -> bool:
        """Let it go on; whether it is over."""
        running.process = self.process
        if self._worker is None:
            self._worker = _idle.pop() if _idle else _Worker()
            self._worker.task = self
        self._worker.switch()
        return self.is_over

    def throw_away(self) -> None:
        """Its process has been killed."""
        running.process = self.process
        if self._worker is not None and not self.is_over:  # else it has not begun
            self._worker.throw(Killed)


class _Worker(greenlet):
    """Does one task after the other: a new greenlet for each costs more than most tasks."""

    task: Task

    def __init__(self) -> None:
        super().__init__(parent=_outermost(getcurrent()))

    def run(self) -> None:
        """Without an end."""
        assert self.parent is not None
        while True:
            self.task.run()
            _idle.append(self)
            self.parent.switch()


#: Those that have no task.
_idle: Final[list[_Worker]] = []


class Plan:
    """What a run is made from: the seed, and the faults that are left out, by their numbers. It
    ``may_be_narrow``: then few things may go wrong, but these often."""

    def __init__(
        self, seed: int, left_out: frozenset[int] = frozenset(), *, may_be_narrow: bool = False
    ) -> None:
        self.seed: Final = seed
        self.left_out: Final = left_out
        self.may_be_narrow: Final = may_be_narrow


class Cluster:
    """The hosts, the server, and the time. ``log`` tells what has happened, if that is wanted."""

    def __init__(self, plan: Plan, log: list[str] | None = None) -> None:
        self.plan: Final = plan
        self.random: Final = Random(plan.seed)
        self.now = 100.0
        self.faults = 0
        #: What is so and must not be, found in the middle of something.
        self.broken = ""
        self._log: Final = log
        self._faulty: Final = Random(-1 - plan.seed)
        self._tasks: Final[list[Task]] = []
        self._agenda: Final[list[tuple[float, int, Callable[[], object]]]] = []
        self._count: Final = count(1)
        self._starts: Final = count(1)
        self._looks = 0
        self._is_ending = False
        self._has_errors = False
        chance = self.chance
        kind: Kind = self.random.choice(("local", "nfs", "gluster"))
        self._files: Final = Files(3, "/locks", kind, chance)
        self.lease: Final = LEASES[kind]
        names = self.random.choice(("ab", "ab", "ab", "abc"))
        self.hosts: Final = [Host(name, self, [self._files]) for name in names]
        self.disks: Final = [f"/locks/{n}" for n in range(self.random.choice((1, 2)))]
        self.interval: Final = self.random.choice((0.0, 0.5, 2.0))
        #: How likely a step is one of these, each with the chance that there are none in this run.
        self._killing: Final = self.random.choice((0.0, 0.002, 0.01))
        self._parting: Final = self.random.choice((0.0, 0.02, 0.1))
        failing = self.random.choice((0.0, 0.0, 0.003, 0.02))
        self._short: Final = self.random.choice((0.0, 0.0, 0.1))
        #: With chances of its own, so that a seed does the rest as without it.
        self._lossy: Final = Random(-2 - plan.seed)
        losing = self._lossy.choice((0.0, 0.0, 0.01, 0.1))
        #: How likely each call fails, how likely its answer is lost, and how likely a daemon is
        #: killed at the next step after something was changed.
        self._failing: Final = dict.fromkeys(_ERRORS, failing)
        self._losing: Final = dict.fromkeys(_ANSWERED, losing)
        self._killing_then = 0.0
        self._has_changed = False
        #: How likely the same one goes on, of those that can, and which: from 0 to 1, as they come.
        self._keeping = 0.0
        self._kept = 0.0
        #: How likely one host has virtlockd, and how often that takes a lock.
        self._virtlockd = 0.4
        self.contests = 6
        #: With chances of its own, too.
        self._narrow: Final = Random(-3 - plan.seed)
        if plan.may_be_narrow and self._narrow.random() < _NARROW:
            self._be_narrow()
        self.guests: Final[list[Guest | Virtlockd]] = []
        self._unreachable: Final[dict[Host, float]] = {}
        self._set_up()

    # --- the plan

    def _be_narrow(self) -> None:
        """Have few kinds of calls fail, but these often, so that faults that belong together come
        together; and let one go on for longer before the others do."""
        chance = self._narrow
        self._failing.clear()
        kinds = chance.sample([*_ERRORS], chance.randint(0, 4))
        self._failing.update(dict.fromkeys(kinds, chance.choice((0.03, 0.2))))
        self._losing.clear()
        kinds = chance.sample(_ANSWERED, chance.randint(0, 2))
        self._losing.update(dict.fromkeys(kinds, chance.choice((0.1, 0.4))))
        self._killing_then = chance.choice((0.0, 0.0, 0.01, 0.05))
        self._keeping = chance.choice((0.0, 0.5, 0.9))
        if chance.random() < 0.7:
            del self.disks[1:]
        if "unlock" in kinds:
            # Another host is to have the lock before this one knows that it is free.
            self._virtlockd, self.contests = 0.9, 20

    def _set_up(self) -> None:
        for host in self.hosts:
            host.starts_at = self.now
        begins = self.now + 0.2
        for _ in range(self.random.randrange(2, 5)):
            self._at(begins + self.random.random() * _BEGINNING, self._start_guest)
        if self._files.kind != "local" and self.chance(self._virtlockd):
            self._at(begins, self._start_virtlockd)
        daemons = self.hosts
        for kind in (self._upgrade, self._leave, self._freeze, self._hang, self._jump, self._stun):
            for _ in range(self.random.choice((0, 0, 0, 1, 2))):
                when = begins + self.random.random() * _BEGINNING
                self._at(when, partial(self._fault, kind, self.random.choice(daemons)))
        if self._files.kind != "local":
            for _ in range(self.random.choice((0, 0, 0, 1, 2))):
                when = begins + self.random.random() * _BEGINNING
                self._at(when, partial(self._fault, self._part, self.random.choice(daemons)))

    def _at(self, when: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._agenda, (when, next(self._count), what))

    def _start_guest(self) -> None:
        host = self.random.choice(self.hosts)
        taken = {each.pid for each in self.guests if isinstance(each, Guest) and each.host is host}
        pid = self.random.choice([each for each in range(1000, 1012) if each not in taken])
        disks = {
            disk: self.chance(0.2)
            for disk in self.random.sample(self.disks, self.random.randint(1, len(self.disks)))
        }
        guest = Guest(host, pid, next(self._starts), disks)
        self.guests.append(guest)
        self.note(f"{guest} starts, with {disks}")

    def _start_virtlockd(self) -> None:
        host = Host("v", self, [self._files])
        host.process = Process(host, 1, self.on_step)
        self.guests.append(Virtlockd(host, self.disks))

    # --- what goes wrong

    def _fault(self, what: Callable[[Host], object], host: Host) -> None:
        if not self._is_ending and self._is_due(f"{what.__name__.strip('_')} {host.name}"):
            what(host)

    def _is_due(self, what: str) -> bool:
        """Whether a fault is not one of those that are left out."""
        self.faults += 1
        if self.faults in self.plan.left_out:
            return False
        self.note(f"fault {self.faults}: {what}")
        return True

    def _upgrade(self, host: Host) -> None:
        host.signal_daemon(signal.SIGUSR1)

    def _leave(self, host: Host) -> None:
        host.signal_daemon(signal.SIGUSR2)

    def _freeze(self, host: Host) -> None:
        """It may end with a kill, as a call to a server that is away may."""
        if not host.may_be_killed:
            return
        host.daemon_frozen_until = self.now + self.random.choice((0.5, 5, 2 * WATCHDOG_SECONDS))
        self._at(host.daemon_frozen_until, _nothing)

    def _hang(self, host: Host) -> None:
        """Not for so long that its locks were lost: against that nothing on the host helps."""
        if host not in self._unreachable:
            host.frozen_until = self.now + self.random.choice((0.2, 2, 0.8 * self.lease))
            self._at(host.frozen_until, host.manager.begin_to_wait)

    def _jump(self, host: Host) -> None:
        host.clock_offset += self.random.choice((-1e6, -3.0, 3.0, 1e6))

    def _stun(self, host: Host) -> None:
        host.manager.frozen_until = self.now + self.random.choice((0.5, 5, 15))
        self._at(host.manager.frozen_until, host.manager.begin_to_wait)

    def _part(self, host: Host) -> None:
        if not host.may_be_killed:
            return
        if host not in self._unreachable and self.now >= host.frozen_until:
            self.part(
                host,
                self.random.choice((0.1, 2, 0.9 * self.lease, 1.2 * self.lease, 2 * self.lease)),
            )

    def part(self, host: Host, seconds: float) -> None:
        """The host cannot reach the server, which gives its locks up when the lease has run out."""
        self._unreachable[host] = self.now + seconds
        self._at(self.now + seconds, partial(self._unreachable.pop, host, None))
        self._at(self.now + self.lease, partial(self._expire, host, self.now))

    def _expire(self, host: Host, since: float) -> None:
        if self._unreachable.get(host, 0.0) > since + self.lease:
            self.note(f"the lease of {host.name} has run out")
            self._files.forget_locks(host.name)

    def on_step(self, process: Process, name: str) -> None:
        """A process makes a step. Raises Killed, OSError."""
        chance = self._faulty.random()
        if chance < self._parting:
            self.let_others()
            return
        if self._is_ending or process.host not in self.hosts:
            return
        chance -= self._parting
        killing = self._killing + (self._killing_then if self._has_changed else 0.0)
        self._has_changed = name in _CHANGING
        if chance < killing:
            if process.host.may_be_killed and self._is_due(f"kill {process.host.name}, {name}"):
                process.host.end_daemon()
                raise Killed
        elif chance - killing < self._failing.get(name, 0.0):
            number = self._faulty.choice(_ERRORS[name])
            if self._is_due(f"{name} of {process.host.name} fails with {errno.errorcode[number]}"):
                self._has_errors = True
                raise failure(number)

    def on_answer(self, process: Process, name: str, view: View) -> None:
        """The server answers a call that has changed something. Raises OSError, if the answer is
        lost on the way."""
        if view.files.kind == "local" or self._is_ending or process.host not in self.hosts:
            return
        if self._lossy.random() < self._losing.get(name, 0.0):
            number = self._lossy.choice(_LOST)
            what = f"the answer to {name} of {process.host.name} is lost: {errno.errorcode[number]}"
            if self._is_due(what):
                self._has_errors = True
                raise failure(number)

    # --- what the hosts need

    def chance(self, likely: float) -> bool:
        """Whether something is so that is as likely as that, from 0 to 1."""
        return self.random.random() < likely

    def some_time(self) -> float:
        """How long something takes, in seconds."""
        return self.random.choice((0.01, 0.05, 0.2, 0.6, 1.2)) * (0.5 + self.random.random())

    def room_for(self, count: int) -> int:
        """How many bytes a connection takes now: the kernel does not part what fits in a page."""
        if self._is_ending or not self.chance(self._short):
            return count
        return 0 if count <= PAGE else self.random.randrange(count)

    def note(self, text: str) -> None:
        """Write down what has happened."""
        if self._log is not None:
            self._log.append(f"{self.now - 100:10.4f} {text}")

    def begin(self, process: Process | None, work: Callable[[], object]) -> Task:
        """Have a process do something besides."""
        assert process is not None
        self._tasks.append(Task(process, work, is_main=False))
        return self._tasks[-1]

    def begin_main(self, process: Process, work: Callable[[], object]) -> None:
        """Have it do something, and nothing else meanwhile."""
        self._tasks.append(Task(process, work, is_main=True))

    @property
    def task(self) -> Task:
        """The one that runs."""
        worker = getcurrent()
        assert isinstance(worker, _Worker)
        return worker.task

    def let_others(self, until: Callable[[], bool] | None = None) -> None:
        """Have others go on before the task that runs does."""
        task = self.task
        task.until = until or _at_once
        parent = getcurrent().parent
        assert parent is not None
        parent.switch()
        running.process = task.process

    def take_a_while(self) -> None:
        """Have others go on first, or not."""
        if self._faulty.random() < _SLOW:
            self.let_others()

    def sleep(self, seconds: float) -> None:
        """Go on later."""
        when = self.now + seconds
        self._at(when, _nothing)
        self.let_others(lambda: self.now >= when)

    def wait_for_server(self, host: Host) -> None:
        """Go on when the server can be reached."""
        if host in self._unreachable:
            self.let_others(lambda: host not in self._unreachable)

    def reap(self, process: Process) -> None:
        """A process has been killed: what it was about to do is not done."""
        for task in [each for each in self._tasks if each.process is process]:
            # One that was thrown away may have taken another with it.
            if task._worker is not getcurrent() and task in self._tasks:
                self._tasks.remove(task)
                before = running.process
                task.throw_away()
                running.process = before

    # --- the run

    def run(self) -> None:
        """Until all is over. Raises BrokenError."""
        over_at = None
        for _ in range(_MOST_TURNS):
            turns = self._turns()
            if turns and self.chance(0.98):
                self._take_one(turns)
            else:
                wake = self._next_time()
                if wake <= self.now + _DELAY or not turns:
                    self.now = wake
                else:
                    self._take_one(turns)
            self._keep_time()
            if not self._is_ending and self.now > 100.2 + _BEGINNING:
                self._begin_to_end()
            if self._is_ending and not self.guests and not self._agenda:
                over_at = over_at or self.now + _AFTERWARDS
                if self.now > over_at:
                    self._check_the_end()
                    return
        raise BrokenError(f"it does not end: {[str(each) for each in self.guests]}")

    def _take_one(self, turns: list[Callable[[], object]]) -> None:
        turn = self.random.choice(turns)
        if self._keeping:
            chance = self._narrow.random()
            if chance < _CHANGE:
                self._kept = self._narrow.random()
            elif chance < self._keeping:
                turn = turns[int(self._kept * len(turns))]
        turn()
        self.now += self.random.random() * 0.001
        self._check()

    def _begin_to_end(self) -> None:
        """From now on nothing goes wrong."""
        self._is_ending = True
        self._keeping = 0.0

    def _turns(self) -> list[Callable[[], object]]:
        """What can happen now."""
        turns: list[Callable[[], object]] = []
        busy = set()
        for task in self._tasks:
            if task.is_main:
                busy.add(task.process)
            host = task.process.host
            if host.is_running and task.until():
                turns.append(partial(self._go_on, task))
        for host in self.hosts:
            if host.process is None:
                if host.starts_at <= self.now and self.now >= host.frozen_until:
                    turns.append(host.start_daemon)
            elif host.is_running and host.process not in busy and host.loop is not None:
                turns += [partial(self._turn_of, host, each) for each in host.loop.ready()]
            manager = host.manager
            if manager.unread and self.now >= max(manager.frozen_until, host.frozen_until):
                turns.append(manager.read)
        for guest in self.guests:
            if isinstance(guest, Guest) and self.now >= guest.host.frozen_until:
                if guest.dies_at <= self.now and not guest.has_ended:
                    turns.append(guest.end)
                if guest.can_go_on:
                    turns.append(guest.go_on)
        return turns

    def _turn_of(self, host: Host, what: Callable[[], object]) -> None:
        loop = host.loop
        assert loop is not None

        def turn() -> None:
            try:
                what()
            except Exception as error:
                if loop.on_error is None or not self._has_errors:
                    raise
                loop.on_error(error)
            loop.afterwards()
            self._look_at_state(host)

        task = Task(loop.process, turn, is_main=True)
        self._tasks.append(task)
        self._go_on(task)

    def _look_at_state(self, host: Host) -> None:
        """Whether the next process could take over now, also after the journal is rewritten."""
        self._looks += 1
        if host.daemon is None or not (host.has_parted or self._looks % _EVERY == 0):
            return
        if host.process is None or host.process.is_over:
            return  # it is killed just now, in a thread that had its turn
        found = journals(host.daemon)
        if found != host.looked_at:
            host.looked_at = found
            what = difference(*found)
            if what:
                self.broken = f"a new journal of {host.name} would not be as the old one: {what}"
        for resource in host.daemon.engine.table.open_resources():
            if not isinstance(host.process.fds.get(resource.lock.fd), LockFile):
                self.broken = f"the descriptor of {resource.path} on {host.name} is another one's"

    def _go_on(self, task: Task) -> None:
        if not task.go_on():
            return
        if task in self._tasks:
            self._tasks.remove(task)
        host = task.process.host
        if task.error is not None:
            if not self._has_errors:
                raise BrokenError(f"{host.name}: {task.error!r}") from task.error
            self.note(f"{host.name} ends: {task.error!r}")
            host.end_daemon()
        elif task.is_replaced:
            host.exec_daemon()
        elif task.is_main and host.loop is not None and host.loop.is_stopped:
            self.note(f"{host.name} ends")
            host.end_daemon()

    def _next_time(self) -> float:
        times = [self._agenda[0][0]] if self._agenda else []
        for host in self.hosts:
            if host.loop is not None and host.is_running:
                times.append(host.loop.next_timer)
            if host.process is None:
                times.append(host.starts_at)
            times.append(host.manager.kills_at)
        for guest in self.guests:
            if isinstance(guest, Guest):
                if isinstance(guest.waits, float):
                    times.append(guest.waits)
                if not guest.has_ended:
                    times.append(guest.dies_at)
        return min((each for each in times if each > self.now), default=float("inf"))

    def _keep_time(self) -> None:
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()
            self._check()
        for host in self.hosts:
            manager = host.manager
            if manager.kills_at <= self.now >= max(manager.frozen_until, host.frozen_until):
                manager.watch(0)
                if host.process is not None and host.may_be_killed:
                    self.note(f"{host.name} gives no sign of life, and is killed")
                    host.end_daemon()
        for guest in [*self.guests]:
            if isinstance(guest, Guest):
                if guest.has_ended and guest.waits is None:
                    self.guests.remove(guest)
            elif guest.is_over:
                self.guests.remove(guest)

    def throw_away(self) -> None:
        """End what is left of it."""
        for host in self.hosts:
            if host.process is not None and not host.process.is_over:
                host.process.is_over = True
        for task in [*self._tasks]:
            task.process.is_over = True
            task.throw_away()

    # --- what has to be so

    def _check(self) -> None:
        if self.broken:
            raise BrokenError(self.broken)
        for disk in self.disks:
            writers = [each for each in self.guests if each.writes(disk)]
            if len(writers) > 1:
                for each in writers:
                    if not (isinstance(each, Guest) and each.disks[disk]):
                        names = " and ".join(map(str, writers))
                        raise BrokenError(f"{names} write {disk}")
            for each in writers:
                self._check_lock(each, disk)

    def _check_lock(self, guest: Guest | Virtlockd, disk: str) -> None:
        inode = self._files.names.get(disk)
        shared = isinstance(guest, Guest) and guest.disks[disk]
        for file, is_shared in inode.locks.items() if inode is not None else ():
            if file.view.host == guest.host.name and is_shared == shared:
                return
        raise BrokenError(f"{guest} writes {disk}, and has no lock of it")

    def _check_the_end(self) -> None:
        for inode in self._files.inodes:
            for file in inode.locks:
                raise BrokenError(f"{file.view.host} still has a lock of {file.path}")
        for host in self.hosts:
            if host.daemon is None or host.process is None:
                raise BrokenError(f"{host.name} has no daemon")
            left = [
                type(each).__name__
                for each in host.process.fds.values()
                if isinstance(each, (LockFile, Stream, ProcessFd))
            ]
            if left:
                raise BrokenError(f"{host.name} has descriptors left: {left}")
            if not host.daemon.engine.table.is_empty:
                raise BrokenError(f"{host.name} still knows of locks")


def _outermost(one: greenlet) -> greenlet:
    """The one that lets all others go on."""
    while one.parent is not None:
        one = one.parent
    return one


def _at_once() -> bool:
    return True


def _nothing(*_: object) -> None:
    """It is time to look."""
