"""``--adopt``: take the locks of guests that run without them, with no command from anyone.

``lockd adopt --all`` does this in a process of its own. This module starts that process when the
daemon starts, and when libvirtd starts, because libvirtd makes its lockspaces then.
"""

from __future__ import annotations

import sys

from lockd.kernel.child import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.log import Log

#: How long to wait until libvirtd has made all of its lockspaces, in seconds.
_MOMENT: Final = 1.0


class Adoption:
    """Starts one adopting process at a time; ``socket`` is the daemon's own admin socket."""

    def __init__(self, loop: Loop, socket: str, log: Log) -> None:
        self._loop: Final = loop
        self._log: Final = log
        self._command: Final = [
            *(sys.executable, "-I", "-m", "lockd", "adopt", "--all", "--socket", socket)
        ]
        self._timer: Timer | None = None
        self._runs = False
        self._again = False

    def soon(self) -> None:
        """Start adopting in a moment: there may be guests without locks."""
        if self._timer is None:
            self._timer = self._loop.after(_MOMENT, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._runs:
            self._again = True
            return
        try:
            run(self._loop, self._command, self._ended)
        except OSError as error:
            self._log.error(f"guests cannot be adopted: {error.strerror}")
            return
        self._runs, self._again = True, False

    def _ended(self, status: int, said: str) -> None:
        # The daemon has logged the calls that adopted a guest or were refused.
        if status not in (0, 1):
            self._log.warning(f"no guest was adopted: {said}")
        self._runs = False
        if self._again:
            self.soon()
