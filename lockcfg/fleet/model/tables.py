"""Reads the tables of device-mapper: which parts of which devices a device is made of.

A device of device-mapper without a name of its own is what its table says: a part of a device, or
parts of several, perhaps encrypted. If the devices have names that hold between hosts, it has one,
too.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from lockcfg.fleet.model.uses import device_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final


class _Piece(NamedTuple):
    """Some sectors of a device: its number on its host, the first sector, and the one after the
    last."""

    device: str
    start: int
    end: int


#: How many parts of one device are told apart.
_RANGES: Final = 100


def with_tables(disk: Mapping[str, Any]) -> Mapping[str, Any]:
    """The disk with the names of devices of device-mapper that their tables give them, and with the
    ranges of the devices below that are used (``ranges``), as far as the tables say them."""
    below: Sequence[Mapping[str, Any]] = disk.get("chain", ())
    if "table" not in disk and not any("table" in each for each in below):
        return disk
    of_all = [dict(disk), *map(dict, below)]
    by_number = {each["device"]: each for each in of_all[1:] if "device" in each}
    pieces: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for each in reversed(of_all):  # what is below another one follows it
        if "table" not in each or "identity" in each:
            continue
        read = [*_pieces(each["table"])]
        text = []
        for line, piece in zip(each["table"], read, strict=False):
            names = [device_name(by_number.get(one.device, {})) for one in piece]
            if not piece or not all(names):
                break
            parts = [
                f"{name} {one.start} {one.end}" for name, one in zip(names, piece, strict=True)
            ]
            text.append(" ".join([*line.split()[:3], *parts]))
        if text and len(text) == len(each["table"]):
            digest = sha256("\n".join(text).encode()).hexdigest()
            each["identity"] = f"dm:{digest[:32]}"
        for one in (one for piece in read for one in piece):
            pieces.setdefault((each.get("device", ""), one.device), []).append((one.start, one.end))
    of_all[0]["chain"] = of_all[1:]
    for each in of_all[1:]:
        ranges = pieces.get((each.get("above", ""), each.get("device", "")), [])
        if 0 < len(ranges) <= _RANGES:
            each["ranges"] = tuple(sorted(set(ranges)))
    return of_all[0]


def _pieces(table: Sequence[str]) -> Iterator[list[_Piece]]:
    """Of each line of a table the sectors that it stands for; none of a line of another form."""
    for line in table:
        _, length, kind, *words = [*line.split(), "", "", ""]
        found: list[_Piece] = []
        try:
            size = int(length)
            of = [word for word in words if word]
            if kind == "striped":
                size //= int(of[0])
                of = of[2:]
            for device, start in zip(of[::2], of[1::2], strict=True):
                found.append(_Piece(device, int(start), int(start) + size))
        except (ValueError, IndexError, ZeroDivisionError):
            found = []
        yield found
