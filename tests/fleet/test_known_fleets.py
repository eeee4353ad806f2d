"""Fleets of which the truth is known: nothing is safe that is not, nor unsafe that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.policy.policy import policy_from
from lockcfg.fleet.snapshots.collector import render
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from tests.fleet.known_fleets import FLEETS, NOW

if TYPE_CHECKING:
    from lockcfg.fleet.comparison.result import AuditResult


def audited(name: str) -> AuditResult:
    """What is said of a fleet."""
    known = FLEETS[name]
    store = Store.create()
    ingester = Ingester(store)
    for snapshot in known.hosts:
        ingester.snapshot(f"{snapshot['host']['name']}.json", render(snapshot).encode())
    ingester.read([])
    store.finish()
    policy = policy_from(known.policy, "fleet.yaml") if known.policy else None
    return audit_of(read_fleet(store, now=NOW, policy=policy))


@pytest.mark.parametrize("name", FLEETS)
def test_the_verdict_is_the_truth(name: str) -> None:
    """Or "unknown" where the hosts do not tell enough, which is written down beside it."""
    known, result = FLEETS[name], audited(name)
    said = [(finding.code, finding.severity, finding.message) for finding in result.findings]
    assert result.verdict.level == (known.said or known.truth), said
    assert known.said in ("", "unknown")


def test_the_reason_says_what_is_above_a_device() -> None:
    """And not that the device is read-only, as the guests do not have it themselves."""
    result = audited("LUKS on a logical volume, and an image above that volume")
    (finding,) = [each for each in result.findings if each.severity == "error"]
    assert finding.reasons[:2] == (
        "a: c has it below a volume of LUKS, and what is below is not locked",
        "b: w has it below an image, and what is below is not locked",
    )
