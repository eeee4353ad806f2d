"""Writes XML element by element."""

from __future__ import annotations

from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO
    from xml.sax.saxutils import XMLGenerator


class _Ascii:
    """Writes the bytes of an XML document to a text stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write bytes that are ASCII."""
        self._stream.write(data.decode("ascii"))


def xml(stream: TextIO) -> XMLGenerator:
    """Writes XML, in ASCII with character references, so that no stream can damage it."""
    from xml.sax.saxutils import XMLGenerator

    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    return XMLGenerator(_Ascii(stream), "us-ascii", short_empty_elements=True)


def start(writer: XMLGenerator, element: str, /, **attributes: object) -> None:
    """Start an element; an attribute that is None is left out."""
    values = {name: clean(str(value)) for name, value in attributes.items() if value is not None}
    writer.startElement(element, values)  # type: ignore[arg-type]


def end(writer: XMLGenerator, element: str) -> None:
    """End an element, and the line."""
    writer.endElement(element)
    writer.ignorableWhitespace("\n")
