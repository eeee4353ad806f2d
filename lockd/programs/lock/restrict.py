"""RESTRICT: give up the right to make any further call. Arguments: flags.

A guest's own connection is restricted before the guest runs: while it is open the guest lives, and
a guest that an attacker controls cannot use it to reach locks.
"""

from __future__ import annotations

from lockd.survival.records import clients as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Refuse every call of the client from now on."""
    session.check_flags(arguments.uint(), 0, "Restrict")
    session.check_registered()
    session.restricted = True
    context.journal.append(records.restricted(session.number))
    return b""
