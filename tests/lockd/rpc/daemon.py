"""A daemon without sockets, to be given messages: all of its parts are the real ones, only its
loop does not run."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from lockd.daemon.daemon import Daemon
from lockd.daemon.handback import Virtlockd
from lockd.daemon.settings import DaemonSettings
from lockd.locks.holders import Holders
from lockd.log import Logging
from lockd.rpc.dispatch import answer
from lockd.rpc.session import Session
from lockd.survival.handover import Inheritance
from lockd.survival.keeper import Keeper
from lockd.survival.records import clients as records
from lockd.wire.dialect import dialect_of
from lockd.wire.inbox import Inbox
from lockd.wire.message import ERROR, HEADER_SIZE, MESSAGE, OK, REPLY, read_header
from tests.lockd.client import read_refused

if TYPE_CHECKING:
    from typing import Final

    from lockd.rpc.dispatch import Programs
    from lockd.rpc.service import Service
    from lockd.wire.dialect import Dialect

#: A pid that no process has: the kernel gives out none as large.
NOBODY: Final = 1 << 23

#: It speaks as the virtlockd of the newest libvirt.
DIALECT: Final = dialect_of((12, 8, 0))

#: What a client is told when the daemon has come upon an error of its own.
OWN_ERROR: Final = "internal error: the lock daemon has logged an error of its own"


def make_daemon(log_output: str, dialect: Dialect = DIALECT) -> Daemon:
    """An empty daemon, and a lock without a keeper."""
    logging = Logging()
    logging.set_outputs(log_output)
    settings = DaemonSettings(
        max_clients=10,
        admin_max_clients=5,
        log_level=3,
        log_filters="",
        log_outputs=log_output,
        lockspaces=[],
        warnings=[],
    )
    return Daemon(
        settings,
        Inheritance({}, None),
        Keeper("", logging.part("locking.lock_daemon"), {}, {}),
        logging,
        Holders("host", []),
        dialect,
        timeout=0,
        interval=0,
        command=[],
        virtlockd=Virtlockd("/nowhere", [], was_here=False, next=""),
    )


def connect(service: Service, daemon: Daemon, number: int) -> tuple[Session, socket.socket]:
    """A client of the service, and its end of the connection."""
    ours, theirs = socket.socketpair()
    session = Session(number, service.name, ours, uid=0, gid=0, pid=NOBODY, id=number)
    service.add(session)
    daemon.journal.append(records.client(number, service.name, 0, 0, NOBODY, 0.0, number))
    return session, theirs


def check_answer(
    message: bytes, daemon: Daemon, session: Session, programs: Programs | None = None
) -> bytes:
    """Have a message answered: the reply, of which it is made sure that a client can read it, or
    nothing. Raises HangUpError, and AssertionError for an error of the daemon's own."""
    call = read_header(message)
    if programs is None:
        programs = daemon.services[session.service].programs
    reply = answer(message, programs, DIALECT, session, daemon.services[session.service])
    if not reply:
        return reply
    inbox = Inbox(kept=64 * 1024 * 1024)
    assert inbox.feed(reply) == [reply]
    assert inbox.state == (b"", 0)
    header = read_header(reply)
    assert header.length == len(reply)
    assert header[1:3] == call[1:3]
    if header.type == MESSAGE:
        assert (header.procedure, len(reply)) == (2, HEADER_SIZE)
        return reply
    assert header.type == REPLY
    assert (header.procedure, header.serial) == (call.procedure, call.serial)
    assert header.status in (OK, ERROR)
    if header.status == ERROR:
        refused = read_refused(reply)
        assert refused.code > 0
        assert refused.message
        assert refused.message != OWN_ERROR
    return reply
