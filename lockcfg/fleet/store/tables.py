"""The tables of the fleet store, and what those of earlier versions lack."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: Stands in the file's header, so that file(1) and others can tell.
APPLICATION_ID: Final = 0x6C6B6366  # lkcf
#: And this in that of a live store, which a lockcfg that does not know it must not read.
LIVE_ID: Final = 0x6C6B636C  # lkcl
VERSION: Final = 8

#: Stores of these versions are still read: what they do not hold is unknown.
EARLIER: Final = (1, 2, 3, 4, 5, 6, 7)

TABLES: Final = """
CREATE TABLE profile (id INTEGER PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE cell (
    id INTEGER PRIMARY KEY, profile INTEGER NOT NULL, circumstances TEXT NOT NULL
);
CREATE TABLE cell_way (cell INTEGER NOT NULL, way INTEGER NOT NULL);
CREATE TABLE host (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, machine_id TEXT NOT NULL, boot_id TEXT NOT NULL,
    taken INTEGER NOT NULL, running INTEGER NOT NULL, defined INTEGER NOT NULL,
    cell INTEGER NOT NULL, source TEXT NOT NULL, guests TEXT NOT NULL, uuids BLOB NOT NULL
);
CREATE TABLE way (id INTEGER PRIMARY KEY, use TEXT NOT NULL);
CREATE TABLE disks (
    host INTEGER PRIMARY KEY, ways INTEGER NOT NULL, keys BLOB NOT NULL, packed BLOB NOT NULL
);
CREATE TABLE disk (
    key INTEGER NOT NULL, host INTEGER NOT NULL, way INTEGER NOT NULL, name TEXT NOT NULL,
    path TEXT NOT NULL, lvm_uuid TEXT NOT NULL, scsi_id TEXT NOT NULL, guest TEXT NOT NULL,
    uuid TEXT NOT NULL, number INTEGER NOT NULL
);
CREATE TABLE problem (
    source TEXT NOT NULL, host TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE evidence (host INTEGER NOT NULL, told TEXT NOT NULL);
CREATE TABLE held (host INTEGER NOT NULL, told TEXT NOT NULL);
CREATE TABLE twice (uuid INTEGER NOT NULL, host INTEGER NOT NULL, guest TEXT NOT NULL);
"""

#: What is offset by how many rows of which table there are, when stores are joined.
COLUMNS: Final = {
    "profile": (("id", "profile"), ("facts", "")),
    "cell": (("id", "cell"), ("profile", "profile"), ("circumstances", "")),
    "cell_way": (("cell", "cell"), ("way", "way")),
    "host": (
        ("id", "host"),
        ("name", ""),
        ("machine_id", ""),
        ("boot_id", ""),
        ("taken", ""),
        ("running", ""),
        ("defined", ""),
        ("cell", "cell"),
        ("source", ""),
        ("guests", ""),
        ("uuids", ""),
    ),
    "way": (("id", "way"), ("use", "")),
    "disks": (("host", "host"), ("ways", "way"), ("keys", ""), ("packed", "")),
    "evidence": (("host", "host"), ("told", "")),
    "held": (("host", "host"), ("told", "")),
    "problem": (("source", ""), ("host", ""), ("reason", "")),
}

#: The tables that a store of an earlier version may not have: what they would hold is unknown.
LATER: Final = ("evidence", "held", "disks")

#: What a column of an earlier version is taken to be. Each of them lacks something of the devices
#: below others: version 7 which volume has one, version 6 what they are reached through, version 5
#: the type of a name, version 3 the devices. So hosts of an earlier version are never called safe.
#: The UUIDs of version 2 were cut off.
_EARLIER: Final = {
    ("cell", "circumstances"): "json_insert(circumstances, '$[#]', 'earlier|')",
}
EARLIER_COLUMNS: Final = {
    **dict.fromkeys(EARLIER, _EARLIER),
    **{key: {**_EARLIER, ("host", "uuids"): "x''"} for key in (1, 2)},
}

#: Up to this version the disks were rows of a table; the first one had no numbers of files.
ROWS: Final = 4
