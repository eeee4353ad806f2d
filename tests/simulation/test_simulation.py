"""Nothing breaks in as many schedules as are asked for, and what is put in to break is found."""

from __future__ import annotations

import errno
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lockd.locks.health import Question
from tests.simulation.bugs import BUGS, Bug, found
from tests.simulation.cluster import BrokenError, Cluster, Plan
from tests.simulation.files import failure
from tests.simulation.guests import Guest
from tests.simulation.host import simulated
from tests.simulation.kernel import running
from tests.simulation.run import first_failure, shrunk, told

if TYPE_CHECKING:
    from typing import TypeVar

    from lockd.rpc.session import Session
    from tests.simulation.files import View
    from tests.simulation.host import Host
    from tests.simulation.kernel import Process

    AnyCluster = TypeVar("AnyCluster", bound=Cluster)

#: Into how many parts the schedules are cut, each a test.
PARTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_breaks(pytestconfig: pytest.Config, part: int) -> None:
    """Neither two guests that write one disk, nor a lock that is lost or left."""
    schedules = pytestconfig.getoption("--schedules") // PARTS
    first = pytestconfig.getoption("--seed") * 1_000_000 + part * schedules
    failure = first_failure(range(first, first + schedules))
    assert failure is None, told(shrunk(failure))


@pytest.mark.parametrize("bug", BUGS, ids=lambda each: each.what)
def test_every_bug_is_found(bug: Bug) -> None:
    """Each is in a copy of the code, and nothing else is."""
    assert found(bug, bug.seed)


@pytest.mark.parametrize("seed", [600_050, 300_950])
@pytest.mark.usefixtures("long_run")
def test_a_bug_that_needs_two_seldom_faults_is_found_in_narrow_runs(seed: int) -> None:
    """In all other runs it is found near one seed."""
    (bug,) = (each for each in BUGS if each.what.startswith("a file that could not be unlocked"))
    assert bug.seed != 1
    assert found(bug, seed, 100, may_be_narrow=True)


def played(cluster: AnyCluster) -> AnyCluster:
    """The cluster, when it has run to its end. Raises BrokenError."""
    with simulated():
        cluster.run()
    cluster.throw_away()
    return cluster


def test_a_seed_says_it_all() -> None:
    """The same seed does the same, step by step."""
    logs: list[list[str]] = [[], []]
    for log in logs:
        played(Cluster(Plan(7), log))
    assert logs[0] == logs[1]
    assert len(logs[0]) > 5


class SilentInACall(Cluster):
    """A server that a daemon cannot reach from a call on, which waits then, while a guest of it
    runs. Nothing else goes wrong."""

    has_come_to_that = False

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_step(self, process: Process, name: str) -> None:
        host = process.host
        runs = any(
            isinstance(each, Guest) and each.host is host and each.runs for each in self.guests
        )
        is_remote = host.views[0].files.kind != "local"
        # Of the calls that only a file system with a server is given time for.
        waits = name in ("open", "fcntl") and is_remote and not self.task.is_main
        if runs and waits and not self.has_come_to_that:
            self.has_come_to_that = True
            self.part(host, 2 * self.lease)

    def some_time(self) -> float:
        return self.random.choice((0.05, 0.3, 2 * self.lease))


def test_a_daemon_goes_on_while_a_call_waits() -> None:
    """It stops the guest before the lease has run out, and no watchdog takes it for one that
    hangs."""
    times = 0
    for seed in (*range(10), 148):
        log: list[str] = []
        times += played(SilentInACall(Plan(seed), log)).has_come_to_that
        assert not [line for line in log if "no sign of life" in line], seed
    assert times >= 2


