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

#: A setting with a list or a triple-quoted string, up to the end of its line. The list is
#: matched roughly, and not with a triple quote inside: what is wrong, the lens will find.
_LONG_STATEMENT: Final = (
    rb"[A-Za-z][A-Za-z0-9_]*+[ \t]*+=[ \t]*+"
    rb"(?:\[(?:[^\]\"'\[#]|\"(?!\"\")[^\"\r\n]*+\"|'[^'\r\n]*+')*+\]"
    rb"|\"{3}(?s:(?!\"{3}).)*+\"{3})"
    rb"[ \t]*+(?:#[^\r\n]*+)?(?:[\r\n;]|\Z)"
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
    # Compiled when it is needed: that takes as long as reading a file.
    match = re.compile(_LONG_STATEMENT).match(text, start)
    return match.end() if match else len(text)
