"""REGISTER: say which guest the connection is for.

Arguments: uuid (16 bytes), name, id, pid, flags.

A client may register again; the last time counts. No guest has the id 0.
"""

from __future__ import annotations

from lockd.kernel.process import start_time
from lockd.kernel.reserve import insist
from lockd.locks.space import Owner
from lockd.rpc.session import not_registered
from lockd.survival.records import clients as records
from lockd.wire.fault import FROM_RPC, system_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Remember the owner for which the client acts."""
    uuid = arguments.opaque(16)
    name = arguments.string()
    number = arguments.uint()
    pid = arguments.uint()
    flags = arguments.uint()
    session.check_flags(flags, 0, "Register")
    session.check_unrestricted()
    if not number:
        raise not_registered()
    try:
        started = insist(lambda: start_time(pid))
    except OSError as error:
        raise system_fault(FROM_RPC, f"Unable to look for the process {pid}", error) from error
    session.owner = Owner(name, uuid, number, pid)
    session.started = session.owner.started = started
    context.journal.append(records.owner(session.number, session.owner.record(), session.started))
    return b""
