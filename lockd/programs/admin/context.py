"""What the procedures of the admin program work on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from lockd.log import Logging
    from lockd.programs.admin.changes import Changes
    from lockd.rpc.service import Service
    from lockd.wire.dialect import Dialect


class AdminContext:
    """The services, by name, and their clients; the log; the changes at run time; the dialect; and
    ``end``, which ends the daemon soon."""

    __slots__ = ("changes", "dialect", "end", "logging", "services")

    def __init__(
        self,
        services: Mapping[str, Service],
        logging: Logging,
        changes: Changes,
        dialect: Dialect,
        end: Callable[[], object],
    ) -> None:
        self.services: Final = services
        self.logging: Final = logging
        self.changes: Final = changes
        self.dialect: Final = dialect
        self.end: Final = end
