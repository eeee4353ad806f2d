"""Keeping passwords out of the lines that findings and diffs show.

A report hides what is assigned to a password on the line that it shows. What takes a look at the
whole text is here: a password over several lines, a name of a password that is misspelt beyond
recognition, a file that cannot be parsed.
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

#: What stands in for a password and all that is behind it.
HIDDEN: Final = '"********"'

#: What is in a word that sounds like the name of a password.
_LIKE: Final = "(?i:pas|pwd|psw|secret)"

#: A word, and what is behind it as behind the name of a setting, except for a quote at its end.
_ASSIGNED: Final = r"(?<![A-Za-z0-9_])([A-Za-z0-9_]++)(?:[ \t]*+[=:]|[ \t]++[\"'\[]|\[)"

#: A word that a statement may begin with.
_STATEMENT: Final = r"(?:^|[;\r])[ \t]*+([A-Za-z0-9_]++)"

#: What may go on on the next line.
_OPENING: Final = r"(?<![A-Za-z0-9_])([A-Za-z0-9_]++)[ \t]*+=?[ \t]*+(?:\[|\"\"\")"

#: What is said of a word that has no quotes, or no value.
_QUOTES: Final = "a string stands in quotes"
_VALUE: Final = "write '"


class PasswordFilter:
    """What of a text can be shown. ``document`` is the text parsed, or None where it cannot be."""

    def __init__(self, text: bytes, document: Document | None) -> None:
        self._parsed = document is not None
        self._lines: list[bytes] = []
        self._last = 0, "", ""
        #: Lines that hold nothing but the rest of a password.
        self._rest: list[range] = []
        if document is None:
            for match in re.finditer(_OPENING, decode(text)):
                if _is_password(match[1]):  # where it would end, no one can tell
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
            advice = _QUOTES  # it would tell which word is meant
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
        """Whether ``fix``, made for the text, touches a line with a password: what it writes
        there may be that password, spelled another way."""
        if not self._lines:
            self._lines = text.split(b"\n")
        for each in fix.replacements:
            for number in range(each.line, min(each.end_line, len(self._lines)) + 1):
                line = decode(self._lines[number - 1]).removesuffix("\r")
                if self.line(number, line) != line:
                    return True
        return False

    def lines(self, text: str) -> Iterator[tuple[str, str]]:
        """Each line of the text, decoded, as it can be shown and as it is."""
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            yield self.line(number, line.removesuffix("\r")), line

    def line(self, number: int, line: str) -> str:
        """What can be shown of the line of that number."""
        if self._last[:2] != (number, line):
            self._last = number, line, self._shown(number, line)
        return self._last[2]

    def _shown(self, number: int, line: str) -> str:
        if any(number in lines for lines in self._rest):
            return HIDDEN
        # In UTF-16 there is a NUL behind every letter.
        legible = line.replace("\0", "")
        # The first of them: what is behind it may look like the name of another password.
        ends = [
            match.end(1)
            for pattern in ((_ASSIGNED,) if self._parsed else (_ASSIGNED, _STATEMENT))
            for match in re.finditer(pattern, legible)
            if _is_password(match[1])
        ]
        return f"{legible[: min(ends)]} = {HIDDEN}" if ends else line


#: Every name of a setting of any file, and whether it is that of a password.
_known: Final[dict[str, bool]] = {}

#: The same of other names, as far as they were asked for.
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
