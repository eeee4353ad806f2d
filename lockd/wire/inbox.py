"""Cuts the bytes of a connection into messages.

A length may be wrong. An impossible length ends the connection. Of a message that is longer than
any call, only the beginning is kept: the protocol allows bytes behind the arguments, and they have
no meaning.
"""

from __future__ import annotations

from struct import Struct

from lockd.wire.message import HEADER_SIZE, MAX_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: How much of a message is kept, in bytes: more than the longest call takes.
KEPT: Final = 256 * 1024

_LENGTH: Final = Struct(">I")
_length_at: Final = _LENGTH.unpack_from


class Inbox:
    """One direction of a connection. Bytes go in, whole messages come out.

    ``broken`` says why nothing more can come out and the connection must be closed; otherwise it is
    empty. ``partial`` tells that the beginning of a message is there.
    """

    __slots__ = ("_kept", "_rest", "_skip", "broken", "partial")

    def __init__(self, rest: bytes = b"", skip: int = 0, *, kept: int = KEPT) -> None:
        self._rest = rest
        self._skip = skip
        self._kept: Final = kept
        self.broken = ""
        self.partial = bool(rest)

    @property
    def state(self) -> tuple[bytes, int]:
        """What another inbox needs to go on from here: the beginning of a message, and how many
        bytes of an overlong one are still to be passed over. ``(b"", 0)`` between messages."""
        return self._rest, self._skip

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes, each with its header and at most ``kept``
        bytes."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            if self._skip:
                return []
            message, self._rest = self._rest, b""
            return [message, *self._cut(data[skipped:])]
        return self._cut(self._rest + data)

    def _cut(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        at = 0
        while len(data) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            if not HEADER_SIZE <= length <= MAX_SIZE + _LENGTH.size:
                self.broken = f"a message of {length} bytes"
                # It stays in front of all that comes, which is broken for that.
                self._rest = data[at : at + _LENGTH.size]
                self.partial = False
                return messages
            kept, end = min(at + length, at + self._kept), at + length
            if len(data) < kept:
                break
            if len(data) < end:
                self._skip = end - len(data)
                self._rest = data[at:kept]
                self.partial = True
                return messages
            messages.append(data[at:kept])
            at = end
        self._rest = data[at:]
        self.partial = at < len(data)
        return messages


def is_message(data: bytes) -> bool:
    """Whether bytes that come between messages are one whole message, and nothing else."""
    size = len(data)
    return HEADER_SIZE <= size <= KEPT and _length_at(data)[0] == size
