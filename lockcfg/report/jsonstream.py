"""JSON that is written piece by piece, so that a long report is never held as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


def dump(value: object, stream: TextIO) -> None:
    """Write JSON, in ASCII so that no stream can spoil it.

    Dictionaries and tuples are taken apart. What an iterator yields goes out one line each and
    is never held as a whole; all else is one line.
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
