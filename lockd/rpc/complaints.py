"""Logs refusals of a client: one by one at first, and then as a count.

A guest that an attacker controls can call as often as it likes, and is refused each time. So that
it does not fill the disk, only the first refusals of a client are logged one by one. The others are
counted, and the count is logged less and less often. lockd hangs up a client that is refused too
often.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.events import Event
    from lockd.kernel.loop import Loop, Timer
    from lockd.log import Log

#: How many refusals are logged one by one before they are counted; again so after a while without
#: any.
_TOLD: Final = 10

#: After how many seconds the count is logged, at first and at last; each time is twice the previous
#: one.
_SUM: Final = (1.0, 64.0)

#: How often a client may be refused within how many seconds.
_MOST: Final = 100
_WITHIN: Final = 1.0


class Complaints:
    """The refusals of one client, which is called ``name``."""

    __slots__ = (
        "_begun",
        "_last",
        "_log",
        "_loop",
        "_name",
        "_pause",
        "_recent",
        "_timer",
        "_told",
        "_untold",
    )

    def __init__(self, name: str, log: Log, loop: Loop) -> None:
        self._name: Final = name
        self._log: Final = log
        self._loop: Final = loop
        self._told = 0
        self._untold = 0
        self._last = ""
        self._pause = _SUM[0]
        self._timer: Timer | None = None
        self._begun = 0.0
        self._recent = 0

    def add(self, text: str, *, counts: bool = True, event: Event | None = None) -> bool:
        """Log a refusal. Returns whether the client was refused too often, by the refusals that
        count. Listeners hear of each event."""
        if event is not None:
            self._log.tell(event)
        if self._told < _TOLD:
            self._told += 1
            self._log.error(f"{self._name}: {text}", event)
        else:
            self._untold += 1
            self._last = text
        if self._timer is None:
            self._timer = self._loop.after(self._pause, self._sum_up)
        if not counts:
            return False
        now = time.monotonic()
        if now - self._begun > _WITHIN:
            self._begun, self._recent = now, 0
        self._recent += 1
        return self._recent >= _MOST

    def _sum_up(self) -> None:
        self._timer = None
        if self._untold:
            self.tell()
            self._pause = min(2 * self._pause, _SUM[1])
            self._timer = self._loop.after(self._pause, self._sum_up)
        else:
            self._told, self._pause = 0, _SUM[0]

    def tell(self) -> None:
        """Log the count of refusals that were not logged."""
        if self._untold:
            self._log.error(f"{self._name}: {self._untold} more refused, the last: {self._last}")
            self._untold = 0

    def end(self) -> None:
        """The client is gone."""
        self.tell()
        if self._timer is not None:
            self._timer.cancel()
