"""lockd's own program on the admin socket, which ``lockd status`` and ``lockd locks`` call."""

from __future__ import annotations

from lockd.programs import procedures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.dispatch import Procedure

PROGRAM: Final = 0x10CCD
VERSION: Final = 1

STATUS: Final = 1
LOCKS: Final = 2
HAND_BACK: Final = 3
ADOPT: Final = 4
EVENTS: Final = 5
METRICS: Final = 6
RESUME: Final = 7

#: The procedures, by number. Each answers with JSON, in a string.
PROCEDURES: Final[Mapping[int, Procedure[InspectContext]]] = procedures(
    __name__,
    {
        STATUS: "status",
        LOCKS: "locks",
        HAND_BACK: "hand_back",
        ADOPT: "adopt",
        EVENTS: "events",
        METRICS: "metrics",
        RESUME: "resume",
    },
)
