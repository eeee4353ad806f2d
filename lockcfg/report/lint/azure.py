"""Logging commands of Azure Pipelines, which become issues of a run."""

from __future__ import annotations

from lockcfg.report.diagnostics import notes, relative, words
from lockcfg.report.untrusted import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TextIO

    from lockcfg.lint.result import LintResult

#: Azure Pipelines has no level below a warning.
_TYPES: Final = {"error": "error", "warning": "warning", "info": "warning"}

_ESCAPES: Final = str.maketrans({"%": "%AZP25", ";": "%3B", "]": "%5D", "\r": "%0D", "\n": "%0A"})


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    for diagnostic in result.diagnostics:
        if diagnostic.suppression is not None:
            continue
        finding, place = diagnostic.finding, diagnostic.finding.place
        properties = {
            "type": _TYPES[finding.severity],
            "sourcepath": relative(finding.path, root),
        }
        if place is not None:
            properties["linenumber"] = str(place.line)
            properties["columnnumber"] = str(place.column)
        properties["code"] = diagnostic.code
        stream.write(_command("logissue", properties, words(finding)))
    for path, why in result.unreadable:
        properties = {"type": "error", "sourcepath": relative(path, root)}
        stream.write(_command("logissue", properties, f"cannot be read: {why}"))
    for note in notes(result, root):
        stream.write(_command("debug", {}, note))


def _command(name: str, properties: dict[str, str], message: str) -> str:
    """One command on one line, whatever the properties and the message contain."""
    fields = "".join(
        f"{key}={plain(value).translate(_ESCAPES)};" for key, value in properties.items()
    )
    separator = " " if fields else ""
    return f"##vso[task.{name}{separator}{fields}]{plain(message).translate(_ESCAPES)}\n"
