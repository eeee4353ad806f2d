"""HAND_BACK: have virtlockd continue in the place of lockd. Arguments: its program.

It answers with an object: ``refused`` says why that is not possible, and nothing has changed; it is
empty if the change has begun.
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
    """Begin, or say why not."""
    return pack_string(json.dumps({"refused": context.hand_back(arguments.string())}))
