"""The latest events, for ``lockd events``. Warnings are always remembered; grants and releases only
while a client follows, as they take time to put into words."""

from __future__ import annotations

from collections import Counter, deque

from lockd.log import INFO, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockd.events import Event
    from lockd.kernel.loop import Loop, Timer
    from lockd.log import Logging

#: How many events are remembered. A client that follows asks ten times a second.
_MOST: Final = 4096

#: After how long without a question a client no longer counts as following, in seconds.
_FOLLOWED_FOR: Final = 10.0


class Recent:
    """Remembers events, and counts them by kind. ``last`` is the number of the last one, from 1."""

    def __init__(self, logging: Logging, loop: Loop) -> None:
        self._logging: Final = logging
        self._loop: Final = loop
        self._events: Final[deque[tuple[int, Event]]] = deque(maxlen=_MOST)
        self._timer: Timer | None = None
        self.last = 0
        self.counts: Final[Counter[str]] = Counter()
        self._hear: Final = self.add  # the same object each time
        logging.listen(self._hear, WARNING)

    def add(self, event: Event) -> None:
        """Remember an event."""
        self.last += 1
        self.counts[event.kind.name] += 1
        self._events.append((self.last, event))

    def follow(self) -> None:
        """A client follows: remember grants and releases for a while."""
        if self._timer is None:
            self._logging.listen(self._hear, INFO)
        else:
            self._timer.cancel()
        self._timer = self._loop.after(_FOLLOWED_FOR, self._forget)

    def _forget(self) -> None:
        self._timer = None
        self._logging.listen(self._hear, WARNING)

    def behind(self, number: int, most: int) -> tuple[list[dict[str, Any]], int]:
        """The events after a number, up to a limit, and how many of them are forgotten."""
        found = [(at, event) for at, event in self._events if at > number][:most]
        first = self._events[0][0] if self._events else self.last + 1
        lost = max(0, first - number - 1) if number else 0
        return [{"number": at, **event.record()} for at, event in found], lost
