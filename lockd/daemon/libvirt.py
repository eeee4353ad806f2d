"""Tells libvirt what lockd did to a guest, as soon as libvirt answers.

``virsh`` tells it, in a process of its own: libvirtd may be away, or may wait for the very guest
that is stopped. A stopped guest gets metadata (:data:`URI`) with the reason; every client of
libvirt can read it and is notified. ``virsh suspend`` would wait for an answer from the guest.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from lockd.kernel.child import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from lockd.kernel.loop import Loop
    from lockd.log import Log

    #: What is called with the exit status of a command, and what it has said.
    Then = Callable[[int, str], object]

#: The namespace of the metadata of a guest that is stopped.
URI: Final = "urn:lockcfg:lockd"
_KEY: Final = "lockd"

#: How long a command may take and how long to wait before the next try, in seconds; and how often
#: to try to start a guest.
_PATIENCE: Final = 20.0
_AGAIN: Final = 3.0
_STARTS: Final = 20

#: Texts that mean that another try cannot succeed: the guest is gone, or has no metadata.
_NO_SUCH: Final = ("failed to get domain", "Domain not found", "metadata not found")


class Libvirt:
    """Tells libvirt at ``uri``, of one guest at a time."""

    def __init__(self, loop: Loop, uri: str, log: Log) -> None:
        self._loop: Final = loop
        self._command: Final = ("virsh", "--quiet", "--connect", uri)
        self._log: Final = log
        self._waiting: Final[deque[tuple[Sequence[str], Then]]] = deque()
        self._runs = False
        #: What libvirt has not been told yet, by UUID of the guest.
        self._untold: Final[dict[str, str]] = {}
        self._has_complained = False

    def tell(self, uuid: str, why: str) -> None:
        """Tell libvirt why a guest is stopped, or with empty text that it is not."""
        is_under_way = uuid in self._untold
        self._untold[uuid] = why
        if not is_under_way:
            self._tell(uuid)

    def _tell(self, uuid: str) -> None:
        why = self._untold[uuid]
        what: tuple[str, ...]
        if why:
            # Only where it is needed: it brings the whole of the web along.
            from xml.sax.saxutils import quoteattr

            what = ("--key", _KEY, "--live", "--set", f"<paused reason={quoteattr(why)}/>")
        else:
            what = ("--live", "--remove")
        self._queue(("metadata", uuid, "--uri", URI, *what), partial(self._told, uuid, why))

    def _told(self, uuid: str, why: str, status: int, said: str) -> None:
        if status and not any(words in said for words in _NO_SUCH):
            self._complain(said)
            self._loop.after(_AGAIN, partial(self._tell, uuid))
        elif self._untold[uuid] != why:
            self._tell(uuid)
        else:
            del self._untold[uuid]
            self._has_complained = False

    def _complain(self, said: str) -> None:
        if not self._has_complained:
            self._log.warning(f"cannot tell libvirt that guests are paused: {said}; trying again")
        self._has_complained = True

    def start(self, uuid: str) -> None:
        """Start a guest that is about to end again. libvirt takes its locks, or does not start
        it."""
        self._loop.after(_AGAIN, partial(self._start, uuid, _STARTS))

    def _start(self, uuid: str, left: int) -> None:
        self._queue(("start", uuid), partial(self._started, uuid, left - 1))

    def _started(self, uuid: str, left: int, status: int, said: str) -> None:
        if not status:
            self._log.warning(f"the guest with uuid {uuid} has been started again")
        elif left:
            self._loop.after(_AGAIN, partial(self._start, uuid, left))
        else:
            self._log.error(f"the guest with uuid {uuid} cannot be started again: {said}")

    # --- one command after the other

    def _queue(self, command: Sequence[str], then: Then) -> None:
        self._waiting.append((command, then))
        if not self._runs:
            self._next()

    def _next(self) -> None:
        if not self._waiting:
            return
        command, then = self._waiting.popleft()

        def on_end(status: int, said: str) -> None:
            self._runs = False
            then(status, said)
            self._next()

        try:
            run(self._loop, [*self._command, *command], on_end, patience=_PATIENCE)
        except OSError as error:
            then(1, f"virsh: {error.strerror}")
            self._loop.after(0, self._next)
            return
        self._runs = True
