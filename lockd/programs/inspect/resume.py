"""RESUME: resume a guest that is paused for a lost lock. Arguments: its name or UUID.

It answers with an object: ``refused`` says why the guest does not resume; it is empty if it does.
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
    """Resume the guest, or say why not."""
    return pack_string(json.dumps({"refused": context.failures.resume(arguments.string())}))
