"""What can be changed while the daemon runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from lockd.log import Logging
    from lockd.rpc.service import Service


class Changeable:
    """The log, the services by name, and ``set_timeout``: after how many seconds without clients
    and locks the daemon ends."""

    __slots__ = ("logging", "services", "set_timeout")

    def __init__(
        self,
        logging: Logging,
        services: Mapping[str, Service],
        set_timeout: Callable[[int], object],
    ) -> None:
        self.logging: Final = logging
        self.services: Final = services
        self.set_timeout: Final = set_timeout
