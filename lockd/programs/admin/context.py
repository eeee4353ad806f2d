"""What the procedures of the admin program work on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.log import Logging
    from lockd.programs.admin.changes import Changes
    from lockd.rpc.service import Service


class AdminContext:
    """The services, by name, and their clients; the log; and what is changed at run time."""

    __slots__ = ("changes", "logging", "services")

    def __init__(self, services: Mapping[str, Service], logging: Logging, changes: Changes) -> None:
        self.services: Final = services
        self.logging: Final = logging
        self.changes: Final = changes
