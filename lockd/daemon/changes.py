"""Settings that are changed while the daemon runs, as ``virt-admin`` does.

A change holds until the daemon ends, whatever the configuration says, also for the process that
takes over after a crash or an upgrade. A setting is known by a name: ``timeout``, ``log_filters``
and ``log_outputs``, and ``SERVICE.LIMIT`` for the limits of a service.
"""

from __future__ import annotations

from lockd.log import LogError
from lockd.survival.journal import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockd.daemon.daemon import Daemon
    from lockd.log import Log


class Changes:
    """What has been changed, by name."""

    def __init__(self, daemon: Daemon, log: Log) -> None:
        self._daemon: Final = daemon
        self._log: Final = log
        self._made: Final[dict[str, int | str]] = {}

    def set_timeout(self, seconds: int) -> None:
        """End after so many seconds without a client; 0 for never."""
        self._make("timeout", seconds)

    def set_log_filters(self, text: str) -> None:
        """Use other filters of the log. Raises LogError, and then nothing has changed."""
        self._make("log_filters", text)

    def set_log_outputs(self, text: str) -> None:
        """Use other outputs of the log, the default one where ``text`` names none. Raises
        LogError, and then nothing has changed."""
        self._make("log_outputs", text)

    def set_limit(self, service: str, limit: str, value: int) -> None:
        """Use another limit of a service, by its name in :attr:`Service.limits`."""
        self._make(f"{service}.{limit}", value)

    def _make(self, name: str, value: int | str) -> None:
        self._apply(name, value)
        self._made[name] = value
        self._daemon.journal.write("changed", name, value)

    def restore(self, name: str, value: int | str) -> None:
        """Take over a change from the process before this one. One that cannot be had any more,
        because a file of the log cannot be opened, is told and kept: it may be had the next time.
        """
        self._made[name] = value
        try:
            self._apply(name, value)
        except LogError as error:
            self._log.error(f"{name}, as it was changed at run time: {error}")

    def records(self) -> Iterator[str]:
        """The changes, for a new journal."""
        for name, value in self._made.items():
            yield record("changed", name, value)

    def _apply(self, name: str, value: int | str) -> None:
        daemon = self._daemon
        if isinstance(value, str):
            set_log = {
                "log_filters": daemon.logging.set_filters,
                "log_outputs": daemon.logging.set_outputs,
            }
            set_log[name](value)
        elif name == "timeout":
            daemon.set_timeout(value)
        else:
            service, limit = name.split(".")
            daemon.services[service].limits[limit] = value
