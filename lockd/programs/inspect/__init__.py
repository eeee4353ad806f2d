"""The program of our own, on the admin socket: what ``lockd status`` and ``lockd locks`` ask."""

from __future__ import annotations

from lockd.programs.inspect import locks, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PROGRAM: Final = 0x10CCD
VERSION: Final = 1

STATUS: Final = 1
LOCKS: Final = 2

#: The procedures, by number. Each answers with JSON, in a string.
PROCEDURES: Final = {STATUS: status.call, LOCKS: locks.call}
