"""What the model says of two hosts on NFS is what lockd and virtlockd do there, with every option
that matters to locks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.real.model import Outcome
from tests.real.shared.model_on_nfs import MOUNTS


@pytest.fixture(params=range(len(MOUNTS)), ids=[" and ".join(options) for options in MOUNTS])
def mounts(request: pytest.FixtureRequest, nfs_model: dict[str, Any]) -> dict[str, Any]:
    """What was seen on a pair of mounts."""
    seen: dict[str, Any] = nfs_model["mounts"][request.param]
    return seen


def test_the_model_is_what_two_lock_daemons_do(mounts: dict[str, Any]) -> None:
    """For every pair that was tried. Where the versions differ, or what the server is called, the
    names of the files do, and the answer may be "unknown"; but it is never wrong."""
    one, other = mounts["mounts"]
    twofold = one[:6] != other[:6] or "by=" in other
    seen: Counter[str] = Counter()
    for record in mounts["outcomes"]:
        outcome = Outcome(*record)
        seen[outcome.verdict] += 1
        assert outcome.agrees or (twofold and outcome.verdict == "unknown"), outcome
    print(seen)
    assert seen["no"] > 0
    apart = any("nolock" in each or "=all" in each or "=posix" in each for each in (one, other))
    if one.startswith("vers=3") and apart:
        assert seen["yes"] == 0
    else:
        assert seen["yes"] > 0 or (twofold and seen["unknown"] > 0)


def test_the_options_are_those_in_force(mounts: dict[str, Any]) -> None:
    """So the mounts of a host did not become one."""
    for options, in_force in zip(mounts["mounts"], mounts["options"], strict=True):
        wanted = {each for each in options.split(",") if not each.startswith("by=")}
        if options.startswith("vers=4"):
            wanted = {each for each in wanted if "lock" not in each or "lookup" in each}
        assert wanted - {"nolock"} <= set(in_force)


def test_a_lockspace_that_is_mounted_read_only(nfs_model: dict[str, Any]) -> None:
    """Neither daemon grants anything, so no guest starts."""
    ours, theirs = nfs_model["read-only"]
    for message in (ours, theirs):
        assert "Read-only file system" in message
