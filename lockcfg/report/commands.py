"""Workflow commands of GitHub Actions: one line each, whatever is in it."""

from __future__ import annotations

import re

from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

#: The command that says it, by severity.
COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}

_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = _DATA | str.maketrans({":": "%3A", ",": "%2C"})

#: Characters that turn the direction of a text or have no width.
_DIRECTIONS: Final = "[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"


def command(name: str, properties: Mapping[str, str], message: str) -> str:
    """One line, whatever is in the properties and the message."""
    fields = ",".join(
        f"{key}={_plain(value).translate(_PROPERTY)}" for key, value in properties.items()
    )
    separator = " " if fields else ""
    return f"::{name}{separator}{fields}::{_plain(message).translate(_DATA)}\n"


def _plain(text: str) -> str:
    """The text without what makes a log show it in another order, or not at all."""
    return re.sub(_DIRECTIONS, "\ufffd", clean(text))
