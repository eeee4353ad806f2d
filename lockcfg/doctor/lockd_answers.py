"""What a running lockd says of itself: a reader of its own, of no more than two calls.

The protocol is libvirt's RPC: a length, a header of six numbers, and here a string that is JSON.
"""

from __future__ import annotations

import json
import socket
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

#: lockd's own program on the admin socket, and its procedures.
_PROGRAM: Final = 0x10CCD
_STATUS: Final = 1
_LOCKS: Final = 2

_HEADER: Final = Struct(">IIIIIII")
_UINT: Final = Struct(">I")

#: How long an answer may take, in seconds, and how long it may be, in bytes.
_PATIENCE: Final = 2.0
_MOST: Final = 32 * 1024 * 1024


class NoLockdError(Exception):
    """No process answers there, or it is not lockd; the text says which. ``other`` is whether
    another lock daemon answers."""

    def __init__(self, text: str, *, other: bool) -> None:
        super().__init__(text)
        self.other: Final = other


class Answers:
    """The answers of the lockd at a socket: ``status`` and ``locks``, as ``lockd status --json``
    and ``lockd locks --json`` print them. Raises :class:`NoLockdError`."""

    def __init__(self, address: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_PATIENCE)
                connection.connect(address)
                self.status: Final[dict[str, Any]] = _call(connection, _STATUS)
                self.locks: Final[list[dict[str, Any]]] = _locks(connection)
        except OSError as error:
            raise NoLockdError(f"{address}: {error.strerror or error}", other=False) from error
        except (ValueError, KeyError, TypeError) as error:
            raise NoLockdError(f"{address}: the answer is invalid", other=False) from error


def _locks(connection: socket.socket) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    last: int | None = 0
    while last is not None:
        answer = _call(connection, _LOCKS, _UINT.pack(last))
        found += answer["locks"]
        last = answer["last"]
    return found


def _call(connection: socket.socket, procedure: int, arguments: bytes = b"") -> Any:
    size = _HEADER.size + len(arguments)
    connection.sendall(_HEADER.pack(size, _PROGRAM, 1, procedure, 0, 1, 0) + arguments)
    length = _UINT.unpack(_receive(connection, _UINT.size))[0]
    if not _HEADER.size <= length <= _MOST:
        raise ValueError("a message with an invalid length")
    reply = _receive(connection, length - _UINT.size)
    if _UINT.unpack_from(reply, _HEADER.size - 2 * _UINT.size)[0]:
        raise NoLockdError("another lock daemon answers", other=True)
    at = _HEADER.size - _UINT.size
    end = at + _UINT.size + _UINT.unpack_from(reply, at)[0]
    return json.loads(reply[at + _UINT.size : end])


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise OSError("it has hung up")
        data += piece
    return data
