"""The formats of ``lockcfg lint``: one module each, and the table of them.

A module has ``write(result, stream, *, root)``, which writes to the stream and does no other I/O.
:mod:`lockcfg.report.diagnostics` has what the modules share.
"""

from __future__ import annotations

from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol, TextIO

    from lockcfg.lint.result import LintResult

    class Reporter(Protocol):
        """The interface of a module of :data:`FORMATS`."""

        def write(self, result: LintResult, stream: TextIO, *, root: str) -> None:
            """Write ``result`` to ``stream``; paths are relative to ``root``."""


#: Every format, and the module that writes it.
FORMATS: Final[dict[str, str]] = {
    "text": "lockcfg.report.lint.text",
    "json": "lockcfg.report.lint.json_",
    "sarif": "lockcfg.report.lint.sarif",
    "github": "lockcfg.report.lint.github",
    "gitlab": "lockcfg.report.lint.gitlab",
    "junit": "lockcfg.report.lint.junit",
    "checkstyle": "lockcfg.report.lint.checkstyle",
    "azure": "lockcfg.report.lint.azure",
}


def render(
    result: LintResult, format: str, stream: TextIO, *, root: str, statistics: bool = False
) -> None:
    """Write ``result`` to ``stream`` in a format of :data:`FORMATS`.

    Paths inside ``root`` are relative to it. ``statistics`` writes counts by rule instead of the
    findings, only in the format text.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown format '{format}'", help=f"there are {', '.join(FORMATS)}")
    if statistics:
        if format != "text":
            raise UsageError(f"counts by rule are for the format text, not for {format}")
        from lockcfg.report.lint.text import write_statistics

        write_statistics(result, stream)
        return
    from importlib import import_module

    reporter: Reporter = import_module(FORMATS[format])
    reporter.write(result, stream, root=root)
