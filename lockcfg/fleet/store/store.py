"""The fleet store: what a fleet's snapshots come to, in one SQLite file, each thing once.

An audit always works on one. Of snapshots on disk it makes a store that it throws away; ``lockcfg
audit --partial`` keeps it, and any number of them are audited together. The only module that
talks to SQLite. What the tables hold is described in ``docs/explanation/fleet-model.md``:

- ``profile``: distinct facts of hosts, as JSON (:class:`~lockcfg.fleet.model.facts.Facts`);
- ``cell``: distinct combinations of a profile with the circumstances of a host, and ``cell_way``
  with the uses of its disks;
- ``host``: a line for each snapshot, with its cell;
- ``way``: distinct uses of disks, as JSON (:class:`~lockcfg.fleet.model.uses.Use`);
- ``disks``: for each host those of its guests that other hosts might reach as well, packed;
- ``disk``: of these the ones that are there more than once, each by itself;
- ``evidence``: what a host saw in a probe, as JSON;
- ``held``: the locks that the lock daemon of a host holds, as JSON;
- ``problem``: what could not be read.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import weakref
from bisect import bisect_right
from contextlib import closing
from hashlib import sha256
from itertools import accumulate, compress, count, groupby
from operator import itemgetter

from lockcfg.errors import ReadError
from lockcfg.fleet.model.uses import is_device, whole_of
from lockcfg.fleet.store.packing import (
    BETWEEN,
    BYTES_OF_A_DISK,
    PACKED,
    WIDTH,
    all_doubled,
    numbers_in,
    packed_disks,
    packed_keys,
    with_ways,
)
from lockcfg.fleet.store.rows import FoundDisk, StoredCell, StoredDisk, StoredHost
from lockcfg.fleet.store.tables import (
    APPLICATION_ID,
    COLUMNS,
    EARLIER,
    EARLIER_COLUMNS,
    LATER,
    LIVE_ID,
    ROWS,
    TABLES,
    VERSION,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any, Final, Self

#: By which of these a person may know a disk.
_NAMES_OF_A_DISK: Final = ("path", "lvm_uuid", "scsi_id", "guest", "uuid")

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Store:
    """An open fleet store. One that is made at no path is temporary."""

    #: What the database finds wrong.
    Error: Final = sqlite3.Error

    def __init__(self, connection: sqlite3.Connection, path: str, version: int = VERSION) -> None:
        self._connection = connection
        self.path = path
        self.version = version
        #: Whether it is kept up to date, and has a history.
        self.live = False
        # It is closed also if an audit ends in an error.
        weakref.finalize(self, connection.close)

    @classmethod
    def create(cls, path: str = "") -> Store:
        """A new store at ``path``, which must not be there, or nowhere: then it is in memory
        and, if it is large, in a file without a name."""
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript(
            # Nothing here is worth a wait: what is not finished is thrown away.
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "PRAGMA main.locking_mode = EXCLUSIVE;"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
            "PRAGMA cache_size = -16384;" + TABLES
        )
        connection.execute("BEGIN")
        return cls(connection, path)

    @classmethod
    def open(cls, path: str) -> Store:
        """The store at ``path``, to be read; one of an earlier version can only be joined to
        another. Raises :class:`ReadError`."""
        live = _is_live(path)
        try:
            connection = sqlite3.connect(_address(path), uri=True, isolation_level=None)
            if live:
                connection.execute("BEGIN")  # as it is at this moment
        except sqlite3.Error as error:
            raise ReadError(path, f"is not a fleet store: {error}") from error
        store = cls(connection, path)
        try:
            store._identify(LIVE_ID if live else APPLICATION_ID)
        except sqlite3.OperationalError as error:
            raise ReadError(
                path,
                f"cannot be read: {error}",
                help="users who may not write in its directory can read it while 'audit --watch'"
                " runs",
            ) from error
        except sqlite3.Error as error:
            raise ReadError(path, f"is not a fleet store: {error}") from error
        return store

    def _identify(self, wanted: int) -> None:
        """Find out that this is a fleet store, of a version that can be read."""
        (identity,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if identity != wanted:
            raise ReadError(self.path, "is a database, but no fleet store")
        if version not in (*EARLIER, VERSION):
            raise ReadError(
                self.path,
                f"is a fleet store of version {version}, and this lockcfg reads {VERSION}",
                help="make it again from the snapshots",
            )
        self.version = version
        self.live = identity == LIVE_ID

    @staticmethod
    def is_bare(path: str) -> bool:
        """Whether the file at ``path`` is a database without any table. False if it is none."""
        try:
            with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True)) as connection:
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            return False
        return not tables

    @classmethod
    def connected(cls, path: str, more: str) -> Self:
        """The live store at ``path``, to be changed. Where ``more`` tables are named it is made,
        with these. Raises :class:`ReadError`."""
        if not more and not _is_live(path):
            raise ReadError(path, "is not a store that 'audit --watch' made")
        try:
            connection = sqlite3.connect(
                f"file:{_quoted(path)}?mode={'rwc' if more else 'rw'}",
                uri=True,
                isolation_level=None,
            )
            store = cls(connection, path)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA cache_size = -65536")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            if more:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(
                    f"BEGIN; PRAGMA application_id = {LIVE_ID}; PRAGMA user_version = {VERSION};"
                    f"{TABLES}{more} COMMIT;"
                )
            store._identify(LIVE_ID)
        except sqlite3.Error as error:
            raise ReadError(path, f"cannot be used: {error}") from error
        if store.version != VERSION:
            raise ReadError(
                path,
                f"is of version {store.version}, and this lockcfg keeps {VERSION} up to date",
                help="move it away, and it is made again from the spool, without its history",
            )
        return store

    def close(self) -> None:
        """Give it up; a temporary one is gone."""
        self._connection.close()

    def end(self) -> None:
        """Finish a part that another store will join."""
        self._connection.execute("COMMIT")
        self._connection.close()

    def finish(self) -> None:
        """After the last row: find out which disks are there more than once, and which guests
        run on several hosts."""
        self.settle()
        self._connection.execute("COMMIT")

    def settle(self) -> None:
        """The same, of a store that is not finished by it."""
        disks = self._read("SELECT host, keys FROM disks")
        guests = self._read("SELECT id, uuids FROM host WHERE uuids != x''")
        both = b"".join([keys for _, keys in disks])
        keys, numbers, uuids = all_doubled(
            (both, slice(0, None, 2)),
            (both, slice(1, None, 2)),
            (b"".join([uuids for _, uuids in guests]), slice(None)),
        )
        numbers.discard(0)
        self._connection.execute("DELETE FROM twice")
        self._connection.executemany(
            "INSERT INTO twice VALUES (?, ?, ?)", self._run_twice(guests, uuids)
        )
        self._connection.execute("DELETE FROM disk")
        self.insert("disk", self._several(disks, keys, numbers))

    def _several(
        self, rows: Sequence[tuple[int, bytes]], keys: Collection[int], numbers: Collection[int]
    ) -> Iterator[StoredDisk]:
        """The disks that have one of some keys or numbers. ``rows`` has the keys of each host."""
        both = numbers_in(b"".join([packed for _, packed in rows]))
        wanted = {
            *compress(count(), map(keys.__contains__, both[::2])),
            *compress(count(), map(numbers.__contains__, both[1::2])),
        }
        ends = [0, *accumulate([len(packed) // BYTES_OF_A_DISK for _, packed in rows])]
        for at, of_host in groupby(sorted(wanted), lambda place: bisect_right(ends, place) - 1):
            yield from self._disks_of(rows[at][0], [place - ends[at] for place in of_host])

    def _disks_of(self, host: int, wanted: Iterable[int] | None = None) -> Iterator[StoredDisk]:
        """The disks of a host, or the ``wanted`` ones of them, by their places in the row."""
        query = "SELECT ways, keys, packed FROM disks WHERE host = ?"
        ((ways, keys, packed),) = self._read(query, (host,))
        numbers = numbers_in(keys)
        texts = packed.decode().split(BETWEEN)
        if len(texts) * 2 != len(numbers) * WIDTH:
            raise ReadError(self.path, "is not a whole fleet store: a host's disks are cut off")
        for at in range(len(numbers) // 2) if wanted is None else wanted:
            way, *names = texts[at * WIDTH : (at + 1) * WIDTH]
            key, number = numbers[at * 2 : at * 2 + 2]
            yield StoredDisk._make((key, host, ways + int(way), *names, number))

    def _run_twice(
        self, rows: Iterable[tuple[int, bytes]], several: set[int]
    ) -> Iterator[tuple[int, int, str]]:
        """The guests with one of some UUIDs: the UUID, the host, the name. ``rows`` has the UUIDs
        of each host."""
        for host, uuids in rows if several else ():
            of_host = numbers_in(uuids)
            if several.isdisjoint(of_host):
                continue
            ((guests,),) = self._read("SELECT guests FROM host WHERE id = ?", (host,))
            for uuid, guest in zip(of_host, json.loads(guests), strict=False):
                if uuid in several:
                    yield uuid, host, _owned(guest)[0]

    # Writing

    def insert(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """Append rows to a table."""
        width = len(StoredDisk._fields) if table == "disk" else len(COLUMNS[table])
        marks = ", ".join("?" for _ in range(width))
        self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def join(self, path: str) -> None:
        """Append all that is in the store at ``path``, which keeps its order."""
        part = Store.open(path)
        part.close()
        earlier = EARLIER_COLUMNS.get(part.version, {})
        connection = self._connection
        try:
            connection.execute("COMMIT")
            connection.execute("ATTACH ? AS part", (_address(path),))
            connection.execute("BEGIN")
            offsets = {"": 0}
            for table in ("profile", "cell", "host", "way"):
                (offsets[table],) = connection.execute(
                    f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608
                ).fetchone()
            there = self._tables_of_part()
            for table, columns in COLUMNS.items():
                if table in LATER and table not in there and part.version < VERSION:
                    continue
                terms = ", ".join(
                    earlier.get((table, name), f"{name} + {offsets[of]}" if of else name)
                    for name, of in columns
                )
                connection.execute(
                    f"INSERT INTO {table} SELECT {terms} FROM part.{table}"  # noqa: S608
                )
            if part.version <= ROWS:
                self._pack_rows(offsets["host"], offsets["way"], numbered=part.version > 1)
            connection.execute("COMMIT")
            connection.execute("DETACH part")
            connection.execute("BEGIN")
        except sqlite3.Error as error:
            raise ReadError(path, f"is not a whole fleet store: {error}") from error

    # One host at a time, for a live store

    def numbers_of(self, host: int) -> list[tuple[int, int]]:
        """What a host has in common with others if they have it, too: the keys (0) and the
        numbers (1) of disks, the UUIDs of guests that run (2)."""
        found: list[tuple[int, int]] = []
        for (packed,) in self._read(f"SELECT keys FROM disks WHERE host = {host:d}"):  # noqa: S608
            keys = numbers_in(packed)
            found += [(0, key) for key in keys[::2]]
            found += [(1, number) for number in keys[1::2] if number]
        for (uuids,) in self._read(f"SELECT uuids FROM host WHERE id = {host:d}"):  # noqa: S608
            found += [(2, number) for number in numbers_in(uuids)]
        return found

    def mark(self, host: int, keys: Collection[int], numbers: Collection[int]) -> None:
        """Note which disks of a host are there more than once: those of some keys or numbers."""
        self._connection.execute(f"DELETE FROM disk WHERE host = {host:d}")  # noqa: S608
        if keys or numbers:
            rows = self._read("SELECT host, keys FROM disks WHERE host = ?", (host,))
            self.insert("disk", self._several(rows, keys, numbers))

    def unmark(self, host: int) -> None:
        """Remove the disks of a host, and what was noted of them."""
        self.mark(host, (), ())
        self._connection.execute(f"DELETE FROM disks WHERE host = {host:d}")  # noqa: S608

    def guests_among(self, host: int, uuids: Collection[int]) -> list[tuple[int, int, str]]:
        """The guests of a host that run and have one of some UUIDs, with UUID, host and name."""
        query = f"SELECT uuids, guests FROM host WHERE id = {host:d}"  # noqa: S608
        ((numbers, guests),) = self._read(query)
        pairs = zip(numbers_in(numbers), json.loads(guests), strict=False)
        return [(uuid, host, _owned(guest)[0]) for uuid, guest in pairs if uuid in uuids]

    def take_hosts(self, last: int, cells: Mapping[int, int], ways: Mapping[int, int]) -> None:
        """Append the hosts and the disks of the attached part, whose numbers begin after ``last``,
        with other numbers for cells and ways."""
        columns = [name for name, _ in COLUMNS["host"]]
        at = columns.index("cell")
        self.insert(
            "host",
            (
                (row[0] + last, *row[1:at], cells[row[at]], *row[at + 1 :])
                for row in self._iterate(f"SELECT {', '.join(columns)} FROM part.host")  # noqa: S608
            ),
        )
        rows = self._iterate("SELECT host, ways, keys, packed FROM part.disks")
        self.insert(
            "disks",
            (
                (host + last, 0, keys, with_ways(packed, of, ways))
                for host, of, keys, packed in rows
            ),
        )

    def _tables_of_part(self) -> set[str]:
        query = "SELECT name FROM part.sqlite_master WHERE type = 'table'"
        return {name for (name,) in self._connection.execute(query)}

    def _pack_rows(self, hosts: int, ways: int, *, numbered: bool) -> None:
        """Pack the disks of an earlier version, where each is a row."""
        number = "number" if numbered else "0"
        rows = self._connection.execute(
            f"SELECT host, key, {number}, {', '.join(PACKED)}"  # noqa: S608
            " FROM part.disk ORDER BY host"
        )
        for host, of_host in groupby(rows, itemgetter(0)):
            keys: list[int] = []
            disks: list[str] = []
            for _, *both, way, name, path, lvm, scsi, guest, uuid in of_host:
                keys += both
                disks += (str(way), name, path, lvm, scsi, guest, uuid)
            row = host + hosts, ways, packed_keys(keys), packed_disks(disks)
            self.insert("disks", [row])

    # Reading

    def profiles(self) -> list[tuple[int, str]]:
        """The profiles: their ids and their facts as JSON."""
        return self._read("SELECT id, facts FROM profile ORDER BY id")

    def cells(self) -> list[StoredCell]:
        """The cells: id, profile, and circumstances as JSON."""
        rows = self._iterate("SELECT id, profile, circumstances FROM cell ORDER BY id")
        return [StoredCell._make(row) for row in rows]

    def ways_of_cells(self) -> dict[int, list[int]]:
        """The uses of disks that the hosts of each cell have, by their ids."""
        found: dict[int, list[int]] = {}
        for cell, way in self._iterate("SELECT cell, way FROM cell_way"):
            found.setdefault(cell, []).append(way)
        return found

    def hosts(self, where: str = "") -> Iterable[StoredHost]:
        """The hosts by name, of one name the newest first; those for which ``where`` is so."""
        rows = self._iterate(
            "SELECT id, name, machine_id, boot_id, taken, running, defined, cell, source"  # noqa: S608
            f" FROM host {where} ORDER BY name, taken DESC, machine_id, boot_id, source"
        )
        return map(StoredHost._make, rows)

    def running_guests(self) -> dict[str, list[str]]:
        """The names of the guests that run on each host where any does, by its newest
        snapshot."""
        return {
            host: [name for name, _ in guests] for host, guests in self.guests_by_owner().items()
        }

    def guests_by_owner(self) -> dict[str, list[tuple[str, str]]]:
        """The guests that run on each host where any does, by its newest snapshot: the name, and
        whose it is: empty if it is the main driver's, else the driver, or the instance (``session``
        is a user's own libvirt, ``process`` is QEMU without libvirt)."""
        found: dict[str, str] = {}
        query = (
            "SELECT name, guests FROM host ORDER BY name, taken DESC, machine_id, boot_id, source"
        )
        for name, guests in self._iterate(query):
            found.setdefault(name, guests)
        return {
            name: [_owned(each) for each in json.loads(guests)]
            for name, guests in found.items()
            if guests != "[]"
        }

    def held_locks(self) -> dict[str, dict[str, int]]:
        """The files on which the lock daemon of each host holds locks, and since when, by its
        newest snapshot; 0 if it cannot tell."""
        found: dict[str, str | None] = {}
        query = (
            "SELECT name, held.told FROM host LEFT JOIN held ON held.host = host.id"
            " ORDER BY name, taken DESC, machine_id, boot_id, source"
        )
        for name, told in self._iterate(query):
            found.setdefault(name, told)
        return {name: json.loads(told) for name, told in found.items() if told}

    def disks_of_guests(self) -> dict[str, list[tuple[str, str, str]]]:
        """The disks of each host that others might have, too, by its newest snapshot: the guest,
        the path, and what is held for it (see :class:`lockcfg.fleet.model.uses.Use`)."""
        held = {way: str(json.loads(use).get("held", "")) for way, use in self.ways()}
        with_disks = {host for (host,) in self._read("SELECT host FROM disks")}
        found: dict[str, list[tuple[str, str, str]]] = {}
        for host in self.hosts():
            if host.name not in found:
                disks = self._disks_of(host.number) if host.number in with_disks else ()
                rows = {(disk.guest, disk.path, held.get(disk.way, "unknown")) for disk in disks}
                found[host.name] = sorted(rows)
        return {name: rows for name, rows in found.items() if rows}

    def guests_twice(self) -> Iterator[tuple[int, int, str]]:
        """The guests whose UUIDs run on more hosts than one: a number that stands for the UUID,
        the host, the name."""
        return self._iterate("SELECT uuid, host, guest FROM twice ORDER BY uuid, host, guest")

    def ways(self) -> list[tuple[int, str]]:
        """The uses of disks: their ids, and each as JSON."""
        return self._read("SELECT id, use FROM way ORDER BY id")

    def shared_disks(self) -> Iterator[StoredDisk]:
        """The disks that are there more than once, those of one name together."""
        rows = self._iterate("SELECT * FROM disk ORDER BY name, host, guest, path, uuid, way")
        return map(StoredDisk._make, rows)

    def names_of_one_disk(self) -> list[tuple[str, str]]:
        """The names of disks that may mean one disk, in pairs: of files with one number and one
        name, and of a block device and a part of it."""
        return self._read(
            "SELECT DISTINCT first, name FROM (SELECT number, min(name) AS first FROM disk"
            " WHERE number != 0 GROUP BY number HAVING min(name) != max(name)) AS several"
            " JOIN disk ON disk.number = several.number WHERE name != first"
            " UNION SELECT substr(name, 1, instr(name, '#') - 1), name FROM disk"
            " WHERE number = 0 AND instr(name, '#') > 0 ORDER BY 1, 2"
        )

    def hosts_of_shared_devices(self) -> dict[str, set[int]]:
        """The ids of the hosts that have each block device that is there more than once."""
        found: dict[str, set[int]] = {}
        for name, host in self._iterate("SELECT name, host FROM disk WHERE number = 0"):
            if is_device(name):
                found.setdefault(whole_of(name), set()).add(host)
        return found

    def hosts_of_shared_disks(self) -> set[int]:
        """The ids of the hosts that have any of them."""
        return {host for (host,) in self._iterate("SELECT DISTINCT host FROM disk")}

    def has_several_disks(self) -> bool:
        """Whether there are two disks at least: one that has several names is one."""
        found: set[int] = set()
        for (packed,) in self._iterate("SELECT keys FROM disks"):
            keys = numbers_in(packed)
            found.update(number or key for key, number in zip(keys[::2], keys[1::2], strict=True))
            if len(found) > 1:
                return True
        return False

    def find_disks(self, words: Collection[str]) -> list[FoundDisk]:
        """The guests' disks that one of some words means: a path, the SHA-256 of one, an LVM UUID,
        a SCSI id, the name or the UUID of a guest; by each host's newest snapshot."""
        wanted = {*words}
        hashed = any(_SHA256.fullmatch(word) for word in words)
        told = [word.encode("utf-8", "surrogateescape") for word in words]
        uses: dict[int, bool] = {}
        found: list[FoundDisk] = []
        query = (
            "SELECT host.id, host.name, host.taken, disks.packed"
            " FROM disks JOIN host ON host.id = disks.host WHERE host.taken ="
            " (SELECT max(taken) FROM host AS same WHERE same.name = host.name)"
        )
        for number, name, taken, packed in self._read(query):
            if not hashed and not any(word in packed for word in told):
                continue
            for disk in self._disks_of(number):
                names = {getattr(disk, each) for each in _NAMES_OF_A_DISK}
                if wanted.isdisjoint(names) and not (hashed and _sha256(disk.path) in wanted):
                    continue
                if not uses:
                    uses = {way: bool(json.loads(use).get("running")) for way, use in self.ways()}
                found.append(
                    FoundDisk(name, taken, disk.guest, disk.uuid, disk.path, runs=uses[disk.way])
                )
        return sorted(found, key=lambda disk: (disk.host, disk.guest, disk.path))

    def evidence(self) -> list[tuple[int, str]]:
        """What hosts saw in a probe: the id of each, and its evidence as JSON."""
        return self._read("SELECT host, told FROM evidence ORDER BY host")

    def count(self, table: str) -> int:
        """How many rows a table has."""
        assert table in COLUMNS
        return int(self._read(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608

    def problems(self) -> list[tuple[str, str, str]]:
        """What could not be read: source, host if that is known, and reason."""
        return self._read("SELECT source, host, reason FROM problem ORDER BY 1, 2, 3")

    @property
    def connection(self) -> sqlite3.Connection:
        """For what a live store has besides."""
        return self._connection

    def query(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        """Rows of a table that not every store has. Raises :class:`ReadError`."""
        return self._iterate(query, values)

    def _read(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _iterate(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        try:
            # 'yield from' would close the cursor of an iterator that is given up, perhaps after
            # the database.
            for row in self._connection.execute(query, values):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: sqlite3.Error) -> ReadError:
        return ReadError(self.path, f"is not a whole fleet store: {error}")


def _owned(guest: str) -> tuple[str, str]:
    """The name of a guest, and whose it is; see :meth:`Store.guests_by_owner`."""
    name, _, whose = guest.partition(BETWEEN)
    return name, whose


def _sha256(path: str) -> str:
    """What libvirt calls a disk in ``file_lockspace_dir``."""
    return sha256(path.encode("utf-8", "surrogateescape")).hexdigest()


def _is_live(path: str) -> bool:
    """Whether the file at ``path`` has a write-ahead log: its header says so (bytes 18 and 19)."""
    try:
        with open(path, "rb") as stream:
            return stream.read(20)[18:] == b"\2\2"
    except OSError as error:
        raise ReadError(path, error.strerror or str(error)) from error


def _address(path: str) -> str:
    """Where SQLite finds the store at ``path``, to be read. Only a live one changes."""
    return f"file:{_quoted(path)}?mode=ro{'' if _is_live(path) else '&immutable=1'}"


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.path.abspath(path))
