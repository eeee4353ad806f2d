"""XDR (RFC 4506), as far as libvirt's lock and admin protocols use it.

Every value takes a multiple of 4 bytes, integers are big-endian. What is read is untrusted: a
length is believed only as far as there are bytes, and never beyond the limit that the protocol
sets.
"""

from __future__ import annotations

from struct import Struct, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeVar

    T = TypeVar("T")

#: The longest string of the lock protocol, in bytes.
MAX_STRING: Final = 65536

_INT: Final = Struct(">i")
_UINT: Final = Struct(">I")
_uint_at: Final = _UINT.unpack_from
_HYPER: Final = Struct(">q")
_UHYPER: Final = Struct(">Q")
_DOUBLE: Final = Struct(">d")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


class DecodeError(Exception):
    """The bytes do not follow the protocol; the text says why."""


class Reader:
    """Reads values one after the other. Every method raises :class:`DecodeError`.

    Bytes behind the last value are ignored, as in libvirt.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data: Final = data
        self._at = at

    def _number(self, layout: Struct) -> int:
        try:
            (value,) = layout.unpack_from(self._data, self._at)
        except error:
            raise DecodeError("the message ends within a number") from None
        self._at += layout.size
        return int(value)

    def sint(self) -> int:
        """A signed integer of 32 bits."""
        return self._number(_INT)

    def uint(self) -> int:
        """An unsigned integer of 32 bits."""
        try:
            value: int = _uint_at(self._data, self._at)[0]
        except error:
            raise DecodeError("the message ends within a number") from None
        self._at += 4
        return value

    def hyper(self) -> int:
        """A signed integer of 64 bits."""
        return self._number(_HYPER)

    def uhyper(self) -> int:
        """An unsigned integer of 64 bits."""
        return self._number(_UHYPER)

    def double(self) -> float:
        """A floating-point number of 64 bits."""
        try:
            (value,) = _DOUBLE.unpack_from(self._data, self._at)
        except error:
            raise DecodeError("the message ends within a number") from None
        self._at += 8
        return float(value)

    def opaque(self, size: int) -> bytes:
        """``size`` bytes."""
        start = self._at
        end = start + size
        after = end + (-size & 3)
        if after > len(self._data):
            raise DecodeError("the message ends within a value")
        self._at = after
        return self._data[start:end]

    def string(self, limit: int = MAX_STRING) -> str:
        """A string of at most ``limit`` bytes; those that are not UTF-8 become surrogates."""
        # Written out for speed, without the methods above: every call has two strings.
        at, data = self._at, self._data
        try:
            (size,) = _uint_at(data, at)
        except error:
            raise DecodeError("the message ends within a number") from None
        if size > limit:
            raise DecodeError(f"a string of {size} bytes, where at most {limit} may be")
        at += 4
        end = at + size
        self._at = after = end + (-size & 3)
        if after > len(data):
            raise DecodeError("the message ends within a value")
        value = data[at:end]
        if b"\0" in value:
            raise DecodeError("a string with a NUL in it")
        return value.decode("utf-8", "surrogateescape")

    def optional(self, read: Callable[[], T]) -> T | None:
        """The value that ``read`` gives, or None if it is absent. Any number but 0 means that it is
        present, as in libvirt."""
        return read() if self.uint() else None

    def array(self, read: Callable[[], T], limit: int) -> list[T]:
        """A list of at most ``limit`` values."""
        size = self.uint()
        if size > limit:
            raise DecodeError(f"a list of {size} values, where at most {limit} may be")
        return [read() for _ in range(size)]


def signed(number: int) -> int:
    """An unsigned number of 32 bits as the signed one of the same bits."""
    return number - (1 << 32) if number >> 31 else number


def pack_int(value: int) -> bytes:
    """A signed integer of 32 bits."""
    return _INT.pack(value)


def pack_uint(value: int) -> bytes:
    """An unsigned integer of 32 bits."""
    return _UINT.pack(value)


def pack_hyper(value: int) -> bytes:
    """A signed integer of 64 bits."""
    return _HYPER.pack(value)


def pack_uhyper(value: int) -> bytes:
    """An unsigned integer of 64 bits."""
    return _UHYPER.pack(value)


def pack_double(value: float) -> bytes:
    """A floating-point number of 64 bits."""
    return _DOUBLE.pack(value)


def pack_opaque(value: bytes) -> bytes:
    """Bytes of a length that the reader knows."""
    return value + _PADDING[len(value) & 3]


def pack_string(value: str) -> bytes:
    """A string, with surrogates as the bytes that they came from."""
    encoded = value.encode("utf-8", "surrogateescape")
    return _UINT.pack(len(encoded)) + encoded + _PADDING[len(encoded) & 3]


def pack_optional(value: str | None) -> bytes:
    """A string that need not be there."""
    return b"\0\0\0\0" if value is None else b"\0\0\0\1" + pack_string(value)
