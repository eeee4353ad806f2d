"""How a record is written: one line of JSON, in ASCII."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

    #: Takes a record into account: its fields.
    Replay = Callable[[list[Any]], object]

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def parsed(blocks: Iterable[bytes]) -> Iterator[list[Any]]:
    """The list that each line is; a block is some whole lines. To parse them one by one takes three
    times as long."""
    for block in blocks:
        yield from json.loads(b"[%b]" % block.rstrip(b"\n").replace(b"\n", b","))


def parsed_but(blocks: Iterable[bytes], late: str) -> Iterator[list[Any]]:
    """The same, but of a record of the kind ``late`` the list has only the kind, the first field,
    and then the line: most of a long journal's are gone by its end, and a list takes several times
    the room of a line."""
    begin = f'["{late}",'.encode("ascii")
    for block in blocks:
        lines = block.split(b"\n")
        lines.pop()  # what follows the last end of a line
        whole = []
        for at, line in enumerate(lines):
            if line.startswith(begin):
                whole.append(line)
                lines[at] = line[: line.index(b",", len(begin))] + b"]"
        left = iter(whole)
        for fields in json.loads(b"[%b]" % b",".join(lines)):
            if fields[0] == late:
                fields.append(next(left))
            yield fields


def record(kind: str, *fields: object) -> str:
    """A record."""
    return _encode((kind, *fields))
