"""Workflow commands of GitHub Actions: each is one line, whatever it contains."""

from __future__ import annotations

from lockcfg.report.untrusted import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

#: The command, by severity.
COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}

_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def command(name: str, properties: Mapping[str, str], message: str) -> str:
    """One command on one line, whatever the properties and the message contain."""
    fields = ",".join(
        f"{key}={plain(value).translate(_PROPERTY)}" for key, value in properties.items()
    )
    separator = " " if fields else ""
    return f"::{name}{separator}{fields}::{plain(message).translate(_DATA)}\n"
