"""From a message to its reply: finds the procedure and calls it, or makes the error.

Nothing here reads or writes a socket.
"""

from __future__ import annotations

from functools import partial

from lockd.locks.remote import SilentError
from lockd.wire.fault import FROM_RPC, INTERNAL_ERROR, RESOURCE_BUSY, RPC, Fault, fault
from lockd.wire.message import (
    CALL,
    CALL_WITH_FDS,
    ERROR,
    HEADER_SIZE,
    MESSAGE,
    STREAM,
    Header,
    pack_message,
    pack_reply,
    read_header,
    unpack_header,
)
from lockd.wire.xdr import DecodeError, Reader, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, Protocol, TypeVar

    from lockd.rpc.session import Session
    from lockd.wire.dialect import Dialect

    class Critic(Protocol):
        """Hears of refused calls and of internal errors."""

        def complain(
            self,
            session: Session,
            text: str,
            *,
            is_expected: bool,
            about: Mapping[str, str | int] = {},
        ) -> object:
            """A client was refused. ``is_expected`` tells that this is normal, as for a lock that
            another owner holds. ``about`` names the lock, if there is one."""

        def doubt(self) -> object:
            """An unforeseen error: the state in memory may differ from the journal."""

    #: The context of a program: the few things that its procedures work on.
    Context = TypeVar("Context")

    #: Answers a call, given the context of its program, the session and the arguments. It returns
    #: the payload of the reply and raises Fault, or DecodeError or SilentError before it has done
    #: anything.
    Procedure = Callable[[Context, Session, Reader], bytes]

    #: The procedures of a program that have their context, by number.
    Program = Mapping[int, Callable[[Session, Reader], bytes]]

    #: The programs that a service has, by program and version.
    Programs = Mapping[tuple[int, int], Program]

# The keepalive program: any client's ping is answered.
_KEEPALIVE: Final = 0x6B656570
_PING: Final = 1
_PONG: Final = Header(0, _KEEPALIVE, 1, 2, MESSAGE, 0, 0)


_UNSIGNED: Final = 0xFFFFFFFF


class HangUpError(Exception):
    """The connection must be closed without an answer; the text says why. A procedure raises it
    before it has done anything."""


def in_context(procedures: Mapping[int, Procedure[Context]], context: Context) -> Program:
    """The procedures of a program, to be called on ``context``."""
    return {number: partial(procedure, context) for number, procedure in procedures.items()}


def answer(
    message: bytes, programs: Programs, dialect: Dialect, session: Session, critic: Critic
) -> bytes:
    """The reply to a message; empty if none is due. ``critic`` hears of refusals. Raises
    :class:`HangUpError`, and SilentError if the call must be made again later."""
    _, program, version, number, kind, serial, status = unpack_header(message)
    if kind != CALL:
        return _answer_other(read_header(message), programs, session, critic)
    why = ""
    try:
        procedures = programs.get((program, version))
        if procedures is None:
            raise fault(
                RPC,
                FROM_RPC,
                f"Cannot find program {signed(program)} version {signed(version)}",
            )
        if status:
            raise fault(RPC, FROM_RPC, f"Unexpected message status {status & _UNSIGNED}")
        procedure = procedures.get(number)
        if procedure is None:
            raise fault(RPC, FROM_RPC, f"unknown procedure: {number}")
        try:
            payload = procedure(session, Reader(message, HEADER_SIZE))
        except DecodeError as error:
            why = f": {error}"
            raise fault(RPC, FROM_RPC, "Unable to decode message payload") from None
    except Fault as error:
        critic.complain(
            session,
            f"{error.message}{why}",
            is_expected=error.code == RESOURCE_BUSY,
            about=error.about,
        )
        return pack_reply(program, version, number, serial, error.pack(dialect), ERROR)
    except (HangUpError, SilentError):
        raise
    except Exception:  # noqa: BLE001 - one call must not end the service of all the others
        import traceback

        critic.complain(session, traceback.format_exc(), is_expected=False)
        critic.doubt()
        internal = fault(INTERNAL_ERROR, FROM_RPC, "the lock daemon has logged an error of its own")
        payload = internal.pack(dialect)
        return pack_reply(program, version, number, serial, payload, ERROR)
    return pack_reply(program, version, number, serial, payload)


def _answer_other(header: Header, programs: Programs, session: Session, critic: Critic) -> bytes:
    """The reply to a message that is not a call."""
    if (header.program, header.version, header.type) == (_KEEPALIVE, 1, MESSAGE):
        return pack_message(_PONG) if header.procedure == _PING else b""
    if (header.program, header.version) in programs:
        if header.type == CALL_WITH_FDS:
            raise HangUpError("a call with descriptors, which no procedure takes")
        if header.type != STREAM:
            critic.complain(
                session,
                f"Unexpected message type {header.type & _UNSIGNED}",
                is_expected=False,
            )
    return b""
