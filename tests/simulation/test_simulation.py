"""Nothing breaks in as many schedules as are asked for, and what is put in to break is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.bugs import BUGS, Bug, found
from tests.simulation.cluster import Cluster, Plan
from tests.simulation.guests import Guest
from tests.simulation.host import simulated
from tests.simulation.run import first_failure, shrunk, told

if TYPE_CHECKING:
    from tests.simulation.kernel import Process

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


def test_a_seed_says_it_all() -> None:
    """The same seed does the same, step by step."""
    logs: list[list[str]] = [[], []]
    for log in logs:
        cluster = Cluster(Plan(7), log)
        with simulated():
            cluster.run()
        cluster.throw_away()
    assert logs[0] == logs[1]
    assert len(logs[0]) > 5


class SilentInACall(Cluster):
    """A server that a daemon cannot reach from a call on, in which it waits then, while a guest of
    it runs. Nothing else goes wrong."""

    has_come_to_that = False

    def _fault(self, *_: object) -> None:
        """Nothing else."""

    def on_step(self, process: Process, name: str) -> None:
        host = process.host
        runs = any(
            isinstance(each, Guest) and each.host is host and each.runs for each in self.guests
        )
        is_remote = host.views[0].files.kind != "local"
        waits = name in ("open", "fcntl") and is_remote and self.task.is_main
        if runs and waits and not self.has_come_to_that:
            self.has_come_to_that = True
            self.part(host, 2 * self.lease)

    def some_time(self) -> float:
        return self.random.choice((0.05, 0.3, 2 * self.lease))


def test_a_daemon_that_waits_in_a_call_is_killed_and_the_next_is_in_time() -> None:
    """It stops the guest before the lease has run out, of which it saw nothing of the beginning."""
    times = 0
    for seed in (*range(10), 148):  # of which 148 has shown that the next one was late
        cluster = SilentInACall(Plan(seed))
        with simulated():
            cluster.run()
        cluster.throw_away()
        times += cluster.has_come_to_that
    assert times >= 2
