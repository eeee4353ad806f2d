"""Keeps passwords out of the lines that findings and diffs show.

A report hides what a line that it shows assigns to a password. This module handles what needs the
whole text: a password over several lines, a misspelt name of a password that no pattern recognises,
and a file that cannot be parsed.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import decode
from lockcfg.conf.files import KINDS
from lockcfg.conf.settings import settings_of
from lockcfg.findings import Finding, Place
from lockcfg.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document
    from lockcfg.lint.result import LintFix

#: What a report shows in place of a password and of everything after it.
HIDDEN: Final = '"********"'

#: What a word contains that sounds like the name of a password.
_LIKE: Final = "(?i:pas|pwd|psw|secret)"

#: A word, and after it what follows the name of a setting, except for a quote at its end.
_ASSIGNED: Final = r"(?<![A-Za-z0-9_])([A-Za-z0-9_]++)(?:[ \t]*+[=:]|[ \t]++[\"'\[]|\[)"

#: A word that may begin a statement.
_STATEMENT: Final = r"(?:^|[;\r])[ \t]*+([A-Za-z0-9_]++)"

#: A value that may continue on the next line.
_OPENING: Final = r"(?<![A-Za-z0-9_])([A-Za-z0-9_]++)[ \t]*+=?[ \t]*+(?:\[|\"\"\")"

#: The message about a word that has no quotes, or no value.
_QUOTES: Final = "a string stands in quotes"
_VALUE: Final = "write '"


class PasswordFilter:
    """Which parts of a text a report can show. ``document`` is the parsed text, or None if it
    cannot be parsed."""

    def __init__(self, text: bytes, document: Document | None) -> None:
        self._parsed = document is not None
        self._lines: list[bytes] = []
        self._last = 0, "", ""
        #: Lines that contain only the rest of a password.
        self._rest: list[range] = []
        if document is None:
            for match in re.finditer(_OPENING, decode(text)):
                if _is_password(match[1]):  # the end of the password is unknown
                    line = decode(text).count("\n", 0, match.end()) + 1
                    self._rest.append(range(line + 1, text.count(b"\n") + 2))
                    break
            return
        for entry in document.entries:
            lines = text.count(b"\n", entry.value_span.start, entry.value_span.end)
            if lines and _is_password(entry.key):
                first = text.count(b"\n", 0, entry.value_span.start) + 1
                self._rest.append(range(first + 1, first + lines + 1))

    def finding(self, finding: Finding) -> Finding:
        """``finding``, a finding about the text, without the passwords on its line."""
        place = finding.place
        if place is None:
            return finding
        shown = self.line(place.line, place.text)
        if shown == place.text:
            return finding
        advice = finding.help
        if not self._parsed and (_VALUE in advice or advice.startswith(_QUOTES)):
            advice = _QUOTES  # the advice would reveal the word
        return Finding(
            finding.rule,
            finding.severity,
            finding.message,
            path=finding.path,
            place=Place(place.path, place.line, place.column, shown, place.length),
            key=finding.key,
            help=advice,
        )

    def covers(self, fix: LintFix, text: bytes) -> bool:
        """Whether ``fix``, made for the text, touches a line with a password. What the fix writes
        there may be that password in another spelling."""
        if not self._lines:
            self._lines = text.split(b"\n")
        for each in fix.replacements:
            for number in range(each.line, min(each.end_line, len(self._lines)) + 1):
                line = decode(self._lines[number - 1]).removesuffix("\r")
                if self.line(number, line) != line:
                    return True
        return False

    def lines(self, text: str) -> Iterator[tuple[str, str]]:
        """Each line of the text, decoded: as a report can show it, and as it is."""
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            yield self.line(number, line.removesuffix("\r")), line

    def line(self, number: int, line: str) -> str:
        """The part of a line that a report can show, by the number of the line."""
        if self._last[:2] != (number, line):
            self._last = number, line, self._shown(number, line)
        return self._last[2]

    def _shown(self, number: int, line: str) -> str:
        if any(number in lines for lines in self._rest):
            return HIDDEN
        # UTF-16 has a NUL after every letter.
        legible = line.replace("\0", "")
        # The first name counts: what follows it may look like the name of another password.
        ends = [
            match.end(1)
            for pattern in ((_ASSIGNED,) if self._parsed else (_ASSIGNED, _STATEMENT))
            for match in re.finditer(pattern, legible)
            if _is_password(match[1])
        ]
        return f"{legible[: min(ends)]} = {HIDDEN}" if ends else line


#: The name of every setting of every file, and whether it names a password.
_known: Final[dict[str, bool]] = {}

#: The same for other names that a run has asked for.
_other: Final[dict[str, bool]] = {}


def _is_password(name: str) -> bool:
    if not _known:
        for kind in KINDS.values():
            _known.update((key, setting.secret) for key, setting in settings_of(kind).items())
    found = _known.get(name, _other.get(name))
    if found is None:
        secrets = [key for key, secret in _known.items() if secret]
        found = re.search(_LIKE, name) is not None or nearest(name.lower(), secrets) is not None
        if len(_other) < 10_000:
            _other[name] = found
    return found
