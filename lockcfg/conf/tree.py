"""Reading text through our Augeas lenses. The only module that talks to Augeas.

An Augeas handle belongs to the thread that uses it, so each thread has its own; a handle loads
one lens when it is first asked for it and nothing else, which takes about 2 ms instead of the
300 ms of an Augeas that loads all of its lenses.
"""

from __future__ import annotations

import os
from _thread import get_ident

from augeas import Augeas

from lockcfg.conf.document import Entry, Span, decode, place
from lockcfg.conf.syntax import condense
from lockcfg.data import LENSES
from lockcfg.errors import ConfSyntaxError, LockcfgError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import FileKind
    from lockcfg.conf.syntax import Condensed

_FLAGS: Final = Augeas.NO_LOAD | Augeas.NO_MODL_AUTOLOAD | Augeas.NO_STDINC | Augeas.ENABLE_SPAN
_TEXT: Final = "/text"
_TREE: Final = "/tree"

#: By thread.
_handles: Final[dict[int, Augeas]] = {}


def read_entries(text: bytes, kind: FileKind, path: str) -> list[Entry]:
    """The settings in ``text``, in order, as libvirt's parser reads them.

    ``path`` is for messages only. Raises :class:`ConfSyntaxError` where libvirt's parser would
    refuse the text, and for a NUL byte, which ends the text for some of libvirt's readers and
    not for others.
    """
    nul = text.find(b"\0")
    if nul >= 0:
        raise ConfSyntaxError(
            "a NUL byte", place(path, text, Span(nul, nul)), help="this is not a text file"
        )
    condensed = condense(text)
    if not condensed.text:
        return []
    if condensed.text.isspace():
        # libvirt refuses it; the lens takes a line feed for an empty file.
        raise _syntax_error(text, path)
    # Augeas binding takes and gives str as UTF-8: one character for a byte keeps every byte.
    characters = condensed.text.decode("latin-1")
    augeas = _augeas()
    augeas.set(_TEXT, characters)
    augeas.remove(_TREE)
    try:
        augeas.text_store(kind.lens, _TEXT, _TREE)
    except ValueError:
        raise _refused(augeas, text, kind, path) from None
    offsets = _Offsets(characters, condensed)
    nodes = _Nodes(augeas, characters, offsets)
    entries = [nodes.entry(node) for node in nodes.entries()]
    last = entries[-1] if entries else None
    if last and last.literal == '""""""' and last.value_span.end == len(text):
        # libvirt looks for a triple quote only where seven bytes are left.
        raise _syntax_error(text, path)
    return entries


def lens_version() -> str:
    """The version of the Augeas library in use."""
    return _string(_augeas().get("/augeas/version"))


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
    return _syntax_error(text, path)


def _syntax_error(text: bytes, path: str) -> ConfSyntaxError:
    from lockcfg.conf.diagnosis import diagnose

    problem = diagnose(text)
    if problem is None:
        # Not reached as far as tests with generated files can tell: the lens refused the
        # text and no reason was found, so say so rather than guess.
        return ConfSyntaxError("not understood", place(path, text, Span(0, 0)))
    here = place(path, text, Span(problem.offset, problem.offset))
    return ConfSyntaxError(problem.reason, here, help=problem.help)


def _string(value: object) -> str:
    """A value out of the binding, which gives ``b''`` for an empty string."""
    return value if isinstance(value, str) else ""


class _Offsets:
    """From Augeas's byte offsets in the UTF-8 it was given to byte offsets in the file."""

    def __init__(self, characters: str, condensed: Condensed) -> None:
        self._condensed = condensed
        # In ASCII a character is a byte there too, and that is nearly every file.
        self._utf8 = None if characters.isascii() else characters.encode("utf-8")

    def character(self, at: int) -> int:
        """The offset in the characters given to Augeas."""
        if self._utf8 is None:
            return at
        return len(self._utf8[:at].decode("utf-8"))

    def original(self, character: int) -> int:
        """The offset in the file."""
        return self._condensed.offset(character)


class _Nodes:
    """The tree of one text, as entries. Lockcfg_conf says how a setting looks in it."""

    def __init__(self, augeas: Augeas, characters: str, offsets: _Offsets) -> None:
        self._augeas = augeas
        self._characters = characters
        self._offsets = offsets

    def entries(self) -> list[str]:
        """The paths of the nodes that are settings."""
        nodes: list[str] = self._augeas.match(
            f"{_TREE}/*[label() != '#comment'][label() != '#empty']"
        )
        return nodes

    def entry(self, node: str) -> Entry:
        """The entry that ``node`` stands for."""
        _, key_start, key_end, value_start, value_end, _, _ = self._augeas.span(node)
        character = self._offsets.character
        key_start, key_end = character(key_start), character(key_end)
        comment: str | None = None
        value: Value
        if value_end > value_start:
            start, end = character(value_start), character(value_end)
            if self._characters[start - 1] == '"':  # the lens leaves plain quotes out
                start, end = start - 1, end + 1
            value = _scalar(self._characters[start:end])
            hash_at = end
        else:
            start = self._after_equals(key_end)
            value, end = self._list(node, start)
            hash_at = end
        if self._augeas.match(f"{node}/#comment"):
            comment = self._comment(hash_at)
        original = self._offsets.original
        return Entry(
            self._characters[key_start:key_end],
            value,
            _text(self._characters[start:end]),
            comment,
            Span(original(key_start), original(key_end)),
            Span(original(start), original(end - 1) + 1),
        )

    def _after_equals(self, at: int) -> int:
        at = self._characters.index("=", at) + 1
        while self._characters[at] in " \t":
            at += 1
        return at

    def _list(self, node: str, start: int) -> tuple[tuple[str | int, ...], int]:
        """The elements of a list that opens at ``start``, and where it ends."""
        elements: list[str | int] = []
        end = start + 1
        for child in self._augeas.match(f"{node}/*[label() != '#comment']"):
            *_, begin, end = map(self._offsets.character, self._augeas.span(child)[1:])
            elements.append(_scalar(self._characters[begin:end]))
        return tuple(elements), self._characters.index("]", end) + 1

    def _comment(self, at: int) -> str:
        """The comment of the statement whose value ends at ``at``."""
        start = self._characters.index("#", at) + 1
        end = start
        while self._characters[end] not in "\r\n":
            end += 1
        return _text(self._characters[start:end]).strip(" \t")


def _scalar(literal: str) -> str | int:
    """The value of a string or integer as it is spelled."""
    if literal.startswith('"""') and len(literal) > 5:
        return _text(literal[3:-3])
    if literal[0] in "\"'":
        return _text(literal[1:-1])
    return _integer(literal)


def _integer(literal: str) -> int:
    """An integer; one of absurd length, which Python would not convert, is cut to 100 digits.

    Both are far outside of what libvirt can hold, and a check says so.
    """
    digits = literal.lstrip("+-").lstrip("0")
    number = int(digits[:100] or "0")
    return -number if literal.startswith("-") else number


def _text(characters: str) -> str:
    """What the file's bytes, one character each, say."""
    if characters.isascii():
        return characters
    return decode(characters.encode("latin-1"))
