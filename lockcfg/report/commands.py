"""Workflow commands of GitHub Actions: one line each, whatever is in it."""

from __future__ import annotations

from lockcfg.report.untrusted import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

#: The command that says it, by severity.
COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}

_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def command(name: str, properties: Mapping[str, str], message: str) -> str:
    """One line, whatever is in the properties and the message."""
    fields = ",".join(
        f"{key}={plain(value).translate(_PROPERTY)}" for key, value in properties.items()
    )
    separator = " " if fields else ""
    return f"::{name}{separator}{fields}::{plain(message).translate(_DATA)}\n"
