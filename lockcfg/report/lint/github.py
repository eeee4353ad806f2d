"""Workflow commands of GitHub Actions, which become annotations of a change."""

from __future__ import annotations

from lockcfg.report.commands import COMMANDS, command
from lockcfg.report.diagnostics import notes, relative, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from lockcfg.lint.result import LintResult


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    for diagnostic in result.diagnostics:
        if diagnostic.suppression is not None:
            continue
        finding, place = diagnostic.finding, diagnostic.finding.place
        properties = {"file": relative(finding.path, root)}
        if place is not None:
            properties["line"] = str(place.line)
            properties["col"] = str(place.column)
            properties["endColumn"] = str(place.column + place.length)
        properties["title"] = f"{diagnostic.code} {finding.rule}"
        stream.write(command(COMMANDS[finding.severity], properties, words(finding)))
    for path, why in result.unreadable:
        stream.write(command("error", {"file": relative(path, root)}, f"cannot be read: {why}"))
    for note in notes(result, root):
        stream.write(command("notice", {}, note))
