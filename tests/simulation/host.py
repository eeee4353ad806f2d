"""A host: the daemon, the service manager that keeps its descriptors, and the processes of guests.

The parts of the daemon that wait for something are others here: its loop, its threads. So are those
that talk to programs which are not there: libvirt, and what the kernel says of mounts.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from contextlib import contextmanager
from functools import partial
from itertools import count
from select import EPOLLHUP
from typing import TYPE_CHECKING, Any

import lockd.daemon.daemon as daemon_module
from lockcfg import Mount
from lockd.daemon.daemon import Daemon
from lockd.daemon.handback import Virtlockd
from lockd.daemon.settings import DaemonSettings
from lockd.kernel import freezer, process, reserve, statx
from lockd.kernel.loop import Timer
from lockd.locks import failures, remote
from lockd.locks.holders import Holders
from lockd.log import ERROR, Logging
from lockd.survival import handover, queues
from lockd.survival import journal as journal_module
from lockd.survival.keeper import Keeper
from lockd.survival.kept import LISTENING
from lockd.wire.dialect import dialect_of
from tests.simulation import kernel
from tests.simulation.files import View
from tests.simulation.kernel import (
    Directory,
    Listening,
    Process,
    Thing,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from lockd.events import Event
    from tests.simulation.cluster import Cluster, Task
    from tests.simulation.files import Files, Kind

#: After how many seconds of silence a server gives the locks of a host up. GlusterFS does not tell.
LEASES: Final[dict[Kind, float]] = {"local": 0.0, "nfs": 20.0, "gluster": 42.0}

#: What is done with a guest whose lock is lost.
SETTINGS: Final = DaemonSettings(
    max_clients=50,
    admin_max_clients=5,
    log_level=ERROR,
    log_filters="",
    log_outputs="",
    lockspaces=("/locks",),
    on_lockfailure="pause",
)

#: How many messages a service manager that is frozen can be sent.
_MOST_UNREAD: Final = 20

#: How long until a daemon that was killed is started again, in seconds.
_RESTART: Final = 0.1


class Loop:
    """In the place of :class:`lockd.kernel.loop.Loop`: the cluster calls what is due."""

    def __init__(self) -> None:
        self.process: Final = running.process
        self.afterwards: Callable[[], object] = _nothing
        self.on_error: Callable[[Exception], object] | None = None
        self.handlers: Final[dict[int, tuple[int, Callable[[int], object], Thing]]] = {}
        self.timers: Final[list[tuple[float, int, Timer]]] = []
        self.posted: Final[deque[Callable[[], object]]] = deque()
        self.signals: Final[dict[int, Callable[[], object]]] = {}
        self.is_stopped = False
        self._count: Final = count()
        self.process.host.loop = self

    def watch(self, fd: int, events: int, handler: Callable[[int], object]) -> None:
        self.process.step("epoll_ctl")
        self.handlers[fd] = events | EPOLLHUP, handler, self.process.thing(fd)

    def change(self, fd: int, events: int) -> None:
        _, handler, thing = self.handlers[fd]
        self.handlers[fd] = events | EPOLLHUP, handler, thing

    def unwatch(self, fd: int) -> None:
        self.handlers.pop(fd, None)

    def after(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self.timers, (self.process.host.now + seconds, next(self._count), timer))
        return timer

    def on_signal(self, number: int, callback: Callable[[], object]) -> None:
        self.signals[number] = callback

    def stop(self) -> None:
        self.is_stopped = True

    def ready(self) -> list[Callable[[], object]]:
        """What can be called now."""
        found: list[Callable[[], object]] = []
        for wanted, handler, thing in self.handlers.values():
            events = thing.events() & wanted
            if events:
                found.append(partial(handler, events))
        if self.posted:
            found.append(self._next_posted)
        if self.timers and self.timers[0][0] <= self.process.host.cluster.now:
            found.append(self._next_timer)
        return found

    def _next_posted(self) -> None:
        self.posted.popleft()()

    def _next_timer(self) -> None:
        callback = heapq.heappop(self.timers)[2].callback
        if callback is not None:
            callback()

    @property
    def next_timer(self) -> float:
        """When the next is due."""
        while self.timers and self.timers[0][2].callback is None:
            heapq.heappop(self.timers)
        return self.timers[0][0] if self.timers else float("inf")


class Aside:
    """In the place of :class:`lockd.kernel.aside.Aside`: threads that the cluster lets run."""

    def __init__(self, loop: Loop) -> None:
        self.loop: Final = loop

    def run(self, work: Callable[[], object], then: Callable[[], object]) -> str:
        loop = self.loop

        def thread() -> None:
            try:
                work()
            finally:
                loop.posted.append(then)

        loop.process.host.cluster.begin(loop.process, thread)
        return ""


class _Job:
    """Work that takes turns with the loop. ``is_parted`` tells that the loop goes on without it,
    ``reached`` on which file systems it has made calls."""

    def __init__(self, begin: Callable[[], object], end: Callable[[bool], object]) -> None:
        self.begin: Final = begin
        self.end: Final = end
        self.has_turn = False
        self.is_outside = False
        self.is_parted = False
        self.is_over = False
        self.reached: Final[set[View]] = set()
        self.error: Exception | None = None


class Turns:
    """In the place of :class:`lockd.kernel.turns.Turns`: how long a call outside takes is for the
    cluster to say, and so is whether the loop goes on meanwhile."""

    def __init__(self, aside: Aside) -> None:
        self._loop: Final = aside.loop
        self._jobs: Final[dict[Task, _Job]] = {}
        self._loop.process.turns = self

    def run(
        self,
        work: Callable[[], object],
        begin: Callable[[], object],
        end: Callable[[bool], object],
    ) -> None:
        process = self._loop.process
        job = _Job(begin, end)

        def thread() -> None:
            process.host.cluster.let_others(lambda: job.has_turn)
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is raised in the loop
                job.error = error
            job.is_over = True
            del self._jobs[task]

        task = process.host.cluster.begin(process, thread)
        self._jobs[task] = job
        self._give(job)

    def outside(self, call: Callable[[], Any]) -> Any:
        process = self._loop.process
        cluster = process.host.cluster
        job = self._jobs.get(cluster.task)
        if job is None or job.is_outside:
            return call()
        job.is_outside = True
        try:
            cluster.take_a_while()
            return call()
        finally:
            job.is_outside = False
            if not job.has_turn and not process.is_over:
                self._loop.posted.append(partial(self._give, job))
                cluster.let_others(lambda: job.has_turn)

    def _give(self, job: _Job) -> None:
        job.is_parted = False
        job.begin()
        job.has_turn = True
        self._loop.process.host.cluster.let_others(lambda: job.is_over or job.is_outside)
        job.has_turn = False
        job.is_parted = not job.is_over
        job.end(job.is_over)
        if job.error is not None:
            raise job.error

    @property
    def has_parted(self) -> bool:
        """Whether the loop has gone on without some work."""
        return any(job.is_parted for job in self._jobs.values())

    def reach(self, view: View) -> None:
        """Note a call on a file system with a server. While work is parted there, no other work and
        nothing in the loop makes one; what only asks the server may."""
        cluster = self._loop.process.host.cluster
        mine = self._jobs.get(cluster.task)
        if mine is None and not cluster.task.is_main:
            return
        if mine is not None:
            mine.reached.add(view)
        if any(
            job.is_parted and view in job.reached and job is not mine for job in self._jobs.values()
        ):
            cluster.broken = f"{self._loop.process.host.name} begins what waits for other work"


class Sharing:
    """In the place of :class:`lockd.locks.sharing.Sharing`."""

    def __init__(self) -> None:
        self.mounts: Final = running.process.add(Directory(None, "mounts"))

    def may_be_shared(self, device: int, _path: str) -> bool:
        running.process.step("mountinfo")
        return any(
            view.files.kind != "local"
            for view in running.process.host.views
            if view.files.device == device
        )

    def forget(self) -> None:
        """Nothing is mounted."""


class Libvirt:
    """In the place of :class:`lockd.daemon.libvirt.Libvirt`: no daemon listens."""

    def __init__(self, *_: object) -> None:
        """It takes the same."""

    def tell(self, uuid: str, why: str) -> None:
        """Nobody."""

    def start(self, uuid: str) -> None:
        """Nobody."""


class ServiceManager:
    """Keeps descriptors for the daemon, as systemd does. It may be frozen for a while."""

    def __init__(self, listening: dict[str, Listening], clock: Callable[[], float]) -> None:
        self.kept: Final[dict[str, Thing]] = {}
        for name, thing in listening.items():
            thing.count += 1
            self.kept[name] = thing
        self.unread: Final[deque[tuple[bytes, list[Thing]]]] = deque()
        self.frozen_until = 0.0
        #: When it kills the daemon, unless that gives a sign of life.
        self.kills_at = float("inf")
        self._patience = 0.0
        self._clock: Final = clock

    def begin_to_wait(self) -> None:
        """It was frozen itself: what the daemon has said meanwhile is unread."""
        self.watch(self._patience)

    def watch(self, patience: float) -> None:
        """Wait so long for signs of life, or no more where that is 0."""
        self._patience = patience
        self.kills_at = self._clock() + patience if patience else float("inf")

    def read(self) -> None:
        """Look at one message."""
        data, things = self.unread.popleft()
        fields = dict(line.partition(b"=")[::2] for line in data.split(b"\n"))
        name = fields.get(b"FDNAME", b"").decode()
        if b"FDSTORE" in fields and name not in self.kept:
            self.kept[name] = things.pop()
        elif b"FDSTOREREMOVE" in fields and name in self.kept:
            things.append(self.kept.pop(name))
        if b"WATCHDOG_USEC" in fields:
            self.watch(int(fields[b"WATCHDOG_USEC"]) / 1e6)
        elif b"WATCHDOG" in fields:
            self.watch(self._patience)
        for thing in things:
            thing.let_go()


class Host:
    """``processes`` are those of guests, by pid. ``clock_offset`` is by how much its clock is
    wrong."""

    def __init__(self, name: str, cluster: Cluster, files: list[Files]) -> None:
        self.name: Final = name
        self.cluster: Final = cluster
        self.views: Final = [View(each, name) for each in files]
        self.processes: Final[dict[int, Any]] = {}
        self.clock_offset = 0.0
        self.frozen_until = 0.0
        self.daemon_frozen_until = 0.0
        self.listening: Final = Listening()
        self.manager: Final = ServiceManager(
            {
                LISTENING["virtlockd"]: self.listening,
                LISTENING["admin"]: Listening(),
            },
            lambda: self.now,
        )
        self.process: Process | None = None
        self.loop: Loop | None = None
        self.daemon: Daemon | None = None
        self.keeper: Keeper | None = None
        #: Its journal and a new one, as they were when they were compared last.
        self.looked_at: tuple[bytes, bytes] | None = None
        self.starts_at = 0.0
        self._pids: Final = count(100)

    # --- what the kernel needs of it

    @property
    def now(self) -> float:
        """The time since it was switched on."""
        return self.cluster.now

    @property
    def wall_clock(self) -> float:
        """The time of day."""
        return 1e9 + self.cluster.now + self.clock_offset

    def view_of(self, path: str) -> View | None:
        """The file system that a path is on."""
        for view in self.views:
            if path.startswith(view.files.point):
                return view
        return None

    def wait_for_server(self) -> None:
        """Wait until the server answers."""
        self.cluster.wait_for_server(self)

    def room_for(self, count: int) -> int:
        """How many bytes a connection takes now."""
        return self.cluster.room_for(count)

    def tell_manager(self, data: bytes, things: list[Thing]) -> None:
        """Send the service manager something. Raises OSError."""
        if len(self.manager.unread) >= _MOST_UNREAD:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        for thing in things:
            thing.count += 1
        self.manager.unread.append((data, things))

    def spawn(self) -> int:
        """A process that has done its work at once."""
        pid = next(self._pids)
        self.processes[pid] = _Done()
        return pid

    # --- the daemon

    def start_daemon(self) -> None:
        """Start it, as the service manager does."""
        while self.manager.unread:
            self.manager.read()  # what was sent before the end
        self.manager.watch(0)
        new = Process(self, next(self._pids), self.cluster.on_step)
        names = [*self.manager.kept]
        for name in names:
            new.add(self.manager.kept[name])
        new.environment = {
            "LISTEN_PID": str(new.pid),
            "LISTEN_FDS": str(len(names)),
            "LISTEN_FDNAMES": ":".join(names),
            "NOTIFY_SOCKET": "/notify",
        }
        self._run(new)

    def exec_daemon(self) -> None:
        """The process has become another program, or the same one once more."""
        old = self.process
        assert old is not None
        new = Process(self, old.pid, self.cluster.on_step)
        new.fds, new.kept_open, new.environment = old.fds, old.kept_open, old.environment
        old.fds, old.is_over = {}, True
        self._run(new)

    def _run(self, new: Process) -> None:
        self.process, self.daemon, self.loop = new, None, None
        self.cluster.begin_main(new, self._main)

    def _main(self) -> None:
        """What :func:`lockd.daemon.serving.serve` does."""
        logging = _Log(self)
        log = logging.part("locking.lock_daemon")
        inheritance = handover.receive(running.process.environment)
        keeper = Keeper(
            running.process.environment.get("NOTIFY_SOCKET", ""),
            log,
            inheritance.kept(),
            inheritance.queues,
            after_crash=not inheritance.in_place,
        )
        self.keeper = keeper
        daemon = Daemon(
            SETTINGS,
            inheritance,
            keeper,
            logging,
            Holders(self.name, []),
            dialect_of((9, 0, 0)),
            timeout=0,
            interval=self.cluster.interval,
            command=["lockd"],
            virtlockd=Virtlockd("/virtlockd", [], was_here=False, next=""),
        )
        listening = {
            service: inheritance.fds.pop(name)
            for service, name in LISTENING.items()
            if name in inheritance.fds
        }
        daemon.start(listening)
        self.daemon = daemon

    def end_daemon(self) -> None:
        """It is killed, or ends; the service manager starts another one soon."""
        process = self.process
        if process is not None and not process.is_over:
            process.end()
            self.cluster.reap(process)
        self.process, self.daemon, self.loop = None, None, None
        self.daemon_frozen_until = 0.0
        self.starts_at = self.now + _RESTART

    def signal_daemon(self, number: int) -> None:
        """Send the daemon a signal."""
        if self.loop is not None and number in self.loop.signals:
            self.loop.posted.append(self.loop.signals[number])

    @property
    def may_be_killed(self) -> bool:
        """Whether it has not said that its locks would not outlive that."""
        return self.keeper is None or not self.keeper.lost

    @property
    def has_parted(self) -> bool:
        """Whether the loop of its daemon has gone on without some work."""
        turns = None if self.process is None else self.process.turns
        return turns is not None and turns.has_parted

    @property
    def is_running(self) -> bool:
        """Whether the host and its daemon get to do something."""
        now = self.cluster.now
        return now >= self.frozen_until and now >= self.daemon_frozen_until


class _Reserve:
    """The descriptors that each process has set aside (:mod:`lockd.kernel.reserve`)."""

    def __len__(self) -> int:
        return len(running.process.reserve)

    def append(self, fd: int) -> None:
        running.process.reserve.append(fd)

    def pop(self) -> int:
        return running.process.reserve.pop()


class _Log(Logging):
    """The log of a host is part of what has happened."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host: Final = host

    def write(self, level: int, part: str, message: str, event: Event | None = None) -> None:  # noqa: ARG002
        self._host.cluster.note(f"{self._host.name} says: {message}")


