"""A fleet store that is kept up to date with a spool: what has changed is taken in, and audited.

:class:`Keeper` puts the parts together, and does one round at a time. Its cost grows with what has
changed, except for what an audit does once for each host.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

from lockcfg.errors import ReadError
from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.comparison.memory import Memory
from lockcfg.fleet.comparison.since import base_of, since_of
from lockcfg.fleet.comparison.told import changes_of
from lockcfg.fleet.snapshots.sources import Source
from lockcfg.fleet.snapshots.spool import MOST_FILES, Spool
from lockcfg.fleet.store.history import History, HistoryChange
from lockcfg.fleet.store.ingest import ingest_sources
from lockcfg.fleet.store.live import LiveStore
from lockcfg.fleet.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from lockcfg.fleet.comparison.result import AuditResult
    from lockcfg.fleet.policy.policy import Policy
    from lockcfg.fleet.store.live import Told

#: How many points are on the page.
TREND: Final = 200


class Keeper:
    """The store at ``path``, kept up to date with the spool at ``top``."""

    def __init__(
        self,
        top: str,
        path: str,
        *,
        version: str,
        policy: Policy | None = None,
        max_age: int | None = None,
        keep_days: int,
    ) -> None:
        self._spool = Spool(top)
        self._store = LiveStore.open_to_write(path)
        self._history = History(self._store)
        self._version = version
        self._policy = policy
        self._max_age = max_age
        self._keep_days = keep_days
        self._memory = Memory()
        self._stamps = self._store.stamps()
        self._base: Mapping[str, Any] | None = None
        last = self._history.points(1)
        if last:
            self._base = self._history.report(last[0].id)

    def round(
        self, now: int, *, at_least: bool, ending: Callable[[], bool] = lambda: False
    ) -> AuditResult | None:
        """Look at the spool, take in what has changed, and audit the fleet. None if nothing
        has changed and no audit is wanted ``at_least``, or where the work is ``ending``.

        Who reads the store finds the changed hosts and the new verdict in it together. Raises
        :class:`ReadError`."""
        there = self._spool.look()
        changed = [name for name, each in there.items() if self._stamps.get(name) != each.stamp]
        gone = self._stamps.keys() - there.keys()
        if not (changed or gone or at_least):
            return None
        if not (changed or gone):
            with self._store.changing():
                return self._audit(now, {})
        stamps = {name: there[name].stamp for name in changed}
        with TemporaryDirectory(prefix="lockcfg-") as directory:
            path = os.path.join(directory, "part")
            part = Store.create(path)
            ingest_sources([Source("spooled", there[name].path) for name in changed], part)
            part.close()
            if ending():
                return None
            # In one piece: no reader finds half of a fleet.
            with self._store.changing(path):
                result = self._audit(now, self._store.take_in(stamps, gone))
        self._stamps.update(stamps)
        for name in gone:
            del self._stamps[name]
        return result

    @property
    def store(self) -> LiveStore:
        """The store."""
        return self._store

    def close(self) -> None:
        """Give the store up."""
        self._store.close()

    def _audit(self, now: int, told: Mapping[str, tuple[Told | None, Told | None]]) -> AuditResult:
        fleet = read_fleet(
            self._store,
            now=now,
            policy=self._policy,
            max_age=self._max_age,
            memory=self._memory,
        )
        if self._spool.full:
            raise ReadError(
                self._spool.top,
                f"has more than {MOST_FILES} snapshots",
                help="keep several spools, and audit their stores together",
            )
        result = audit_of(fleet, version=self._version)
        changes: list[HistoryChange] = []
        if self._base is not None:
            since = since_of(self._base, result)
            for kind, of_kind in (("worse", since.worse), ("better", since.better)):
                changes += (
                    HistoryChange(kind, each.severity, each.text, each.hosts, len(each.hosts))
                    for each in of_kind
                )
            for kind, hosts in (("come", since.come), ("gone", since.gone)):
                if hosts:
                    changes.append(HistoryChange(kind, "info", "", hosts, len(hosts)))
        changes += _of_hosts(told)
        base = base_of(result)
        verdict = result.verdict
        self._history.note(
            {
                "time": now,
                "level": verdict.level,
                "text": verdict.text,
                "policy": result.policy,
                "hosts": len(result.hosts),
                "unknown": len(result.unknown),
                "errors": sum(each.severity == "error" for each in result.counted),
                "warnings": sum(each.severity == "warning" for each in result.counted),
                "disks": len(result.disks),
                "unsafe": sum(disk.safe == "no" for disk in result.disks),
            },
            changes,
            base,
        )
        self._history.prune(now, self._keep_days)
        self._base = base
        return result.replace(trend=self._history.points(TREND))


def _of_hosts(told: Mapping[str, tuple[Told | None, Told | None]]) -> list[HistoryChange]:
    """What hosts tell that they did not tell before: what several tell alike is one change."""
    found: dict[str, list[str]] = {}
    known: dict[tuple[str, str, str, str], list[str]] = {}
    for name, (old, new) in told.items():
        if old is None or new is None:
            continue
        key = (old.facts, old.circumstances, new.facts, new.circumstances)
        if key not in known:
            known[key] = changes_of(key[:2], key[2:])
        for text in known[key]:
            found.setdefault(text, []).append(name)
    return [
        HistoryChange("changed", "info", text, tuple(hosts), len(hosts))
        for text, hosts in found.items()
    ]
