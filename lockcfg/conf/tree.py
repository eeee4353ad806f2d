"""Reads text through lockcfg's Augeas lenses. The only module that talks to Augeas.

An Augeas handle belongs to the thread that uses it, so each thread has its own; a handle loads
one lens when it is first asked for it and nothing else, which takes about 2 ms instead of the
300 ms of an Augeas that loads all of its lenses.
"""

from __future__ import annotations

import os
import re
from _thread import get_ident

from augeas import Augeas

if not hasattr(Augeas, "ns_attr"):
    from lockcfg.conf.nodesets import Augeas

from lockcfg.conf.document import Entry, Span, decode, place
from lockcfg.conf.syntax import Condensed, condense, list_parts
from lockcfg.errors import ConfSyntaxError, LockcfgError
from lockcfg.resources import LENSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import FileKind

_FLAGS: Final = Augeas.NO_LOAD | Augeas.NO_MODL_AUTOLOAD | Augeas.NO_STDINC
_TEXT: Final = "/text"
_TREE: Final = "/tree"

#: The text between two settings, and the beginning of one.
_NEXT: Final = re.compile(r"(?:[ \t\r\n;]|#[^\r\n]*)*([A-Za-z][A-Za-z0-9_]*)[ \t]*=[ \t]*")

#: The only text that libvirt reads and lockcfg refuses.
NUL_IN_STRING: Final = "a NUL byte in a string, of which libvirt reads what is before it"

#: By thread.
_handles: Final[dict[int, Augeas]] = {}


def read_entries(text: bytes, kind: FileKind, path: str) -> list[Entry]:
    """The settings in ``text``, in order, as libvirt's parser reads them.

    ``path`` is for messages only. Raises :class:`ConfSyntaxError` if libvirt's parser would refuse
    the text, and for a NUL byte in a string, which ends the string for libvirt. libvirt ignores a
    NUL in a comment. The sanlock daemon refuses nothing.
    """
    if kind.grammar == "sanlock":
        return _read_lines(text, kind)
    if b"\0" in text:
        return _read_around_nul(text, kind, path)
    condensed = condense(text)
    if not condensed.text:
        return []
    if condensed.text.isspace():
        # libvirt refuses it; the lens takes a line feed for an empty file.
        raise _syntax_error(text, kind, path)
    augeas = _augeas()
    entries: list[Entry] = []
    try:
        for part in condensed.parts():
            entries += _read_part(augeas, part, text, kind)
    except ValueError:
        raise _refused(augeas, text, kind, path) from None
    last = entries[-1] if entries else None
    if last and last.literal == '""""""' and last.value_span.end == len(text):
        # libvirt looks for a triple quote only where seven bytes are left.
        raise _syntax_error(text, kind, path)
    return entries


def _read_lines(text: bytes, kind: FileKind) -> list[Entry]:
    """The settings of a file of the sanlock daemon. Each line is one node of the tree."""
    from lockcfg.conf.sanlock import LINES, lines_of, seen_as

    augeas = _augeas()
    lines = lines_of(text)
    entries: list[Entry] = []
    for first in range(0, len(lines), LINES):
        part = lines[first : first + LINES]
        seen = [seen_as(text[start:end]) for start, end in part]
        augeas.set(_TEXT, b"".join(line + b"\n" for line in seen).decode("latin-1"))
        augeas.remove(_TREE)
        augeas.text_store(kind.lens, _TEXT, _TREE)
        augeas.defvar("nodes", f"{_TREE}/*")
        for number, (start, _) in enumerate(part):
            value, key, _ = augeas.ns_attr("nodes", number)
            if key.startswith("#"):
                continue
            word = _string(value)
            at = start + seen[number].index(b"=") + 1
            at += len(seen[number][at - start :]) - len(seen[number][at - start :].lstrip(b" \t\r"))
            entries.append(
                Entry(
                    key,
                    _integer(word) if re.fullmatch("[+-]?[0-9]+", word, re.ASCII) else _text(word),
                    _text(word),
                    None,
                    Span(start, start + len(key)),
                    Span(at, at + len(word)),
                )
            )
    return entries