class _Done:
    """A process that has ended."""

    has_ended = True
    started = 0

    def on_signal(self, _: int) -> None:
        """It has ended."""


def _nothing(*_: object) -> None:
    """Ignore the call."""


# --- instead of the real system


def _read_mounts() -> list[Mount]:
    types = {"nfs": "nfs4", "gluster": "fuse.glusterfs"}
    return [
        Mount(view.files.point, types[view.files.kind], "server:/", frozenset())
        for view in running.process.host.views
        if view.files.kind != "local"
    ]


def _leases() -> dict[str, float]:
    return {view.files.point: LEASES[view.files.kind] for view in running.process.host.views}


@contextmanager
def simulated() -> Iterator[None]:
    """Have the modules of lockd call the simulated system."""
    replaced: list[tuple[Any, str, Any]] = []

    def replace(module: Any, name: str, value: Any) -> None:
        replaced.append((module, name, vars(module)[name]))
        setattr(module, name, value)

    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == "lockd" and not name.startswith(("lockd.log", "lockd.events")):
            for each, simulated_module in kernel.MODULES.items():
                if vars(module).get(each) is kernel.REAL[each]:
                    replace(module, each, simulated_module)
    replace(process, "has_ended", kernel.has_ended)
    replace(statx, "_links", kernel.links)
    replace(freezer, "group_of", lambda _: freezer.BY_SIGNAL)
    replace(freezer, "is_stopped", lambda *_: True)
    replace(remote, "read_mounts", _read_mounts)
    replace(failures, "_leases", _leases)
    replace(daemon_module, "Loop", Loop)
    replace(daemon_module, "Aside", Aside)
    replace(daemon_module, "Turns", Turns)
    replace(daemon_module, "Sharing", Sharing)
    replace(daemon_module, "Libvirt", Libvirt)
    replace(daemon_module, "lacks", lambda _: [])
    # The journal is rewritten soon, and in many parts.
    replace(journal_module, "_GROWTH", 3000)
    replace(journal_module, "_AT_ONCE", 1)
    # A queue of descriptors is filled in many parts.
    replace(queues, "_BATCH", 2)
    # There are no threads here but those that the cluster lets run.
    replace(queues, "apart", lambda work: work())
    replace(reserve, "_aside", _Reserve())
    replace(reserve, "SIZE", 3)
    journal = journal_module.Journal
    for name in ("append", "serve", "answer"):
        replaced.append((journal, name, vars(journal)[name]))
        setattr(journal, name, _stepped(vars(journal)[name], name))
    try:
        yield
    finally:
        for owner, name, value in reversed(replaced):
            setattr(owner, name, value)


def _stepped(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method of the journal as a step: the process may be killed before it."""

    def step(*arguments: Any) -> Any:
        running.process.step(f"journal.{name}")
        return method(*arguments)

    return step
