"""Runs of clusters: the first that breaks, and how little has to go wrong for that."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from tests.simulation.cluster import BrokenError, Cluster, Plan
from tests.simulation.host import simulated

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

#: How often a run is tried with less that goes wrong.
_TRIES: Final = 300

#: How much of what has happened is told, in lines.
_LINES: Final = 40


class Failure:
    """A run that breaks: why, how many faults it has, and what has happened."""

    def __init__(self, plan: Plan, why: str, faults: int, log: list[str]) -> None:
        self.plan: Final = plan
        self.why: Final = why
        self.faults: Final = faults
        self.log: Final = log


def outcome(plan: Plan) -> Failure | None:
    """Run it; None if all is as it has to be."""
    log: list[str] = []
    cluster = Cluster(plan, log)
    try:
        cluster.run()
    except BrokenError as error:
        return Failure(plan, str(error), cluster.faults, log)
    finally:
        cluster.throw_away()
    return None


def first_failure(seeds: Iterable[int], *, may_be_narrow: bool = False) -> Failure | None:
    """That of the first of some seeds that breaks."""
    gc.collect()
    gc.freeze()
    with simulated():
        for seed in seeds:
            failure = outcome(Plan(seed, may_be_narrow=may_be_narrow))
            if failure is not None:
                return failure
    return None


def shrunk(failure: Failure) -> Failure:
    """The same failure with as few faults as it takes, as far as leaving some out finds them."""
    with simulated():
        return _shrunk(failure)


def _shrunk(failure: Failure) -> Failure:
    size = failure.faults
    tries = 0
    while size and tries < _TRIES:
        for start in range(1, failure.faults + 1, size):
            more = frozenset(range(start, start + size)) - failure.plan.left_out
            tries += 1
            if not more or tries > _TRIES:
                continue
            plan = failure.plan
            found = outcome(Plan(plan.seed, plan.left_out | more, may_be_narrow=plan.may_be_narrow))
            if found is not None:
                failure = found
        size //= 2
    return failure


def told(failure: Failure) -> str:
    """A report of it."""
    left = failure.faults - len(failure.plan.left_out)
    return "\n".join(
        [
            f"seed {failure.plan.seed} breaks: {failure.why}",
            f"what has happened, with {max(left, 0)} faults:",
            *failure.log[-_LINES:],
        ]
    )