class UpgradedWhileNothingIsKept(Cluster):
    """A daemon is killed, the next cannot make a queue of descriptors and is upgraded, and the one
    after that is killed. Nothing else goes wrong."""

    times = 0

    def _set_up(self) -> None:
        super()._set_up()
        self._host = self.hosts[0]
        self._fails = False
        self._at(101.4, self._kill)
        self._at(101.8, partial(self._upgrade, self._host))
        self._at(102.2, self._kill_again)

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def _kill(self) -> None:
        self._fails = True
        self._host.end_daemon()

    def _upgrade(self, host: Host) -> None:
        super()._upgrade(host)
        # The exec comes some steps later, and the one that it brings keeps all again.
        self._at(self.now + 0.05, self._mend)

    def _mend(self) -> None:
        self._fails = False

    def _kill_again(self) -> None:
        held = [
            each
            for each in self.guests
            if isinstance(each, Guest) and each.host is self._host and each.runs
        ]
        self.times += bool(held)
        if self._host.process is not None:
            self._host.end_daemon()

    def on_step(self, process: Process, name: str) -> None:
        if self._fails and process.host is self._host and name == "socketpair":
            raise failure(errno.EMFILE)


def test_a_queue_gets_no_name_that_is_in_use() -> None:
    """Else the service manager drops it, and the locks do not outlive the next crash."""
    times = 0
    for seed in range(30):
        times += played(UpgradedWhileNothingIsKept(Plan(seed))).times
    assert times >= 3


class UnsureOfFiles(Cluster):
    """Every other fstat(2) fails, and what looks at locks stops at many steps."""

    def _set_up(self) -> None:
        super()._set_up()
        self._parting = 0.3  # type: ignore[misc]

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_step(self, _: Process, name: str) -> None:
        if self._faulty.random() < self._parting:
            self.let_others()
        elif name == "fstat" and not self.task.is_main and self._faulty.random() < 0.5:
            raise failure(errno.EIO)


def test_an_error_of_fstat_unlocks_nothing() -> None:
    """It tells nothing of the lock."""
    for seed in range(20):
        played(UnsureOfFiles(Plan(seed)))


class KilledWhileAGuestEnds(Cluster):
    """Guests end while the server is silent, and their daemon is killed meanwhile."""

    times = 0

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_step(self, process: Process, name: str) -> None:
        host = process.host
        if name != "pidfd_open" or self._files.kind == "local" or host in self._unreachable:
            return
        if host in self.hosts and self.now < 104:
            self.times += 1
            self.part(host, 2.0)
            for after in (0.2, 0.6):
                self._at(self.now + after, partial(self._kill, host))

    def _kill(self, host: Host) -> None:
        if host.process is not None and host.may_be_killed:
            host.end_daemon()


def test_a_guest_that_has_ended_lets_go_once() -> None:
    """Also if the daemon is killed before the server answers."""
    times = 0
    for seed in range(40):
        times += played(KilledWhileAGuestEnds(Plan(seed))).times
    assert times >= 10


class UnheardOnce(Cluster):
    """The second message to the service manager fails."""

    was_lost = False

    def _set_up(self) -> None:
        super()._set_up()
        self._messages = 0
        self._at(self.now + 0.02, self._look)
        self._at(self.now + 0.2, self._look_again)

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_step(self, process: Process, name: str) -> None:
        if name == "sendmsg" and process.host is self.hosts[0]:
            self._messages += 1
            if self._messages == 2:
                raise failure(errno.ENOBUFS)

    def _look(self) -> None:
        keeper = self.hosts[0].keeper
        self.was_lost = keeper is not None and bool(keeper.lost)

    def _look_again(self) -> None:
        keeper = self.hosts[0].keeper
        assert keeper is not None
        if keeper.lost:
            raise BrokenError(keeper.lost)


def test_what_could_not_be_kept_is_soon_kept() -> None:
    """A crash before that would lose the locks."""
    times = 0
    for seed in range(5):
        times += played(UnheardOnce(Plan(seed))).was_lost
    assert times == 5


class CutOffWithTheLock(Cluster):
    """A host is cut off when it has just taken a lock, for longer than its lease."""

    times = 0

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_answer(self, process: Process, name: str, view: View) -> None:
        host = process.host
        may_be_cut_off = host in self.hosts and host not in self._unreachable
        if name == "fcntl" and view.files.kind != "local" and may_be_cut_off and not self.times:
            self.times += 1
            self.part(host, 1.2 * self.lease)


