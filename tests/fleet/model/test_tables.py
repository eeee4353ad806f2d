"""What the tables of device-mapper say of the devices below: see also ``known_fleets.py``."""

from __future__ import annotations

from typing import Any

import pytest

from lockcfg.fleet.model.tables import with_tables
from lockcfg.fleet.model.uses import device_name, ranges_of, shown_name, told_name

BELOW = {"type": "block", "path": "/dev/sdb", "device": "8:16", "above": "253:1"}
NAMED = {**BELOW, "wwid": "naa.6001405aaa"}


def read(*table: str, below: tuple[dict[str, Any], ...] = (NAMED,)) -> dict[str, Any]:
    """A device with a table."""
    told = {"type": "block", "path": "/dev/dm-1", "device": "253:1", "table": [*table]}
    return dict(with_tables({**told, "chain": list(below)}))


@pytest.mark.parametrize(
    ("table", "ranges"),
    [
        (["0 8 linear 8:16 4"], [(4, 12)]),
        (["0 8 linear 8:16 4", "8 2 linear 8:16 0"], [(0, 2), (4, 12)]),
        (["0 8 striped 2 4 8:16 0 8:16 100"], [(0, 4), (100, 104)]),
        (["0 8 crypt 8:16 7"], [(7, 15)]),
    ],
)
def test_the_sectors_that_are_used(table: list[str], ranges: list[tuple[int, int]]) -> None:
    """Of the device below; the device itself has a name, which depends on its table."""
    found = read(*table)
    assert device_name(found).startswith("dm:")
    assert device_name(found) != device_name(read("0 9 linear 8:16 4"))
    name = told_name(found["chain"][0])
    assert ranges_of(name) == ranges
    assert shown_name(name) == "scsi:36001405aaa"


@pytest.mark.parametrize(
    "table",
    [
        [],
        [""],
        ["0"],
        ["0 8 linear"],
        ["0 8 linear 8:16"],
        ["0 8 linear 8:16 x"],
        ["0 x linear 8:16 0"],
        ["0 8 striped 0 4 8:16 0"],
        ["0 8 striped x"],
        ["0 8 linear 8:17 0"],
        ["0 8 linear 8:16 0", "8 8 linear"],
        ["0 8 linear 8:16 " + "9" * 5000],
    ],
)
def test_a_table_that_is_none(table: list[str]) -> None:
    """Its device has no name, and is not taken to be a part of another one."""
    assert device_name(read(*table)) == ""


def test_a_device_on_one_without_a_name() -> None:
    """Has none either."""
    assert device_name(read("0 8 linear 8:16 0", below=(BELOW,))) == ""
    assert device_name(read("0 8 linear 8:16 0", below=())) == ""


def test_what_is_not_by_a_table_counts_for_nothing() -> None:
    """A snapshot may have members that no collector writes."""
    for odd in (7, "x", [["a", "b"]], [[1, 2]]):
        assert told_name({**NAMED, "ranges": odd}) == "scsi:36001405aaa"
    assert ranges_of("md:a#;at=x+1-y+-+3") == []