def _read_around_nul(text: bytes, kind: FileKind, path: str) -> list[Entry]:
    """As :func:`read_entries`. A NUL would end the text for Augeas: another character that, as it,
    only strings and comments may hold stands for it."""
    nul = text.index(b"\0")
    try:
        entries = read_entries(text.replace(b"\0", b"\1"), kind, path)
    except ConfSyntaxError as error:
        if re.search(rb"#[^\n]*\Z", text[:nul]):
            raise  # it is in a comment
        from lockcfg.conf.advice import advise

        here = place(path, text, Span(nul, nul))
        advice = advise(text, kind, nul) or "this is not a text file"
        raise ConfSyntaxError("a NUL byte", here, help=advice) from error
    for entry in entries:
        at = text.find(b"\0", entry.value_span.start, entry.value_span.end)
        if at >= 0:
            raise ConfSyntaxError(
                NUL_IN_STRING, place(path, text, Span(at, at)), help="take the NUL byte out"
            )
    return entries


def _read_part(augeas: Augeas, part: Condensed, text: bytes, kind: FileKind) -> list[Entry]:
    """The settings of ``part`` of ``text``. Raises ValueError if the lens refuses it."""
    pieces = list_parts(part.text)
    if pieces is None:
        return _Nodes(augeas, part, kind).entries()
    # A long list: the statement with the last elements alone, and the others part by part.
    start, spans = pieces
    end = spans[-1][1]
    rest = Condensed(
        part.text[:start] + part.text[end:], [(0, part.offset(0)), (start, part.offset(end))]
    )
    entry, *others = _Nodes(augeas, rest, kind).entries()
    elements: list[str | int] = []
    for span in spans:
        only = b"list = [ %b]\n" % part.text[slice(*span)]
        (found,) = _Nodes(augeas, Condensed(only, [(0, 0)]), kind).entries()
        assert isinstance(found.value, tuple)
        elements += found.value
    assert isinstance(entry.value, tuple)
    value_span = Span(entry.value_span.start, entry.value_span.end)
    whole = Entry(
        entry.key,
        (*elements, *entry.value),
        decode(text[value_span.start : value_span.end]),
        entry.comment,
        entry.key_span,
        value_span,
    )
    return [whole, *others]


def _augeas() -> Augeas:
    thread = get_ident()
    augeas = _handles.get(thread)
    if augeas is None:
        # The root is never read (NO_LOAD); it only has to be a directory.
        augeas = _handles[thread] = Augeas(root=os.sep, loadpath=LENSES, flags=_FLAGS)
    return augeas


def _refused(augeas: Augeas, text: bytes, kind: FileKind, path: str) -> LockcfgError:
    """The error for a text that the lens does not take."""
    if not augeas.match(f"/augeas/text{_TREE}/error/pos"):
        reason = augeas.get("/augeas//error/message") or "no reason given"
        return LockcfgError(f"Augeas cannot use the lens {kind.lens}: {_string(reason)}")
    return _syntax_error(text, kind, path)


def _syntax_error(text: bytes, kind: FileKind, path: str) -> ConfSyntaxError:
    from lockcfg.conf.diagnosis import diagnose

    problem = diagnose(text)
    if problem is None:
        # Tests with generated files never reach this: the lens refused the text and no reason was
        # found. Say so rather than guess.
        return ConfSyntaxError("not understood", place(path, text, Span(0, 0)))
    here = place(path, text, Span(problem.offset, problem.offset))
    from lockcfg.conf.advice import advise

    return ConfSyntaxError(
        problem.reason, here, help=advise(text, kind, problem.offset) or problem.help
    )


def _string(value: object) -> str:
    """A value out of the binding, which gives ``b''`` for an empty string."""
    return value if isinstance(value, str) else ""


