"""Ends the daemon after a while without clients and locks."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from lockd.kernel.loop import Loop, Timer


class Idleness:
    """Calls ``stop`` once ``is_idle`` has been true for ``timeout`` seconds; 0 means never."""

    def __init__(
        self,
        loop: Loop,
        timeout: int,
        is_idle: Callable[[], bool],
        stop: Callable[[], object],
    ) -> None:
        self._loop: Final = loop
        self._timeout = timeout
        self._is_idle: Final = is_idle
        self._stop: Final = stop
        self._timer: Timer | None = None
        self._since: float | None = None

    @property
    def timeout(self) -> int:
        """The timeout in force, in seconds."""
        return self._timeout

    def set_timeout(self, seconds: int) -> None:
        """Change the timeout, which begins now; 0 means never."""
        self._timeout = seconds
        self._since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.look()

    def look(self) -> None:
        """Check whether the daemon is idle now."""
        if not self._timeout or not self._is_idle():
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()
            # Clients come and go: a timer that already runs will find that it is too early.
            if self._timer is None:
                self._timer = self._loop.after(self._timeout, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        if self._since is not None:
            left = self._since + self._timeout - time.monotonic()
            if left > 0:
                self._timer = self._loop.after(left, self._on_timeout)
            else:
                self._stop()
