"""What the procedures of the inspect program read, and the little that they change."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from lockd.locks.engine import Engine
    from lockd.locks.failures import Failures
    from lockd.locks.guests import Guests
    from lockd.locks.remote import Remotes
    from lockd.log import Log
    from lockd.programs.inspect.recent import Recent
    from lockd.rpc.service import Service
    from lockd.rpc.statistics import CallStatistics
    from lockd.survival.keeper import Keeper


class InspectContext:
    """The locks, the guests that lockd ends or has paused, the file systems, the services by name,
    the keeper of the locks, ``since`` when the daemon runs (seconds since the epoch), and the
    warnings about its configuration. ``hand_back`` starts virtlockd in the daemon's place, or
    returns why not, and ``not_handed_back`` returns why that was given up. ``recent`` are the
    events, ``calls`` the figures of the lock program by procedure, and ``starts`` tells how often
    lockd was started with these locks."""

    __slots__ = (
        *("calls", "engine", "failures", "guests", "hand_back", "keeper"),
        *("log", "not_handed_back", "recent", "remotes", "services", "since", "starts"),
        "warnings",
    )

    def __init__(
        self,
        engine: Engine,
        guests: Guests,
        failures: Failures,
        remotes: Remotes,
        services: Mapping[str, Service],
        keeper: Keeper,
        since: float,
        warnings: Sequence[str],
        hand_back: Callable[[str], str],
        not_handed_back: Callable[[], str],
        log: Log,
        recent: Recent,
        calls: Mapping[str, CallStatistics],
    ) -> None:
        self.engine: Final = engine
        self.guests: Final = guests
        self.failures: Final = failures
        self.remotes: Final = remotes
        self.services: Final = services
        self.keeper: Final = keeper
        self.since: Final = since
        self.warnings: Final = warnings
        self.hand_back: Final = hand_back
        self.not_handed_back: Final = not_handed_back
        self.log: Final = log
        self.recent: Final = recent
        self.calls: Final = calls
        self.starts = 1
