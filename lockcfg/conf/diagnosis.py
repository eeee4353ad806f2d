"""Why libvirt's parser refuses a text, and where, in its own words.

A lens can only tell that it does not match. This module is asked only after the lens has refused
the text, so it may be slow, and is not imported before.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import decode
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Problem(Frozen):
    """Why a text is refused: libvirt's reason, the byte offset, and what would be right."""

    __slots__ = ("help", "offset", "reason")

    def __init__(self, reason: str, offset: int, help: str) -> None:
        self.reason: Final = reason
        self.offset: Final = offset
        self.help: Final = help


_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*+")
_BLANKS: Final = re.compile(rb"[ \t]*+")
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_SCALAR: Final = re.compile(rb"\"[^\"\r\n]*+\"|'[^'\r\n]*+'|[+-]?[0-9]++")
_WORD: Final = re.compile(rb"[A-Za-z0-9_./:@-]{1,60}")
_TO_LINE_END: Final = re.compile(rb"[^\r\n]*+")
_TO_LINE_FEED: Final = re.compile(rb"[^\n]*+")


def diagnose(text: bytes) -> Problem | None:
    """Why libvirt's parser refuses ``text``, at the first place; None if it accepts it.

    The reasons are libvirt's own words, so that they can be compared with its log; a list
    inside a list, which libvirt takes, has a reason of ours.
    """
    at = 0
    end = len(text)
    while at < end:
        at = _after(_SPACE, text, at)
        if text[at : at + 1] == b"#":
            at = _after(_TO_LINE_END, text, at)
        else:
            result = _statement(text, at)
            if isinstance(result, Problem):
                return result
            at = result
        at = _after(_BLANKS, text, at)
        if at == end:
            return None
        if text[at : at + 1] not in (b"\n", b"\r", b";"):
            return Problem("expecting a separator", at, _help_separator(text, at))
        at = _after(_SPACE, text, at + 1)
    return None


def _help_separator(text: bytes, at: int) -> str:
    if text[at - 1 : at].isdigit() and (word := _word(text, at)):
        # Most often an address: vnc_listen = 0.0.0.0
        integer = re.search(rb"[+-]?[0-9]+\Z", text[:at])
        start = decode(integer[0]) if integer else ""
        return f'a string stands in quotes: "{start}{decode(word[0])}"'
    return "a setting ends with its line, a ';' or a '#' comment"


def _word(text: bytes, at: int) -> re.Match[bytes] | None:
    """A word that was perhaps meant as a string; empty if it may be a password."""
    line = text[text.rfind(b"\n", 0, at) + 1 : at]
    return None if b"pas" in line else _WORD.match(text, at)


def _after(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _statement(text: bytes, at: int) -> int | Problem:
    name = _NAME.match(text, at)
    if name is None:
        if at == len(text):
            return Problem(
                "expecting a name",
                at,
                "a file of blanks alone is an error to libvirt: empty it, or write a comment",
            )
        return Problem(
            "expecting a name", at, "a setting reads 'name = value', a comment begins with '#'"
        )
    at = _after(_BLANKS, text, name.end())
    if text[at : at + 1] != b"=":
        key = name.group().decode("ascii")
        return Problem("expecting an assignment", at, f"write '{key} = value'")
    result = _value(text, at + 1, nested=False)
    if isinstance(result, Problem):
        return result
    at = _after(_BLANKS, text, result)
    if text[at : at + 1] == b"#":
        at = _after(_TO_LINE_END, text, at)
    return at


def _value(text: bytes, at: int, *, nested: bool) -> int | Problem:
    at = _after(_BLANKS, text, at)
    first = text[at : at + 1]
    if text.startswith(b'"""', at) and len(text) - at > 6:
        close = text.find(b'"""', at + 3)
        if close < 0:
            # libvirt looks for the end as far as three bytes are left, and counts lines so far.
            return Problem(
                "unterminated string",
                _after(_TO_LINE_FEED, text, len(text) - 2),
                f'close the string that opens on line {_line(text, at)} with """',
            )
        return close + 3
    if first == b"[":
        if nested:
            return Problem(
                "a list inside a list",
                at,
                "libvirt's parser takes it, but no setting uses it; write one flat list",
            )
        return _list(text, at)
    scalar = _SCALAR.match(text, at)
    if scalar is not None:
        return scalar.end()
    if first in (b'"', b"'"):
        return Problem(
            "unterminated string", at, f"close it with {first.decode()} on the same line"
        )
    if first in (b"+", b"-"):
        return Problem("unterminated number", at + 1, "a sign is followed by digits")
    if word := _word(text, at):
        return Problem("expecting a value", at, f'a string stands in quotes: "{decode(word[0])}"')
    return Problem(
        "expecting a value", at, "a value is a string in quotes, an integer, or a [ list ]"
    )


def _list(text: bytes, at: int) -> int | Problem:
    opening = at
    at = _after(_SPACE, text, at + 1)
    while at < len(text) and text[at : at + 1] != b"]":
        result = _value(text, at, nested=True)
        if isinstance(result, Problem):
            return result
        at = _after(_SPACE, text, result)
        if text[at : at + 1] == b",":
            at = _after(_SPACE, text, at + 1)
            if at == len(text):
                # Behind a comma libvirt asks for a value before it looks for the end.
                return _not_closed("expecting a value", text, opening)
        elif at < len(text) and text[at : at + 1] != b"]":
            return Problem(
                "expecting a separator in list",
                at,
                "the values of a list are separated by ',', and a list holds no comments",
            )
    if at == len(text):
        return _not_closed("list is not closed with ]", text, opening)
    return at + 1


def _not_closed(reason: str, text: bytes, opening: int) -> Problem:
    """The text ends in a list. libvirt notices that at the end; the cause is where the list
    opens."""
    line = _line(text, opening)
    return Problem(reason, len(text), f"close the list that opens on line {line} with ']'")


def _line(text: bytes, at: int) -> int:
    return text.count(b"\n", 0, at) + 1
