"""How a record is written: one line of JSON, in ASCII."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    #: Takes a record into account: its fields, and the record itself.
    Replay = Callable[[list[Any], bytes], object]

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def record(kind: str, *fields: object) -> str:
    """A record."""
    return _encode((kind, *fields))
