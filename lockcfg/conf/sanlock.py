"""sanlock.conf, the file of the sanlock daemon: what the daemon makes of it.

The daemon refuses nothing and says nothing: a line that it does not understand it passes over, a
word in the place of a number is 0, and of a setting that is there twice the last line counts. This
was seen with sanlock 3.8.5, on generated files (``tests/real/test_sanlock_conf.py``).
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

#: How many bytes of a line the daemon takes for one; what follows is another line to it.
WIDTH: Final = 127

#: How many lines Augeas is given at once.
LINES: Final = 100

#: What ends a name.
_NAME_ENDS: Final = rb"[ =\n\t\0]"

#: atoi(3).
_NUMBER: Final = r"[+-]?[0-9]+"


def lines_of(text: bytes) -> list[tuple[int, int]]:
    """Where the lines of ``text`` begin and end, as the daemon takes them, without line feeds."""
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
    """``line`` as the daemon sees it, with every byte in its place: up to a NUL, and with blanks
    for what C takes for blanks behind '='."""
    line = line.partition(b"\0")[0]
    name, equals, rest = line.partition(b"=")
    return name + equals + rest.replace(b"\v", b" ").replace(b"\f", b" ")


def name_in(line: bytes) -> str:
    """What the daemon takes for the name of a setting in ``line``; empty in a comment."""
    return "" if line.startswith(b"#") else decode(re.split(_NAME_ENDS, line, maxsplit=1)[0])


def number_in(word: str) -> int:
    """What the daemon reads a word as, where it wants a number."""
    match = re.match(_NUMBER, word)
    return int(match[0][:100]) if match else 0


def taken(setting: Setting, entry: Entry) -> int | str | None:
    """What the daemon takes from ``entry``; None where it keeps what it had."""
    if setting.takes_string:
        return entry.literal
    number = number_in(entry.literal)
    kept = setting.schema["x-libvirt"].get("kept", ())
    if kept and not kept[0] <= number <= kept[1]:
        return None
    least = setting.schema["x-libvirt"].get("least")
    return number if least is None else max(number, int(least))


def in_force(document: Document) -> dict[str, int | str | None]:
    """What the daemon takes from the file, by setting; None where nobody can foresee it: a line
    with a name and no value has what was read before it, or nothing at all."""
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
