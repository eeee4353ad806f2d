"""Checkstyle's XML, which many tools for code review and CI read."""

from __future__ import annotations

from itertools import groupby

from lockcfg.report.diagnostics import relative, words
from lockcfg.report.xmlstream import end, start, xml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TextIO

    from lockcfg.lint.result import LintResult

#: The version of the format. Readers expect a version of Checkstyle.
_VERSION: Final = "4.3"


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    writer = xml(stream)
    start(writer, "checkstyle", version=_VERSION)
    writer.ignorableWhitespace("\n")
    counted = (d for d in result.diagnostics if d.suppression is None)
    for path, group in groupby(counted, key=lambda diagnostic: diagnostic.finding.path):
        start(writer, "file", name=relative(path, root))
        writer.ignorableWhitespace("\n")
        for diagnostic in group:
            finding, place = diagnostic.finding, diagnostic.finding.place
            start(
                writer,
                "error",
                line=place.line if place else 1,
                column=place.column if place else None,
                severity=finding.severity,
                message=words(finding),
                source=f"lockcfg.{diagnostic.code}",
            )
            end(writer, "error")
        end(writer, "file")
    for path, why in result.unreadable:
        start(writer, "file", name=relative(path, root))
        start(
            writer,
            "error",
            line=1,
            severity="error",
            message=f"cannot be read: {why}",
            source="lockcfg.unreadable",
        )
        writer.endElement("error")
        end(writer, "file")
    end(writer, "checkstyle")
