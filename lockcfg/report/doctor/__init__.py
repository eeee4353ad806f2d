"""The formats of ``lockcfg doctor``: one file each, and its name in the table here.

Each has ``write``, which prints a finished diagnosis. The exit status is the same for all of them
but ``nagios``, whose plugins have statuses of their own.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    from lockcfg.doctor.diagnosis import Diagnosis

    class Format(Protocol):
        """What a module here has."""

        def write(self, diagnosis: Diagnosis, *, quiet: bool) -> int:
            """Print it; ``quiet``: only what is wrong. Returns the exit status."""


FORMATS: Final = ("text", "json", "nagios", "openmetrics")


def format_of(name: str) -> Format:
    """The module of a format."""
    module: Format = import_module(f"lockcfg.report.doctor.{name}_")
    return module


def status_of(diagnosis: Diagnosis) -> int:
    """The exit status: 0 where nothing is wrong, else 1."""
    return int(diagnosis.worst != "ok")
