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


def record(kind: str, *fields: object) -> str:
    """A record."""
    return _encode((kind, *fields))
