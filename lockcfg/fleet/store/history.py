"""The history of a fleet: the verdicts over time, and the changes of hosts.

It is kept in a live store (:mod:`lockcfg.fleet.store.live`), in three tables:

- ``point``: a time at which an audit came to something else than the one before; ``until`` is when
  it was last found so;
- ``change``: what had changed then, and of which hosts;
- ``report``: what a later audit is compared with, as compressed JSON.

It does not grow without a bound: see :meth:`History.prune`.
"""

from __future__ import annotations

import json
import zlib
from typing import NamedTuple

from lockcfg.errors import ReadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Final, Literal

    from lockcfg.fleet.store.store import Store

    #: As :class:`~lockcfg.fleet.comparison.result.Verdict` has it.
    Level = Literal["unsafe", "unknown", "safe"]

#: How many points there may be.
MOST_POINTS: Final = 10_000

#: Of how many of the newest points the report is kept; of older ones that of the last of each day.
REPORTS: Final = 48

#: How many changes of a point are kept, and how many hosts of a change are named.
MOST_CHANGES: Final = 200
MOST_HOSTS: Final = 1000

#: The largest report that is read, when it is no longer compressed.
_MAX_REPORT: Final = 1 << 30

_DAY: Final = 86_400

TABLES: Final = """
CREATE TABLE point (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, until INTEGER NOT NULL,
    level TEXT NOT NULL, text TEXT NOT NULL, policy TEXT NOT NULL, hosts INTEGER NOT NULL,
    unknown INTEGER NOT NULL, errors INTEGER NOT NULL, warnings INTEGER NOT NULL,
    disks INTEGER NOT NULL, unsafe INTEGER NOT NULL
);
CREATE INDEX point_time ON point (time);
CREATE TABLE change (
    point INTEGER NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL,
    hosts TEXT NOT NULL, count INTEGER NOT NULL
);
CREATE INDEX change_point ON change (point);
CREATE TABLE report (point INTEGER PRIMARY KEY, told BLOB NOT NULL);
"""


class Point(NamedTuple):
    """What an audit came to from ``time`` to ``until``, both in seconds since the epoch.
    ``disks`` is how many disks several guests have, ``unsafe`` how many of these are unsafe."""

    id: int
    time: int
    until: int
    level: Level
    text: str
    policy: str
    hosts: int
    unknown: int
    errors: int
    warnings: int
    disks: int
    unsafe: int


class HistoryChange(NamedTuple):
    """What had changed at a point. ``kind`` is worse or better (what the audit says), come or gone
    (hosts), or changed (what a host told). ``total`` is how many hosts it is about; at most
    :data:`MOST_HOSTS` of them are named."""

    kind: str
    severity: str
    text: str
    hosts: tuple[str, ...]
    total: int


class History:
    """The history in ``store``. Raises :class:`ReadError` if that is no live store."""

    def __init__(self, store: Store) -> None:
        if not store.live:
            raise ReadError(
                store.path, "has no history", help="'lockcfg audit --watch' keeps one with --store"
            )
        self._store = store

    # Reading

    def points(self, last: int = 0) -> list[Point]:
        """The points, the oldest first; the ``last`` so many, or all."""
        limit = f" LIMIT {last:d}" if last else ""
        return [
            Point._make(row)
            for row in self._store.query(f"SELECT * FROM point ORDER BY id DESC{limit}")  # noqa: S608
        ][::-1]

    def changes(self, point: int) -> list[HistoryChange]:
        """What had changed at a point."""
        query = (
            "SELECT kind, severity, text, hosts, count FROM change WHERE point = ? ORDER BY rowid"
        )
        return [
            HistoryChange(kind, severity, text, tuple(json.loads(hosts)), count)
            for kind, severity, text, hosts, count in self._store.query(query, (point,))
        ]

    def point_at(self, time: int) -> Point | None:
        """The last point that is not after a time."""
        query = "SELECT * FROM point WHERE time <= ? ORDER BY id DESC LIMIT 1"
        rows = list(self._store.query(query, (time,)))
        return Point._make(rows[0]) if rows else None

    def report(self, point: int) -> dict[str, Any] | None:
        """What a later audit is compared with, None if that is no longer kept."""
        rows = list(self._store.query("SELECT told FROM report WHERE point = ?", (point,)))
        if not rows:
            return None
        try:
            plain = zlib.decompressobj().decompress(rows[0][0], _MAX_REPORT)
            told: dict[str, Any] = json.loads(plain)
        except (zlib.error, ValueError) as error:
            raise ReadError(self._store.path, "is not a whole fleet store") from error
        return told

    # Writing

    def note(
        self, point: Mapping[str, Any], changes: Sequence[HistoryChange], report: Mapping[str, Any]
    ) -> None:
        """Append a point, or say of the last one that it is still so, if it is. ``point`` has
        the fields of a :class:`Point` without ``id`` and ``until``."""
        run = self._store.connection.execute
        last = self.points(1)
        if last:
            run("UPDATE point SET until = ? WHERE id = ?", (point["time"], last[0].id))
        same = ("level", "text", "policy", "hosts", "unknown", "errors", "warnings", "disks")
        if last and not changes and all(getattr(last[0], name) == point[name] for name in same):
            return
        values = [point["time"], point["time"], *(point[name] for name in Point._fields[3:])]
        marks = ", ".join("?" for _ in values)
        cursor = run(f"INSERT INTO point VALUES (NULL, {marks})", values)  # noqa: S608
        number = int(cursor.lastrowid or 0)
        self._store.connection.executemany(
            "INSERT INTO change VALUES (?, ?, ?, ?, ?, ?)",
            ((number, *row) for row in _rows(changes)),
        )
        told = zlib.compress(json.dumps(report, separators=(",", ":")).encode(), 1)
        run("INSERT INTO report VALUES (?, ?)", (number, told))

    def prune(self, now: int, keep_days: int) -> None:
        """Remove what is older than ``keep_days``, all but the newest :data:`MOST_POINTS` points,
        and the reports of all but the newest :data:`REPORTS` points and the last of each day."""
        run = self._store.connection.execute
        run(
            "DELETE FROM point WHERE id != (SELECT max(id) FROM point) AND (until < ?"
            " OR id <= (SELECT max(id) FROM point) - ?)",
            (now - keep_days * _DAY, MOST_POINTS),
        )
        run("DELETE FROM change WHERE point NOT IN (SELECT id FROM point)")
        run(
            "DELETE FROM report WHERE point NOT IN"
            " (SELECT id FROM point ORDER BY id DESC LIMIT ?)"
            " AND point NOT IN (SELECT max(id) FROM point GROUP BY time / ?)",
            (REPORTS, _DAY),
        )


def _rows(changes: Sequence[HistoryChange]) -> Iterable[tuple[object, ...]]:
    for change in changes[:MOST_CHANGES]:
        hosts = json.dumps(change.hosts[:MOST_HOSTS])
        yield change.kind, change.severity, change.text, hosts, change.total
    more = len(changes) - MOST_CHANGES
    if more > 0:
        yield "changed", "info", f"and {more} more changes, which are not kept", "[]", 0
