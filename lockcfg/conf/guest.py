"""What libvirt's description of a guest says of the guest's locks.

libvirt keeps the description of each guest that is defined as ``qemu/NAME.xml`` beside
``qemu.conf``, and as ``libxl/NAME.xml`` for Xen. They are not configuration files: libvirt writes
them itself, and lockcfg never changes one.
"""

from __future__ import annotations

from lockcfg.conf.document import decode
from lockcfg.findings import Place
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

#: The element that says what becomes of a guest whose lock is lost.
_ELEMENT: Final = "on_lockfailure"


class Guest(Frozen):
    """A guest with ``<on_lockfailure>``: the ``name``, the ``path`` of the description, what the
    element says and where it is. The text of that place holds nothing else of its line, which may
    have passwords."""

    __slots__ = ("name", "on_lockfailure", "path", "place")

    def __init__(self, path: str, name: str, on_lockfailure: str, place: Place) -> None:
        self.path: Final = path
        self.name: Final = name
        self.on_lockfailure: Final = on_lockfailure
        self.place: Final = place


def guest_in(text: bytes, path: str) -> Guest | None:
    """The guest that a description tells of, if it has ``<on_lockfailure>``; else None, and for a
    text that describes something else. Raises ValueError, with what is wrong, for a text that is
    not XML or has a document type, which no description of a guest needs."""
    if _ELEMENT.encode() not in text:
        return None
    from xml.parsers.expat import ExpatError, ParserCreate

    parser = ParserCreate()
    parser.buffer_text = True
    found = _Found()
    parser.StartElementHandler = lambda name, _: found.begin(name, parser.CurrentByteIndex)
    parser.EndElementHandler = lambda _: found.end(parser.CurrentByteIndex)
    parser.CharacterDataHandler = found.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(text, True)
    except (ExpatError, LookupError) as error:  # or an unknown encoding
        raise ValueError(str(error)) from None
    if found.starts_at < 0:
        return None
    value = found.values.get(_ELEMENT, "").strip()
    place = _place(text, path, found.starts_at, found.ends_at)
    return Guest(path, found.values.get("name", ""), value, place)


class _Found:
    """What is found in a description, as the parser comes to it."""

    def __init__(self) -> None:
        self._inside: Final[list[str]] = []
        self.values: Final[dict[str, str]] = {}
        self.starts_at = self.ends_at = -1

    def begin(self, name: str, at: int) -> None:
        """An element begins."""
        self._inside.append(name)
        if self._inside[:1] == ["domain"] and len(self._inside) == 2:
            if name in self.values:
                self._inside[1] = ""  # libvirt reads the first
            elif name == _ELEMENT:
                self.starts_at = at
            self.values.setdefault(name, "")

    def text(self, text: str) -> None:
        """Text inside an element."""
        if len(self._inside) == 2 and self._inside[1] in self.values:
            self.values[self._inside[1]] += text

    def end(self, at: int) -> None:
        """The element that began last ends."""
        if len(self._inside) == 2 and self._inside[1] == _ELEMENT and self.ends_at < 0:
            self.ends_at = at
        self._inside.pop()


def _refuse(*_: Any) -> None:
    raise ValueError("it has a document type")


def _place(text: bytes, path: str, start: int, end: int) -> Place:
    """The place of the element that begins at ``start``, and whose end tag begins at ``end``."""
    line = text.count(b"\n", 0, start) + 1
    before = decode(text[text.rfind(b"\n", 0, start) + 1 : start])
    shown = decode(text[start : text.find(b">", end) + 1]).splitlines()[0]
    column = len(before) + 1
    return Place(path, line, column, " " * len(before) + shown, len(shown))
