"""Applies the fixes of a run to the files.

Two fixes that touch each other are never applied together. The first one is applied, and the file
is linted again, until no fix is left. So a second ``--fix`` changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from zlib import crc32

from lockcfg.conf.document import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcfg.lint.result import LintFix, LintResult


def fixable(result: LintResult, *, unsafe: bool) -> dict[str, list[LintFix]]:
    """The fixes to apply, by path: the fixes of findings that count, unsafe ones only on
    request."""
    found: dict[str, list[LintFix]] = {}
    for diagnostic in result.counted:
        if diagnostic.fix is not None and (unsafe or diagnostic.fix.safety == "safe"):
            found.setdefault(diagnostic.finding.path, []).append(diagnostic.fix)
    return found


def are_for(fixes: Iterable[LintFix], text: bytes) -> bool:
    """Whether ``fixes`` were made for ``text``, and not for an earlier text of the file."""
    checksum = crc32(text)
    return all(fix.made_for in (None, checksum) for fix in fixes)


def applied(text: bytes, fixes: Iterable[LintFix]) -> bytes:
    """``text`` after those of ``fixes`` that do not touch one another."""
    lines = text.split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    taken: list[tuple[int, int, bytes]] = []

    def offset(line: int, column: int) -> int:
        if line > len(lines):
            return len(text)
        before = decode(lines[line - 1])[: column - 1]
        return starts[line - 1] + len(encode(before))

    for fix in fixes:
        edits = [
            (offset(r.line, r.column), offset(r.end_line, r.end_column), encode(r.text))
            for r in fix.replacements
        ]
        if not any(_touches(edit, taken) for edit in edits):
            for edit in edits:
                insort(taken, edit)
    pieces: list[bytes] = []
    at = 0
    for start, end, new in taken:
        pieces += text[at:start], new
        at = end
    text = b"".join((*pieces, text[at:]))
    # libvirt refuses a file that contains only blanks, and accepts an empty one.
    return text if text.strip(b" \t\r\n") else b""


def _touches(edit: tuple[int, int, bytes], taken: list[tuple[int, int, bytes]]) -> bool:
    """Whether ``edit`` touches one of ``taken``, which are in order and do not touch each other."""
    number = bisect_left(taken, edit)
    return any(
        edit[0] <= other[1] and other[0] <= edit[1]
        for other in taken[max(0, number - 1) : number + 1]
    )
