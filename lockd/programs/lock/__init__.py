"""The lock program: what libvirt calls on behalf of guests."""

from __future__ import annotations

from lockd.programs import procedures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.programs.lock.context import LockContext
    from lockd.rpc.dispatch import Procedure

PROGRAM: Final = 0xEA7BEEF
VERSION: Final = 1

#: What the procedures are called, by number.
NAMES: Final[Mapping[int, str]] = {
    1: "register",
    2: "restrict",
    3: "new",
    4: "create_resource",
    5: "delete_resource",
    6: "acquire_resource",
    7: "release_resource",
    8: "create_lockspace",
}

#: The procedures, by number.
PROCEDURES: Final[Mapping[int, Procedure[LockContext]]] = procedures(__name__, NAMES)
