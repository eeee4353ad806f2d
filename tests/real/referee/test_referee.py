"""No two guests write one disk in turns, whatever is killed; with virtlockd they do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.lockd.engine import PROGRAM
from tests.real.referee.contest import FAULTS, contest, kill_both
from tests.real.referee.record import Write, judge, read

if TYPE_CHECKING:
    import pytest


def test_no_two_guests_write_one_disk(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Three hosts want one disk, and their daemons are killed, stopped and upgraded meanwhile."""
    exhaustive = pytestconfig.getoption("exhaustive")
    seed = pytestconfig.getoption("seed")
    outcome = contest(
        tmp_path, Path(PROGRAM), FAULTS, seed=seed, seconds=1200 if exhaustive else 20
    )
    verdict = outcome.verdict
    print(f"seed {seed}: {verdict.writes} writes, {verdict.hand_overs} hand-overs, {outcome}")
    assert verdict.interleaved == []
    assert outcome.unexpected == []
    assert verdict.hand_overs >= 3, outcome
    assert outcome.refused, outcome
    assert sum(outcome.faults.values()) >= 3, outcome


def test_with_virtlockd_they_do(tmp_path: Path) -> None:
    """The referee sees what it is for: virtlockd loses its locks when it is killed."""
    # Mostly within half a minute; a contest in which it does not come to that is begun again.
    for seed in range(1, 5):
        outcome = contest(
            tmp_path / str(seed),
            Path("/usr/sbin/virtlockd"),
            {"kill both daemons": kill_both},
            seed=seed,
            life=30.0,
            seconds=90,
            to_the_end=False,
        )
        if outcome.verdict.interleaved:
            break
    assert outcome.verdict.interleaved, outcome


def test_the_verdict() -> None:
    """A guest that writes after another has written its disk is found, and no other."""
    lines = (
        "1 a one 10.5 0 00\n2 a one 10.5 512 01\n3 b two 20.7 0 00\n"
        "4 a - 5.1 0 ff\n5 a two 20.7 0 00\n"
    )
    assert judge(read(lines.splitlines())) == (4, 1, [])
    again = Write(6, "a", "one", "10.5", 1024, "02")
    assert Write.from_line(again.line()) == again
    assert judge(read([*lines.splitlines(), again.line()])) == (5, 1, [again])
    started_again = Write(7, "a", "one", "10.6", 0, "00")
    assert judge(read([*lines.splitlines(), started_again.line()])) == (5, 2, [])
