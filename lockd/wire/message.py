"""The header of a message: its procedure, its type, and the call that it answers.

A message is its length (these four bytes included), six numbers, and a payload.
"""

from __future__ import annotations

from struct import Struct

from lockd.wire.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Types of messages.
CALL: Final = 0
REPLY: Final = 1
MESSAGE: Final = 2
STREAM: Final = 3
CALL_WITH_FDS: Final = 4
REPLY_WITH_FDS: Final = 5
STREAM_HOLE: Final = 6

# What a reply says of itself.
OK: Final = 0
ERROR: Final = 1
CONTINUE: Final = 2

_LAYOUT: Final = Struct(">IIIiiIi")

#: The bytes of a header, the length included.
HEADER_SIZE: Final = _LAYOUT.size

#: The largest message of the protocol, in bytes, without the four of its length.
MAX_SIZE: Final = 32 * 1024 * 1024


class Header(Record):
    """The header of a message. ``length`` counts the header, itself included."""

    length: int
    program: int
    version: int
    procedure: int
    type: int
    serial: int
    status: int


#: The fields of a header without their names: a call needs them a million times.
unpack_header: Final = _LAYOUT.unpack_from


def read_header(message: bytes) -> Header:
    """The header of a message, of which at least :data:`HEADER_SIZE` bytes are there."""
    return Header(*_LAYOUT.unpack_from(message))


def pack_message(header: Header, payload: bytes = b"") -> bytes:
    """A message. The length in ``header`` is not looked at."""
    _, program, version, procedure, kind, serial, status = header
    return (
        _LAYOUT.pack(HEADER_SIZE + len(payload), program, version, procedure, kind, serial, status)
        + payload
    )


def pack_reply(
    program: int,
    version: int,
    procedure: int,
    serial: int,
    payload: bytes = b"",
    status: int = OK,
) -> bytes:
    """The reply to the call with these numbers."""
    return (
        _LAYOUT.pack(HEADER_SIZE + len(payload), program, version, procedure, REPLY, serial, status)
        + payload
    )
