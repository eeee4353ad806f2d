"""Keeps passwords out of the output."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What the output shows in place of a password.
HIDDEN: Final = '"********"'

#: A name like the name of a secret setting, misspelt or not, and what is, or seems to be, assigned
#: to it: the rest of the line, as the end of the value is unknown.
_ASSIGNED: Final = r"""([A-Za-z0-9_]*pas+w[A-Za-z0-9_]*[ \t]*(?:[=:][ \t]*|(?=["'\[])))([^\r\n]+)"""


def hide_secrets(line: str) -> str:
    """A line of a configuration file without its passwords.

    The settings are those that the schemas mark as secret; a test compares the two.
    """
    if "pas" not in line:
        return line
    return re.sub(_ASSIGNED, lambda match: match.group(1) + HIDDEN, line)
