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

#: How long the contests last, in seconds: of two engines, and of those with virtlockd in them; and
#: the versions that the latter are held on. On version 3 virtlockd fails soonest.
_SHORT = (10, 5, ("3",))
_LONG = (60, 20, tuple(MOUNTS))

Rounds = dict[str, "Any"]


def _length(config: pytest.Config) -> tuple[int, int, tuple[str, ...]]:
    return _LONG if config.getoption("exhaustive") else _SHORT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests ask for the versions that there are contests with virtlockd on."""
    if "mixed_version" in metafunc.fixturenames:
        metafunc.parametrize("mixed_version", _length(metafunc.config)[2])


@pytest.fixture(scope="module")
def report(
    request: pytest.FixtureRequest, hammer: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Rounds]:
    """What came of all rounds, by version of NFS."""
    seconds, mixed_seconds, mixed_versions = _length(request.config)
    said = Machine(_UNPACKED).run(
        tmp_path_factory.mktemp("machine"),
        *(sys.executable, "-m", "tests.real.shared.in_machine", hammer),
        *(str(seconds), str(mixed_seconds), *mixed_versions),
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


def test_the_engine_makes_virtlockd_no_worse(report: dict[str, Rounds], mixed_version: str) -> None:
    """virtlockd against itself is the measure, in the same run."""
    theirs = Contest.from_record(report[mixed_version]["virtlockd"])
    mixed = Contest.from_record(report[mixed_version]["mixed"])
    print(f"virtlockd and virtlockd: {theirs}\nmixed: {mixed}")
    assert mixed.double_owners / mixed.grants <= theirs.double_owners / theirs.grants
    assert mixed.smaller_share > 0
