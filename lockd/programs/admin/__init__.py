"""The admin program: what ``virt-admin`` calls."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.programs import Procedure

PROGRAM: Final = 0x06900690
VERSION: Final = 1

#: The procedures, by number.
PROCEDURES: Final[dict[int, Procedure]] = {}
