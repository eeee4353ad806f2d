"""Waivers in comments.

    lock_manager = "nop"  # lockcfg: ignore[LK202] lab host, see ticket 17 (until 2027-06-30)

A comment after a setting, or on the line above it, waives findings about that line by the rules
that it names. ``ignore-file`` waives them in the whole file. The reason follows the bracket.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from lockcfg.conf.document import Span, decode
from lockcfg.frozen import Frozen
from lockcfg.lint.conceal import PasswordFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from typing import Final

    from lockcfg.conf.document import Document

_WAIVER: Final = rb"#[ \t]*lockcfg:[ \t]*(ignore|ignore-file)\[([^\]\r\n]*)\]([^\r\n#]*)"
#: What no name of a rule has, and everything after it: it may be anything, and reports show it.
_NO_NAME: Final = r"[^A-Za-z0-9_-].*"
_UNTIL: Final = r"\(until (\d{4}-\d{2}-\d{2})\)\s*$"


class Waiver(Frozen):
    """One waiver in a comment.

    ``rules`` are codes or slugs as written; ``until`` is the last day on which the waiver counts,
    or None. ``line`` is the line that it is about; with ``whole_file`` it is only the line of the
    comment. ``span`` is the comment.
    """

    __slots__ = ("line", "reason", "rules", "span", "until", "whole_file")

    def __init__(
        self,
        rules: tuple[str, ...],
        reason: str,
        until: datetime.date | None,
        line: int,
        span: Span,
        *,
        whole_file: bool,
    ) -> None:
        self.rules: Final = rules
        self.reason: Final = reason
        self.until: Final = until
        self.line: Final = line
        self.span: Final = span
        self.whole_file: Final = whole_file

    def covers(self, line: int | None) -> bool:
        """Whether the waiver covers a finding in ``line``; None stands for the whole file."""
        if self.whole_file:
            return True
        return line == self.line


def waivers_in(document: Document) -> list[Waiver]:
    """The waivers in the comments of a document, in its order.

    A string that looks like a waiver is not one. A date that no calendar has counts as the past:
    such a waiver has expired.
    """
    text = document.text or b""
    if b"lockcfg:" not in text:
        return []
    passwords = PasswordFilter(b"", document)
    starts = [entry.value_span.start for entry in document.entries]
    found: list[Waiver] = []
    for match in re.finditer(_WAIVER, text):
        number = bisect_right(starts, match.start()) - 1
        setting = document.entries[number] if number >= 0 else None
        if setting is not None and match.start() < setting.value_span.end:
            continue
        reason = passwords.line(0, decode(match.group(3)).strip())
        until = None
        if date := re.search(_UNTIL, reason):
            reason = reason[: date.start()].strip()
            import datetime

            try:
                until = datetime.date.fromisoformat(date.group(1))
            except ValueError:
                until = datetime.date.min
        names = (name.strip() for name in decode(match.group(2)).split(","))
        rules = tuple(re.sub(_NO_NAME, "…", name) for name in names if name)
        line = document.place(Span(match.start(), match.start())).line
        start = text.rfind(b"\n", 0, match.start()) + 1
        before = text[start : match.start()].strip(b" \t\r")
        if not before or before.startswith(b"#"):
            line += 1  # a comment on a line of its own is about the next line
        else:
            if setting is not None and start < setting.value_span.end:
                # The line on which the setting begins.
                line = document.place(setting.key_span).line
        found.append(
            Waiver(
                rules,
                reason,
                until,
                line,
                Span(match.start(), match.end()),
                whole_file=match.group(1) == b"ignore-file",
            )
        )
    return found
