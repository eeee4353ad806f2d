"""A socket for clients: it accepts connections, limits their number, and reads and writes
messages."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from functools import partial
from select import EPOLLIN, EPOLLOUT
from struct import Struct

from lockd.events import REFUSED, Event
from lockd.locks.remote import SilentError
from lockd.log import DEBUG
from lockd.rpc.complaints import Complaints
from lockd.rpc.dispatch import HangUpError, answer
from lockd.rpc.refused import Refused
from lockd.rpc.session import READ_SIZE, Session, record_of, session_of
from lockd.survival.journal import MOST_ANSWERED
from lockd.survival.kept import client_name
from lockd.survival.records import clients as records
from lockd.wire.inbox import is_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from lockd.kernel.loop import Loop
    from lockd.locks.remote import Remote
    from lockd.log import Log
    from lockd.rpc.dispatch import Programs
    from lockd.survival.journal import Journal
    from lockd.survival.keeper import Keeper
    from lockd.survival.kept import Numbers
    from lockd.survival.records.clients import Client
    from lockd.wire.dialect import Dialect

#: If the previous process ended while it sent a reply: how long the client may be silent before the
#: reply is sent again, in seconds. A client that had it calls again; a guest reads no replies.
_DOUBT: Final = 5.0

#: How long to wait before accepting connections again after no descriptor was free, in seconds.
_PAUSE: Final = 0.1

#: The errors that mean that the other end has closed the connection. Other errors are temporary.
_GONE: Final = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ESHUTDOWN, errno.EBADF)
_CREDENTIALS: Final = Struct("iII")


class Service:
    """A socket, its clients and the programs they may call.

    ``name`` is libvirt's: ``virtlockd`` or ``admin``. ``limits`` has libvirt's names too; they may
    change at any time, and connected clients stay. Only the number of clients has an effect, as
    there is no authentication and there are no workers. ``next_id`` is the id of the client that
    comes next. ``on_gone`` is called with each client that is gone, ``on_doubt`` after an
    unforeseen error in a call.
    """

    def __init__(
        self,
        name: str,
        programs: Programs,
        max_clients: int,
        *,
        dialect: Dialect,
        loop: Loop,
        journal: Journal,
        keeper: Keeper,
        numbers: Numbers,
        log: Log,
        on_gone: Callable[[Session], object],
        on_doubt: Callable[[], object],
    ) -> None:
        self.name: Final = name
        self.limits: Final = {
            "nclients_max": max_clients,
            "nclients_unauth_max": max_clients,
            "prioWorkers": 0,
        }
        self.next_id = 1
        self.clients: Final[dict[int, Session]] = {}
        self._by_pid: Final[dict[int, list[Session]]] = {}
        self._refused: Final = Refused(dialect, loop, numbers)
        self.programs: Final = programs
        self._dialect: Final = dialect
        self._loop: Final = loop
        self._journal: Final = journal
        self._keeper: Final = keeper
        self._numbers: Final = numbers
        self._log: Final = log
        self._on_gone: Final = on_gone
        self.doubt: Final = on_doubt
        self._uid: Final = os.geteuid()
        self._listening: socket.socket | None = None
        #: Refusals of connections that do not become clients.
        self._strangers: Final = Complaints(f"service {name}", log, loop)

    def listen(self, fd: int) -> None:
        """Accept connections from the listening socket ``fd``."""
        self._listening = socket.socket(fileno=fd)
        self._listening.setblocking(False)
        self._loop.watch(fd, EPOLLIN, self._on_connection)

    @property
    def max_clients(self) -> int:
        """How many clients there may be."""
        return self.limits["nclients_max"]

    def client(self, id: int) -> Session | None:
        """The client with an id; None if there is none."""
        return next((each for each in self.clients.values() if each.id == id), None)

    @property
    def fd(self) -> int:
        """The listening socket; -1 if there is none."""
        return -1 if self._listening is None else self._listening.fileno()

    # --- connections

    def _on_connection(self, _: int) -> None:
        assert self._listening is not None
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._log.error(f"cannot accept more connections: {error.strerror}")
                self._pause(_PAUSE)
            return
        try:
            credentials = connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
            )
            connection.setblocking(False)
        except OSError as error:
            self._log.error(f"cannot accept a connection: {error.strerror}")
            with suppress(OSError):
                connection.close()
            return
        pid, uid, gid = _CREDENTIALS.unpack(credentials)
        client_id = self._take_id()
        if uid != self._uid:
            if self._strangers.add(f"operation forbidden: Disallowing client {pid} with uid {uid}"):
                self._pause(_PAUSE)
            with suppress(OSError):
                connection.close()
            return
        number = self._numbers.take()
        session = Session(number, self.name, connection, uid=uid, gid=gid, pid=pid, id=client_id)
        if len(self.clients) >= self.max_clients:
            self._refuse(session)
        else:
            self._welcome(session)

    def _take_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _welcome(self, session: Session) -> None:
        fd = session.socket.fileno()
        try:
            self._loop.watch(fd, EPOLLIN, partial(self._on_client, session))
            self._keeper.keep(fd, client_name(session.number))
            self._journal.append(record_of(session))
        except OSError as error:
            self._log.error(f"{session} cannot be watched: {error.strerror}")
            self._loop.unwatch(fd)
            session.shut_down()
            self._keeper.forget()
            self._numbers.give_back(session.number)
            return
        self.add(session)
        if self._log.threshold <= DEBUG:
            self._log.debug(f"{session}: connected")

    def add(self, session: Session) -> None:
        """Add a client."""
        self.clients[session.number] = session
        self._by_pid.setdefault(session.pid, []).append(session)

    def _remove(self, session: Session) -> None:
        del self.clients[session.number]
        same = self._by_pid[session.pid]
        same.remove(session)
        if not same:
            del self._by_pid[session.pid]

    def has_guest(self, pid: int) -> bool:
        """Whether the guest with a pid has a connection of its own."""
        return any(each.is_guest for each in self._by_pid.get(pid, ()))

    def _refuse(self, session: Session) -> None:
        why = self._too_many()
        if not self._refused:
            self._strangers.add(f"{why}: refusing the client with pid {session.pid} and others")
        self._refused.add(session, why)

    def _too_many(self) -> str:
        key = "admin_max_clients" if self.name == "admin" else "max_clients"
        return f"Too many active clients: {key} is {self.max_clients}"

    def _pause(self, seconds: float) -> None:
        assert self._listening is not None
        self._loop.unwatch(self._listening.fileno())
        self._loop.after(seconds, self._resume)

    def _resume(self) -> None:
        if self._listening is not None:
            self._loop.unwatch(self._listening.fileno())
            self._loop.watch(self._listening.fileno(), EPOLLIN, self._on_connection)

    def close(self) -> None:
        """Accept no more connections, and close all of them."""
        if self._listening is not None:
            self._loop.unwatch(self._listening.fileno())
        self._refused.close()
        for session in [*self.clients.values()]:
            session.busy = False  # the daemon ends, and does not wait for its call
            self.hang_up(session)

    # --- messages

    def _on_client(self, session: Session, events: int) -> None:
        self._journal.serve(session.number)
        if events & EPOLLIN and not session.unsent and not session.waiting:
            self._read(session)
        elif session.unsent:
            self._send(session, session.unsent)
        else:
            self.hang_up(session)
        self._journal.serve(0)

    def _read(self, session: Session) -> None:
        try:
            data = session.socket.recv(READ_SIZE)
        except OSError as error:
            if error.errno not in _GONE:
                return  # it is read when it can be
            data = b""
        if not data:
            self.hang_up(session)
        elif is_message(data) and not session.inbox.partial:
            # By far the most common case: one whole call, and nothing more.
            self._answer_one(session, data)
        else:
            self._answer_all(session, data)

    def _answer_one(self, session: Session, message: bytes) -> None:
        try:
            reply = answer(message, self.programs, self._dialect, session, self)
        except HangUpError as error:
            self._hang_up_for(session, str(error))
            return
        except SilentError as error:
            self._wait(session, [message], error.remote)
            return
        self._send(session, reply)
        if session.leaving and not session.unsent:
            self._leave(session)

    def _answer_all(self, session: Session, data: bytes) -> None:
        inbox = session.inbox
        was_partial = inbox.partial
        before = len(inbox.state[0])
        messages = inbox.feed(data)
        replies, why = self._replies(session, messages)
        if inbox.partial or was_partial:
            rest, skip = inbox.state
            if messages or not was_partial:
                self._journal.append(records.received(session.number, rest, skip))
            else:
                self._journal.append(records.more(session.number, rest[before:], skip))
        self._send(session, replies)
        if why or inbox.broken:
            self._hang_up_for(session, why or inbox.broken)
        elif session.leaving and not session.unsent:
            self._leave(session)

    def _replies(self, session: Session, messages: list[bytes]) -> tuple[bytes, str]:
        """The replies to some messages, up to one that has to wait; and why to hang up the client
        after them, or empty text."""
        replies = b""
        for at, message in enumerate(messages):
            try:
                replies += answer(message, self.programs, self._dialect, session, self)
            except HangUpError as error:
                return replies, str(error)
            except SilentError as error:
                self._wait(session, messages[at:], error.remote)
                break
            if session.leaving:
                break
        return replies, ""

    def _wait(self, session: Session, messages: list[bytes], remote: Remote) -> None:
        """Start some calls once a file system has answered, and read no others until then."""
        session.waiting = messages
        self._journal.append(records.waiting(session.number, messages))
        self._attend(session)
        remote.wait(partial(self._go_on, session))

    def _go_on(self, session: Session) -> None:
        """Start the calls that have waited, once the client has the replies to earlier ones."""
        if session.unsent or not session.waiting:
            return
        self._journal.serve(session.number)
        messages, session.waiting = session.waiting, []
        self._journal.append(records.waiting(session.number, ()))
        session.busy = True
        self._journal.append(records.busy(session.number, is_busy=True))
        replies, why = self._replies(session, messages)
        if self.clients.get(session.number) is not session:
            return
        # Others may have been served meanwhile.
        self._journal.serve(session.number)
        session.busy = False
        self._journal.append(records.busy(session.number, is_busy=False))
        if session.lost:
            self.hang_up(session)
        else:
            self._attend(session)
            self._send(session, replies)
            if why:
                self._hang_up_for(session, why)
            elif session.leaving and not session.unsent:
                self._leave(session)
        self._journal.serve(0)

    def _attend(self, session: Session) -> None:
        """Watch for the next event of a client that matters. That it hangs up is always seen."""
        self._loop.change(session.socket.fileno(), _awaited(session))

    def complain(
        self,
        session: Session,
        text: str,
        *,
        is_expected: bool,
        about: Mapping[str, str | int] = {},
    ) -> None:
        """Log that a client was refused, and hang it up if that happens too often. Asking for a
        lock that another owner has does not count."""
        if session.complaints is None:
            session.complaints = Complaints(str(session), self._log, self._loop)
        event = Event(REFUSED, text, about) if about else None
        if session.complaints.add(text, counts=not is_expected, event=event):
            session.leaving, session.why = True, "it was refused a hundred times within a second"

    def _leave(self, session: Session) -> None:
        if session.why:
            self._hang_up_for(session, session.why)
        else:
            self.hang_up(session)

    def _hang_up_for(self, session: Session, why: str) -> None:
        self._log.error(f"{session} is disconnected: {why}")
        self.hang_up(session)

    def _send(self, session: Session, data: bytes) -> None:
        if not data or session.number not in self.clients:
            return  # nothing is due, or one of its own calls closed the connection
        is_short = len(data) <= MOST_ANSWERED and not session.unsent
        if is_short:
            # A client that has the reply may run before this process does. A long reply is sent in
            # parts; until the journal tells which of them were sent, hanging up is the only right
            # way.
            self._journal.answer(data)
        try:
            sent = session.socket.send(data)
        except OSError as error:
            if error.errno in _GONE:
                self.hang_up(session)
                return
            sent = 0  # it is sent when it can be
        if sent == len(data) and is_short:
            self._journal.serve(0)
            return
        if sent == len(data) and not session.unsent:
            return
        # Read nothing more from a client that does not read its replies.
        if session.unsent:
            self._journal.append(records.sent(session.number, sent))
            session.unsent = data[sent:]
        else:
            session.unsent = data[sent:]
            self._journal.append(records.unsent(session.number, session.unsent))
        self._attend(session)
        if session.leaving and not session.unsent:
            self._leave(session)
        elif session.waiting and not session.unsent:
            self._loop.after(0, partial(self._go_on, session))

    def hang_up(self, session: Session) -> None:
        """Close a client's connection, and handle its guest and its locks."""
        if self.clients.get(session.number) is not session:
            return
        if session.busy:
            # What it has asked for has begun, and comes to its end.
            session.lost = True
            self._loop.unwatch(session.socket.fileno())
            return
        self._remove(session)
        if self._log.threshold <= DEBUG:
            self._log.debug(f"{session}: gone")
        if session.complaints is not None:
            session.complaints.end()
        session.waiting = []
        self._loop.unwatch(session.socket.fileno())
        session.shut_down()
        self._keeper.forget()
        # First record what follows for the guest, then that the client is gone: if this process
        # ends in between, the next one finds the connection closed, and continues to end the guest.
        self._on_gone(session)
        self._journal.append(records.gone(session.number))
        self._numbers.give_back(session.number)

    # --- being handed over

    def record(self) -> str:
        """The record of the service, for a new journal. Its clients have their own."""
        return records.ids(self.name, self.next_id)

    def restore(self, client: Client, fds: dict[str, int], served: int, answered: bytes) -> None:
        """Continue with a client of the previous process, with its descriptor, which is taken out
        of ``fds``. Hang it up if its connection was not kept, or if the previous process ended
        while it served the client, unless that had ``answered`` or was about to."""
        fd = fds.pop(client_name(client.number), -1)
        # All arguments are given, so that Python need not ask the kernel.
        connection = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd if fd >= 0 else None
        )
        session = session_of(client, connection)
        session.socket.setblocking(False)
        self.add(session)
        watched, on_event = connection.fileno(), partial(self._on_client, session)
        self._loop.watch(watched, _awaited(session), on_event)
        if session.waiting:
            self._loop.after(0, partial(self._go_on, session))
        was_served = session.number == served and (session.waiting or not answered)
        if fd < 0 or client.busy or was_served:
            self.hang_up(session)
            return
        if session.number == served and not session.unsent:
            session.doubtful = answered
            self._journal.append(records.doubtful(session.number, answered))
        if session.doubtful:
            self._loop.unwatch(session.socket.fileno())
            self._loop.watch(session.socket.fileno(), EPOLLIN, partial(self._on_sign, session))
            self._loop.after(_DOUBT, partial(self._answer_again, session))

    def _on_sign(self, session: Session, events: int) -> None:
        """A client that may not have had its answer has sent the next call, or hung up: so it had
        the answer."""
        self._end_doubt(session)
        self._on_client(session, events)

    def _answer_again(self, session: Session) -> None:
        """The client has done neither: send the answer again. It is a guest, which reads no
        replies, or has waited all the time."""
        answer = session.doubtful
        if answer and session.number in self.clients:
            self._end_doubt(session)
            self._journal.serve(session.number)
            self._send(session, answer)
            self._journal.serve(0)

    def _end_doubt(self, session: Session) -> None:
        session.doubtful = b""
        self._journal.append(records.doubtful(session.number, b""))
        self._loop.unwatch(session.socket.fileno())
        self._loop.watch(session.socket.fileno(), EPOLLIN, partial(self._on_client, session))


def _awaited(session: Session) -> int:
    """The next event of a client that matters."""
    return EPOLLOUT if session.unsent else 0 if session.waiting else EPOLLIN
