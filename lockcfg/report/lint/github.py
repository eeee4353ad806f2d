"""Workflow commands of GitHub Actions, which become annotations of a change."""

from __future__ import annotations

from lockcfg.report.diagnostics import notes, relative, words
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TextIO

    from lockcfg.lint.result import LintResult

_COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}

_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


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
        stream.write(_command(_COMMANDS[finding.severity], properties, words(finding)))
    for path, why in result.unreadable:
        stream.write(_command("error", {"file": relative(path, root)}, f"cannot be read: {why}"))
    for note in notes(result, root):
        stream.write(_command("notice", {}, note))


def _command(name: str, properties: dict[str, str], message: str) -> str:
    """One line, whatever is in the properties and the message."""
    fields = ",".join(
        f"{key}={clean(value).translate(_PROPERTY)}" for key, value in properties.items()
    )
    separator = " " if fields else ""
    return f"::{name}{separator}{fields}::{clean(message).translate(_DATA)}\n"
