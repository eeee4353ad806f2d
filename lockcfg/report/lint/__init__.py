"""The formats of ``lockcfg lint``, one module each, and what they have in common.

A module has ``write(result, stream, *, root)``, which writes to the stream and does no other I/O.
What comes out of files is untrusted: :func:`clean` takes out what no format can hold, and the
encoders of the standard library do the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol, TextIO
    from xml.sax.saxutils import XMLGenerator

    from lockcfg.findings import Finding
    from lockcfg.lint.result import Diagnostic, LintResult, Replacement

    class Reporter(Protocol):
        """What a module of :data:`FORMATS` has."""

        def write(self, result: LintResult, stream: TextIO, *, root: str) -> None:
            """Write ``result`` to ``stream``; paths are relative to ``root``."""


#: Every format and the module that writes it.
FORMATS: Final[dict[str, str]] = {
    "text": "lockcfg.report.lint.text",
    "json": "lockcfg.report.lint.json_",
    "sarif": "lockcfg.report.lint.sarif",
    "github": "lockcfg.report.lint.github",
    "gitlab": "lockcfg.report.lint.gitlab",
    "junit": "lockcfg.report.lint.junit",
    "checkstyle": "lockcfg.report.lint.checkstyle",
    "azure": "lockcfg.report.lint.azure",
}

#: What XML 1.0 cannot hold, and what drives a terminal that shows a log.
_UNPRINTABLE: Final = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"


def render(
    result: LintResult, format: str, stream: TextIO, *, root: str, statistics: bool = False
) -> None:
    """Write ``result`` to ``stream`` in a format of :data:`FORMATS`.

    Paths are relative to ``root`` where they are inside it. ``statistics``: counts by rule
    instead of the findings, as text only.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown format '{format}'", help=f"there are {', '.join(FORMATS)}")
    if statistics:
        if format != "text":
            raise UsageError(f"counts by rule are for the format text, not for {format}")
        from lockcfg.report.lint.text import write_statistics

        write_statistics(result, stream)
        return
    from importlib import import_module

    reporter: Reporter = import_module(FORMATS[format])
    reporter.write(result, stream, root=root)


def relative(path: str, root: str) -> str:
    """``path`` relative to ``root``, or absolute where it is outside; normalised either way."""
    base, full = os.path.abspath(root), os.path.abspath(path)
    if full.startswith("//"):  # POSIX lets two slashes mean something else; Linux does not
        full = full[1:]
    if full == base:
        return "."
    inside = base.rstrip("/") + "/"
    return full[len(inside) :] if full.startswith(inside) else full


def notes(result: LintResult, root: str) -> Iterator[str]:
    """What was passed over, a sentence each."""
    return (f"{relative(path, root)}: {what}" for path, what in result.notes)


def clean(text: str) -> str:
    """``text`` with U+FFFD for what is not text: control characters, bytes that were no UTF-8."""
    return re.sub(_UNPRINTABLE, "\ufffd", text)


def counts(result: LintResult) -> tuple[int, int, int]:
    """How many findings count, how many of them have a safe fix, how many are suppressed."""
    findings = fixable = 0
    for diagnostic in result.diagnostics:
        if diagnostic.suppression is None:
            findings += 1
            fixable += diagnostic.fix is not None and diagnostic.fix.safety == "safe"
    return findings, fixable, len(result.diagnostics) - findings


def words(finding: Finding) -> str:
    """What is wrong and, on a line of its own, what to do about it."""
    return clean(f"{finding.message}\n{finding.help}" if finding.help else finding.message)


def reason(diagnostic: Diagnostic) -> str:
    """Why a finding is suppressed. It comes from a comment, so a password may be in it."""
    from lockcfg.report.secrets import hide_secrets

    suppression = diagnostic.suppression
    return clean(hide_secrets(suppression.reason)) if suppression else ""


def replacements(diagnostic: Diagnostic) -> tuple[Replacement, ...]:
    """The replacements of the fix, or none where they would show a password or cannot be text."""
    from lockcfg.report.secrets import hide_secrets

    fix, finding = diagnostic.fix, diagnostic.finding
    if fix is None or fix.secret or "_password" in (finding.key or ""):
        return ()
    texts = [replacement.text for replacement in fix.replacements]
    if any(clean(text) != text for text in texts):
        return ()
    if finding.place is not None:
        texts.append(finding.place.text)
    return () if any(hide_secrets(text) != text for text in texts) else fix.replacements


def dump(value: object, stream: TextIO) -> None:
    """Write JSON, in ASCII so that no stream can spoil it.

    Dictionaries and tuples are taken apart. What an iterator yields goes out one line each and
    is never held as a whole; all else is one line.
    """
    import json

    if isinstance(value, dict):
        stream.write("{")
        for number, (name, member) in enumerate(value.items()):
            stream.write(f"{',' if number else ''}\n{json.dumps(name)}: ")
            dump(member, stream)
        stream.write("\n}")
    elif isinstance(value, tuple):
        stream.write("[")
        for number, item in enumerate(value):
            stream.write(", " if number else "")
            dump(item, stream)
        stream.write("]")
    elif isinstance(value, Iterator):
        stream.write("[")
        for number, item in enumerate(value):
            stream.write(",\n" if number else "\n")
            stream.write(json.dumps(item))
        stream.write("\n]")
    else:
        stream.write(json.dumps(value))


class _Ascii:
    """The bytes of an XML document, into a text stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write bytes that are ASCII."""
        self._stream.write(data.decode("ascii"))


def xml(stream: TextIO) -> XMLGenerator:
    """A writer of XML, in ASCII with character references, so that no stream can spoil it."""
    from xml.sax.saxutils import XMLGenerator

    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    return XMLGenerator(_Ascii(stream), "us-ascii", short_empty_elements=True)


def start(writer: XMLGenerator, element: str, /, **attributes: object) -> None:
    """Start an element; attributes that are None are left out."""
    values = {name: clean(str(value)) for name, value in attributes.items() if value is not None}
    writer.startElement(element, values)  # type: ignore[arg-type]


def end(writer: XMLGenerator, element: str) -> None:
    """End an element, and the line."""
    writer.endElement(element)
    writer.ignorableWhitespace("\n")
