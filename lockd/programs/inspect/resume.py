"""RESUME: have a guest go on that is paused for a lost lock. Arguments: its name or UUID.

It answers with an object: ``refused``, why it does not; empty where it does.
"""

from __future__ import annotations

import json

from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """Have it go on, or say why not."""
    return pack_string(json.dumps({"refused": context.failures.resume(arguments.string())}))
