"""Reads a snapshot, which comes from another machine and may contain anything.

A snapshot (``schemas/snapshot.schema.json``) is one JSON object. The collector writes each of its
members on a line of its own, and this module relies on that: most of 10,000 hosts have the same
``qemu.conf``, and a known line is not parsed again. A snapshot in any other layout is read as a
whole and rewritten in this layout first. So the layout decides only how long the reading takes.
"""

from __future__ import annotations

import hashlib
import json

from lockcfg.fleet.snapshots.format import (
    EVIDENCE,
    LONGEST,
    LONGEST_NAME,
    OWN,
    SnapshotError,
    check_member,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

#: The largest snapshot that is read, in bytes: every file in it may be as large as libvirt reads.
MAX_SIZE: Final = 64 * 1024 * 1024

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


def own_members(pieces: list[bytes]) -> dict[str, Any]:
    """The members about one host alone, parsed together and checked."""
    if not len(OWN) <= len(pieces) <= len(OWN) + 1:
        raise SnapshotError("has not all of its members, or one of them twice")
    return _own(b"{%b}" % b",".join(pieces))


def own_members_behind(head: bytes, data: bytes) -> dict[str, Any] | None:
    """The members about one host alone, if ``data`` is ``head`` and these members in the
    collector's layout; None if it is not."""
    if not data.startswith(head) or not data.startswith(_FIRST_OWN, len(head)):
        return None
    tail = data[len(head) + 1 : -3]
    if not data.endswith(b"\n}\n") or not len(OWN) - 1 <= tail.count(b",\n") <= len(OWN):
        return None
    return _own(b"{%b}" % tail)


def head_of(data: bytes, pieces: list[bytes]) -> bytes | None:
    """The text before the members about one host alone, if these are the last ones."""
    last = len(OWN) + pieces[-1].startswith(_OWN_BEGINNINGS[-1])
    size = sum(len(piece) + 2 for piece in pieces[-last:])
    head = data[: -(size + 3)]
    return head if all(map(is_own, pieces[-last:])) and data[len(head)] == _COMMA else None


_FIRST_OWN: Final = f',\n"{OWN[0]}":'.encode()
_COMMA: Final = ord(",")


def _own(data: bytes) -> dict[str, Any]:
    own: dict[str, Any] = _parsed(data)
    if own.keys() != _OWN_NAMES:
        if own.keys() - {EVIDENCE} != _OWN_NAMES:
            raise SnapshotError("has not all of its members, or one of them twice")
        _object_of(data)
        for name, value in own.items():
            check_member(name, value)
        return own
    if not (_is_plain(data) and _is_familiar(own) and data.count(b'":') == _names_in(own)):
        _object_of(data)  # refuses an object that has a member twice
        for name in OWN:
            check_member(name, own[name])
        _remember(own)
    return own


def _is_plain(data: bytes) -> bool:
    """Whether ``data`` has nothing that a check of its strings and numbers could refuse: no string
    that is too long or not text, and no negative number."""
    return (
        len(data) < LONGEST
        and data.isascii()
        and b"\\" not in data
        and b":-" not in data
        and b",-" not in data
        and b"[-" not in data
    )


#: The types of the members of objects that were checked once and are right, by the kind of object.
#: In plain data nothing else can be wrong, except for words of which only a few are allowed.
_familiar: Final[dict[str, set[tuple[object, ...]]]] = {
    "host": set(),
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


def _is_familiar(own: Mapping[str, Any]) -> bool:
    """Whether the members of a host are like members that were checked."""
    guests, changed, identities = own["guests"], own["changed"], own["identities"]
    if not (
        _are_familiar([own["host"]], "host")
        and 0 < len(own["host"]["name"]) < LONGEST_NAME
        and _are_familiar(own["daemons"], "daemon")
        and _are_familiar(guests, "guest")
        and type(changed) is type(identities) is dict
        and len(changed) < _MANY
        and {int}.issuperset(map(type, changed.values()))
        and {list}.issuperset(map(type, identities.values()))
        and all({int}.issuperset(map(type, held.values())) for held in _held(own))
    ):
        return False
    for identity in identities.values():
        if len(identity) != 2 or type(identity[0]) is not str or type(identity[1]) is not int:
            return False
    if not {"qemu"}.issuperset([guest["driver"] for guest in guests]):
        return False
    return _are_familiar([disk for guest in guests for disk in guest["disks"]], "disk")


def _held(own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each lock daemon holds."""
    return [daemon["held"] for daemon in own["daemons"] if "held" in daemon]


def _names_in(own: Mapping[str, Any]) -> int:
    """How many names of members familiar data has: as many as the text has, if no object has a
    member twice."""
    guests = own["guests"]
    objects = [own, own["host"], own["changed"], own["identities"], *own["daemons"], *guests]
    objects += _held(own)
    disks = [len(disk) for guest in guests for disk in guest["disks"]]
    return sum(map(len, objects)) + sum(disks)


def _remember(own: Mapping[str, Any]) -> None:
    plain = [guest for guest in own["guests"] if "leases" not in guest]
    for what, values in (
        ("host", [own["host"]]),
        ("daemon", own["daemons"]),
        ("guest", plain),
        ("disk", [disk for guest in plain for disk in guest["disks"]]),
    ):
        if len(_familiar[what]) < _MANY:
            _familiar[what].update(map(_types, values[:_MANY]))


def digest(piece: bytes) -> bytes:
    """The key under which a piece is remembered."""
    return hashlib.blake2b(piece, digest_size=16).digest()


def _object_of(data: bytes) -> dict[str, Any]:
    document = _parsed(data, _unique)
    assert isinstance(document, dict)  # it has braces
    return document


def _parsed(data: bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    try:
        return json.loads(data, parse_constant=_refuse, object_pairs_hook=hook)
    except RecursionError:
        raise SnapshotError("is nested too deeply") from None
    except UnicodeDecodeError:
        raise SnapshotError("is not JSON: it is not UTF-8") from None
    except ValueError as error:
        if not data.strip():
            raise SnapshotError("is empty") from None
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
