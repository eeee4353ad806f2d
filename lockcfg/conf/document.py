"""One configuration file, read: immutable.

Offsets are byte offsets in :attr:`Document.text`; lines and columns count from 1, columns in
characters. Text that is not UTF-8, which libvirt does not mind, is decoded with
``surrogateescape``.
"""

from __future__ import annotations

from bisect import bisect_right

from lockcfg.findings import Place
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final, TypeAlias

    from lockcfg.conf.files import FileKind

    #: A value as libvirt's parser gives it: a string, an integer, or a list of them.
    Value: TypeAlias = "str | int | tuple[str | int, ...]"


#: The longest line whose text a place contains, in bytes.
_LINE: Final = 4096


def decode(text: bytes) -> str:
    """Bytes of a configuration file as a string that :func:`encode` turns back."""
    return text.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes of a string made by :func:`decode`."""
    return text.encode("utf-8", "surrogateescape")


class Span(Frozen):
    """The bytes from ``start`` up to but not including ``end``."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start: Final = start
        self.end: Final = end


class Entry(Frozen):
    """One setting as it stands in a file.

    ``value`` is what libvirt reads, ``literal`` how it is spelled (quotes, sign, brackets and
    all), ``comment`` the comment behind it on its line, without '#', or None. ``key_span``
    covers the name, ``value_span`` the literal.
    """

    __slots__ = ("comment", "key", "key_span", "literal", "value", "value_span")

    def __init__(
        self,
        key: str,
        value: Value,
        literal: str,
        comment: str | None,
        key_span: Span,
        value_span: Span,
    ) -> None:
        self.key: Final = key
        self.value: Final = value
        self.literal: Final = literal
        self.comment: Final = comment
        self.key_span: Final = key_span
        self.value_span: Final = value_span


class _Positions:
    """Lines and columns of offsets in a text, counted from the nearest known one.

    So any number of them takes time that grows with the text, not with its square.
    """

    __slots__ = ("_at", "_known", "_line", "_text")

    def __init__(self, text: bytes) -> None:
        self._text: Final = text
        self._at: Final = [0]
        #: By number in ``_at``: the line, where it starts, and the column.
        self._known: Final = [(1, 0, 1)]
        self._line = -1, ""

    def find(self, at: int) -> tuple[int, int, str]:
        """The line and column at ``at``, and the text of the line: empty if it is very long."""
        text = self._text
        number = bisect_right(self._at, at) - 1
        before = self._at[number]
        line, start, column = self._known[number]
        if before < at:
            lines = text.count(b"\n", before, at)
            if lines:
                line, start = line + lines, text.rfind(b"\n", before, at) + 1
                column, before = 1, start
            column += len(decode(text[before:at]))
            self._at.insert(number + 1, at)
            self._known.insert(number + 1, (line, start, column))
        if self._line[0] != start:
            end = text.find(b"\n", start, start + _LINE + 1)
            if end < 0:
                end = len(text)
            self._line = start, decode(text[start:end]) if end - start <= _LINE else ""
        return line, column, self._line[1]


class _Remembering(Frozen):
    """Results that a document remembers. They are not fields, so comparisons ignore them."""

    __slots__ = ("_index", "_positions")

    def __init__(self) -> None:
        self._index: Final[dict[str, Entry]] = {}
        self._positions: Final[list[_Positions]] = []


class Document(_Remembering):
    """A configuration file: what it says and every byte of it.

    ``path`` is where it was read from or will be written to; ``text`` its bytes, or None if there
    is no such file; to libvirt that is the same as an empty one. ``entries`` are in the order of
    the file, duplicates included.
    """

    __slots__ = ("entries", "kind", "path", "text")

    def __init__(
        self, kind: FileKind, path: str, text: bytes | None, entries: Iterable[Entry]
    ) -> None:
        super().__init__()
        self.kind: Final = kind
        self.path: Final = path
        self.text: Final = text
        self.entries: Final = tuple(entries)

    @property
    def exists(self) -> bool:
        """Whether there is a file at :attr:`path`."""
        return self.text is not None

    def get(self, key: str) -> Entry | None:
        """The entry of ``key`` that counts, or None. To libvirt the first one counts, to the
        sanlock daemon the last."""
        if not self._index:
            last = self.kind.grammar == "sanlock"
            entries = self.entries if last else reversed(self.entries)
            self._index.update((entry.key, entry) for entry in entries)
        return self._index.get(key)

    def all(self, key: str) -> Iterator[Entry]:
        """Every entry of ``key``: first the one in force, then those without effect."""
        return (entry for entry in self.entries if entry.key == key)

    def place(self, span: Span) -> Place:
        """Where ``span`` is, for a message."""
        text = self.text or b""
        if not self._positions:
            self._positions.append(_Positions(text))
        return _place(self.path, text, span, self._positions[0])

    def place_of(self, entry: Entry) -> Place:
        """Where the value of ``entry`` is."""
        return self.place(entry.value_span)


def place(path: str, text: bytes, span: Span) -> Place:
    """Where ``span`` of ``text`` is; of a span over several lines, its part on the first.

    Lines end at a line feed, as an editor counts them (libvirt does the same). The text of a very
    long line is left out.
    """
    return _place(path, text, span, _Positions(text))


def _place(path: str, text: bytes, span: Span, positions: _Positions) -> Place:
    line, column, shown = positions.find(span.start)
    end = text.find(b"\n", span.start, span.end)
    length = len(decode(text[span.start : end if end >= 0 else span.end]))
    return Place(path, line, column, shown.rstrip("\r"), length)
