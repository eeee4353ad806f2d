"""What the model says of two hosts is what two real lock daemons do, ours and virtlockd.

Two hosts on this machine, each with mounts of its own and a lock daemon. For generated pairs of
configurations and disks the collector is run on both; from its snapshots the model says whether
the hosts exclude each other, and the daemons are asked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lockcfg.fleet.model.locks import exclusion
from tests.real.lock_hosts import LockHost, grants_both
from tests.real.model import Side, cases, make_shared, outcomes, write_configuration
from tests.real.shared.daemons import LOCKD, VIRTLOCKD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(
    scope="module",
    params=[(VIRTLOCKD, VIRTLOCKD), (LOCKD, LOCKD), (LOCKD, VIRTLOCKD), (VIRTLOCKD, LOCKD)],
    ids=lambda pair: "-".join(program.name for program in pair),
)
def programs(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """The lock daemons of the two hosts."""
    pair: tuple[Path, Path] = request.param
    return pair


@pytest.fixture(scope="module")
def sides(
    programs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """Two hosts that share some directories and not others."""
    top = tmp_path_factory.mktemp("hosts")
    shared = top / "shared"
    make_shared(shared)
    made: list[LockHost] = []
    try:
        for name, program in zip(("one", "two"), programs, strict=True):
            (top / name / "own").mkdir(parents=True)
            mounts = {
                "/mnt/locks": shared / "locks",
                "/mnt/locks-again": shared / "locks",
                "/mnt/images": shared / "images",
                "/mnt/images-again": shared / "images",
                "/mnt/own": top / name / "own",
            }
            made.append(LockHost(top / name, mounts, (str(program),)))
            write_configuration(made[-1].etc)
        made[0].inside("touch", "/mnt/own/seen")
        assert "seen" not in made[1].inside("ls", "/mnt/own"), "the hosts are two"
        one, two = (Side(host.run, host.collect("host")) for host in made)
        yield one, two
    finally:
        for host in made:
            host.stop()


def test_the_model_is_what_two_lock_daemons_do(
    sides: tuple[Side, Side], request: pytest.FixtureRequest
) -> None:
    """For every generated pair; and pairs of both outcomes are among them."""
    seen: Counter[bool] = Counter()
    for outcome in outcomes(*sides, cases(request.config.getoption("--seed"))):
        assert outcome.agrees, outcome
        seen[outcome.granted] += 1
    assert seen[True] > 20
    assert seen[False] > 20


def test_the_model_is_what_one_lock_daemon_does(
    sides: tuple[Side, Side], programs: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    """Within one host virtlockd compares names: a link is another lock. lockd compares files, and
    refuses what the model, which knows names only, says is granted: then it is one file."""
    side, _ = sides
    seen: Counter[bool] = Counter()
    second_names = 0
    for mine, yours in cases(request.config.getoption("--seed") + 1):
        if mine.manager == yours.manager == "lockd" and mine.lockspace == yours.lockspace:
            first = side.lock(mine)
            second = side.lock(yours._replace(auto=mine.auto))
            said = exclusion(first, second, one_daemon=True)
            granted = grants_both(side.run, side.run, first, second)
            seen[granted] += 1
            if programs[0] == LOCKD and first and second and not (first.shared and second.shared):
                assert granted != first.file.same(second.file), f"{mine} and {yours}"
                second_names += not granted and said.verdict == "no"
            else:
                assert granted == (said.verdict == "no"), f"{mine} and {yours}: {said.why}"
    assert seen[True] > 5
    assert seen[False] > 5
    assert (second_names > 0) == (programs[0] == LOCKD)
