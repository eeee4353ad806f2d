"""A service without a daemon: it is given a loop, a journal, and a program of the test's own."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from lockd.kernel.loop import Loop
from lockd.log import Logging
from lockd.rpc.dispatch import in_context
from lockd.rpc.service import Service
from lockd.survival.journal import Journal
from lockd.survival.keeper import Keeper
from lockd.survival.kept import Numbers, client_name
from lockd.survival.records.clients import Client
from lockd.wire.dialect import Dialect
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, HEADER_SIZE, OK, Header, pack_message
from lockd.wire.xdr import pack_uint

if TYPE_CHECKING:
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

PROGRAM = 7


def add(numbers: list[int], _: Session, arguments: Reader) -> bytes:
    """A procedure, whose context is a list of numbers."""
    numbers.append(arguments.uint())
    return pack_uint(sum(numbers))


def call(number: int) -> bytes:
    """A call of it."""
    return pack_message(Header(0, PROGRAM, 1, 1, CALL, 1, OK), pack_uint(number))


def test_a_program_of_its_own() -> None:
    """It is called on its context; a client that is gone is in the journal, and told."""
    loop, journal, numbers = Loop(), Journal.create(1), [30]
    log = Logging().part("rpc.netserver")
    gone: list[Session] = []

    def on_gone(session: Session) -> None:
        gone.append(session)
        loop.stop()

    service = Service(
        "counting",
        {(PROGRAM, 1): in_context({1: add}, numbers)},
        1,
        loop=loop,
        dialect=Dialect((9, 0, 0)),
        journal=journal,
        keeper=Keeper("", log, {}, {}),
        numbers=Numbers(),
        log=log,
        on_gone=on_gone,
        on_doubt=loop.stop,
    )
    ours, theirs = socket.socketpair()
    fds = {client_name(3): ours.detach(), "another's": -1}
    service.restore(Client(3, "counting", 0, 0, 5004242, 0.0, 17), fds, 0, b"")
    with theirs:
        theirs.sendall(call(5) + call(7))
        theirs.shutdown(socket.SHUT_WR)
        loop.run()
        replies = Inbox().feed(theirs.recv(1000))
    assert [reply[HEADER_SIZE:] for reply in replies] == [pack_uint(35), pack_uint(42)]
    assert numbers == [30, 5, 7]
    assert fds == {"another's": -1}
    assert [session.id for session in gone] == [17]
    assert [json.loads(line) for line in journal.read()] == [["gone", 3]]
