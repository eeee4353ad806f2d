"""Renders everything that a person reads on a terminal.

The content of files is untrusted. Control characters, which could drive the terminal, are shown as
escapes, and passwords are hidden.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby
from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final, TextIO

    from lockcfg.errors import LockcfgError
    from lockcfg.findings import Finding, Place

_STYLES: Final = {
    "error": "31;1",
    "warning": "33;1",
    "info": "36",
    "bold": "1",
    "dim": "2",
    "good": "32;1",
    "add": "32",
    "remove": "31",
}

#: A longer source line is cut around the place of the finding.
_WIDTH: Final = 160


def escape(text: str) -> str:
    """``text`` on one line, with an escape for every unprintable character."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata

    return "".join(
        c if c == "\t" or (c.isprintable() and unicodedata.category(c) != "Cf") else _escaped(c)
        for c in text
    )


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class Terminal:
    """Writes to one stream, with colour if it is wanted.

    Only a terminal gets colour, and only if ``NO_COLOR`` is unset or empty.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = (
            stream.isatty()
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM", "dumb") != "dumb"
        )

    def style(self, text: str, style: str) -> str:
        """``text``, already escaped, in a style of the table above."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colour else text

    def line(self, text: str = "") -> None:
        """Write one line as it is; the caller has escaped it."""
        # surrogates of undecodable paths: escape() has shown them, so no line has any
        self._stream.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")

    def paragraph(self, *pieces: tuple[str, str], indent: int = 0, hang: int = 0) -> None:
        """Write words in lines that fit the terminal, or on one line if the output is not a
        terminal. A piece is a text, which this method escapes, and its style or None. The lines
        after the first are indented by ``hang`` more."""
        words = [
            (word, style) for text, style in pieces for word in escape(text).split(" ") if word
        ]
        width = self._width()
        line: list[tuple[str, str]] = []
        used = indent
        for word, style in words:
            gap = int(used > indent)
            if width and gap and used + gap + _columns(word) > width:
                self._run(line, indent)
                indent, hang, gap = indent + hang, 0, 0
                line, used = [], indent
            while width > indent and used + gap + _columns(word) > width:  # a path, for example
                part, word = word[: width - used], word[width - used :]
                self._run([*line, (part, style)], indent)
                indent, hang = indent + hang, 0
                line, used = [], indent
            line.append((word, style))
            used += gap + _columns(word)
        self._run(line, indent)

    def _run(self, words: Sequence[tuple[str, str]], indent: int) -> None:
        """A line of words; words of one style are together."""
        parts = [
            (" ".join(word for word, _ in run), style)
            for style, run in groupby(words, key=itemgetter(1))
        ]
        text = " ".join(self.style(part, style) if style else part for part, style in parts)
        self.line(" " * indent + text)

    def _width(self) -> int:
        """The width of the terminal; 0 if the output is not a terminal."""
        if not self._stream.isatty():
            return 0
        from shutil import get_terminal_size

        return max(20, get_terminal_size((80, 24)).columns)

    def value(self, text: str) -> None:
        """Write the value that the user asks for: escaped to a terminal, byte for byte to a
        pipe."""
        if self._stream.isatty():
            self.line(escape(text))
            return
        self._stream.flush()
        self._stream.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
        self._stream.buffer.flush()

    def error(self, error: LockcfgError) -> None:
        """Write an error: what is wrong, where, and what to do."""
        place: Place | None = getattr(error, "place", None)
        message = str(getattr(error, "reason", "")) if place else error.message
        self._message("error", message, str(place) if place else "")
        self._source(place)
        self._help(error.help)

    def finding(self, finding: Finding) -> None:
        """Write one finding, with the line that it is about."""
        where = str(finding.place) if finding.place else finding.path
        self._message(finding.severity, finding.message, where, finding.rule)
        self._source(finding.place)
        self._help(finding.help)

    def _message(self, style: str, message: str, where: str, rule: str = "") -> None:
        prefix = f"{self.style(escape(where), 'bold')}: " if where else "lockcfg: "
        suffix = f" {self.style(f'[{escape(rule)}]', 'dim')}" if rule else ""
        self.line(f"{prefix}{self.style(f'{style}:', style)} {escape(message)}{suffix}")

    def _help(self, help: str) -> None:
        if help:
            self.line(f"  {self.style('help:', 'info')} {escape(help)}")

    def _source(self, place: Place | None) -> None:
        """Write the source line of a place, and a caret under it."""
        if place is None or not place.text.strip():
            return
        from lockcfg.report.secrets import hide_secrets

        number, bar = str(place.line), self.style("|", "dim")
        hidden = hide_secrets(place.text)
        if hidden != place.text:  # before the line is cut, as a name tells what to hide
            shown = escape(hidden[:_WIDTH].replace("\t", " "))
            self.line(f"  {self.style(number, 'dim')} {bar} {shown}")
            return
        column = place.column - 1
        cut = max(0, column - _WIDTH // 2)
        shown = place.text[cut : cut + _WIDTH].replace("\t", " ")
        before = escape(shown[: column - cut])
        caret = "^" + "~" * (min(place.length, _WIDTH) - 1)
        self.line(f"  {self.style(number, 'dim')} {bar} {escape(shown)}")
        self.line(
            f"  {' ' * len(number)} {bar} {' ' * _columns(before)}{self.style(caret, 'error')}"
        )

    def diff(self, lines: Iterable[str]) -> None:
        """Write the lines of a unified diff."""
        from lockcfg.report.secrets import hide_secrets

        for line in lines:
            shown = escape(hide_secrets(line))
            if line.startswith(("---", "+++")):
                self.line(self.style(shown, "bold"))
            elif line.startswith("@@"):
                self.line(self.style(shown, "info"))
            elif line.startswith("+"):
                self.line(self.style(shown, "add"))
            elif line.startswith("-"):
                self.line(self.style(shown, "remove"))
            else:
                self.line(shown)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write rows of cells in columns; the last column is not padded."""
        shown = [[escape(cell) for cell in row] for row in rows]
        widths = [max(map(_columns, column)) for column in zip(*shown, strict=True)]
        for row in shown:
            cells = [
                cell + " " * (width - _columns(cell))
                for cell, width in zip(row, widths, strict=True)
            ]
            self.line("  " + "  ".join(cells).rstrip())


def _columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def stdout() -> Terminal:
    """The terminal for what the user asks for."""
    return Terminal(sys.stdout)


def stderr() -> Terminal:
    """The terminal for everything else: errors, warnings, advice."""
    return Terminal(sys.stderr)
