"""A fleet store that is kept up to date: hosts are replaced in it, and it has a history.

``lockcfg audit --watch`` writes it, one process at a time. Any number of others read it meanwhile,
each as it was at one moment (SQLite's write-ahead log). It has the tables of a fleet store, an
application id of its own, and these besides:

- ``spool``: the files that it was made of, each with what tells whether it has changed;
- ``seen``: how often each host has a key or a number of a disk (``kind`` 0 and 1), or runs a guest
  of a UUID (2). It tells what changes of other hosts when one changes;
- those of the history (:mod:`lockcfg.fleet.store.history`).

What is in it of a host follows from the host's file alone, whatever was there before.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, insort
from contextlib import contextmanager
from hashlib import blake2b

from lockcfg.errors import ReadError
from lockcfg.fleet.store.history import TABLES as HISTORY
from lockcfg.fleet.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any, Final

    from lockcfg.fleet.store.rows import StoredHost

#: How many changed files make it pay to look at all hosts again.
_MANY: Final = 2000

_TABLES: Final = (
    """
CREATE TABLE spool (path TEXT PRIMARY KEY, stamp TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE seen (
    kind INTEGER NOT NULL, number INTEGER NOT NULL, host INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, number, host)
) WITHOUT ROWID;
CREATE INDEX host_source ON host (source);
CREATE INDEX host_cell ON host (cell);
CREATE INDEX host_name ON host (name, taken DESC, machine_id, boot_id, source);
CREATE INDEX cell_profile ON cell (profile);
CREATE INDEX cell_way_cell ON cell_way (cell);
CREATE INDEX cell_way_way ON cell_way (way);
CREATE INDEX disk_host ON disk (host);
CREATE INDEX evidence_host ON evidence (host);
CREATE INDEX held_host ON held (host);
CREATE INDEX twice_host ON twice (host);
"""
    + HISTORY
)

#: The tables with rows that belong to a host.
_OF_HOSTS: Final = ("evidence", "held", "twice")


class Told:
    """What a host told that decides its locking: its facts and its circumstances, as JSON."""

    __slots__ = ("circumstances", "facts")

    def __init__(self, facts: str, circumstances: str) -> None:
        self.facts: Final = facts
        self.circumstances: Final = circumstances


class LiveStore(Store):
    """A fleet store that is open to be changed."""

    @classmethod
    def open_to_write(cls, path: str) -> LiveStore:
        """The live store at ``path``, which is made if it is not there. Raises
        :class:`ReadError` for what is another file."""
        exists = os.path.lexists(path)
        if exists and (os.path.islink(path) or not os.path.isfile(path)):
            raise ReadError(path, "is not a regular file")
        # What was killed while it made a store may have left one without tables.
        new = not exists or not os.path.getsize(path) or cls.is_bare(path)
        store = cls.connected(path, _TABLES if new else "")
        with store.guarded():
            store._learn()
        return store

    def __init__(self, *arguments: Any) -> None:
        """As any other store."""
        super().__init__(*arguments)
        self._known: Final[dict[str, dict[bytes, int]]] = {"profile": {}, "way": {}, "cell": {}}
        #: The hosts in their order, once they were asked for.
        self._hosts: list[StoredHost] | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What the database finds wrong is an error of ours."""
        try:
            yield
        except self.Error as error:
            raise ReadError(self.path, f"cannot be used: {error}") from error

    def _learn(self) -> None:
        """What is there once each, by digests of it."""
        known, run = self._known, self.connection.execute
        for table, column in (("profile", "facts"), ("way", "use")):
            for number, text in run(f"SELECT id, {column} FROM {table}"):  # noqa: S608
                known[table][_digest(text)] = number
        ways = self.ways_of_cells()
        for number, profile, circumstances in run("SELECT id, profile, circumstances FROM cell"):
            known["cell"][_cell(profile, circumstances, ways.get(number, []))] = number

    # The files

    def stamps(self) -> dict[str, str]:
        """The files that the store was made of, with the stamps that they had."""
        return dict(self._read("SELECT path, stamp FROM spool"))

    @contextmanager
    def changing(self, part: str = "") -> Iterator[None]:
        """All that is changed in the block is there afterwards for who reads, or nothing of it.
        ``part`` is a fleet store for :meth:`take_in`."""
        run = self.connection.execute
        with self.guarded():
            if part:
                run("ATTACH ? AS part", (f"file:{_quoted(part)}?mode=ro&immutable=1",))
            run("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._hosts = None
                run("ROLLBACK")
                raise
            run("COMMIT")
            if part:
                run("DETACH part")

    def hosts(self, where: str = "") -> Iterable[StoredHost]:
        """As of any store. All of them are read once, and then kept as they are changed."""
        if where:
            return super().hosts(where)
        if self._hosts is None:
            self._hosts = [*super().hosts()]
        return self._hosts

    def _follow(self, former: Iterable[StoredHost], last: int) -> None:
        """Have the hosts that are kept be those that there are now: without the ``former`` ones,
        and with those of numbers after ``last``."""
        if self._hosts is None:
            return
        for host in former:
            del self._hosts[bisect_left(self._hosts, _order(host), key=_order)]
        for host in super().hosts(f"WHERE id > {last:d}"):
            insort(self._hosts, host, key=_order)

    def take_in(
        self, stamps: Mapping[str, str], gone: Collection[str]
    ) -> dict[str, tuple[Told | None, Told | None]]:
        """Put what the part holds, which was made of the files in ``stamps``, in the place of what
        these files and those that are ``gone`` said before.

        Returns the hosts that told something else before, with what they tell now; nothing for the
        first files of a new store."""
        first = not self._read("SELECT 1 FROM spool LIMIT 1")
        found = self._replace(stamps, gone)
        return {} if first else found

    def _replace(
        self, stamps: Mapping[str, str], gone: Collection[str]
    ) -> dict[str, tuple[Told | None, Told | None]]:
        run = self.connection.execute
        many = self.connection.executemany
        run("CREATE TEMP TABLE IF NOT EXISTS source (path TEXT PRIMARY KEY) WITHOUT ROWID")
        run("DELETE FROM temp.source")
        many("INSERT INTO temp.source VALUES (?)", ((path,) for path in {*stamps, *gone}))
        run("CREATE TEMP TABLE IF NOT EXISTS former (id INTEGER PRIMARY KEY)")
        run("DELETE FROM temp.former")
        run(
            "INSERT INTO temp.former SELECT host.id FROM temp.source JOIN host"
            " ON host.source = temp.source.path"
        )
        before = self._told("SELECT id FROM temp.former")
        former = [*super().hosts("WHERE id IN (SELECT id FROM temp.former)")]
        cells = [
            each
            for (each,) in run(
                "SELECT DISTINCT cell FROM host WHERE id IN (SELECT id FROM temp.former)"
            )
        ]
        rebuild = len(stamps) + len(gone) > _MANY
        touched: set[tuple[int, int]] = set()
        if not rebuild:
            for (host,) in self._read("SELECT id FROM temp.former"):
                touched.update(self.numbers_of(host))
        doubled = self._doubled(touched)
        (last,) = run("SELECT coalesce(max(id), 0) FROM host").fetchone()
        for number in touched:
            run(
                "DELETE FROM seen WHERE kind = ? AND number = ?"
                " AND host IN (SELECT id FROM temp.former)",
                number,
            )
        for (host,) in self._read("SELECT id FROM temp.former"):
            self.unmark(host)
        for table in _OF_HOSTS:
            run(f"DELETE FROM {table} WHERE host IN (SELECT id FROM temp.former)")  # noqa: S608
        run("DELETE FROM host WHERE id IN (SELECT id FROM temp.former)")
        run("DELETE FROM problem WHERE source IN (SELECT path FROM temp.source)")
        self._append(last)
        self._forget(cells)
        run("DELETE FROM spool WHERE path IN (SELECT path FROM temp.source)")
        many("INSERT INTO spool VALUES (?, ?)", stamps.items())
        newer = f"SELECT id FROM host WHERE id > {last:d}"  # noqa: S608
        if rebuild:
            self._hosts = None
            self._settle_all()
        else:
            new = [host for (host,) in self._read(newer)]
            self._settle(new, touched, doubled)
            self._follow(former, last)
        after = self._told(newer)
        return {
            name: (old, told)
            for name in sorted(before.keys() | after.keys())
            if _differ(old := before.get(name), told := after.get(name))
        }

    def _told(self, hosts: str) -> dict[str, Told]:
        rows = self._read(
            "SELECT host.name, profile.facts, cell.circumstances FROM host"  # noqa: S608
            " JOIN cell ON cell.id = host.cell JOIN profile ON profile.id = cell.profile"
            f" WHERE host.id IN ({hosts}) ORDER BY host.taken"
        )
        return {name: Told(facts, circumstances) for name, facts, circumstances in rows}

    def _append(self, last: int) -> None:
        """Append what the part holds; its hosts have the numbers after ``last``."""
        run, many, known = self.connection.execute, self.connection.executemany, self._known
        profiles: dict[int, int] = {}
        ways: dict[int, int] = {}
        for numbers, table, column in ((profiles, "profile", "facts"), (ways, "way", "use")):
            for number, text in self._read(f"SELECT id, {column} FROM part.{table}"):  # noqa: S608
                digest = _digest(text)
                there = known[table].get(digest)
                if there is None:
                    cursor = run(f"INSERT INTO {table} VALUES (NULL, ?)", (text,))  # noqa: S608
                    there = known[table][digest] = int(cursor.lastrowid or 0)
                numbers[number] = there
        of_cells: dict[int, list[int]] = {}
        for cell, way in self._read("SELECT cell, way FROM part.cell_way"):
            of_cells.setdefault(cell, []).append(ways[way])
        cells: dict[int, int] = {}
        query = "SELECT id, profile, circumstances FROM part.cell"
        for number, profile, circumstances in self._read(query):
            mine = sorted(of_cells.get(number, ()))
            key = _cell(profiles[profile], circumstances, mine)
            there = known["cell"].get(key)
            if there is None:
                row = (profiles[profile], circumstances)
                cursor = run("INSERT INTO cell VALUES (NULL, ?, ?)", row)
                there = known["cell"][key] = int(cursor.lastrowid or 0)
                many("INSERT INTO cell_way VALUES (?, ?)", [(there, way) for way in mine])
            cells[number] = there
        self.take_hosts(last, cells, ways)
        for table in ("evidence", "held"):
            run(f"INSERT INTO {table} SELECT host + {last:d}, told FROM part.{table}")  # noqa: S608
        run("INSERT INTO problem SELECT * FROM part.problem")

    def _forget(self, cells: Collection[int]) -> None:
        """Remove what no host has now."""
        run = self.connection.execute
        left = [
            cell
            for cell in cells
            if not run("SELECT 1 FROM host WHERE cell = ? LIMIT 1", (cell,)).fetchone()
        ]
        for cell in left:
            ways = [way for (way,) in run("SELECT way FROM cell_way WHERE cell = ?", (cell,))]
            ((profile, circumstances),) = run(
                "SELECT profile, circumstances FROM cell WHERE id = ?", (cell,)
            ).fetchall()
            del self._known["cell"][_cell(profile, circumstances, ways)]
            run("DELETE FROM cell WHERE id = ?", (cell,))
            run("DELETE FROM cell_way WHERE cell = ?", (cell,))
            for table, column, numbers, used in (
                ("profile", "facts", [profile], "cell WHERE profile"),
                ("way", "use", ways, "cell_way WHERE way"),
            ):
                for number in numbers:
                    if run(f"SELECT 1 FROM {used} = ? LIMIT 1", (number,)).fetchone():  # noqa: S608
                        continue
                    query = f"SELECT {column} FROM {table} WHERE id = ?"  # noqa: S608
                    ((text,),) = run(query, (number,)).fetchall()
                    del self._known[table][_digest(text)]
                    run(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608

    # What is there more than once

    def _doubled(self, numbers: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of the numbers that are there more than once."""
        query = "SELECT count FROM seen WHERE kind = ? AND number = ? LIMIT 2"
        found = set()
        for number in numbers:
            counts = self.connection.execute(query, number).fetchall()
            if len(counts) > 1 or (counts and counts[0][0] > 1):
                found.add(number)
        return found

    def _settle(
        self,
        new: Collection[int],
        touched: set[tuple[int, int]],
        doubled: set[tuple[int, int]],
    ) -> None:
        """Note what is there more than once, where ``new`` hosts are there, and others are no
        longer that had the numbers in ``touched``, of which some were ``doubled``."""
        run, many = self.connection.execute, self.connection.executemany
        arrived: set[tuple[int, int]] = set()
        for host in new:
            arrived.update(self.numbers_of(host))
        doubled |= self._doubled(arrived - touched)
        for host in new:
            many(
                "INSERT INTO seen VALUES (?, ?, ?, 1)"
                " ON CONFLICT (kind, number, host) DO UPDATE SET count = count + 1",
                ((kind, number, host) for kind, number in self.numbers_of(host)),
            )
        now = self._doubled(touched | arrived)
        query = "SELECT host FROM seen WHERE kind = ? AND number = ?"
        others = {host for number in doubled ^ now for (host,) in run(query, number).fetchall()}
        for host in others.union(new):
            mine = self.numbers_of(host)
            several = self._doubled(set(mine))
            self.mark(host, {n for k, n in several if k == 0}, {n for k, n in several if k == 1})
            run("DELETE FROM twice WHERE host = ?", (host,))
            many(
                "INSERT INTO twice VALUES (?, ?, ?)",
                self.guests_among(host, {number for kind, number in several if kind == 2}),
            )

    def _settle_all(self) -> None:
        """The same for all hosts."""
        run = self.connection.execute
        run("CREATE TEMP TABLE number (kind INTEGER, number INTEGER, host INTEGER)")
        for (host,) in self._read("SELECT id FROM host"):
            self.connection.executemany(
                "INSERT INTO temp.number VALUES (?, ?, ?)",
                ((kind, number, host) for kind, number in self.numbers_of(host)),
            )
        run("DELETE FROM seen")
        run(
            "INSERT INTO seen SELECT *, count(*) FROM temp.number GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        run("DROP TABLE temp.number")
        self.settle()


def _order(host: StoredHost) -> tuple[bytes, int, bytes, bytes, bytes]:
    """What the database sorts hosts by, the number last for those that are alike."""
    texts = (host.name, host.machine_id, host.boot_id, host.source)
    name, machine, boot, source = (text.encode("utf-8", "surrogatepass") for text in texts)
    return name, -host.taken, machine, boot, source


def _differ(old: Told | None, new: Told | None) -> bool:
    if old is None or new is None:
        return old is not new
    return (old.facts, old.circumstances) != (new.facts, new.circumstances)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _cell(profile: int, circumstances: str, ways: Collection[int]) -> bytes:
    return _digest(json.dumps([profile, circumstances, sorted(ways)]))


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.path.abspath(path))
