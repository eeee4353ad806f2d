"""Messages of libvirt's RPC protocol as bytes: made well or badly, and put into words.

A codec of the tests' own, so that a mistake in the engine's codec does not hide itself.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

LOCK: Final = 0x0EA7BEEF
ADMIN: Final = 0x06900690
KEEPALIVE: Final = 0x6B656570

CALL: Final = 0
REPLY: Final = 1
MESSAGE: Final = 2
CALL_WITH_FDS: Final = 4

ERROR: Final = 1

#: The longest message, without the four bytes of its own length; the longest string of a lock
#: call and of an admin call. In bytes.
LONGEST: Final = 33554432
LONGEST_STRING: Final = 65536
LONGEST_ADMIN_STRING: Final = 4194304

#: Calls of the lock program.
REGISTER: Final = 1
RESTRICT: Final = 2
NEW: Final = 3
CREATE_RESOURCE: Final = 4
DELETE_RESOURCE: Final = 5
ACQUIRE_RESOURCE: Final = 6
RELEASE_RESOURCE: Final = 7
CREATE_LOCKSPACE: Final = 8

#: Admin calls that a reply to is not the same every time.
LIST_SERVERS: Final = 4
LIST_CLIENTS: Final = 8
LOOKUP_CLIENT: Final = 9

_HEADER: Final = struct.Struct(">7I")
HEADER_SIZE: Final = _HEADER.size


def words(*numbers: int) -> bytes:
    """Each number as 32 bits; negative ones in two's complement."""
    return b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers)


def string(text: bytes | str) -> bytes:
    """A string or an opaque of variable length."""
    data = text.encode() if isinstance(text, str) else text
    return words(len(data)) + data + bytes(-len(data) % 4)


def message(
    procedure: int,
    payload: bytes = b"",
    *,
    serial: int = 1,
    program: int = LOCK,
    version: int = 1,
    kind: int = CALL,
    status: int = 0,
    length: int | None = None,
) -> bytes:
    """A whole message. ``length`` is what it says of itself, for one that lies."""
    said = _HEADER.size + len(payload) if length is None else length
    return words(said, program, version, procedure, kind, serial, status) + payload


#: What a client may send at any time, and the daemon answers without looking further.
PING: Final = message(1, serial=0, program=KEEPALIVE, kind=MESSAGE)


def split(stream: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages in ``stream``, and the rest."""
    found = []
    while len(stream) >= 4:
        length = max(int.from_bytes(stream[:4], "big"), 4)
        if len(stream) < length:
            break
        found.append(stream[:length])
        stream = stream[length:]
    return found, stream


_SERVERS: Final = (string("admin"), string("virtlockd"))


class Header(NamedTuple):
    """What stands before the payload."""

    length: int
    program: int
    version: int
    procedure: int
    kind: int
    serial: int
    status: int


def header(data: bytes) -> Header:
    """The header of a whole message."""
    return Header(*_HEADER.unpack_from(data))


class Error(NamedTuple):
    """The error in a reply, as far as a daemon of locks ever fills it in."""

    code: int
    domain: int
    message: bytes
    strings: tuple[bytes | None, bytes | None, bytes | None]
    numbers: tuple[int, int]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data: Final = data
        self.at = 0

    def word(self) -> int:
        (number,) = struct.unpack_from(">i", self._data, self.at)
        self.at += 4
        return int(number)

    def string(self) -> bytes:
        length = self.word() & 0xFFFFFFFF
        text = self._data[self.at : self.at + length]
        self.at += length + -length % 4
        return text

    def optional(self) -> bytes | None:
        return self.string() if self.word() else None


def error_of(data: bytes) -> Error | None:
    """The error that a whole message brings; None if it brings none that is well-formed."""
    if len(data) < HEADER_SIZE or header(data)[4::2] != (REPLY, ERROR):
        return None
    reader = _Reader(data[HEADER_SIZE:])
    try:
        code, domain, text = reader.word(), reader.word(), reader.optional()
        reader.word()  # how bad
        if text is None or reader.word():
            return None
        strings = reader.optional(), reader.optional(), reader.optional()
        return Error(code, domain, text, strings, (reader.word(), reader.word()))
    except struct.error:
        return None


#: Where the strings of a lock call begin, and how many there are; procedures of none left out.
_STRINGS: Final = {
    REGISTER: (16, 1),
    NEW: (0, 1),
    CREATE_LOCKSPACE: (0, 1),
    **dict.fromkeys((CREATE_RESOURCE, DELETE_RESOURCE, ACQUIRE_RESOURCE, RELEASE_RESOURCE), (0, 2)),
}


def lock_strings(data: bytes) -> tuple[bytes, ...]:
    """The strings in a call of the lock program; none if they are not all there."""
    if len(data) < HEADER_SIZE or header(data).program != LOCK:
        return ()
    start, count = _STRINGS.get(header(data).procedure, (0, 0))
    reader = _Reader(data[HEADER_SIZE + start :])
    try:
        found = tuple(reader.string() for _ in range(count))
    except struct.error:
        return ()
    return found if HEADER_SIZE + start + reader.at <= len(data) else ()


def without_chance(data: bytes) -> bytes:
    """A reply without what differs between two runs of one daemon: the moments at which clients
    connected are 0, and the servers, which virtlockd takes from a hash table, in one order."""
    if len(data) < HEADER_SIZE:
        return data
    _, program, _, procedure, kind, _, status = header(data)
    if (program, kind, status) != (ADMIN, REPLY, 0):
        return data
    if procedure == LIST_SERVERS:
        return data.replace(_SERVERS[1] + _SERVERS[0], _SERVERS[0] + _SERVERS[1])
    if procedure not in {LIST_CLIENTS, LOOKUP_CLIENT}:
        return data
    changed = bytearray(data)
    reader = _Reader(data[HEADER_SIZE:])
    for _ in range(reader.word() if procedure == LIST_CLIENTS else 1):
        reader.string()
        reader.at += 8  # the id
        changed[HEADER_SIZE + reader.at : HEADER_SIZE + reader.at + 8] = bytes(8)
        reader.at += 12  # the moment and the transport
    return bytes(changed)


def in_words(data: bytes) -> str:
    """A message for a person to read."""
    if len(data) < HEADER_SIZE:
        return f"{len(data)} bytes {data.hex()}"
    length, program, version, procedure, kind, serial, status = header(data)
    names = {LOCK: "lock", ADMIN: "admin", KEEPALIVE: "keepalive"}
    parts = [f"{names.get(program, hex(program))} {procedure}", f"serial {serial}"]
    for name, value, usual in (
        ("version", version, 1),
        ("type", kind, None),
        ("status", status, 0),
    ):
        if value != usual:
            parts.append(f"{name} {value}")
    if length != len(data):
        parts.append(f"says it has {length} bytes, has {len(data)}")
    error = error_of(data)
    if error is not None:
        texts = [text if text is None else text[:300] for text in error.strings]
        parts.append(f"{error.code}/{error.domain} {error.message[:300]!r} {texts} {error.numbers}")
    elif len(data) > HEADER_SIZE:
        rest = data[HEADER_SIZE:]
        parts.append(f"{rest[:200]!r}{'...' if len(rest) > 200 else ''}")
    return ", ".join(parts)
