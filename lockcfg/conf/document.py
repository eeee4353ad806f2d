"""One configuration file, read: immutable.

Offsets are byte offsets in :attr:`Document.text`; lines and columns count from 1, columns in
characters. Text that is not UTF-8, which libvirt does not mind, is decoded with
``surrogateescape``.
"""

from __future__ import annotations

from lockcfg.findings import Place
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final, TypeAlias

    from lockcfg.conf.files import FileKind

    #: A value as libvirt's parser gives it: a string, an integer, or a list of them.
    Value: TypeAlias = "str | int | tuple[str | int, ...]"


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


class Document(Frozen):
    """A configuration file: what it says and every byte of it.

    ``path`` is where it was read from or will be written to; ``text`` its bytes, or None where
    there is no such file, which to libvirt is the same as an empty one. ``entries`` are in the
    order of the file, duplicates included.
    """

    __slots__ = ("entries", "kind", "path", "text")

    def __init__(
        self, kind: FileKind, path: str, text: bytes | None, entries: Iterable[Entry]
    ) -> None:
        self.kind: Final = kind
        self.path: Final = path
        self.text: Final = text
        self.entries: Final = tuple(entries)

    @property
    def exists(self) -> bool:
        """Whether there is a file at :attr:`path`."""
        return self.text is not None

    def get(self, key: str) -> Entry | None:
        """The entry of ``key`` that libvirt uses, the first one; None where there is none."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        return None

    def all(self, key: str) -> Iterator[Entry]:
        """Every entry of ``key``: the one in force, then the dead ones."""
        return (entry for entry in self.entries if entry.key == key)

    def place(self, span: Span) -> Place:
        """Where ``span`` is, for a message."""
        return place(self.path, self.text or b"", span)

    def place_of(self, entry: Entry) -> Place:
        """Where the value of ``entry`` is."""
        return self.place(entry.value_span)


def place(path: str, text: bytes, span: Span) -> Place:
    """Where ``span`` of ``text`` is; of a span over several lines, its part on the first.

    Lines end at a line feed, as an editor counts them (libvirt does the same).
    """
    start = text.rfind(b"\n", 0, span.start) + 1
    end = text.find(b"\n", span.start)
    if end < 0:
        end = len(text)
    return Place(
        path,
        text.count(b"\n", 0, span.start) + 1,
        len(decode(text[start : span.start])) + 1,
        decode(text[start:end]).rstrip("\r"),
        len(decode(text[span.start : min(span.end, end)])),
    )
