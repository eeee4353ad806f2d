"""The formats of ``lockcfg doctor``: one file each, and its name in the table here.

Each has ``write``, which prints a finished diagnosis. The exit status is the same for every format
except ``nagios``, whose plugins have statuses of their own.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    from lockcfg.doctor.diagnosis import Diagnosis

    class Format(Protocol):
        """The interface of a module here."""

        def write(self, diagnosis: Diagnosis, *, quiet: bool) -> int:
            """Print the diagnosis, with ``quiet`` only what is wrong; return the exit status."""


FORMATS: Final = ("text", "json", "nagios", "openmetrics")


def format_of(name: str) -> Format:
    """The module of a format."""
    module: Format = import_module(f"lockcfg.report.doctor.{name}_")
    return module


def status_of(diagnosis: Diagnosis) -> int:
    """The exit status: 0 if nothing is wrong, else 1."""
    return int(diagnosis.worst != "ok")
