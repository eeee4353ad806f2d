"""Reads a snapshot, which comes from another machine and may contain anything.

A snapshot (``schemas/snapshot.schema.json``) is one JSON object. The collector writes each of its
members on a line of its own, and this module relies on that: most of 10,000 hosts have the same
``qemu.conf``, and a known line is not parsed again. The collector writes most guests in one way,
and one regular expression reads and checks them (:data:`PLAIN_GUEST`). A snapshot in any other
layout is read as a whole and rewritten in this layout first. So the layout decides only how long
the reading takes.
"""

from __future__ import annotations

import hashlib
import json
import re
from operator import itemgetter

from lockcfg.fleet.snapshots.format import (
    EVIDENCE,
    LONGEST,
    LONGEST_NAME,
    MAX_SIZE,
    OWN,
    SnapshotError,
    check_member,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final

_OWN_NAMES: Final = frozenset(OWN)

#: How many kinds of objects are remembered.
_MANY: Final = 100

#: The beginning of a piece with an own member.
_OWN_BEGINNINGS: Final = tuple(f'"{name}":'.encode() for name in (*OWN, EVIDENCE))


def pieces_of(data: bytes) -> list[bytes]:
    """The members of a snapshot, each as ``"name":value``. Raises :class:`SnapshotError`.

    In the collector's layout they are the text between the line ends, as no JSON string has a line
    end. The parser finds out if a piece is not a whole member: see :func:`member`.
    """
    if len(data) > MAX_SIZE:
        raise SnapshotError(f"is larger than {MAX_SIZE // 1024 // 1024} MiB")
    if data.startswith(b'{\n"') and data.endswith(b"\n}\n"):
        return data[2:-3].split(b",\n")
    return rewritten(data)


def rewritten(data: bytes) -> list[bytes]:
    """The members of a snapshot in any layout, rewritten in the layout of the collector."""
    document = _parsed(data, _unique)
    if not isinstance(document, dict):
        raise SnapshotError("is not a JSON object")
    return [
        f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), sort_keys=True)}".encode()
        for key, value in document.items()
    ]


def is_own(piece: bytes) -> bool:
    """Whether a piece is about one host alone."""
    return piece.startswith(_OWN_BEGINNINGS)


def member(piece: bytes) -> dict[str, Any]:
    """The member in a piece, by its name. Raises :class:`SnapshotError`.

    If every piece is an object in braces, then all of them together are the members of one object,
    whatever the line ends mean.
    """
    return _object_of(b"{%b}" % piece)


class Own:
    """The members about one host alone. ``plain`` are the guests that :data:`PLAIN_GUEST` matches,
    each as its groups; ``guests`` are the other guests, parsed. ``evidence`` is None if the host
    has taken part in no probe."""

    __slots__ = ("changed", "daemons", "evidence", "guests", "host", "identities", "plain")

    def __init__(
        self,
        host: dict[str, Any],
        daemons: list[dict[str, Any]],
        changed: Mapping[str, int],
        identities: Mapping[str, Any],
        guests: list[dict[str, Any]],
        plain: Sequence[tuple[str, ...]] = (),
        evidence: dict[str, Any] | None = None,
    ) -> None:
        self.host: Final = host
        self.daemons: Final = daemons
        self.changed: Final = changed
        self.identities: Final = identities
        self.guests: Final = guests
        self.plain: Final = plain
        self.evidence: Final = evidence


def own_members(pieces: list[bytes]) -> Own:
    """The members about one host alone, in any order, checked. Raises :class:`SnapshotError`."""
    own = _object_of(b"{%b}" % b",".join(pieces))
    if own.keys() - {EVIDENCE} != _OWN_NAMES:
        raise SnapshotError("has not all of its members, or one of them twice")
    for name, value in own.items():
        check_member(name, value)
    return Own(**own)


def own_members_behind(head: bytes, data: bytes) -> Own | None:
    """The members about one host alone, if ``data`` is ``head`` and these members in the
    collector's layout; None if it is not, or if a member may be wrong."""
    if not data.startswith(head) or not data.endswith(b"\n}\n"):
        return None
    tail = data[len(head) : -3]
    if not tail.startswith(_FIRST_OWN) or not tail.isascii():
        return None
    lines = tail[2:].decode().split(",\n")
    if not len(OWN) <= len(lines) <= len(OWN) + 1:
        return None
    if not all(map(str.startswith, lines, _OWN_STARTS)):
        return None
    try:
        host = _PLAIN_HOST.fullmatch(lines[0])
        return Own(
            _host_of(*host.groups()) if host else _value(lines[0], "host"),
            _value(lines[1], "daemons"),
            _value(lines[2], "changed"),
            _value(lines[3], "identities"),
            *_guests(lines[4]),
            _value(lines[5], EVIDENCE) if len(lines) > len(OWN) else None,
        )
    except SnapshotError:
        return None  # a reading of the whole snapshot says better what is wrong


