"""What the tests of the audit share: made-up fleets, read and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.made_up_fleet import NOW, text_of
from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.policy.policy import policy_from
from lockcfg.fleet.snapshots.format import SnapshotError
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult
    from lockcfg.fleet.policy.policy import Policy


def store_of(hosts: Mapping[str, dict[str, Any]]) -> Store:
    """A store of a made-up fleet, each snapshot in a file that is called after its host."""
    store = Store.create()
    surveyor = Ingester(store)
    problems = []
    for name, changes in hosts.items():
        try:
            surveyor.snapshot(f"snapshots/{name}.json", text_of(name, changes or {}).encode())
        except SnapshotError as error:
            problems.append((f"snapshots/{name}.json", error.host, error.message))
    surveyor.read([])
    store.insert("problem", problems)
    store.finish()
    return store


def fleet_of(
    hosts: Mapping[str, dict[str, Any]], policy: Policy | None = None, now: int = NOW
) -> Fleet:
    """A made-up fleet as the rules see it."""
    return read_fleet(store_of(hosts), now=now, policy=policy)


def audited(
    hosts: Mapping[str, dict[str, Any]],
    policy: Mapping[str, Any] | None = None,
    now: int = NOW,
) -> AuditResult:
    """The audit of a made-up fleet, with a policy as YAML says it."""
    parsed = None if policy is None else policy_from(policy, "fleet.yaml")
    return audit_of(fleet_of(hosts, parsed, now))


def findings_of(result: AuditResult, code: str) -> list[AuditFinding]:
    """The findings of one rule."""
    return [finding for finding in result.findings if finding.code == code]


def write_fleet(directory: Path, hosts: Mapping[str, dict[str, Any]]) -> Path:
    """Write the snapshots of a made-up fleet into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, changes in hosts.items():
        (directory / f"{name}.json").write_text(text_of(name, changes))
    return directory
