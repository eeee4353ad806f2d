"""Nothing breaks in as many schedules as are asked for, and what is put in to break is found."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS, Bug, found
from tests.simulation.run import first_failure, shrunk, told

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
    assert found(bug, 1)


def test_a_seed_says_it_all() -> None:
    """The same seed does the same, step by step."""
    from tests.simulation.cluster import Cluster, Plan
    from tests.simulation.host import simulated

    logs: list[list[str]] = [[], []]
    for log in logs:
        cluster = Cluster(Plan(7), log)
        with simulated():
            cluster.run()
        cluster.throw_away()
    assert logs[0] == logs[1]
    assert len(logs[0]) > 5
