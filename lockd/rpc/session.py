"""One client: its process, the owner that it has registered as, and what it may still do.

==============  ==========================  ========================================
state           gets there by               may call
==============  ==========================  ========================================
new             connecting                  REGISTER, CREATE_LOCKSPACE
registered      REGISTER, also once more    everything
restricted      RESTRICT                    nothing: every call is refused
==============  ==========================  ========================================

What is checked, in libvirt's order: the flags, the restriction, the registration.
"""

from __future__ import annotations

import socket
import time

from lockd.locks.space import Owner
from lockd.survival.records import clients as records
from lockd.wire.fault import (
    FROM_RPC,
    OPERATION_DENIED,
    OPERATION_INVALID,
    fault,
    unsupported_flags,
)
from lockd.wire.inbox import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockd.rpc.complaints import Complaints
    from lockd.survival.records.clients import Client

#: How much is read from a client at once, in bytes: some thirty calls.
READ_SIZE: Final = 4096


class Session:
    """A connection and its state.

    ``service`` is the name of the service that it is connected to; ``pid``, ``uid`` and ``gid`` are
    the peer's, by the kernel. ``started`` is when the owner's process started, in clock ticks since
    boot, so that another process with the same pid does not count as it; 0 if unknown. ``unsent``
    is the part of a reply that the client has not read yet, ``doubtful`` a reply that the previous
    process may or may not have sent before it ended. ``number`` is the smallest that no other
    connection has; ``id``, which people see, counts the clients of a service and is never used
    again. ``waiting`` are calls that have to wait; nothing of them has been done. While ``busy``,
    they are being done, and others may be served meanwhile; ``lost`` tells to hang up the client
    when that is over. ``leaving`` tells to hang up the client once it has its reply; ``why`` says
    why, unless the client has asked for it. ``complaints`` is set once the client has been refused.
    """

    __slots__ = (
        "busy",
        "complaints",
        "doubtful",
        "gid",
        "id",
        "inbox",
        "leaving",
        "lost",
        "number",
        "owner",
        "pid",
        "restricted",
        "service",
        "since",
        "socket",
        "started",
        "uid",
        "unsent",
        "waiting",
        "why",
    )

    def __init__(
        self,
        number: int,
        service: str,
        socket: socket.socket,
        *,
        uid: int,
        gid: int,
        pid: int,
        id: int,
        since: float | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        self.number: Final = number
        self.service: Final = service
        self.socket: Final = socket
        self.uid: Final = uid
        self.gid: Final = gid
        self.pid: Final = pid
        self.id: Final = id
        self.since: Final = time.time() if since is None else since
        self.inbox = Inbox() if inbox is None else inbox
        self.unsent = b""
        self.doubtful = b""
        self.waiting: list[bytes] = []
        self.busy = False
        self.lost = False
        self.owner: Owner | None = None
        self.started = 0
        self.restricted = False
        self.leaving = False
        self.why = ""
        self.complaints: Complaints | None = None

    def __str__(self) -> str:
        return f"client {self.id} of {self.service} (pid {self.pid})"

    @property
    def is_guest(self) -> bool:
        """Whether the peer is the guest itself, not a process that acts for it."""
        return self.owner is not None and self.owner.pid == self.pid

    def close(self) -> None:
        """Close the connection. It is closed even if the system reports an error."""
        try:
            self.socket.close()
        except OSError:
            pass

    def shut_down(self) -> None:
        """Close the connection, and end it for the copy of its descriptor that the keeper has."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer has done it
        self.close()

    def check_flags(self, flags: int, known: int, function: str) -> None:
        """Refuse flags that are not ``known``; ``function`` is libvirt's name of the procedure.
        Raises Fault."""
        if flags & ~known:
            raise unsupported_flags(flags & ~known, f"virLockSpaceProtocolDispatch{function}")

    def check_unrestricted(self) -> None:
        """Refuse a restricted client. Raises Fault."""
        if self.restricted:
            raise fault(OPERATION_DENIED, FROM_RPC, "lock manager connection has been restricted")

    def check_registered(self) -> Owner:
        """The owner that the client has registered as, and may still act as. Raises Fault."""
        owner = self.owner
        if self.restricted or owner is None:
            self.check_unrestricted()
            raise not_registered()
        return owner


def session_of(client: Client, socket: socket.socket) -> Session:
    """The session from the records of a client."""
    session = Session(
        client.number,
        client.service,
        socket,
        uid=client.uid,
        gid=client.gid,
        pid=client.pid,
        id=client.id,
        since=client.since,
        inbox=Inbox(client.rest, client.skip),
    )
    if client.owner is not None:
        session.owner = Owner.from_record(client.owner)
        session.started = session.owner.started = client.started
    session.restricted = client.restricted
    session.unsent = client.unsent
    session.doubtful = client.doubtful
    session.waiting = client.waiting
    return session


def records_of(session: Session) -> Iterator[str]:
    """The records of a client and its state, for a new journal."""
    number = session.number
    yield record_of(session)
    if session.owner is not None:
        yield records.owner(number, session.owner.record(), session.started)
    if session.restricted:
        yield records.restricted(number)
    if session.inbox.partial:
        yield records.received(number, *session.inbox.state)
    if session.unsent:
        yield records.unsent(number, session.unsent)
    if session.doubtful:
        yield records.doubtful(number, session.doubtful)
    if session.waiting:
        yield records.waiting(number, session.waiting)
    if session.busy:
        yield records.busy(number, is_busy=True)


def record_of(session: Session) -> str:
    """The record of a client, as it connected."""
    return records.client(
        session.number,
        session.service,
        session.uid,
        session.gid,
        session.pid,
        session.since,
        session.id,
    )


def not_registered() -> Exception:
    """The error for a call of a client that has not registered."""
    return fault(OPERATION_INVALID, FROM_RPC, "lock owner details have not been registered")
