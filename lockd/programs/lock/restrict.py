"""RESTRICT: give up the right to make any further call. Arguments: flags.

A guest's own connection is restricted before the guest runs: it says by staying open that the
guest lives, and nothing that the guest could break into gets at locks through it.
"""

from __future__ import annotations

from lockd.survival.records import clients as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Refuse all that the client calls from now on."""
    session.check_flags(arguments.uint(), 0, "Restrict")
    session.check_registered()
    session.restricted = True
    context.journal.append(records.restricted(session.number))
    return b""
