"""Clients beyond the limit: each waits to be told the reason in reply to its first call."""

from __future__ import annotations

from functools import partial
from select import EPOLLIN

from lockd.rpc.session import READ_SIZE
from lockd.wire.fault import FROM_RPC, RPC, fault
from lockd.wire.message import ERROR, pack_reply, read_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.rpc.session import Session
    from lockd.survival.kept import Numbers
    from lockd.wire.dialect import Dialect

#: How many may wait. If there are more, the one that has waited longest is disconnected.
_MOST: Final = 256

#: How long each may wait, in seconds.
_PATIENCE: Final = 5.0


class Refused:
    """The clients of one service that are refused. Nothing of them is kept in the journal."""

    def __init__(self, dialect: Dialect, loop: Loop, numbers: Numbers) -> None:
        self._dialect: Final = dialect
        self._loop: Final = loop
        self._numbers: Final = numbers
        self._waiting: Final[dict[Session, Timer]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, session: Session, why: str) -> None:
        """Wait for the client's first call, and answer it with ``why``."""
        if len(self._waiting) >= _MOST:
            self._dismiss(next(iter(self._waiting)))
        try:
            self._loop.watch(session.socket.fileno(), EPOLLIN, partial(self._on_call, session, why))
        except OSError:
            self._close(session)
            return
        self._waiting[session] = self._loop.after(_PATIENCE, partial(self._dismiss, session))

    def _on_call(self, session: Session, why: str, _: int) -> None:
        try:
            messages = session.inbox.feed(session.socket.recv(READ_SIZE))
            if messages:
                _, program, version, procedure, _, serial, _ = read_header(messages[0])
                payload = fault(RPC, FROM_RPC, why).pack(self._dialect)
                session.socket.send(pack_reply(program, version, procedure, serial, payload, ERROR))
        except BlockingIOError:
            return
        except OSError:
            pass
        self._dismiss(session)

    def _dismiss(self, session: Session) -> None:
        self._waiting.pop(session).cancel()
        self._loop.unwatch(session.socket.fileno())
        self._close(session)

    def _close(self, session: Session) -> None:
        session.close()
        self._numbers.give_back(session.number)

    def close(self) -> None:
        """Hang up all of them."""
        for session in [*self._waiting]:
            self._dismiss(session)
