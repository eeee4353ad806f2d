"""NEW: make a lockspace that nobody has made yet. Arguments: path, flags."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.daemon.daemon import Daemon
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(daemon: Daemon, session: Session, arguments: Reader) -> bytes:
    """Make the directory, if need be, and know it as a lockspace."""
    path = arguments.string()
    session.check_flags(arguments.uint(), 0, "New")
    session.check_registered()
    daemon.engine.new_lockspace(path)
    return b""