#: A string of printable ASCII without escapes.
_TEXT: Final = r"[ !#-\[\]-~]{0,4096}"
_NAME: Final = _TEXT.replace("0,4096", f"1,{LONGEST_NAME}")
#: The last part of a path.
_LAST: Final = r"[ !#-.0-\[\]-~]{1,4096}"
#: A whole number that SQLite takes.
_WHOLE: Final = r"0|[1-9][0-9]{0,17}"

#: A disk that is a file, as the collector writes nearly all of them. The groups: device, inode, the
#: text from there to the last part of the path, this part, the member ``readonly``, the beginning
#: of the path without links, its last part, the type.
_PLAIN_DISK: Final = (
    rf'\{{"device":"({_TEXT})","inode":({_WHOLE})((?:,"lock":"{_TEXT}")?,"path":"{_TEXT}/)({_LAST})"'
    rf'((?:,"readonly":true)?)(?:(,"resolved":"{_TEXT}/)({_LAST})")?,"type":"(file|block)"\}}'
)

_PLAIN_MORE: Final = re.sub(r"\((?!\?)", "(?:", _PLAIN_DISK)

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

#: A guest that has only such disks, and the comma after it. No check of a guest refuses what this
#: matches. The groups: the whole text, those of the first disk, further disks, driver, name, the
#: member ``running``, the time of its start, UUID.
PLAIN_GUEST: Final = re.compile(
    rf'(\{{"disks":\[{_PLAIN_DISK}((?:,{_PLAIN_MORE}){{0,1000}})\],"driver":"(qemu|libxl)"'
    rf',"name":"({_TEXT})"((?:,"running":true)?)(?:,"started":({_WHOLE}))?,"uuid":"({_UUID})"\}}'
    rf"(?:,(?=\{{)|\Z))"
)

#: The further disks of such a guest.
PLAIN_DISK: Final = re.compile(_PLAIN_DISK)

_PLAIN_HOST: Final = re.compile(
    rf'"host":\{{"boot_id":"({_TEXT})","machine_id":"({_TEXT})","name":"({_NAME})","taken":({_WHOLE})\}}'
)

#: The most guests of one host.
_MOST_GUESTS: Final = 100_000


def _host_of(boot_id: str, machine_id: str, name: str, taken: str) -> dict[str, Any]:
    return {"boot_id": boot_id, "machine_id": machine_id, "name": name, "taken": int(taken)}


def as_written(guest: Sequence[str]) -> dict[str, Any]:
    """The guest that has these groups of :data:`PLAIN_GUEST`."""
    told: dict[str, Any] = _DECODER.decode(guest[0].rstrip(","))
    return told


def _guests(line: str) -> tuple[list[dict[str, Any]], Sequence[tuple[str, ...]]]:
    """The other guests, and the plain ones. Raises :class:`SnapshotError`."""
    text = line[len(_GUESTS) : -1]
    if line[-1] != "]":
        raise SnapshotError("is not in the layout of the collector")
    plain = PLAIN_GUEST.findall(text)
    if len(plain) > _MOST_GUESTS:
        raise SnapshotError("has too many guests")
    if sum(map(len, map(itemgetter(0), plain))) == len(text):
        return [], plain
    # Between the plain guests are others. Each gap must be a list of guests on its own.
    others: list[dict[str, Any]] = []
    at = 0
    for guest in plain:
        whole = guest[0]
        if not text.startswith(whole, at):
            found = text.index(whole, at)
            if text[found - 1] != ",":
                raise SnapshotError("is not in the layout of the collector")
            others += _some_guests(text[at : found - 1])
            at = found
        at += len(whole)
    if at < len(text):
        others += _some_guests(text[at:])
    if len(plain) + len(others) > _MOST_GUESTS:
        raise SnapshotError("has too many guests")
    return others, plain


def _some_guests(text: str) -> list[dict[str, Any]]:
    guests: list[dict[str, Any]] = _checked(f'"guests":[{text}]', "guests")
    if not guests:
        raise SnapshotError("is not in the layout of the collector")
    return guests


#: Members that were checked, by their lines: several hosts may have one. Nothing changes these
#: values.
_seen: Final[dict[str, Any]] = {}

#: How many lines are remembered, and how long a remembered line is at most.
_MOST_SEEN: Final = 500
_LONGEST_SEEN: Final = 2000


def _value(line: str, name: str) -> Any:
    """The value of the member on a line, checked. Raises :class:`SnapshotError`."""
    value = _seen.get(line)
    if value is None:
        value = _checked(line, name)
        if len(line) <= _LONGEST_SEEN:
            if len(_seen) >= _MOST_SEEN:
                _seen.clear()
            _seen[line] = value
    return value


def _checked(line: str, name: str) -> Any:
    own = _parsed(f"{{{line}}}")
    if own.keys() != {name}:
        raise SnapshotError("is not in the layout of the collector")
    value = own[name]
    familiar = _FAMILIAR.get(name)
    if not (
        familiar
        and _is_plain(line)
        and familiar(value)
        and line.count('":') == _names_in(name, value) + 1
    ):
        _object_of(b"{%b}" % line.encode())  # refuses an object that has a member twice
        check_member(name, value)
        _remember(name, value)
    return value


