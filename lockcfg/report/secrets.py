"""Keeping passwords out of what is printed."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What stands in for a password.
HIDDEN: Final = '"********"'

_SECRET: Final = re.compile(
    r"""((?:vnc|spice|rdp)_password[ \t]*=[ \t]*)("{3}.*?(?:"{3}|$)|"[^"]*"?|'[^']*'?|[^;#\s]+)"""
)


def hide_secrets(line: str) -> str:
    """A line of a configuration file with the passwords in it replaced.

    The settings are those that the schemas mark as secret; a test holds the two together.
    """
    if "_password" not in line:
        return line
    return _SECRET.sub(lambda match: match.group(1) + HIDDEN, line)
