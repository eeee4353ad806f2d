"""How a record is written: one line of JSON, in ASCII."""

from __future__ import annotations

import json
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

    #: Takes a record into account: its fields, and the record itself.
    Replay = Callable[[list[Any], bytes], object]

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


#: How many lines are parsed at a time: one by one takes three times as long.
_LINES: Final = 256


def parsed(lines: Iterable[bytes]) -> Iterator[tuple[list[Any], bytes]]:
    """The list that each line is, and the line."""
    left = iter(lines)
    while some := [*islice(left, _LINES)]:
        yield from zip(json.loads(b"[%b]" % b",".join(some)), some, strict=True)


def record(kind: str, *fields: object) -> str:
    """A record."""
    return _encode((kind, *fields))
