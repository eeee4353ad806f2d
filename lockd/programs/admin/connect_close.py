"""CONNECT_CLOSE: end the connection. Arguments: none."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Close the connection when the reply has been sent."""
    session.leaving = True
    return b""
