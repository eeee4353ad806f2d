"""Where statements begin and end in libvirt's configuration syntax, without reading them.

The lens decides what is accepted and what a value is. This module does the two things a lens
is bad at: leaving out, before the lens sees the text, what it would only carry along (most of
a qemu.conf is comments, and Augeas takes fifty times as long with them), and telling why and
where a text is refused, in libvirt's own terms.

Law: :func:`condense` never leaves out anything but blanks and comments between statements, and
where it is not sure it leaves out nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_STRING = rb"\"[^\"\r\n]*+\"|'[^'\r\n]*+'"
_INTEGER = rb"[+-]?[0-9]++"

#: Blanks and whole comments. Right wherever a statement may begin.
_BETWEEN: Final = re.compile(rb"[ \t\r\n]*+(?:#[^\r\n]*+[ \t\r\n]*+)*+")

#: A statement whose end is certain. A triple-quoted string is not matched, and a list only
#: roughly: what is wrong inside it, the lens will find.
_STATEMENT: Final = re.compile(
    rb"[A-Za-z][A-Za-z0-9_]*+[ \t]*+=[ \t]*+"
    rb"(?:(?:%b)(?!\")|%b|\[(?:[^\]\"'\[#]|%b)*+\])"
    rb"[ \t]*+(?:#[^\r\n]*+[\r\n]|#[^\r\n]*+\Z|[\r\n;]|\Z)" % (_STRING, _INTEGER, _STRING)
)


#: The statement with a triple-quoted string, for where speed does not count.
_TRIPLE: Final = re.compile(
    rb"[A-Za-z][A-Za-z0-9_]*+[ \t]*+=[ \t]*+\"\"\"(?s:(?!\"\"\").)*+\"\"\""
    rb"[ \t]*+(?:#[^\r\n]*+[\r\n]|#[^\r\n]*+\Z|[\r\n;]|\Z)"
)


class Condensed(Frozen):
    """A text without what lies between its statements, and the way back.

    ``text`` ends in a line feed unless it is empty. :meth:`offset` turns a byte offset in it
    into one of the original.
    """

    __slots__ = ("_ends", "_starts", "text")

    def __init__(self, text: bytes, pieces: list[tuple[int, int]]) -> None:
        self.text: Final = text
        self._starts: Final = tuple(at for at, _ in pieces)
        self._ends: Final = tuple(original for _, original in pieces)

    def offset(self, at: int) -> int:
        """The offset in the original of the byte at offset ``at`` of :attr:`text`."""
        piece = bisect_right(self._starts, at) - 1
        if piece < 0:
            return at
        return self._ends[piece] + at - self._starts[piece]


def condense(text: bytes) -> Condensed:
    """``text`` without the blanks and comments between statements."""
    kept: list[bytes] = []
    pieces: list[tuple[int, int]] = []
    length = at = 0
    while True:
        after = _BETWEEN.match(text, at)
        assert after is not None  # it matches the empty string
        start = after.end()
        if start == len(text):
            break
        statement = _STATEMENT.match(text, start)
        at = statement.end() if statement else len(text)
        pieces.append((length, start))
        kept.append(text[start:at])
        length += at - start
        if not statement:
            break
    if not kept and b"#" not in text:
        # Nothing but blanks: libvirt takes an empty file and refuses this one.
        kept, pieces = [text], [(0, 0)]
    condensed = b"".join(kept)
    if condensed and not condensed.endswith(b"\n"):
        condensed += b"\n"
    return Condensed(condensed, pieces)


def between(text: bytes) -> list[tuple[int, int]]:
    """The stretches (start, end) of ``text`` that hold blanks and comments only."""
    stretches: list[tuple[int, int]] = []
    at = 0
    while at <= len(text):
        after = _BETWEEN.match(text, at)
        assert after is not None
        if after.end() > at:
            stretches.append((at, after.end()))
        statement = _STATEMENT.match(text, after.end()) or _TRIPLE.match(text, after.end())
        if statement is None or statement.end() == at:
            break
        at = statement.end()
    return stretches


class Problem(Frozen):
    """Why a text is refused: libvirt's reason, the byte offset, and what would be right."""

    __slots__ = ("help", "offset", "reason")

    def __init__(self, reason: str, offset: int, help: str) -> None:
        self.reason: Final = reason
        self.offset: Final = offset
        self.help: Final = help