def head_of(data: bytes, pieces: list[bytes]) -> bytes | None:
    """The text before the members about one host alone, if these are the last ones."""
    if not pieces:
        return None
    last = len(OWN) + pieces[-1].startswith(_OWN_BEGINNINGS[-1])
    size = sum(len(piece) + 2 for piece in pieces[-last:])
    head = data[: -(size + 3)]
    return head if all(map(is_own, pieces[-last:])) and data[len(head)] == _COMMA else None


_FIRST_OWN: Final = f',\n"{OWN[0]}":'.encode()
_COMMA: Final = ord(",")
_OWN_STARTS: Final = tuple(f'"{name}":' for name in (*OWN, EVIDENCE))
_GUESTS: Final = '"guests":['


def _is_plain(text: str) -> bool:
    """Whether ``text`` has nothing that a check of its strings and numbers could refuse: no string
    that is too long or not text, and no negative number."""
    return (
        len(text) < LONGEST
        and text.isascii()
        and "\\" not in text
        and ":-" not in text
        and ",-" not in text
        and "[-" not in text
    )


#: The types of the members of objects that were checked once and are right, by the kind of object.
#: In plain data nothing else can be wrong, except for words of which only a few are allowed.
_familiar: Final[dict[str, set[tuple[object, ...]]]] = {
    "daemon": set(),
    "guest": set(),
    "disk": set(),
}


def _types(value: dict[str, Any]) -> tuple[object, ...]:
    return (*value, *map(type, value.values()))


def _are_familiar(values: Any, what: str) -> bool:
    """Whether ``values`` is a list of objects like ones that were checked."""
    if type(values) is not list or not {dict}.issuperset(map(type, values)):
        return False
    return _familiar[what].issuperset(map(_types, values))


def _are_guests(guests: Any) -> bool:
    """Whether guests and their disks are like guests that were checked."""
    return (
        _are_familiar(guests, "guest")
        and {"qemu"}.issuperset([guest["driver"] for guest in guests])
        and _are_familiar([disk for guest in guests for disk in guest["disks"]], "disk")
    )


def _are_daemons(daemons: Any) -> bool:
    return _are_familiar(daemons, "daemon") and all(
        {int}.issuperset(map(type, daemon["held"].values()))
        for daemon in daemons
        if "held" in daemon
    )


def _are_times(changed: Any) -> bool:
    return (
        type(changed) is dict
        and len(changed) < _MANY
        and {int}.issuperset(map(type, changed.values()))
    )


def _are_identities(identities: Any) -> bool:
    return type(identities) is dict and all(
        type(each) is list and len(each) == 2 and type(each[0]) is str and type(each[1]) is int
        for each in identities.values()
    )


#: Tells whether a member is like members that were checked.
_FAMILIAR: Final[dict[str, Callable[[Any], bool]]] = {
    "daemons": _are_daemons,
    "changed": _are_times,
    "identities": _are_identities,
    "guests": _are_guests,
}


def _names_in(name: str, value: Any) -> int:
    """How many names of members familiar data has: as many as the text has, if no object has a
    member twice."""
    if name == "guests":
        return sum(map(len, value)) + sum(len(disk) for guest in value for disk in guest["disks"])
    if name == "daemons":
        return sum(map(len, value)) + sum(len(each["held"]) for each in value if "held" in each)
    return len(value)


def _remember(name: str, value: Any) -> None:
    if name == "daemons":
        _remember_types("daemon", value)
    elif name == "guests":
        plain = [guest for guest in value if "leases" not in guest]
        _remember_types("guest", plain)
        _remember_types(
            "disk", [disk for guest in plain for disk in guest["disks"] if _is_flat(disk)]
        )


def _is_flat(disk: dict[str, Any]) -> bool:
    """Whether the types of its members say all of it: a list may hold anything."""
    return not any(type(value) in (list, dict) for value in disk.values())


def _remember_types(what: str, values: list[dict[str, Any]]) -> None:
    if len(_familiar[what]) < _MANY:
        _familiar[what].update(map(_types, values[:_MANY]))


def digest(piece: bytes) -> bytes:
    """The key under which a piece is remembered."""
    return hashlib.blake2b(piece, digest_size=16).digest()


def _object_of(data: bytes) -> dict[str, Any]:
    document = _parsed(data, _unique)
    assert isinstance(document, dict)  # it has braces
    return document


def _parsed(data: bytes | str, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    try:
        if hook is None and isinstance(data, str):
            return _DECODER.decode(data)
        return json.loads(data, parse_constant=_refuse, object_pairs_hook=hook)
    except RecursionError:
        raise SnapshotError("is nested too deeply") from None
    except UnicodeDecodeError:
        raise SnapshotError("is not JSON: it is not UTF-8") from None
    except ValueError as error:
        if not data.strip():
            raise SnapshotError("is empty") from None
        if isinstance(data, str):
            raise SnapshotError("is not JSON") from None
        if data.lstrip()[:1] == b"{" and not data.rstrip().endswith(b"}"):
            raise SnapshotError("is cut off: its end is missing") from None
        raise SnapshotError(f"is not JSON: {str(error)[:100]}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, which must not have a member twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
