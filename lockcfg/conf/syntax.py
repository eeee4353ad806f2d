"""Where statements begin and end in libvirt's configuration syntax, without reading them.

The lens decides what is accepted and what a value is. This module leaves out, before the lens
sees the text, what it would only carry along: most of a qemu.conf is comments, and Augeas takes
fifty times as long with them.

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

    Only a list and a triple-quoted string run over lines, so a line without their openings
    ends what is on it, right or wrong. The others are looked at more closely, and where that
    does not help, nothing more of the text is left out.
    """
    end = text.find(b"\n", start) + 1 or len(text)
    line = text[start:end]
    if b"[" not in line and b'"""' not in line:
        return end
    return _long_statement_end(text, start)


def _long_statement_end(text: bytes, start: int) -> int:
    """The end of one statement that may run over lines; of the text where it is not certain.

    A list is read roughly, and not with a triple quote inside: what is wrong, the lens finds.
    """
    assignment = re.compile(_ASSIGNMENT).match(text, start)
    if assignment is None:
        return len(text)
    at = assignment.end()
    if text.startswith(b'"""', at):
        at = text.find(b'"""', at + 3) + 3
        if at < 3:
            return len(text)
    elif text.startswith(b"[", at):
        in_list = re.compile(_IN_LIST)
        at += 1
        while item := in_list.match(text, at):
            at = item.end()
        if not text.startswith(b"]", at):
            return len(text)
        at += 1
    elif scalar := re.compile(_SCALAR).match(text, at):
        at = scalar.end()
    tail = re.compile(_TAIL).match(text, at)
    return tail.end() if tail else len(text)
