"""Settings that are changed while the daemon runs, as ``virt-admin`` does.

A change stays in force until the daemon ends, whatever the configuration says, and also in the
process that takes over after a crash or an upgrade. A setting is known by a name, one of a service
by ``SERVICE.SETTING``.

To add one, write its file with a function ``apply``, and put the name of the file in the table
here, by that of the setting.
"""

from __future__ import annotations

from importlib import import_module

from lockd.log import LogError
from lockd.survival.records import settings as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from lockd.log import Log
    from lockd.programs.admin.changes.changeable import Changeable
    from lockd.survival.journal import Journal

    #: Applies a setting: the subject of the change, the whole name, the value.
    Apply = Callable[[Changeable, str, Any], object]

#: The files of the settings, by the names of these.
SETTINGS: Final = {
    "timeout": "timeout",
    "log_filters": "log_filters",
    "log_outputs": "log_outputs",
    "nclients_max": "limits",
    "nclients_unauth_max": "limits",
    "prioWorkers": "limits",
}


class Changes:
    """The changes of ``changeable``, by name."""

    def __init__(self, changeable: Changeable, journal: Journal, log: Log) -> None:
        self._changeable: Final = changeable
        self._journal: Final = journal
        self._log: Final = log
        self._made: Final[dict[str, int | str]] = {}

    def make(self, name: str, value: int | str) -> None:
        """Change a setting. Raises LogError for one of the log that is invalid or cannot be
        used; then nothing has changed."""
        self._apply(name, value)
        self._made[name] = value
        self._journal.append(records.changed(name, value))

    def restore(self, name: str, value: int | str) -> None:
        """Take over a change from the previous process. If it fails, because a log file cannot be
        opened or another version of lockd made the change, it is logged and kept: it may succeed
        the next time."""
        self._made[name] = value
        try:
            self._apply(name, value)
        except LogError as error:
            self._log.error(f"{name}, as it was changed at run time: {error}")
        except (LookupError, TypeError, ValueError, AttributeError):
            self._log.error(f"{name}, as it was changed at run time: this version cannot use it")

    def records(self) -> Iterator[str]:
        """The changes, for a new journal."""
        for name, value in self._made.items():
            yield records.changed(name, value)

    def _apply(self, name: str, value: int | str) -> None:
        file = SETTINGS[name.rpartition(".")[2]]
        apply: Apply = import_module(f"{__name__}.{file}").apply
        apply(self._changeable, name, value)
