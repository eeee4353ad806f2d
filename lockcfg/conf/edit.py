"""Changing one document: pure functions from a document to the next one.

A change touches only the bytes that it must, and its result is read through the lens again before
it is returned.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import Document, Span, encode
from lockcfg.conf.settings import spell
from lockcfg.conf.syntax import between
from lockcfg.conf.tree import read_entries
from lockcfg.errors import LockcfgError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Entry, Value

#: Integers from here on are cut when they are read, so reading them back would give another value.
_ABSURD: Final = 10**99


def set_value(document: Document, key: str, value: Value) -> Document:
    """``document`` with ``key`` set to ``value``; the same object where it already is.

    The first entry of the key gets the value, as it is the one that libvirt uses. A new
    setting goes under the commented-out sample of the same key, written in its manner, or to
    the end of the file.

    Raises :class:`UsageError` for a string that libvirt's syntax has no way to write, and for the
    file of the sanlock daemon, which is not edited.
    """
    _check_edited(document)
    entry = document.get(key)
    if entry is not None and entry.value == value:
        return document
    try:
        literal = encode(spell(value))
    except UnicodeEncodeError:
        raise UsageError(f"{key}: no file can hold this string: it is not Unicode") from None
    except ValueError as error:
        raise UsageError(f"{key}: {error}") from None
    if b"\0" in literal:
        raise UsageError(f"{key}: libvirt's syntax has no way to write a NUL")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int) and not -_ABSURD < number < _ABSURD:
            raise UsageError(f"{key}: an integer of more than 64 bits")
    text = document.text or b""
    if entry is None:
        text = _inserted(text, encode(key), literal)
    else:
        text = text[: entry.value_span.start] + literal + text[entry.value_span.end :]
    return _reread(document, text, key, value)


def _check_edited(document: Document) -> None:
    if document.kind.grammar != "libvirt":
        raise UsageError(
            f"{document.path}: lockcfg reads {document.kind.name} and does not edit it"
        )


def unset(document: Document, key: str) -> Document:
    """``document`` without any entry of ``key``: if one stayed, it would come into force. Raises
    :class:`UsageError` for the file of the sanlock daemon."""
    _check_edited(document)
    entries = list(document.all(key))
    if not entries:
        return document
    whole = document.text or b""
    spans = [statement_span(whole, entry) for entry in entries]
    ends = [0, *(span.end for span in spans)]
    starts = [*(span.start for span in spans), len(whole)]
    text = b"".join(whole[end:start] for end, start in zip(ends, starts, strict=True))
    if not text.strip(b" \t\r\n"):
        text = b""  # a file of nothing but blanks is an error to libvirt
    return _reread(document, text, key, None)


def _reread(document: Document, text: bytes, key: str, value: Value | None) -> Document:
    """The document of ``text``, checked to say what the edit intended."""
    entries = read_entries(text, document.kind, document.path)
    changed = Document(document.kind, document.path, text, entries)
    entry = changed.get(key)
    others = [(e.key, e.value) for e in document.entries if e.key != key]
    if (entry.value if entry else None) != value or others != [
        (e.key, e.value) for e in changed.entries if e.key != key
    ]:
        raise LockcfgError(f"{document.path}: the edit of '{key}' went wrong; nothing was written")
    return changed


def statement_span(text: bytes, entry: Entry) -> Span:
    """The span of ``text`` to remove with ``entry``: with its comment and separator, and the whole
    line if nothing else is on it."""
    start, end = entry.key_span.start, entry.value_span.end
    after = re.compile(rb"[ \t]*(?:#[^\r\n]*)?").match(text, end)
    end = after.end() if after else end
    line_start = start
    while text[line_start - 1 : line_start] in (b" ", b"\t"):
        line_start -= 1
    begins_line = line_start == 0 or text[line_start - 1 : line_start] in (b"\n", b"\r")
    if text[end : end + 1] == b";":
        # What follows on the line takes its place.
        blanks = re.compile(rb";[ \t]*").match(text, end)
        return Span(start, blanks.end() if blanks else end)
    if begins_line:
        line_end = re.compile(rb"\r\n|\r|\n").match(text, end)
        return Span(line_start, line_end.end() if line_end else end)
    return Span(line_start, end)


def _inserted(text: bytes, key: bytes, literal: bytes) -> bytes:
    """``text`` with a new setting."""
    eol = b"\r\n" if b"\r\n" in text else b"\n"
    sample = _sample(text, key)
    if sample is not None:
        at, assignment = sample
        line = assignment + literal + eol
    else:
        at, line = len(text), key + b" = " + literal + eol
    if at and text[at - 1 : at] not in (b"\n", b"\r"):
        line = eol + line
    return text[:at] + line + text[at:]


def _sample(text: bytes, key: bytes) -> tuple[int, bytes] | None:
    """Where to write under the commented-out sample of ``key``, and how it spells 'key = '.

    The last sample counts: what comes before may be prose that shows an example.
    """
    sample = rb"(?:^|\r)[ \t]*#[ \t]*(%b[ \t]*=[ \t]*)([^\r\n]*)" % re.escape(key)
    pattern = re.compile(sample, re.MULTILINE)
    found: tuple[int, bytes] | None = None
    for start, end in between(text):
        for match in pattern.finditer(text, start, end):
            found = _end_of_sample(text, match, end), match.group(1)
    return found


def _end_of_sample(text: bytes, match: re.Match[bytes], end: int) -> int:
    """The start of the line after a sample, which may be a list over several comment lines."""
    at = match.end()
    if match.group(2).startswith(b"[") and b"]" not in match.group(2):
        rest = re.compile(rb"(?:\r\n|\r|\n)[ \t]*#[^\r\n\]]*").match
        line = rest(text, at, end)
        while line:
            at = line.end()
            if text[at : at + 1] == b"]":
                at = text.index(b"]", at) + 1
                break
            line = rest(text, at, end)
        else:
            at = match.end()  # never closed: not a list
    line_end = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)").match(text, at)
    return line_end.end() if line_end else at
