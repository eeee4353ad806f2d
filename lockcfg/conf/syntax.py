"""Where statements begin and end in libvirt's configuration syntax, without reading them.

The lens decides what is accepted and what a value is. Before the lens sees the text, this module
removes what does not matter to it: most of a qemu.conf is comments, and Augeas takes fifty times as
long with them.

Law: :func:`condense` leaves out only blanks and comments between statements; if it is not sure, it
leaves out nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: Blanks and whole comments. Right wherever a statement may begin.
_BETWEEN: Final = re.compile(rb"[ \t\r\n]*+(?:#[^\r\n]*+[ \t\r\n]*+)*+")

# No possessive quantifier stands on a group with alternatives: before Python 3.11.5 those match
# wrongly. The patterns below are compiled when they are needed: that takes as long as reading a
# file, and most files have no such statement.
_STRING: Final = rb"\"(?!\"\")[^\"\r\n]*+\"|'[^'\r\n]*+'"
_ASSIGNMENT: Final = rb"[A-Za-z][A-Za-z0-9_]*+[ \t]*+=[ \t]*+"
_SCALAR: Final = rb"%b|[+-]?[0-9]++" % _STRING
_IN_LIST: Final = rb"%b|[^\]\"'\[#]++" % _STRING
_TAIL: Final = rb"[ \t]*+(?:#[^\r\n]*+)?(?:[\r\n;]|\Z)"
_ELEMENT: Final = rb"(?:%b|\"\"\"(?:\"{0,2}[^\"])*\"\"\"|[+-]?[0-9]++)[ \t\r\n]*+" % _STRING
_ELEMENTS: Final = rb"(?:%b,[ \t\r\n]*+){1,%d}"

#: What Augeas is given at once, in bytes and in elements: it takes time that grows with the square.
_PART: Final = 4096
_ELEMENTS_IN_PART: Final = 64


class Condensed(Frozen):
    """A text without what lies between its statements, and the way back.

    ``text`` ends in a line feed unless it is empty. :meth:`offset` turns a byte offset in it
    into one of the original. It is put together from ``pieces``, given as where each begins in
    ``text`` and in the original: whole statements, one or more.
    """

    __slots__ = ("_ends", "_starts", "text")

    def __init__(self, text: bytes, pieces: list[tuple[int, int]]) -> None:
        self.text: Final = text
        self._starts: Final = tuple(at for at, _ in pieces)
        self._ends: Final = tuple(original for _, original in pieces)

    def parts(self) -> Iterator[Condensed]:
        """The same in parts, each of a size that Augeas reads at once, or of one piece.

        A text is right if its parts are, and it says what they say, one after the other.
        """
        first, starts = 0, self._starts
        for number, at in enumerate((*starts[1:], len(self.text)), 1):
            last = number == len(starts)
            # With the next piece the part would be too long.
            following = len(self.text) if number + 1 >= len(starts) else starts[number + 1]
            if last or following - starts[first] > _PART:
                text = self.text[starts[first] : at]
                if not text.endswith(b"\n"):
                    text += b"\n"
                yield Condensed(
                    text,
                    [
                        (start - starts[first], end)
                        for start, end in zip(
                            starts[first:number], self._ends[first:number], strict=True
                        )
                    ],
                )
                first = number

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
        start = _statement_start(text, at)
        if start == len(text):
            break
        at = _statement_end(text, start)
        pieces.append((length, start))
        kept.append(text[start:at])
        length += at - start
    if not kept and b"#" not in text:
        # Nothing but blanks: libvirt takes an empty file and refuses this one.
        kept, pieces = [text], [(0, 0)]
    condensed = b"".join(kept)
    if condensed and not condensed.endswith(b"\n"):
        condensed += b"\n"
    return Condensed(condensed, pieces)


def between(text: bytes) -> list[tuple[int, int]]:
    """The stretches (start, end) of ``text`` that :func:`condense` leaves out."""
    stretches: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        start = _statement_start(text, at)
        if start > at:
            stretches.append((at, start))
        at = _statement_end(text, start)
    return stretches


def _statement_start(text: bytes, at: int) -> int:
    """Where the statement begins that comes at ``at`` or after blanks and comments."""
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _statement_end(text: bytes, start: int) -> int:
    """The end of the statement at ``start``, or of several: a place where one may begin.

    Only a list and a triple-quoted string run over lines, so a line without their openings ends
    what is on it, right or wrong. Other lines get a closer look, and if that does not help, nothing
    more of the text is left out. A long line gets the same look, as it may hold any number of
    statements; if that does not help, it is one piece.
    """
    end = text.find(b"\n", start, start + _PART) + 1
    if not end and len(text) - start <= _PART:
        end = len(text)
    if end:
        line = text[start:end]
        if b"[" not in line and b'"""' not in line:
            return end
    found = _long_statement_end(text, start)
    if found is None:
        end = end or text.find(b"\n", start) + 1 or len(text)
        opens = text.find(b"[", start, end) >= 0 or text.find(b'"""', start, end) >= 0
        found = len(text) if opens else end
    return found


def _long_statement_end(text: bytes, start: int) -> int | None:
    """The end of one statement that may run over lines; None if it is not certain.

    A list is read roughly; the lens finds what is wrong.
    """
    assignment = re.compile(_ASSIGNMENT).match(text, start)
    if assignment is None:
        return None
    at = assignment.end()
    if text.startswith(b'"""', at):
        at = text.find(b'"""', at + 3) + 3
        if at < 3:
            return None
    elif text.startswith(b"[", at):
        in_list = re.compile(_IN_LIST)
        at += 1
        while item := in_list.match(text, at):
            at = item.end()
        if not text.startswith(b"]", at):
            return None
        at += 1
    elif scalar := re.compile(_SCALAR).match(text, at):
        at = scalar.end()
    tail = re.compile(_TAIL).match(text, at)
    return tail.end() if tail else None


def list_parts(text: bytes) -> tuple[int, list[tuple[int, int]]] | None:
    """The list in ``text``, one statement, in parts: where its first element begins, and each
    part but the last as (start, end). A part is elements, each with the comma behind it.

    None if ``text`` is short, or is not a list. As a list may end in a comma, it is right if
    a list of each part is, and one of the rest up to its end.
    """
    if len(text) <= _PART:
        return None
    opening = re.compile(rb"%b\[[ \t\r\n]*+" % _ASSIGNMENT).match(text)
    if opening is None:
        return None
    elements = re.compile(_ELEMENTS % (_ELEMENT, _ELEMENTS_IN_PART))
    parts: list[tuple[int, int]] = []
    at = opening.end()
    while found := elements.match(text, at):
        parts.append(found.span())
        at = found.end()
    return (opening.end(), parts) if parts else None
