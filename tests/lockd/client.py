"""A client of the lock protocol, for tests: it says what it is told to, also what is wrong."""

from __future__ import annotations

import itertools
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from lockd.programs import lock
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, ERROR, HEADER_SIZE, OK, Header, pack_message, read_header
from lockd.wire.xdr import Reader, pack_opaque, pack_string, pack_uint

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

REGISTER, RESTRICT, NEW, CREATE, DELETE, ACQUIRE, RELEASE, CREATE_LOCKSPACE = range(1, 9)
SHARED, AUTOCREATE = 1, 2

#: The longest string in an error, in bytes: libvirt's limit for all of its programs.
MAX_ERROR = 4194304


class Refused(NamedTuple):
    """What a client finds in an error."""

    code: int
    domain: int
    message: str
    strings: tuple[str | None, str | None, str | None]
    numbers: tuple[int, int]


class CallRefusedError(Exception):
    """A call was answered with an error."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


class Client:
    """A connection to a lock daemon."""

    def __init__(self, path: Path | str, *, timeout: float = 60) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # First without a timeout: with one, a queue that is full is an error.
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(timeout)
        self._serials = itertools.count(1)
        self._inbox = Inbox()
        self._messages: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, procedure: int, arguments: bytes = b"", *, program: int = lock.PROGRAM) -> int:
        """Send a call; returns its serial."""
        serial = next(self._serials)
        header = Header(0, program, 1, procedure, CALL, serial, OK)
        self.socket.sendall(pack_message(header, arguments))
        return serial

    def receive(self) -> bytes:
        """The next whole message. Raises EOFError if the daemon has hung up."""
        while not self._messages:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._messages += self._inbox.feed(data)
        return self._messages.pop(0)

    def reply(self) -> bytes:
        """The payload of the next reply. Raises :class:`CallRefusedError`, EOFError."""
        return payload_of(self.receive())

    def call(self, procedure: int, arguments: bytes = b"", *, program: int = lock.PROGRAM) -> bytes:
        """Send a call and wait for its reply. Raises as :meth:`reply` does. The reply to another
        call ends the connection, as with libvirt."""
        serial = self.send(procedure, arguments, program=program)
        message = self.receive()
        if read_header(message).serial != serial:
            self.close()
            raise EOFError
        return payload_of(message)

    def register(
        self, name: str = "guest", pid: int | None = None, *, id: int = 1, uuid: bytes = bytes(16)
    ) -> None:
        """Act for a guest; by default as the process of the test itself."""
        self.call(REGISTER, registration(name, os.getpid() if pid is None else pid, id, uuid))

    def restrict(self) -> None:
        """Give up all rights."""
        self.call(RESTRICT, pack_uint(0))

    def acquire(self, space: Path | str, name: Path | str, flags: int = AUTOCREATE) -> None:
        """Lock a resource."""
        self.call(ACQUIRE, resource(space, name, flags))

    def can_acquire(self, space: Path | str, name: Path | str) -> bool:
        """Whether a lock is granted, which the client then keeps."""
        try:
            self.acquire(space, name)
        except CallRefusedError:
            return False
        return True

    def release(self, space: Path | str, name: Path | str) -> None:
        """Release a resource."""
        self.call(RELEASE, resource(space, name, 0))

    def create_lockspace(self, path: Path | str) -> None:
        """Make a lockspace."""
        self.call(CREATE_LOCKSPACE, pack_string(str(path)))


def payload_of(message: bytes) -> bytes:
    """What is in a reply. Raises :class:`CallRefusedError`."""
    if read_header(message).status == ERROR:
        raise CallRefusedError(read_refused(message))
    return message[HEADER_SIZE:]


def registration(name: str, pid: int, id: int = 1, uuid: bytes = bytes(16)) -> bytes:
    """The arguments of REGISTER."""
    return b"".join(
        (pack_opaque(uuid), pack_string(name), pack_uint(id), pack_uint(pid), pack_uint(0))
    )


def resource(space: Path | str, name: Path | str, flags: int) -> bytes:
    """The arguments of the calls that are about a resource."""
    return pack_string(str(space)) + pack_string(str(name)) + pack_uint(flags)


def read_refused(message: bytes) -> Refused:
    """The error in a reply."""
    reader = Reader(message, HEADER_SIZE)

    def text() -> str:
        return reader.string(MAX_ERROR)

    code, domain = reader.sint(), reader.sint()
    said = reader.optional(text)
    assert reader.sint() == 2
    assert reader.uint() == 0
    strings = (
        reader.optional(text),
        reader.optional(text),
        reader.optional(text),
    )
    numbers = reader.sint(), reader.sint()
    assert reader.uint() == 0
    return Refused(code, domain, said or "", strings, numbers)
