"""A service without a daemon: it is given a loop, a journal, and a program of the test's own."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, cast

import pytest

from lockd.kernel.loop import Loop
from lockd.locks.remote import SilentError
from lockd.log import Logging
from lockd.rpc.dispatch import in_context
from lockd.rpc.service import Service
from lockd.survival.journal import Journal
from lockd.survival.keeper import Keeper
from lockd.survival.kept import Numbers, client_name
from lockd.survival.records import JournalState
from lockd.survival.records import clients as records
from lockd.survival.records.clients import Client
from lockd.wire.dialect import Dialect
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, HEADER_SIZE, OK, Header, pack_message
from lockd.wire.xdr import pack_uint

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from lockd.locks.remote import Remote
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

PROGRAM = 7

#: The number of the client, and its id.
NUMBER, ID = 3, 17


def call(number: int) -> bytes:
    """A call of :meth:`Counting.add`."""
    return pack_message(Header(0, PROGRAM, 1, 1, CALL, 1, OK), pack_uint(number))


class Counting:
    """A service whose program adds numbers, and a client that the process before it had."""

    def __init__(self, *, unsent: bytes = b"", waiting: tuple[int, ...] = ()) -> None:
        self.loop = Loop()
        self.journal = Journal.create(1)
        self.numbers = [30]
        #: The clients that are gone, and which the journal has when that is told.
        self.gone: list[int] = []
        self.known_then: list[set[int]] = []
        #: What else a call does, before it adds its number.
        self.meanwhile: Callable[[], object] = lambda: None
        log = Logging().part("rpc.netserver")
        self.service = Service(
            "counting",
            {(PROGRAM, 1): in_context({1: self.add}, self)},
            1,
            loop=self.loop,
            dialect=Dialect((9, 0, 0)),
            journal=self.journal,
            keeper=Keeper("", log, {}, {}),
            numbers=Numbers(),
            log=log,
            on_gone=self.on_gone,
            on_doubt=self.loop.stop,
        )
        self.client = Client(NUMBER, "counting", 0, 0, 5004242, 0.0, ID)
        self.client.unsent, self.client.waiting = unsent, [*map(call, waiting)]
        self.journal.append(records.client(NUMBER, "counting", 0, 0, 5004242, 0.0, ID))
        ours, self.theirs = socket.socketpair()
        self.fds = {client_name(NUMBER): ours.detach(), "another's": -1}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.service.close()
        self.theirs.close()

    @staticmethod
    def add(self: Counting, _: Session, arguments: Reader) -> bytes:
        """A procedure."""
        number = arguments.uint()
        self.meanwhile()
        self.numbers.append(number)
        return pack_uint(sum(self.numbers))

    def on_gone(self, session: Session) -> None:
        """A client is gone."""
        self.gone.append(session.id)
        self.known_then.append({*self.state.clients})
        self.loop.stop()

    def restore(self, *, served: int = 0, answered: bytes = b"") -> Session | None:
        """Continue with the client: the session, if it is not hung up."""
        self.service.restore(self.client, self.fds, served, answered)
        return self.service.client(ID)

    @property
    def state(self) -> records.Records:
        """What the next process would find of the clients."""
        return JournalState(self.journal.read()).of(records.Records)

    def replies(self) -> list[int]:
        """What the client has been answered so far."""
        messages = Inbox().feed(self.theirs.recv(1000))
        return [int.from_bytes(each[HEADER_SIZE:]) for each in messages]


def test_a_program_of_its_own() -> None:
    """It is called on its context; a client that is gone is in the journal until all that follows
    is there as well."""
    counting = Counting()
    assert counting.restore() is not None
    with counting:
        counting.theirs.sendall(call(5) + call(7))
        counting.theirs.shutdown(socket.SHUT_WR)
        counting.loop.run()
        assert counting.replies() == [35, 42]
    assert counting.numbers == [30, 5, 7]
    assert counting.fds == {"another's": -1}
    assert counting.gone == [ID]
    assert counting.known_then == [{NUMBER}]
    assert json.loads(counting.journal.last()) == ["gone", NUMBER]


class Server:
    """A file system whose server answers each question after so many seconds."""

    def __init__(self, loop: Loop, seconds: float = 0.0) -> None:
        self._loop = loop
        self._seconds = seconds

    def wait(self, callback: Callable[[], object]) -> None:
        """Call this when it has answered."""
        self._loop.after(self._seconds, callback)

    @property
    def silence(self) -> SilentError:
        """What a call says that has to wait."""
        return SilentError(cast("Remote", self))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes, bytes]]:
    """What the journal of :class:`Noting` says whenever something is sent to a client: who is
    served, the answer; and what is sent."""
    Noting.noted = []
    monkeypatch.setattr("lockd.rpc.service.socket.socket", Noting)
    return Noting.noted


class Noting(socket.socket):
    """A socket that looks into a journal before it sends: this process may be killed then."""

    journal: Journal | None = None
    noted: list[tuple[int, bytes, bytes]]

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """Send it."""
        if self.journal is not None:
            self.noted.append((self.journal.served, self.journal.answered, data))
        return super().send(data, flags)


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_is_noted_before_it_is_sent(
    noted: list[tuple[int, bytes, bytes]], monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """As the next process has to know whom it may have reached, also if others were served while
    the call waited for a server."""
    counting = Counting()
    server = Server(counting.loop)
    monkeypatch.setattr(Noting, "journal", counting.journal)
    counting.restore()
    waiting = [server.silence] if waits else []

    def work() -> None:
        if waiting:
            raise waiting.pop()
        assert counting.journal.served == NUMBER
        if waits:
            counting.journal.serve(NUMBER + 1)
            counting.journal.serve(0)

    counting.meanwhile = work
    with counting:
        counting.theirs.sendall(call(5))
        counting.loop.after(0.05, counting.loop.stop)
        counting.loop.run()
        assert counting.replies() == [35]
    ((served, answered, data),) = noted
    assert (served, answered) == (NUMBER, data)
    assert counting.journal.served == 0


def test_a_call_that_waits_is_begun_after_the_answers_to_earlier_ones() -> None:
    """A client that does not read is sent nothing else before that."""
    counting = Counting(unsent=b"earlier", waiting=(5,))
    session = counting.restore()
    assert session is not None
    with counting:
        room = 0
        session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        try:
            while True:
                room += session.socket.send(b"." * 1024)
        except BlockingIOError:
            pass
        counting.loop.after(0.05, counting.loop.stop)
        counting.loop.run()
        assert counting.numbers == [30]
        got = b""
        while len(got) < room:
            got += counting.theirs.recv(room - len(got))
        counting.loop.after(0.05, counting.loop.stop)
        counting.loop.run()
        assert counting.theirs.recv(len(b"earlier")) == b"earlier"
        assert counting.replies() == [35]


def test_a_client_whose_answer_may_be_lost_and_whose_next_call_waits() -> None:
    """It is disconnected: its answers would come in another order."""
    counting = Counting(waiting=(5,))
    with counting:
        assert counting.restore(served=NUMBER, answered=b"an answer") is None
        counting.loop.after(0.05, counting.loop.stop)
        counting.loop.run()
        assert counting.theirs.recv(1000) == b""
    assert (counting.numbers, counting.gone) == ([30], [ID])


def test_a_client_that_goes_while_its_call_is_under_way() -> None:
    """What follows from that comes after the call, which may take a lock."""
    counting = Counting(waiting=(5,))
    session = counting.restore()
    assert session is not None
    gone_then: list[int] = []

    def work() -> None:
        counting.service.hang_up(session)
        gone_then.extend(counting.gone)

    counting.meanwhile = work
    with counting:
        counting.loop.run()
        assert counting.theirs.recv(1000) == b""
    assert (gone_then, counting.gone, counting.numbers) == ([], [ID], [30, 5])
    assert counting.state.clients == {}


def test_a_service_that_is_closed_while_a_call_is_under_way() -> None:
    """Nothing more is written of its client."""
    counting = Counting(waiting=(5,))
    counting.restore()

    def work() -> None:
        counting.service.close()
        assert counting.gone == [ID]

    counting.meanwhile = work
    with counting:
        counting.loop.run()
    assert (counting.gone, counting.numbers) == ([ID], [30, 5])
    assert counting.state.clients == {}


def test_a_client_that_calls_again_while_its_call_waits() -> None:
    """It has both answers, in this order."""
    counting = Counting()
    counting.restore()
    waiting = [Server(counting.loop, 0.05).silence]

    def work() -> None:
        if waiting:
            counting.theirs.sendall(call(7))
            raise waiting.pop()
        if len(counting.numbers) == 2:
            counting.loop.after(0, counting.loop.stop)

    counting.meanwhile = work
    with counting:
        counting.theirs.sendall(call(5))
        counting.loop.run()
        assert counting.replies() == [35, 42]
    assert counting.known_then == [{NUMBER}]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_client_that_is_to_leave(is_there: bool) -> None:
    """Nothing more is done for it, and what follows is done once, even if it is gone already."""
    counting = Counting()
    session = counting.restore()
    assert session is not None

    def work() -> None:
        session.leaving = True
        if not is_there:
            counting.theirs.close()

    counting.meanwhile = work
    with counting:
        counting.theirs.sendall(call(5) + call(7))
        counting.loop.run()
    assert (counting.numbers, counting.gone) == ([30, 5], [ID])


def test_a_client_with_the_rest_of_an_answer() -> None:
    """It is known how much of it the client has: no answer is in doubt."""
    counting = Counting(unsent=b"the rest")
    with counting:
        session = counting.restore(served=NUMBER, answered=b"that has been sent in part")
        assert session is not None
        assert session.doubtful == b""
        counting.loop.after(0.05, counting.loop.stop)
        counting.loop.run()
        assert counting.theirs.recv(1000) == b"the rest"
