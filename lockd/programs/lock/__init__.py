"""The lock program: what libvirt calls on behalf of guests."""

from __future__ import annotations

from lockd.programs.lock import (
    acquire_resource,
    create_lockspace,
    create_resource,
    delete_resource,
    new,
    register,
    release_resource,
    restrict,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.programs.lock.context import LockContext
    from lockd.rpc.dispatch import Procedure

PROGRAM: Final = 0xEA7BEEF
VERSION: Final = 1

#: The procedures, by number.
PROCEDURES: Final[Mapping[int, Procedure[LockContext]]] = {
    1: register.call,
    2: restrict.call,
    3: new.call,
    4: create_resource.call,
    5: delete_resource.call,
    6: acquire_resource.call,
    7: release_resource.call,
    8: create_lockspace.call,
}