_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*+")
_BLANKS: Final = re.compile(rb"[ \t]*+")
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_SCALAR: Final = re.compile(rb"(?P<string>%b)|(?P<integer>%b)" % (_STRING, _INTEGER))
_TO_LINE_END: Final = re.compile(rb"[^\r\n]*+")


def diagnose(text: bytes) -> Problem | None:
    """Why libvirt's parser refuses ``text``, at the first place; None where it does not.

    The reasons are libvirt's own words, so that they can be compared with its log; a list
    inside a list, which libvirt takes, has a reason of ours.
    """
    at = 0
    end = len(text)
    while at < end:
        at = _after(_SPACE, text, at)
        if text[at : at + 1] == b"#":
            at = _after(_TO_LINE_END, text, at)
        else:
            result = _statement(text, at)
            if isinstance(result, Problem):
                return result
            at = result
        at = _after(_BLANKS, text, at)
        if at == end:
            return None
        if text[at : at + 1] not in (b"\n", b"\r", b";"):
            return Problem(
                "expecting a separator",
                at,
                "a setting ends with its line, a ';' or a '#' comment",
            )
        at = _after(_SPACE, text, at + 1)
    return None


def _after(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _statement(text: bytes, at: int) -> int | Problem:
    name = _NAME.match(text, at)
    if name is None:
        if at == len(text):
            return Problem(
                "expecting a name", 0, "a file of nothing but blanks is an error to libvirt"
            )
        return Problem(
            "expecting a name", at, "a setting reads 'name = value', a comment begins with '#'"
        )
    at = _after(_BLANKS, text, name.end())
    if text[at : at + 1] != b"=":
        key = name.group().decode("ascii")
        return Problem("expecting an assignment", at, f"write '{key} = value'")
    result = _value(text, at + 1, nested=False)
    if isinstance(result, Problem):
        return result
    at = _after(_BLANKS, text, result)
    if text[at : at + 1] == b"#":
        at = _after(_TO_LINE_END, text, at)
    return at


def _value(text: bytes, at: int, *, nested: bool) -> int | Problem:
    at = _after(_BLANKS, text, at)
    first = text[at : at + 1]
    if text.startswith(b'"""', at) and len(text) - at > 6:
        close = text.find(b'"""', at + 3)
        if close < 0:
            return Problem("unterminated string", at, 'close it with """')
        return close + 3
    if first == b"[":
        if nested:
            return Problem(
                "a list inside a list",
                at,
                "libvirt's parser takes it, but no setting uses it; write one flat list",
            )
        return _list(text, at)
    scalar = _SCALAR.match(text, at)
    if scalar is not None:
        return scalar.end()
    if first in (b'"', b"'"):
        return Problem(
            "unterminated string", at, f"close it with {first.decode()} on the same line"
        )
    if first in (b"+", b"-"):
        return Problem("unterminated number", at + 1, "a sign is followed by digits")
    return Problem(
        "expecting a value", at, "a value is a string in quotes, an integer, or a [ list ]"
    )


def _list(text: bytes, at: int) -> int | Problem:
    opening = at
    at = _after(_SPACE, text, at + 1)
    while at < len(text) and text[at : at + 1] != b"]":
        result = _value(text, at, nested=True)
        if isinstance(result, Problem):
            return result
        at = _after(_SPACE, text, result)
        if text[at : at + 1] == b",":
            at = _after(_SPACE, text, at + 1)
            if at == len(text):
                break
        elif at < len(text) and text[at : at + 1] != b"]":
            return Problem(
                "expecting a separator in list",
                at,
                "the values of a list are separated by ',', and a list holds no comments",
            )
    if at == len(text):
        return Problem("list is not closed with ]", opening, "close the list with ']'")
    return at + 1