class _Nodes:
    """The tree of one text, as entries. Lockcfg_conf says how a setting looks in it.

    Augeas gives the nodes in order; this class finds their places in the text. Augeas could give
    these too, but takes longer for it than for everything else.
    """

    def __init__(self, augeas: Augeas, part: Condensed, kind: FileKind) -> None:
        # The binding takes and gives str as UTF-8: one character for a byte keeps every byte.
        self._characters: Final = part.text.decode("latin-1")
        self._part: Final = part
        self._augeas: Final = augeas
        augeas.set(_TEXT, self._characters)
        augeas.remove(_TREE)
        augeas.text_store(kind.lens, _TEXT, _TREE)

    def entries(self) -> list[Entry]:
        """The settings, in order."""
        augeas = self._augeas
        augeas.defvar("nodes", f"{_TREE}/*[label() != '#comment'][label() != '#empty']")
        entries: list[Entry] = []
        at = 0
        for number in range(augeas.ns_count("nodes")):
            entry, at = self._entry(number, at)
            entries.append(entry)
        return entries

    def _entry(self, number: int, at: int) -> tuple[Entry, int]:
        """The entry of the node with this number, which comes at or after ``at``, and its end."""
        node, key, _ = self._augeas.ns_attr("nodes", number)
        name = _NEXT.match(self._characters, at)
        assert name is not None
        assert name[1] == key
        start = name.end()
        value: Value
        if node is None:
            value, end = self._list(number, start)
        else:
            value, length = _element(_string(node))
            end = start + length
        literal = self._characters[start:end]
        original = self._part.offset
        key_start, value_start = original(name.start(1)), original(start)
        entry = Entry(
            key,
            value,
            _text(literal),
            self._comment(end),
            Span(key_start, key_start + len(key)),
            Span(value_start, original(end - 1) + 1),
        )
        return entry, end

    def _list(self, number: int, start: int) -> tuple[tuple[str | int, ...], int]:
        """The elements of a list that opens at ``start``, and where it ends."""
        augeas = self._augeas
        augeas.defvar("elements", f"$nodes[{number + 1}]/*[label() != '#comment']")
        elements: list[str | int] = []
        at = start + 1
        for each in range(augeas.ns_count("elements")):
            element, length = _element(_string(augeas.ns_value("elements", each)))
            elements.append(element)
            while self._characters[at] in " \t\r\n,":
                at += 1
            at += length
        return tuple(elements), self._characters.index("]", at) + 1

    def _comment(self, at: int) -> str | None:
        """The comment of the statement whose value ends at ``at``; None if it has none."""
        start = at
        while self._characters[start] in " \t":
            start += 1
        if self._characters[start] != "#":
            return None
        end = start = start + 1
        while self._characters[end] not in "\r\n":
            end += 1
        return _text(self._characters[start:end]).strip(" \t")


def _element(value: str) -> tuple[str | int, int]:
    """The value of a node, and the length of its spelling in characters."""
    digits = value[1:] if value[:1] in ("+", "-") else value
    if value[:1] in ('"', "'") or (digits.isascii() and digits.isdigit()):
        return _scalar(value), len(value)
    return _text(value), len(value) + 2  # the lens leaves plain quotes out


def _scalar(literal: str) -> str | int:
    """The value of a string or integer as it is spelled."""
    if literal.startswith('"""') and len(literal) > 5:
        return _text(literal[3:-3])
    if literal[0] in "\"'":
        return _text(literal[1:-1])
    return _integer(literal)


def _integer(literal: str) -> int:
    """An integer; one of absurd length, which Python would not convert, is cut to 100 digits.

    Both are far beyond libvirt's range, and a check reports that.
    """
    digits = literal.lstrip("+-").lstrip("0")
    number = int(digits[:100] or "0")
    return -number if literal.startswith("-") else number


def _text(characters: str) -> str:
    """The text of bytes that came one character each."""
    if characters.isascii():
        return characters
    return decode(characters.encode("latin-1"))