def test_a_lock_that_was_lost_while_it_was_taken_is_granted_to_nobody() -> None:
    """What has to be done between lock and answer waits for the server, which gives the lock up
    meanwhile."""
    times = 0
    for seed in range(20):
        times += played(CutOffWithTheLock(Plan(seed))).times
    assert times >= 5


class CutOffAgain(Cluster):
    """A guest is paused as its server is away. When the server has said that the lock is held, the
    daemon is frozen, and the host cut off again, for longer than its lease."""

    times = 0

    def _set_up(self) -> None:
        super()._set_up()
        self.interval = 0.5  # type: ignore[misc]

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def _start_guest(self) -> None:
        super()._start_guest()
        for host in self.hosts:
            if self._files.kind != "local" and host not in self._unreachable and not self.times:
                self._at(self.now + 1.5, partial(self._cut_off, host))

    def _cut_off(self, host: Host) -> None:
        if host not in self._unreachable:
            self.part(host, 0.95 * self.lease)

    def answered(self, host: Host) -> None:
        """The server has said that a lock is held."""
        if host not in self._unreachable and not self.times and host.daemon and self._paused(host):
            self.times += 1
            self.part(host, 1.5 * self.lease)
            host.daemon_frozen_until = host.manager.frozen_until = self.now + 1.2 * self.lease
            self._at(host.daemon_frozen_until, host.manager.begin_to_wait)

    def _paused(self, host: Host) -> bool:
        """Whether all guests there that have a lock are paused, and there is one."""
        guests = [each for each in self.guests if isinstance(each, Guest) and each.host is host]
        paused = [each.is_stopped for each in guests if not each.has_ended]
        return any(paused) and all(paused)


def test_an_old_answer_lets_no_guest_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock was held then. It is seed 75 in which a guest would."""
    ask = Question.ask
    times = 0

    def asked(question: Question) -> None:
        ask(question)
        if question.answer == "held":
            cluster.answered(running.process.host)

    monkeypatch.setattr(Question, "ask", asked)
    for seed in range(65, 80):
        cluster = CutOffAgain(Plan(seed))
        times += played(cluster).times
    assert times


class OverError(Exception):
    """The rest does not matter."""


class EndedWhileCutOff(Cluster):
    """A daemon is asked to end, and the host is cut off while it releases the locks of guests that
    have no connection of their own. ``took`` is how long it takes to end after that, or longer."""

    took: float | None = None

    def _set_up(self) -> None:
        super()._set_up()
        self._cut_at = 0.0
        self._at(self.now + 1.5, self._end)
        self._at(self.now + 16.5, self._stop)

    def _end(self) -> None:
        host = self.hosts[0]
        if host.daemon is None:
            raise OverError
        host.daemon.services["virtlockd"]._on_gone = _nothing  # type: ignore[misc]
        for guest in self.guests:
            if isinstance(guest, Guest) and guest.host is host:
                guest.end()
        host.signal_daemon(signal.SIGTERM)

    def _stop(self) -> None:
        if self._cut_at:
            self.took = self.now - self._cut_at
        raise OverError

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_step(self, process: Process, name: str) -> None:
        host = self.hosts[0]
        is_ending = process.host is host and host.daemon is not None and host.daemon._is_ending
        if is_ending and name == "fcntl" and self._files.kind != "local" and not self._cut_at:
            self._cut_at = self.now
            self.part(host, 0.9 * self.lease)

    def note(self, text: str) -> None:
        if text == f"{self.hosts[0].name} ends":
            self._stop()


def test_a_daemon_that_ends_waits_for_no_server() -> None:
    """For some seconds only."""
    times = []
    for seed in range(40):
        cluster = EndedWhileCutOff(Plan(seed))
        with simulated(), suppress(OverError):
            cluster.run()
        cluster.throw_away()
        if cluster.took is not None:
            times.append(cluster.took)
    assert len(times) >= 3
    assert max(times) < 5


def _nothing(_: Session) -> None:
    """It is no guest that is gone."""
