"""Tells the service manager that the daemon's loop runs, by sd_notify(3).

systemd, or lockd's supervisor, kills a daemon whose loop hangs and starts it again. It takes over
its locks as after a crash.
"""

from __future__ import annotations

import os

from lockd.survival.keeper import WATCHDOG_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.survival.keeper import Keeper

#: How many signs of life to give within the service manager's limit.
_SIGNS: Final = 4


class Watchdog:
    """Gives signs of life to the service manager."""

    def __init__(self, loop: Loop, keeper: Keeper) -> None:
        self._loop: Final = loop
        self._keeper: Final = keeper
        self._seconds = self._pause = 0.0
        self._timer: Timer | None = None
        self._is_over = False

    def begin(self) -> None:
        """Begin, as often as the service manager has asked for. If it has not asked, because it has
        started virtlockd in this process, ask it to watch."""
        if not self._keeper:
            return
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        if microseconds.isdecimal() and int(microseconds):
            seconds = int(microseconds) / 1e6
        else:
            seconds = WATCHDOG_SECONDS
        self._seconds, self._pause = seconds, seconds / _SIGNS
        self.go_on()

    def go_on(self) -> None:
        """Begin again, after :meth:`end`."""
        if self._seconds and self._timer is None:
            self._is_over = False
            self._keeper.watch(self._seconds)
            self._sign()

    def _sign(self) -> None:
        self._timer = None
        if not self._is_over:
            self._keeper.alive()
            self._timer = self._loop.after(self._pause, self._sign)

    def end(self) -> bool:
        """Stop: the next program gives no signs of life. Returns whether no process watches now;
        otherwise that program would be killed."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return not self._keeper or self._keeper.watch(0)
