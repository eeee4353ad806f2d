"""Lock daemons on two hosts that share a kernel NFS export with the default caches.

All of it is done in one virtual machine, which is booted once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.shared.contest import Contest
from tests.real.shared.machine import Machine
from tests.real.shared.nfs import MOUNTS

if TYPE_CHECKING:
    from typing import Any

#: Where the unpacked packages stay from one run to the next.
_UNPACKED = Path(__file__).parents[3] / ".vm"

#: How long the contests last, in seconds: of two engines, and of those with virtlockd in it.
_SHORT = (10, 0)
_LONG = (60, 20)

Rounds = dict[str, "Any"]


@pytest.fixture(scope="module")
def report(
    request: pytest.FixtureRequest, hammer: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Rounds]:
    """What came of all rounds, by version of NFS."""
    seconds = _LONG if request.config.getoption("exhaustive") else _SHORT
    said = Machine(_UNPACKED).run(
        tmp_path_factory.mktemp("machine"),
        *(sys.executable, "-m", "tests.real.shared.in_machine", hammer, *map(str, seconds)),
        timeout=600,
    )
    result: dict[str, Rounds] = json.loads(said)
    return result


@pytest.fixture(params=MOUNTS)
def rounds(request: pytest.FixtureRequest, report: dict[str, Rounds]) -> Rounds:
    """What came of the rounds on one version of NFS."""
    return report[request.param]


def test_two_engines_never_own_it_at_once(rounds: Rounds) -> None:
    """No double owner, no error, and nobody starves."""
    contest = Contest.from_record(rounds["ours"])
    print(contest)
    assert contest.grants > 50, contest
    assert contest.double_owners == 0, contest
    assert not contest.one.errors + contest.two.errors, contest
    assert contest.smaller_share > 0.2, contest
    assert max(guest.longest_wait for guest in contest) < 2, contest


def test_what_one_host_lets_go_the_other_has_at_once(rounds: Rounds) -> None:
    """After it was held for longer than caches last."""
    assert rounds["hand-over"] < 2


def test_a_lock_outlives_the_engine_where_its_descriptor_is_kept(rounds: Rounds) -> None:
    """The other host is kept out until somebody unlocks the descriptor, in whatever process."""
    assert rounds["kept"] == ["kept", "held held", "unlocked", "free free"]


def test_the_engine_makes_virtlockd_no_worse(rounds: Rounds) -> None:
    """virtlockd against itself is the measure. Only the long run holds these contests."""
    if "mixed" not in rounds:
        return
    theirs = Contest.from_record(rounds["virtlockd"])
    mixed = Contest.from_record(rounds["mixed"])
    print(f"virtlockd and virtlockd: {theirs}\nmixed: {mixed}")
    assert mixed.double_owners / mixed.grants <= theirs.double_owners / theirs.grants
    assert mixed.smaller_share > 0
