"""What a person pastes is not what a program wrote: a terminal has wrapped it, a mail has quoted
it, a log or a page has escaped it, and a translation has quotes of its own. Pure."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: The longest text whose lines are put together again, in characters.
_LONGEST: Final = 8192

_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: In front of each line of a mail that is answered, or of a box.
_QUOTED_LINE: Final = re.compile(r"^(?:[>|\u2502] ?)+", re.M)
#: As in French.
_GUILLEMETS: Final = re.compile("\u00ab[ \u00a0\u202f]+([^\u00ab\u00bb\n]+?)[ \u00a0\u202f]+\u00bb")
_BREAK: Final = re.compile(r"[ \t]*\n[ \t]*")
#: How JSON, syslog and pages write what would mean something there, and quotes as people set them.
_WRITTEN: Final = {
    "\u00a0": " ",
    "\u202f": " ",
    "\r\n": "\n",
    "#012": "\n",
    '\\"': '"',
    "&#39;": "'",
    "&#x27;": "'",
    "&apos;": "'",
    "&quot;": '"',
    "&lt;": "<",
    "&gt;": ">",
    "&amp;": "&",
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u00ab\u00bb`", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
}


def readings(text: str) -> list[str]:
    """What the text may have been, the text itself first."""
    plain = text = _COLOURS.sub("", text)
    if '\\"' in plain:
        plain = plain.replace("\\n", "\n")  # it is a string of JSON
    plain = _GUILLEMETS.sub(r"'\1'", plain)
    for written, meant in _WRITTEN.items():
        plain = plain.replace(written, meant)
    lines = plain.split("\n")
    if all(_QUOTED_LINE.match(line) for line in lines if line.strip()):
        plain = _QUOTED_LINE.sub("", plain)
    found = [text, plain]
    if len(plain) <= _LONGEST:
        found += [_unwrapped(plain), _BREAK.sub("", plain), _BREAK.sub(" ", plain)]
    return [*dict.fromkeys(found)]


def _unwrapped(text: str) -> str:
    """A text without the breaks of a terminal, which are after lines of its width: a shorter line
    has lost the blank at its end. Lines that go on may be indented."""
    first, *more = text.split("\n")
    indented = min((len(line) - len(line.lstrip()) for line in more if line.strip()), default=0)
    lines = [first, *(line[indented if indented > 1 else 0 :] for line in more)]
    width = max(map(len, lines[:-1]), default=0)
    return "".join(line if len(line) >= width else f"{line.rstrip()} " for line in lines).strip()
