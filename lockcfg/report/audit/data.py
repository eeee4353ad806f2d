"""Gives the audit and the plan of snapshots as data, to programs that import lockcfg."""

from __future__ import annotations

import time

from lockcfg.errors import LockcfgError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.policy.policy import Policy
    from lockcfg.fleet.store.store import Store


def audit_data(
    paths: Sequence[str],
    *,
    policy: str | Mapping[str, Any] | None = None,
    now: int | None = None,
    max_age_hours: float | None = None,
) -> dict[str, Any]:
    """What ``lockcfg audit --json`` prints about the snapshots at ``paths``.

    ``policy`` is the path of a policy, or the content of one. Ages count from ``now``, in seconds
    since the epoch; ``max_age_hours`` is how old facts may be. The member ``missing`` lists the
    hosts that the policy names and that have no snapshot. Raises :class:`LockcfgError` if no host
    has a snapshot and none is missing, and :class:`UsageError`.
    """
    from lockcfg.fleet.audit import audit_of
    from lockcfg.report.audit.json_ import members_of
    from lockcfg.version import VERSION

    with _opened(paths) as store:
        fleet = _fleet(store, paths, _policy(policy), now, max_age_hours)
        found = members_of(audit_of(fleet, version=VERSION))
    return {**found, "missing": list(fleet.missing)}


def plan_data(
    paths: Sequence[str],
    *,
    policy: str | Mapping[str, Any],
    now: int | None = None,
    max_age_hours: float | None = None,
) -> dict[str, Any]:
    """What ``lockcfg plan --json`` prints about the snapshots at ``paths``; see
    :func:`audit_data`."""
    from lockcfg.fleet.forecast import plan_of
    from lockcfg.report.audit.plan import LeftOut, members_of

    with _opened(paths) as store:
        fleet = _fleet(store, paths, _policy(policy), now, max_age_hours)
        plan = plan_of(fleet, store)
    left_out = LeftOut(fleet.missing, sorted({*fleet.old, *fleet.ahead}), fleet.problems)
    return members_of(plan, left_out)


def _opened(paths: Sequence[str]) -> AbstractContextManager[Store]:
    from lockcfg.fleet.snapshots.sources import check_paths
    from lockcfg.fleet.store.opening import opened

    check_paths(paths)
    return opened(paths)


def _policy(policy: str | Mapping[str, Any] | None) -> Policy | None:
    from lockcfg.fleet.policy.policy import load_policy, policy_from

    if policy is None:
        return None
    if isinstance(policy, str):
        return load_policy(policy)
    return policy_from(dict(policy), "the policy")


def _fleet(
    store: Store,
    paths: Sequence[str],
    policy: Policy | None,
    now: int | None,
    max_age_hours: float | None,
) -> Fleet:
    from lockcfg.fleet.audit import read_fleet

    fleet = read_fleet(
        store,
        now=int(time.time()) if now is None else now,
        policy=policy,
        max_age=None if max_age_hours is None else round(max_age_hours * 3600),
    )
    if not (fleet.cells or fleet.problems or fleet.missing):
        raise LockcfgError(f"{', '.join(paths)}: there is no snapshot of any host")
    return fleet
