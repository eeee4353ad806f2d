"""Faults at random, for a while; ``--exhaustive`` for an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lockd.attack import storm

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

#: How long, in seconds.
SHORT, LONG = 10, 3600


def test_faults_at_random(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Whatever was answered is so, at every moment."""
    is_long = pytestconfig.getoption("--exhaustive")
    seed = pytestconfig.getoption("--seed")
    rounds, found, said, spoilt = storm.run(tmp_path, seed, LONG if is_long else SHORT)
    print(f"seed {seed}: {rounds} rounds, {spoilt} calls of the system spoilt, {said}")
    assert not found
    assert rounds
    assert spoilt
