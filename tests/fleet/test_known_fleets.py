"""Fleets of which the truth is known: nothing is safe that is not, nor unsafe that is safe."""

from __future__ import annotations

import pytest

from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.policy.policy import policy_from
from lockcfg.fleet.snapshots.collector import render
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from tests.fleet.known_fleets import FLEETS, NOW


@pytest.mark.parametrize("name", FLEETS)
def test_the_verdict_is_the_truth(name: str) -> None:
    """Or "unknown" where the hosts do not tell enough, which is written down beside it."""
    known = FLEETS[name]
    store = Store.create()
    ingester = Ingester(store)
    for snapshot in known.hosts:
        ingester.snapshot(f"{snapshot['host']['name']}.json", render(snapshot).encode())
    ingester.read([])
    store.finish()
    policy = policy_from(known.policy, "fleet.yaml") if known.policy else None
    result = audit_of(read_fleet(store, now=NOW, policy=policy))
    said = [(finding.code, finding.severity, finding.message) for finding in result.findings]
    assert result.verdict.level == (known.said or known.truth), said
    assert known.said in ("", "unknown")
