"""Writes JSON piece by piece, so that a long report is never in memory as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


def dump(value: object, stream: TextIO) -> None:
    """Write JSON, in ASCII so that no stream can damage it.

    Each member of a dictionary and each item of a tuple is written on its own. Each item of an
    iterator goes out on a line of its own, and the items are never in memory together. Everything
    else is one line.
    """
    if isinstance(value, dict):
        stream.write("{")
        for number, (name, member) in enumerate(value.items()):
            stream.write(f"{',' if number else ''}\n{json.dumps(name)}: ")
            dump(member, stream)
        stream.write("\n}")
    elif isinstance(value, tuple):
        stream.write("[")
        for number, item in enumerate(value):
            stream.write(", " if number else "")
            dump(item, stream)
        stream.write("]")
    elif isinstance(value, Iterator):
        stream.write("[")
        for number, item in enumerate(value):
            stream.write(",\n" if number else "\n")
            stream.write(json.dumps(item))
        stream.write("\n]")
    else:
        stream.write(json.dumps(value))
