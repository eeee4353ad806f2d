"""The formats of ``lockcfg audit``, one module each.

A module has ``write(result, stream)``, which writes to the stream and does no other I/O. The
content of snapshots is hostile: host names, paths, settings and errors may contain anything, and
every format escapes them in its own way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol, TextIO

    from lockcfg.fleet.comparison.result import AuditResult

    class AuditReporter(Protocol):
        """What a module of :data:`FORMATS` has."""

        def write(self, result: AuditResult, stream: TextIO) -> None:
            """Write ``result`` to ``stream``."""


#: Every format and the module that writes it.
FORMATS: Final[dict[str, str]] = {
    "text": "lockcfg.report.audit.text",
    "json": "lockcfg.report.audit.json_",
    "junit": "lockcfg.report.audit.junit",
    "sarif": "lockcfg.report.audit.sarif",
    "github": "lockcfg.report.audit.github",
    "html": "lockcfg.report.audit.html_",
    "openmetrics": "lockcfg.report.audit.openmetrics",
}


def render_audit(result: AuditResult, format: str, stream: TextIO) -> None:
    """Write ``result`` to ``stream`` in a format of :data:`FORMATS`."""
    from importlib import import_module

    reporter: AuditReporter = import_module(FORMATS[format])
    reporter.write(result, stream)
