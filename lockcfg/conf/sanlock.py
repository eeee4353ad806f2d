"""How the sanlock daemon reads its file, sanlock.conf.

The daemon refuses nothing and reports nothing: it ignores a line that it does not understand, reads
a word in place of a number as 0, and takes the last line of a setting that occurs twice. This was
seen with sanlock 3.8.5, on generated files (``tests/real/test_sanlock_conf.py``).
"""

from __future__ import annotations

import re

from lockcfg.conf.document import decode
from lockcfg.conf.settings import settings_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Document, Entry
    from lockcfg.conf.settings import Setting

#: How many bytes the daemon reads as one line; the rest is another line to it.
WIDTH: Final = 127

#: How many lines Augeas is given at once.
LINES: Final = 100

#: The characters that end a name.
_NAME_ENDS: Final = rb"[ =\n\t\0]"

#: atoi(3).
_NUMBER: Final = r"[+-]?[0-9]+"


def lines_of(text: bytes) -> list[tuple[int, int]]:
    """Where the lines of ``text`` begin and end for the daemon, without line feeds."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        end = text.find(b"\n", at, at + WIDTH)
        if end < 0:
            end = min(at + WIDTH, len(text))
            found.append((at, end))
            at = end
        else:
            found.append((at, end))
            at = end + 1
    return found


def seen_as(line: bytes) -> bytes:
    """``line`` as the daemon sees it, with every byte in its place: up to a NUL, and with a blank
    for each C white-space character behind '='."""
    line = line.partition(b"\0")[0]
    name, equals, rest = line.partition(b"=")
    return name + equals + rest.replace(b"\v", b" ").replace(b"\f", b" ")


def name_in(line: bytes) -> str:
    """The name of a setting that the daemon finds in ``line``; empty in a comment."""
    return "" if line.startswith(b"#") else decode(re.split(_NAME_ENDS, line, maxsplit=1)[0])


def number_in(word: str) -> int:
    """The number that the daemon reads a word as."""
    match = re.match(_NUMBER, word)
    return int(match[0][:100]) if match else 0


def taken(setting: Setting, entry: Entry) -> int | str | None:
    """The value that the daemon takes from ``entry``; None if it keeps the old value."""
    if setting.takes_string:
        return entry.literal
    number = number_in(entry.literal)
    kept = setting.schema["x-libvirt"].get("kept", ())
    if kept and not kept[0] <= number <= kept[1]:
        return None
    least = setting.schema["x-libvirt"].get("least")
    return number if least is None else max(number, int(least))


def in_force(document: Document) -> dict[str, int | str | None]:
    """The values that the daemon takes from the file, by setting; None if unpredictable: a line
    with a name and no value gets the value that was read before it, or none."""
    settings = settings_of(document.kind)
    entries = {entry.key_span.start: entry for entry in document.entries}
    text = document.text or b""
    found: dict[str, int | str | None] = {}
    for start, end in lines_of(text):
        entry = entries.get(start)
        name = entry.key if entry else name_in(text[start:end])
        setting = settings.get(name)
        if setting is None:
            continue
        if entry is None:
            found[name] = "" if setting.takes_string else None
        else:
            value = taken(setting, entry)
            if value is not None:
                found[name] = value
    return found
