"""The error in a reply, as libvirt's clients know it.

``code`` is one of libvirt's public ``virErrorNumber``, ``domain`` one of ``virErrorDomain``: the
part of libvirt that raised it. What a person reads is the message, which libvirt makes of a
format that belongs to the code, and of a detail; a client gets all three.
"""

from __future__ import annotations

from functools import partial
from os import strerror

from lockd.wire.xdr import Reader, pack_int, pack_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.wire.dialect import Dialect

# virErrorNumber, as far as the daemon gives them out.
INTERNAL_ERROR: Final = 1
INVALID_ARG: Final = 8
OPERATION_FAILED: Final = 9
OPERATION_DENIED: Final = 29
SYSTEM_ERROR: Final = 38
RPC: Final = 39
OPERATION_INVALID: Final = 55
ARGUMENT_UNSUPPORTED: Final = 74
RESOURCE_BUSY: Final = 87
NO_SERVER: Final = 95
NO_CLIENT: Final = 96

#: What stands before the detail, by code.
_PREFIXES: Final = {
    INTERNAL_ERROR: "internal error: ",
    INVALID_ARG: "invalid argument: ",
    OPERATION_FAILED: "operation failed: ",
    OPERATION_DENIED: "operation forbidden: ",
    SYSTEM_ERROR: "",
    RPC: "",
    OPERATION_INVALID: "Requested operation is not valid: ",
    ARGUMENT_UNSUPPORTED: "argument unsupported: ",
    RESOURCE_BUSY: "resource busy: ",
    NO_SERVER: "Server not found: ",
    NO_CLIENT: "Client not found: ",
}

# virErrorDomain.
FROM_NONE: Final = 0
FROM_RPC: Final = 7
FROM_LOCKSPACE: Final = 51
FROM_ADMIN: Final = 62

_LEVEL_ERROR: Final = 2

#: How a format ends that has a beginning of its own.
_FORMAT: Final = ": %s"
_NOTHING: Final = b"\0\0\0\0"

#: The longest string in an error that is read, in bytes.
MAX_ERROR: Final = 4194304


class Fault(Exception):  # noqa: N818 - it is the answer, not an error of ours
    """A call that is answered with an error. ``strings`` and ``numbers`` are in the error besides
    the message: as in libvirt, the format and its detail, and the system's error number or -1. If a
    lock was refused, ``about`` has the lock and the owner, as the fields of an event."""

    def __init__(
        self,
        code: int,
        domain: int,
        message: str,
        strings: tuple[str, str],
        numbers: tuple[int, int] = (-1, -1),
    ) -> None:
        super().__init__(message)
        self.code: Final = code
        self.domain: Final = domain
        self.message: Final = message
        self.strings: Final = strings
        self.numbers: Final = numbers
        self.about: Mapping[str, str | int] = {}

    def pack(self, dialect: Dialect) -> bytes:
        """The payload of the reply: ``remote_error`` of libvirt's protocol."""
        pattern, detail = self.strings
        message = self.message
        if dialect.longest and (told := self._cut(detail, dialect.longest)) != detail:
            message = message.removesuffix(detail) + told
            detail = told
        if pattern.endswith(_FORMAT):
            pattern = pattern.removesuffix(_FORMAT) + dialect.format
        return b"".join(
            (
                pack_int(self.code),
                pack_int(self.domain),
                pack_optional(message),
                pack_int(_LEVEL_ERROR),
                _NOTHING,  # the guest that it is about
                pack_optional(pattern),
                pack_optional(detail),
                pack_optional(None),
                pack_int(self.numbers[0]),
                pack_int(self.numbers[1]),
                _NOTHING,  # the network that it is about
            )
        )

    def _cut(self, detail: str, longest: int) -> str:
        """What of a detail that is too long is told: of a system call only why it failed, with a
        byte more that counts; of others the beginning."""
        raw = detail.encode("utf-8", "surrogateescape")
        if self.code == SYSTEM_ERROR:
            return detail if len(raw) <= longest + 1 else detail.rpartition(": ")[2]
        return raw[:longest].decode("utf-8", "surrogateescape")


def fault(code: int, domain: int, detail: str) -> Fault:
    """The usual kind: the text that every error of the code begins with, and ``detail``."""
    prefix = _PREFIXES[code]
    return Fault(code, domain, prefix + detail, (f"{prefix}%s", detail))


def system_fault(domain: int, what: str, error: OSError) -> Fault:
    """A system call that failed while doing ``what``."""
    number = error.errno or 0
    message = f"{what}: {strerror(number)}"
    return Fault(SYSTEM_ERROR, domain, message, ("%s", message), (number, -1))


def unsupported_flags(flags: int, function: str, domain: int = FROM_RPC) -> Fault:
    """Bits that the procedure, under libvirt's name ``function``, does not know."""
    message = f"unsupported flags (0x{flags:x}) in function {function}"
    return Fault(INVALID_ARG, domain, message, (function, "flags"), (0, 0))


def message_in(payload: bytes) -> str:
    """What an error says that came as the payload of a reply. Raises DecodeError."""
    reader = Reader(payload)
    reader.sint()
    reader.sint()
    return reader.optional(partial(reader.string, MAX_ERROR)) or "unknown error"
